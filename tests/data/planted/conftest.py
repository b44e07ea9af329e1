"""Generated folders that the tests of this package share."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ameir_pl.atomic import unsealed
from ameir_pl.data.planted import GENERATORS, TRUTH

ROWS = {"alimama": 6000, "avazu": 6000, "criteo": 6000, "movielens": 6000, "synthetic": 6000, "beauty": 4000,
        "steam": 4000}


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Path, dict[str, Any]]]:
    """Give ``(folder, truth)`` of a dataset; the same arguments are generated once."""
    made: dict[tuple[str, int, int, float], Path] = {}

    def give(name: str, rows: int = 0, seed: int = 0, noise: float = 0.0) -> tuple[Path, dict[str, Any]]:
        key = (name, rows or ROWS[name], seed, noise)
        if key not in made:
            made[key] = tmp_path_factory.mktemp("planted") / name
            GENERATORS.get(name)(made[key], *key[1:])
        return made[key], unsealed(json.loads((made[key] / TRUTH).read_text(encoding="utf-8")))

    return give
