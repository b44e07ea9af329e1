"""Rows that repeat another one in all that is read, counted by hashes: within the table and across its splits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from ameir_pl.data.splits import TEST, TRAIN, VALID, Split, TimeSplit

LIMIT = 2_000_000
"""Hashes that are kept, at most: beyond, those of every second value are let go, so that copies stay together."""
SAID = 0.001
"""Share of rows from which on repetitions are said."""
WARNED = 0.01
"""Share of test rows that are copies of train rows from which on there is a warning."""
_SEED = 43


class RowHashes:
    """Hashes of rows as they are read, of all rows or, of many, of those whose hash begins with some zeros: which rows
    are kept does not depend on the parts they came in.

    Attributes:
        rows: that came by.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self.rows, self._limit, self._zeros = 0, limit, 0
        self._hashes, self._places = np.zeros(0, np.uint64), np.zeros(0, np.int64)

    def add(self, table: pl.DataFrame, label: str) -> None:
        """Take in rows of a table, hashed without the column of their label, which is the hash's last bit."""
        hashes = table.drop(label).hash_rows(seed=_SEED).to_numpy() & ~np.uint64(1)
        behind = RowHashes(self._limit)
        behind.rows, behind._hashes = len(table), hashes | table[label].cast(pl.UInt64).to_numpy()
        behind._places = np.arange(len(table))
        self.extend(behind)

    def extend(self, behind: RowHashes) -> None:
        """Put the rows of others behind these."""
        self._zeros = max(self._zeros, behind._zeros)
        self._hashes = np.concatenate([self._hashes, behind._hashes])
        self._places = np.concatenate([self._places, behind._places + self.rows])
        self.rows += behind.rows
        while True:
            kept = self._hashes >> np.uint64(64 - self._zeros) == 0 if self._zeros else np.ones(len(self._hashes), bool)
            self._hashes, self._places = self._hashes[kept], self._places[kept]
            if len(self._hashes) <= self._limit:
                return
            self._zeros += 1

    def count(self, split: np.ndarray) -> Duplicates:
        """Return what repeats; ``split`` is that of every row (rows,)."""
        return Duplicates.of(self._hashes, split[self._places], self.rows)


@dataclass(frozen=True)
class Duplicates:
    """What repeats among rows, as shares.

    Args:
        rows: all.
        copies: share of rows that repeat an earlier one, label and all.
        test: share of test rows that repeat a train row.
        valid: share of validation rows that do.
        natural: whether rows that have all but the label in common have labels as different as any two rows' (nearly):
            few fields with few values, where repetitions are no copies.
    """

    rows: int
    copies: float
    test: float
    valid: float
    natural: bool

    @classmethod
    def of(cls, hashes: np.ndarray, split: np.ndarray, rows: int) -> Duplicates:
        """Count; ``hashes`` (n,) have the label as their last bit, ``split`` (n,) is 0, 1 or 2."""
        distinct = len(np.unique(hashes))
        train = np.unique(hashes[split == TRAIN])
        test, valid = (float(np.isin(hashes[split == part], train).mean()) if (split == part).any() else 0.0
                       for part in (TEST, VALID))
        return cls(rows, 1 - distinct / max(len(hashes), 1), test, valid, _natural(hashes))

    def note(self) -> dict[str, str]:
        """Return what to note; nothing where hardly a row repeats another."""
        if self.copies < SAID:
            return {}
        across = f"; of the test rows {100 * self.test:.1f} % are equal to a train row" if self.test else ""
        why = " (few values, so that rows are alike by chance)" if self.natural else ""
        return {"rows that are equal to another one in all that is read, label and all":
                f"{100 * self.copies:.1f} % of {self.rows:,}{across}{why}"}

    def warnings(self, split: Split) -> list[str]:
        """Return what to warn of: test rows that a model has learned by heart."""
        if self.natural or max(self.test, self.valid) < WARNED:
            return []
        why = ("rows of one time lie on both sides of the cut" if isinstance(split, TimeSplit) else
               "a split at random puts a row into one part and its copies into another")
        return [f"{100 * self.test:.1f} % of the test rows and {100 * self.valid:.1f} % of the validation rows are "
                f"copies of train rows, equal in all that is read, label and all: {why}, and a model that learns rows "
                "by heart looks better than it is. Take the copies out of the table, or split by time."]


def _natural(hashes: np.ndarray) -> bool:
    """Whether labels differ within groups of rows that are equal in all but the label, at least a quarter as often as
    between any two rows; where that cannot be told, whether rows are mostly repetitions."""
    label = (hashes & np.uint64(1)).astype(np.int64)
    _, group, counts = np.unique(hashes >> np.uint64(1), return_inverse=True, return_counts=True)
    clicks = np.bincount(group, label)
    several = counts > 1
    n, c = counts[several], clicks[several]
    share = float(label.mean()) if len(label) else 0.0
    expected = 2 * share * (1 - share) * len(n)
    if expected < 5:
        return len(counts) < 0.5 * len(hashes)
    return float((c * (n - c) / (n * (n - 1) / 2)).sum()) >= 0.25 * expected
