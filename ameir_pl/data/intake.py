"""Intake: rows as they are read, written to a spill; of each row a few bytes are kept in memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import numpy as np
import polars as pl

from ameir_pl.data.duplicate_rows import RowHashes
from ameir_pl.data.histories import TIME, USER
from ameir_pl.data.spill import Spill
from ameir_pl.data.splits import GivenSplit
from ameir_pl.data.table_parts import Parts, Tally
from ameir_pl.data.table_plan import LABEL, LISTED, SPLIT, Plan
from ameir_pl.data.text import one_ahead


@dataclass
class Taken:
    """What an intake leaves of rows.

    Args:
        spill: all their columns.
        kept: label, time and split, as needed; arrays one behind the other.
        longest: the longest list of each multivalent field.
        hashes: of rows.
    """

    spill: Spill
    kept: dict[str, list[np.ndarray]]
    longest: dict[str, int]
    hashes: RowHashes

    @classmethod
    def joined(cls, several: Iterable[Taken]) -> Taken:
        """Return one after the other as one; there is at least one."""
        rest = iter(several)
        whole = next(rest)
        for behind in rest:
            whole.spill.extend(behind.spill)
            for name, arrays in behind.kept.items():
                whole.kept[name] += arrays
            whole.hashes.extend(behind.hashes)
            whole.longest = {name: max(length, behind.longest[name]) for name, length in whole.longest.items()}
        return whole

    def column(self, name: str) -> np.ndarray | None:
        """Return a column that was kept, None for one that was not; it is let go of here."""
        arrays = self.kept.pop(name)
        return np.concatenate(arrays) if arrays else None


@dataclass(frozen=True)
class Intake:
    """Takes rows in.

    Args:
        plan: what columns become.
        folder: for spills; each intake makes a folder of its own there, so that one that is begun anew, because its
            process died, finds nothing of the first.
        has_events: histories come from events, so that rows need user and time.
    """

    plan: Plan
    folder: Path
    has_events: bool

    def read(self, chunks: Iterable[pl.DataFrame]) -> Taken:
        """Take in tables as :func:`~ameir_pl.data.table_encoder.encode_table` describes them."""
        plan = self.plan
        kept: dict[str, list[np.ndarray]] = {LABEL: [], TIME: [], SPLIT: []}
        lists = [f.name for f in plan.fields if f.width == 0]
        longest = dict.fromkeys(lists, 1)
        spill, hashes = Spill(self.folder / uuid4().hex), RowHashes()
        for chunk in one_ahead(chunks):
            kept[LABEL].append(chunk[LABEL].to_numpy())
            if self.has_events or plan.timed:
                kept[TIME].append(chunk[TIME].cast(pl.Int64).to_numpy())
            if isinstance(plan.split, GivenSplit):
                kept[SPLIT].append(chunk[SPLIT].to_numpy())
            for name in lists:
                longest[name] = max(longest[name], int(chunk[name].list.len().max() or 0))  # type: ignore[arg-type]
            names = [*(f.name for f in plan.fields), *plan.dense, *([USER] if USER in chunk.columns else ()),
                     *(c for c in chunk.columns if c.startswith(LISTED))]
            spill.add(chunk.select(names))
            timed = [TIME] if kept[TIME] else []
            hashes.add(chunk.select(*names, *timed, LABEL), LABEL)
        return Taken(spill, kept, longest, hashes)

    def read_parts(self, parts: Parts) -> tuple[Taken, Tally]:
        """Take in some parts of a table, and return what reading them has to tell."""
        tally = parts.tally.fresh()
        return self.read(parts.chunks(tally)), tally
