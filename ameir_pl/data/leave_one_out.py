"""Leave one out: item sequences of users, split into train, validation and test rows and encoded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ameir_pl.data import vocabulary
from ameir_pl.data.encoded_sequences import RANKED
from ameir_pl.data.store import Tables
from ameir_pl.data.ties import Ties
from ameir_pl.errors import AmeirError
from ameir_pl.schema import Field, Schema

LEAST_ITEMS = 3
"""One item to train on, one to validate, one to test: a user with fewer cannot be split."""


def most_items(table: pl.DataFrame) -> int:
    """Return how many different items the user with the most of them has, of users with three items or more."""
    counts = table.group_by("user").agg(pl.len().alias("rows"), pl.col("item").n_unique())
    return max(counts.filter(pl.col("rows") >= LEAST_ITEMS)["item"].to_list(), default=0)


def leave_one_out(dataset: str, table: pl.DataFrame, max_len: int, path: Path, advice: str,
                  tie_advice: str) -> tuple[Tables, np.ndarray]:
    """Split and encode sequences.

    Of each user's items the last is the test item, the one before it the validation item, the rest are for training.
    Users with fewer than three items are dropped, and their number is noted. Every item has an id, also one of a
    dropped user: ranking is over the whole catalogue.

    Args:
        dataset: name of the schema.
        table: ``user`` and ``item``, sorted by user, in time order within a user; also ``time`` where it is known: what
            equal times leave to the order of lines is counted then.
        max_len: T.
        path: where they came from, for the message.
        advice: the sentence that ends the message.
        tie_advice: what to do where equal times decide what is held out.

    Returns:
        The tables for :class:`~ameir_pl.data.encoded_sequences.EncodedSequences`, and the items of each user (n,).

    Raises:
        AmeirError: no user has three items.
    """
    catalogue = vocabulary.fit(table["item"])
    users = table["user"].n_unique()
    table = table.filter(pl.len().over("user") >= LEAST_ITEMS)
    kept = table["user"].n_unique()
    notes: dict[str, Any] = {"users": kept, "items": len(catalogue), "interactions": len(table),
                             f"users with fewer than {LEAST_ITEMS} items, dropped": users - kept}
    if kept == 0:
        raise AmeirError(f"{path}: of {users} users none is left with {LEAST_ITEMS} or more items. Is it the right "
                         f"file, and the right column? {advice}")
    left = len(catalogue) - most_items(table)
    if left < RANKED:
        notes[f"items that some user never touched (ranking needs {RANKED}: this data can train, not test)"] = left
    lengths = table.group_by("user", maintain_order=True).len()["len"].to_numpy().astype(np.int64)
    stop = np.cumsum(lengths)
    begin = stop - lengths
    trains = lengths - 2 >= 2
    pointers = {"begin": (begin[trains], begin, begin), "end": (stop[trains] - 2, stop - 2, stop - 1),
                "stop": (stop[trains], stop, stop)}
    columns = {name: np.concatenate(parts) for name, parts in pointers.items()}
    values = vocabulary.encode(table["item"], catalogue)
    columns["values"] = values[:, None]
    warnings = []
    if "time" in table.columns:
        ties = Ties.count(np.repeat(np.arange(kept), lengths), table["time"].to_numpy(), values)
        notes |= ties.notes()
        warnings = ties.warnings(tie_advice)
    schema = Schema(dataset, "retrieval", (), (Field("item", "item"),), (), {"item": vocabulary.size(catalogue)},
                    max_len, "item", users=kept)
    return Tables(schema, {"item": catalogue}, columns, {"train": int(trains.sum()), "valid": kept, "test": kept},
                  notes, warnings), lengths
