"""SequenceDataset: what next-item datasets have in common; a dataset of this kind is a name and its defaults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ameir_pl.data.bad_rows import BadRows, Policy
from ameir_pl.data.dataset import Dataset
from ameir_pl.data.encoded_sequences import RANKED, EncodedSequences
from ameir_pl.data.leave_one_out import leave_one_out
from ameir_pl.data.ratings import NEEDED
from ameir_pl.data.sequence_files import RAW, core, read
from ameir_pl.data.store import Tables
from ameir_pl.errors import AmeirError

ALIKE = 0.05
"""Data whose number of users differs from the paper's by a larger share are other data."""


class PaperCounts(NamedTuple):
    """What Table 7 of the paper says of a dataset.

    Args:
        users, items: their numbers.
        shortest, longest, mean: items a user, the mean with three decimals.
    """

    users: int
    items: int
    shortest: int
    longest: int
    mean: float


class SequenceDataset(Dataset):
    """Next-item data from one file of sequences (five formats, see :func:`~ameir_pl.data.sequence_files.read`).

    Leave one out: of each user's items in time order the last is the test item, the one before it the validation
    item, the rest are for training. Users with fewer than three items are dropped, and their number is said.

    The vocabulary ``item`` is the catalogue: every item of the file (after the core filter, where one applies) has
    an id from 2 on, also one that only dropped or held-out interactions show, because ranking is over the whole
    catalogue and an item nobody trained on still competes.

    Attributes:
        file_names: names looked for in a folder, the first that is there is taken, with or without ``.gz``.
        paper_counts: Table 7 of the paper, with which data of about as many users are compared.

    Args:
        raw, encoded, on_bad_row: as :class:`Dataset`.
        source: the file, or a folder that has it under one of :attr:`file_names`.
        max_len: T, the most items of a history.
        min_count: users and items with fewer interactions are dropped, until none is left to drop. Applies to
            ratings and reviews.
        filter_sequences: apply ``min_count`` to the other formats too; as published they are filtered already.
        columns: names of the columns of a table of ratings, in their order, where its header and ids do not tell.

    Raises:
        AmeirError: a setting is out of range.
    """

    file_names: ClassVar[tuple[str, ...]] = ()
    paper_counts: ClassVar[PaperCounts | None] = None
    version = 2
    opens = EncodedSequences

    def __init__(self, *, raw: Path | str, encoded: Path | str, source: Path | str | None = None, max_len: int,
                 on_bad_row: Policy = "fail", min_count: int = 5, filter_sequences: bool = False,
                 columns: Sequence[str] | None = None) -> None:
        super().__init__(raw=raw, encoded=encoded, source=source, max_len=max_len, on_bad_row=on_bad_row)
        if max_len < 1 or min_count < 1:
            raise AmeirError(f"{self.name}: max_len={max_len}, min_count={min_count}; both must be at least 1.")
        self.min_count, self.filter_sequences = min_count, filter_sequences
        self.columns = None if columns is None else tuple(map(str, columns))
        if self.columns is not None and (not set(NEEDED) <= set(self.columns)
                                         or len(set(self.columns)) < len(self.columns)):
            raise AmeirError(f"{self.name}: columns={list(self.columns)}; needed are {', '.join(NEEDED)}, each once.")

    @property
    def protocol(self) -> str:
        """How sequences are split and ranked."""
        return f"leave one out; test item ranked among {RANKED} uniform negatives, ties half a rank"

    def settings(self) -> dict[str, Any]:
        """Return the settings that change the encoded data."""
        return super().settings() | {"min_count": self.min_count, "filter_sequences": self.filter_sequences,
                                     "columns": self.columns and list(self.columns)}

    def names(self) -> tuple[str, ...]:
        """Return the names of the publisher's files, the one to prefer first."""
        return self.file_names

    def files(self) -> dict[str, Path]:
        """Return the path of the file under ``sequences``."""
        place = self.source or self.raw
        if place.is_file():
            return {"sequences": place}
        if self.source is not None and not place.is_dir():
            raise self.missing([place])
        for name in self.names():
            for path in (place / name, place / f"{name}.gz"):
                if path.is_file():
                    return {"sequences": path}
        raise self.missing([f"one of {', '.join(self.names())} (plain or .gz) in {place}"])

    def encode(self, files: dict[str, Path], folder: Path) -> Tables:
        """Read, filter and split the sequences; raises ``AmeirError`` for a bad file."""
        path = files["sequences"]
        advice = "Correct the line, or name another file: dataset.source=FILE."
        bad = BadRows(self.on_bad_row, advice)
        kind, table = read(path, bad, self.columns)
        notes: dict[str, Any] = {"format": kind}
        if kind in RAW or self.filter_sequences:
            before = len(table)
            table = core(table, self.min_count)
            notes[f"interactions outside the {self.min_count}-core, dropped"] = before - len(table)
        told = f"It was read as `{kind}`. {advice}"
        tables, lengths = leave_one_out(
            self.name, table, self.max_len, path, told,
            "Name a file with finer times (dataset.source=FILE), or one without times in the true order: one line "
            "`user item` each. Go on if the lines of one time are in the true order.")
        notes |= tables.notes | self._lengths(lengths, tables.notes["items"]) | bad.notes()
        return replace(tables, notes=notes)

    def _lengths(self, lengths: np.ndarray, items: int) -> dict[str, Any]:
        """Notes on the items of a user, beside those of Table 7 where the data can be the paper's."""
        found = PaperCounts(len(lengths), items, int(lengths.min()), int(lengths.max()),
                            round(float(lengths.mean()), 3))
        notes: dict[str, Any] = {"items a user, min": found.shortest, "items a user, max": found.longest,
                                 "items a user, mean": found.mean}
        paper = self.paper_counts
        if paper is not None and abs(found.users - paper.users) <= ALIKE * paper.users:
            words = ("users", "items", "min", "max", "mean")
            differ = [f"{word} {here} here, {there} there"
                      for word, here, there in zip(words, found, paper, strict=True) if here != there]
            notes["Table 7 of the paper"] = f"differs: {'; '.join(differ)}" if differ else "counts equal"
        return notes
