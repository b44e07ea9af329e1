"""Vocabularies: fitted on values of train rows, applied to all rows. ``PAD`` is 0, ``OOV`` is 1, values follow."""

from __future__ import annotations

import numpy as np
import polars as pl

from ameir_pl.schema import OOV


def fit(values: pl.Series) -> list[str]:
    """Return the distinct values, sorted in their own type (numbers by size) and written as strings."""
    return values.drop_nulls().unique().sort().cast(pl.String).to_list()


def encode(values: pl.Series, vocabulary: list[str]) -> np.ndarray:
    """Return the ids (n,) int32 of ``values``; what the vocabulary does not hold is ``OOV``."""
    if not vocabulary:
        return np.full(len(values), OOV, dtype=np.int32)
    ids = np.arange(OOV + 1, OOV + 1 + len(vocabulary), dtype=np.int32)
    text = values.cast(pl.String)
    return text.replace_strict(vocabulary, ids.tolist(), default=OOV, return_dtype=pl.Int32).to_numpy().copy()


def size(vocabulary: list[str]) -> int:
    """Return how many ids a vocabulary needs, ``PAD`` and ``OOV`` included."""
    return len(vocabulary) + OOV + 1
