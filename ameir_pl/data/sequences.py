"""SequenceDataset: what next-item datasets have in common; a dataset of this kind is a name and its defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl

from ameir_pl.data import vocabulary
from ameir_pl.data.dataset import Dataset
from ameir_pl.data.encoded_sequences import RANKED, EncodedSequences
from ameir_pl.data.sequence_files import core, read
from ameir_pl.data.store import Tables
from ameir_pl.errors import AmeirError
from ameir_pl.schema import Field, Schema

LEAST_ITEMS = 3
"""One item to train on, one to validate, one to test: a user with fewer cannot be split."""


class SequenceDataset(Dataset):
    """Next-item data from one file of sequences (three formats, see :func:`~ameir_pl.data.sequence_files.read`).

    Leave one out: of each user's items in time order the last is the test item, the one before it the validation
    item, the rest are for training. Users with fewer than three items are dropped, and their number is said.

    The vocabulary ``item`` is the catalogue: every item of the file (after the core filter, where one applies) has
    an id from 2 on, also one that only dropped or held-out interactions show, because ranking is over the whole
    catalogue and an item nobody trained on still competes.

    Args:
        raw, encoded: as :class:`Dataset`.
        source: the file, or a folder that has it under one of :attr:`file_names`.
        max_len: T, the most items of a history.
        min_count: users and items with fewer interactions are dropped, until none is left to drop. Applies to a
            ratings CSV.
        filter_sequences: apply ``min_count`` to the other two formats too; as published they are filtered already.

    Raises:
        AmeirError: a setting is out of range.
    """

    file_names: ClassVar[tuple[str, ...]]
    opens = EncodedSequences

    def __init__(self, *, raw: Path | str, encoded: Path | str, source: Path | str | None = None, max_len: int,
                 min_count: int = 5, filter_sequences: bool = False) -> None:
        super().__init__(raw=raw, encoded=encoded, source=source, max_len=max_len)
        if max_len < 1 or min_count < 1:
            raise AmeirError(f"{self.name}: max_len={max_len}, min_count={min_count}; both must be at least 1.")
        self.min_count, self.filter_sequences = min_count, filter_sequences

    @property
    def protocol(self) -> str:
        """How sequences are split and ranked."""
        return f"leave one out; test item ranked among {RANKED} uniform negatives, ties half a rank"

    def settings(self) -> dict[str, Any]:
        """Return the settings that change the encoded data."""
        return super().settings() | {"min_count": self.min_count, "filter_sequences": self.filter_sequences}

    def files(self) -> dict[str, Path]:
        """Return the path of the file under ``sequences``."""
        place = self.source or self.raw
        if place.is_file():
            return {"sequences": place}
        for name in self.file_names:
            if (place / name).is_file():
                return {"sequences": place / name}
        raise AmeirError(f"{self.name}: no file {' or '.join(self.file_names)} in {place}. It is offered at "
                         f"{self.offered} ({self.terms}) Get it there and name it: dataset.source=FILE.")

    def encode(self, files: dict[str, Path]) -> Tables:
        """Read, filter and split the sequences; raises ``AmeirError`` for a bad file."""
        path = files["sequences"]
        advice = "Correct the line, or name another file: dataset.source=FILE."
        kind, table = read(path, advice)
        notes: dict[str, Any] = {"format": kind}
        if kind == "ratings" or self.filter_sequences:
            before = len(table)
            table = core(table, self.min_count)
            notes[f"interactions outside the {self.min_count}-core, dropped"] = before - len(table)
        catalogue = vocabulary.fit(table["item"])
        users = table["user"].n_unique()
        table = table.filter(pl.len().over("user") >= LEAST_ITEMS)
        kept = table["user"].n_unique()
        notes |= {"users": kept, "items": len(catalogue), "interactions": len(table),
                  f"users with fewer than {LEAST_ITEMS} items, dropped": users - kept}
        if kept == 0:
            raise AmeirError(f"{path}: of {users} users none is left with {LEAST_ITEMS} or more items. Is it the right "
                             f"file? It was read as `{kind}`. {advice}")
        lengths = table.group_by("user", maintain_order=True).len()["len"].to_numpy().astype(np.int64)
        stop = np.cumsum(lengths)
        begin = stop - lengths
        trains = lengths - 2 >= 2
        pointers = {"begin": (begin[trains], begin, begin), "end": (stop[trains] - 2, stop - 2, stop - 1),
                    "stop": (stop[trains], stop, stop)}
        columns = {name: np.concatenate(parts) for name, parts in pointers.items()}
        columns["values"] = vocabulary.encode(table["item"], catalogue)[:, None]
        schema = Schema(self.name, "retrieval", (), (Field("item", "item"),), (), {"item": vocabulary.size(catalogue)},
                        self.max_len, "item")
        return Tables(schema, {"item": catalogue}, columns,
                      {"train": int(trains.sum()), "valid": kept, "test": kept}, notes)
