"""``Steam.txt`` in SASRec's pair format, from a known next-item model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ameir_pl.data.planted.registry import GENERATORS
from ameir_pl.data.planted.sequences import generate


@GENERATORS.register("steam")
def steam(folder: Path, rows: int, seed: int, noise: float) -> dict[str, Any]:
    """Write ``Steam.txt`` and ``truth.json``; return the truth. See :func:`~ameir_pl.data.planted.sequences.generate`.

    Users have as many interactions as in the real set, 11 on average, and items 283 where ``rows``
    are enough.

    Args:
        folder: where the two files go.
        rows: interactions, from 3,000 on.
        seed: of everything.
        noise: share of next items that are drawn by popularity alone, from 0 to below 1.

    Raises:
        AmeirError: an argument is out of range, or ``folder`` holds one of the files.
    """
    return generate("steam", "Steam.txt", folder, rows, seed, noise, mean_length=11.0, rows_per_item=283.0)
