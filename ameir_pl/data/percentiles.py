"""Dense values to [-1, 1] by percentiles of train rows; a missing value is -1, which no present value is."""

from __future__ import annotations

import numpy as np

from ameir_pl.schema import MISSING

STEPS = 100
SAMPLE = 250_000
"""Train values that percentiles are taken from, at most, about: a seeded sample gives them to a tenth of one."""
_SEED = 41


def fit(values: np.ndarray) -> list[float]:
    """Return the 101 percentiles, from minimum to maximum, of train values (n,) without missing ones; zeros where
    there are none."""
    if len(values) == 0:
        return [0.0] * (STEPS + 1)
    return [float(q) for q in np.quantile(values, np.linspace(0, 1, STEPS + 1))]


def apply(values: np.ndarray, percentiles: list[float]) -> np.ndarray:
    """Return values (n,) as float32 in [-1, 1]; NaN stands for missing.

    The share of train values below, linear between percentiles; a value that many rows share is put in the middle of
    its shares, and values beyond those of train rows at the ends.
    """
    levels = np.linspace(MISSING, 1, STEPS + 2)[1:]
    knots, shared = np.unique(percentiles, return_inverse=True)
    middles = np.bincount(shared, levels) / np.bincount(shared)
    out = np.interp(values, knots, middles).astype(np.float32)
    out[np.isnan(values)] = MISSING
    return out


class Thinning:
    """Keeps a seeded sample of a long column that comes in parts.

    Args:
        rows: how many values will come, about.
        limit: how many are kept at most, about.
    """

    def __init__(self, rows: int, limit: int = SAMPLE) -> None:
        self._share = min(limit / max(rows, 1), 1.0)
        self._generator = np.random.default_rng(_SEED)
        self._kept: list[np.ndarray] = []

    def add(self, values: np.ndarray) -> None:
        """Add a part."""
        if self._share < 1:
            values = values[self._generator.random(len(values)) < self._share]
        self._kept.append(values)

    def values(self) -> np.ndarray:
        """Return what was kept."""
        return np.concatenate(self._kept) if self._kept else np.zeros(0)
