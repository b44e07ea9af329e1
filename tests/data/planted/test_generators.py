"""What every generator promises: bytes that follow from the arguments, no half-written folders, clear refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ameir_pl.atomic import unsealed
from ameir_pl.data.planted import GENERATORS, TRUTH, writing
from ameir_pl.errors import AmeirError
from tests.data.planted.conftest import ROWS

NAMES = GENERATORS.names()
Planted = Callable[..., tuple[Path, dict[str, Any]]]


def _bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_every_dataset_of_the_project_has_a_generator() -> None:
    assert set(NAMES) == set(ROWS)


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_decides_the_bytes(name: str, planted: Planted, tmp_path: Path) -> None:
    folder, truth = planted(name)
    again = GENERATORS.get(name)(tmp_path / "again", ROWS[name], 0, 0.0)
    assert _bytes(tmp_path / "again") == _bytes(folder)
    assert again == truth and truth["dataset"] == name and truth["rows"] == ROWS[name]
    other, _ = planted(name, seed=1)
    assert all(content != _bytes(folder)[file] for file, content in _bytes(other).items())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again"], "a temporary folder was left"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("rows", "seed", "noise", "message"), [
    (10, 0, 0.0, "rows=10 are too few"), (5000, -1, 0.0, "seed=-1"), (5000, 0, 1.0, "noise=1.0"),
    (5000, 0, -0.1, "noise=-0.1"), (5000, 0, float("nan"), "noise=nan")])
def test_bad_arguments_are_refused(name: str, rows: int, seed: int, noise: float, message: str,
                                   tmp_path: Path) -> None:
    with pytest.raises(AmeirError, match=message):
        GENERATORS.get(name)(tmp_path / "x", rows, seed, noise)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", NAMES)
def test_the_fewest_rows_are_enough(name: str, tmp_path: Path) -> None:
    least = {"alimama": 2000, "movielens": 2000, "beauty": 3000, "steam": 3000}.get(name, 1000)
    truth = GENERATORS.get(name)(tmp_path / "least", least, 2, 0.9)
    assert truth["bayes"]["rows"] > 0
    with pytest.raises(AmeirError, match=f"at least {least}"):
        GENERATORS.get(name)(tmp_path / "less", least - 1, 0, 0.0)


def test_files_in_the_way_are_named_and_kept(tmp_path: Path) -> None:
    generate = GENERATORS.get("criteo")
    folder = tmp_path / "deep" / "folder"
    generate(folder, 1000, 0, 0.0)
    before = _bytes(folder)
    with pytest.raises(AmeirError, match="already holds train.txt, truth.json.*another folder, or delete"):
        generate(folder, 1000, 1, 0.0)
    assert _bytes(folder) == before
    (folder / "train.txt").unlink()
    with pytest.raises(AmeirError, match=f"already holds {TRUTH};"):
        generate(folder, 1000, 1, 0.0)
    (folder / TRUTH).unlink()
    (folder / "notes").write_text("mine")
    generate(folder, 1000, 0, 0.0)
    assert _bytes(folder) == before | {"notes": b"mine"}
    with pytest.raises(AmeirError, match="is a file"):
        generate(folder / "notes", 1000, 0, 0.0)


@pytest.mark.parametrize("name", ["criteo", "alimama", "beauty"])
def test_an_error_leaves_nothing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> str:
        raise OSError("disk full")

    monkeypatch.setattr(writing.json, "dumps", fail)
    with pytest.raises(OSError, match="disk full"):
        GENERATORS.get(name)(tmp_path / "x", 3000, 0, 0.0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", NAMES)
def test_the_truth_is_sorted_json(name: str, planted: Planted) -> None:
    folder, truth = planted(name)
    written = json.loads((folder / TRUTH).read_text(encoding="utf-8"))
    assert unsealed(written) == truth and list(unsealed(written)) == sorted(truth)
    assert truth["files"] == {p.name: p.stat().st_size for p in folder.iterdir() if p.name != TRUTH}
    assert {"dataset", "rows", "seed", "noise", "version", "bayes", "test_rows", "model"} <= set(truth)
