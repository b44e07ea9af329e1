"""Parts: the files of a described table, each of which can be read by itself, in this process or in another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import polars as pl

from ameir_pl.data.bad_rows import BadRows
from ameir_pl.data.executors import Executor
from ameir_pl.data.spill import Spill
from ameir_pl.data.table_columns import Output, convert
from ameir_pl.data.table_sources import Source

T = TypeVar("T")


@dataclass
class Tally:
    """What reading has to tell besides the rows.

    Args:
        bad: the rows that could not be read.
        lacking: rows whose key a side table lacks, by what they lack.
        rows: how many were read.
    """

    bad: BadRows
    lacking: dict[str, int] = field(default_factory=dict)
    rows: int = 0

    def fresh(self) -> Tally:
        """Return one of the same policy that has counted nothing."""
        return Tally(BadRows(self.bad.policy, self.bad.advice))

    def add(self, later: Tally) -> None:
        """Add what reading the parts behind has to tell."""
        self.bad.extend(later.bad)
        self.rows += later.rows
        for what, count in later.lacking.items():
            self.lacking[what] = self.lacking.get(what, 0) + count


@dataclass(frozen=True)
class Parts:
    """Files of a table, and how they are read. It can be sent to another process.

    Args:
        source: the table.
        paths: the files, in order.
        outputs: the columns that are made of the files' own.
        sides: of each side table the name of its key column, what to say of rows that it lacks, and its columns.
        names: the columns that chunks have.
        missing: words that stand for a missing value.
        tally: where the reading of all parts is told.
    """

    source: Source
    paths: Sequence[Path]
    outputs: Sequence[Output]
    sides: Sequence[tuple[str, str, pl.DataFrame]]
    names: Sequence[str]
    missing: Sequence[str]
    tally: Tally

    def share(self, paths: Sequence[Path]) -> Parts:
        """Return some of the parts."""
        return replace(self, paths=paths)

    def told(self, read: tuple[T, Tally]) -> T:
        """Count what reading a share had to tell, and return what it gave."""
        self.tally.add(read[1])
        return read[0]

    def chunks(self, tally: Tally) -> Iterator[pl.DataFrame]:
        """Yield the rows in chunks, checked and turned, and count in ``tally``.

        Raises:
            AmeirError: a column is missing, or a row cannot be read.
        """
        needed = list(dict.fromkeys(c for o in self.outputs for c in o.columns))
        for path in self.paths:
            for chunk in self.source.part(path, needed, tally.bad):
                table = convert(chunk, self.outputs, self.missing, tally.bad, path)
                for key, lacking, side in self.sides:
                    table = table.join(side, on=key, how="left", maintain_order="left")
                    tally.lacking[lacking] = (tally.lacking.get(lacking, 0)
                                              + int(table[found(key)].is_null().sum()))
                tally.rows += len(table)
                yield table.select(self.names)

    def stream(self, executor: Executor, folder: Path) -> Iterator[pl.DataFrame]:
        """Yield the rows of all parts in order; where they are read elsewhere, they come through files.

        Args:
            executor: who reads.
            folder: for those files.
        """
        shares = executor.shares(self.paths)
        if len(shares) == 1:
            yield from self.chunks(self.tally)
            return
        for spill in map(self.told, executor.map(partial(_spill, folder), [self.share(paths) for paths in shares])):
            if spill.rows:
                yield from (table for _, table in spill.read(list(spill.schema)))


def found(key: str) -> str:
    """Return the name of the column that is null where a side table lacks a key."""
    return f"{key}/found"


def _spill(folder: Path, parts: Parts) -> tuple[Spill, Tally]:
    tally, spill = parts.tally.fresh(), Spill(folder / uuid4().hex)
    for table in parts.chunks(tally):
        spill.add(table)
    return spill, tally
