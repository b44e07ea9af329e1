"""Vocabularies: fitted on values of train rows, applied to all rows. ``PAD`` is 0, ``OOV`` is 1, values follow."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl

from ameir_pl.schema import OOV, PAD

_VALUE, _COUNT, _ID = "value", "count", "id"


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


class Counter:
    """Counts the values of a vocabulary that come in parts; memory grows with the distinct values only."""

    def __init__(self) -> None:
        self._counts: pl.DataFrame | None = None

    def add(self, values: pl.Series) -> None:
        """Count values; a null is a value of its own ("missing"), the elements of lists count each."""
        if isinstance(values.dtype, pl.List):
            values = values.drop_nulls().explode().drop_nulls()
        counts = (_count_sorted(values) if values.dtype.is_integer() else
                  values.alias(_VALUE).to_frame().group_by(_VALUE).agg(pl.len().alias(_COUNT)))
        self._add(counts)

    def merge(self, other: Counter) -> None:
        """Add what another counted, of the same type."""
        if other._counts is not None:
            self._add(other._counts)

    def _add(self, counts: pl.DataFrame) -> None:
        if self._counts is not None:
            counts = pl.concat([self._counts, counts]).group_by(_VALUE).agg(pl.col(_COUNT).sum())
        self._counts = counts

    def values(self) -> pl.DataFrame:
        """Return the values but for "missing", each once, as text, and how often they came: ``value``, ``count``."""
        if self._counts is None:
            return pl.DataFrame(schema={_VALUE: pl.String, _COUNT: pl.UInt32})
        return self._counts.drop_nulls(_VALUE).with_columns(pl.col(_VALUE).cast(pl.String))

    def vocabulary(self, min_count: int) -> Vocabulary:
        """Return the values that came at least ``min_count`` times, sorted in their own type, missing first."""
        if self._counts is None:
            return Vocabulary(pl.Series(_VALUE, [], pl.String))
        kept = self._counts.filter(pl.col(_COUNT) >= min_count)
        return Vocabulary(kept[_VALUE].sort(nulls_last=False))


class Vocabulary:
    """Values and their ids.

    Args:
        values: in the order of their ids, from id 2 on; each once.
    """

    def __init__(self, values: pl.Series) -> None:
        ids = pl.Series(_ID, np.arange(OOV + 1, OOV + 1 + len(values), dtype=np.int32))
        self.table = pl.DataFrame([values.alias(_VALUE), ids])

    def __len__(self) -> int:
        return len(self.table)

    @property
    def size(self) -> int:
        """How many ids it needs, ``PAD`` and ``OOV`` included."""
        return len(self) + OOV + 1

    def words(self, hexadecimal: bool = False) -> pl.Series:
        """Return the values as strings; "missing" is the empty string.

        Args:
            hexadecimal: they are UInt32 that stand for eight hexadecimal digits.
        """
        values = self.table[_VALUE]
        if not hexadecimal or values.dtype != pl.UInt32:
            return values.cast(pl.String).fill_null("")
        digits = values.fill_null(0).to_numpy().astype(">u4").tobytes().hex()
        words = pl.Series(_VALUE, [digits[i:i + 8] for i in range(0, len(digits), 8)], pl.String)
        return words.to_frame().select(pl.when(values.is_not_null()).then(_VALUE).otherwise(pl.lit("")))[_VALUE]

    def encode(self, values: pl.Series) -> np.ndarray:
        """Return the ids (n,) int32 of values, of the vocabulary's type; an unknown one is ``OOV``."""
        found = values.alias(_VALUE).to_frame().join(self.table, on=_VALUE, how="left", maintain_order="left",
                                                     nulls_equal=True)
        return found[_ID].fill_null(OOV).to_numpy()

    def encode_lists(self, values: pl.Series, width: int, latest: bool = False) -> np.ndarray:
        """Return the ids (n, width) int32 of the first ``width`` elements of lists, or of the last where they are the
        latest; ``PAD`` behind them. Nulls in lists are left out."""
        filled = values.list.drop_nulls()
        short = filled.list.tail(width) if latest else filled.list.head(width)
        lengths = short.list.len().fill_null(0).to_numpy()
        ids = np.full((len(values), width), PAD, np.int32)
        ids[np.arange(width) < lengths[:, None]] = self.encode(short.filter(short.list.len() > 0).explode())
        return ids


def _count_sorted(values: pl.Series) -> pl.DataFrame:
    """Count whole numbers by sorting them, which is several times as fast as grouping."""
    ordered = np.sort(values.drop_nulls().to_numpy())
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])) if len(ordered) else np.zeros(0, int)
    counts = np.diff(np.append(starts, len(ordered))).astype(np.uint32)
    table = pl.DataFrame([pl.Series(_VALUE, ordered[starts], values.dtype), pl.Series(_COUNT, counts)])
    if not values.null_count():
        return table
    missing = [pl.Series(_VALUE, [None], values.dtype), pl.Series(_COUNT, [values.null_count()], pl.UInt32)]
    return pl.concat([table, pl.DataFrame(missing)])


def common_type(kinds: Iterable[pl.DataType]) -> pl.DataType:
    """Return the type in which columns that share a vocabulary are compared: theirs, or String where they differ."""
    inner = {kind.inner if isinstance(kind, pl.List) else kind for kind in kinds}
    return inner.pop() if len(inner) == 1 else pl.String()  # type: ignore[return-value]
