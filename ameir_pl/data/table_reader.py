"""TableReader: the columns of a described table or its events and of side tables, found and made ready to be read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ameir_pl.data.bad_rows import LINE, BadRows, Policy
from ameir_pl.data.shared_values import difference
from ameir_pl.data.table_columns import Output, convert, key_output
from ameir_pl.data.table_description import Join
from ameir_pl.data.table_parts import Parts, Tally, found
from ameir_pl.data.table_sources import Source
from ameir_pl.data.table_times import Clock
from ameir_pl.data.table_types import plain, raw, unfit
from ameir_pl.data.table_values import scalars
from ameir_pl.data.time_profile import TimeProfile, place_of, without_missing
from ameir_pl.errors import AmeirError, did_you_mean

_KEY = "@key"
EXAMPLES = 10_000
"""Ids that are compared for a message."""


class TableReader:
    """Reads one table with its side tables; a side table is held in memory.

    Args:
        source: the table.
        joins: its side tables.
        missing: words that stand for a missing value.
        policy: what happens to rows that cannot be read.

    Attributes:
        tally: what reading has told so far.
        bad: the rows that could not be read.

    Raises:
        AmeirError: a file is missing or its header cannot be read.
    """

    def __init__(self, source: Source, joins: Sequence[Join], missing: Sequence[str], policy: Policy) -> None:
        self.source, self.joins, self.missing = source, joins, missing
        self.bad = BadRows(policy, source.advice)
        self.tally = Tally(self.bad)
        self.path = source.paths()[0]
        self._headers = [set(s.header(s.paths()[0])) for s in (source, *(j.source for j in joins))]

    @property
    def notes(self) -> dict[str, Any]:
        """What is worth keeping: rows whose key a side table lacks, and rows that were skipped."""
        return {what: count for what, count in self.tally.lacking.items() if count} | self.bad.notes()

    def where(self, columns: Sequence[str], place: str) -> int:
        """Return which table has the columns: 0 for the rows, then the side tables.

        Raises:
            AmeirError: none or several have them.
        """
        # A side table's key is the rows' column, which is taken from the rows.
        has = [set(columns) <= names - ({self.joins[i - 1].key} if i else set())
               for i, names in enumerate(self._headers)]
        if sum(has) == 1:
            return has.index(True)
        files = [str(s.paths()[0]) for s in (self.source, *(j.source for j in self.joins))]
        if has.count(True) > 1:
            both = " and ".join(name for name, there in zip(files, has, strict=True) if there)
            raise AmeirError(f"{self.source.description}: {place}: the column '{columns[0]}' is in {both}. Rename one "
                             "of them, or leave the side table out.")
        known = set().union(*self._headers)
        lacking = next((c for c in columns if c not in known), columns[0])
        raise AmeirError(f"{self.source.description}: {place}: there is no column '{lacking}' in "
                         f"{', '.join(files)}.{did_you_mean(lacking, known)}")

    def check_joins(self) -> None:
        """Raise ``AmeirError`` when a side table has a row for none of the rows that were read."""
        for join in self.joins:
            if self.tally.rows and self.tally.lacking.get(self._lacking(join)) == self.tally.rows:
                side = TableReader(join.source, (), self.missing, "skip")
                raise AmeirError(f"{side.path}, column '{join.key}': it has a row for none of the {self.tally.rows} "
                                 f"rows of {self.path.name} (column '{join.on}')"
                                 f"{side.beside(join.key, self, join.on)}. {self.source.description}: {join.place}on "
                                 f"and {join.place}key name the columns; write both the same way, or leave the side "
                                 "table out.")

    def beside(self, column: str, other: TableReader, there: str) -> str:
        """Return examples of ids that should meet, and what they differ in, for a message; empty without examples."""
        here, others = self._examples(column), other._examples(there)
        if not here or not others:
            return ""
        shown = [", ".join(f"'{value}'" for value in values[:3]) for values in (here, others)]
        return f": {shown[0]} beside {shown[1]}{difference(pl.Series(here), pl.Series(others))}"

    def _examples(self, column: str) -> list[str]:
        """Some ids of a column of the table itself, as they are compared."""
        if column not in self._headers[0]:
            return []
        for _, table in self.source.tables([column], BadRows("skip", self.source.advice)):
            values = scalars(plain(raw(table, column)), "str").drop_nulls()
            return values.unique(maintain_order=True).head(EXAMPLES).to_list()
        return []

    def _lacking(self, join: Join) -> str:
        return f"rows of {self.path.name} without a row in {join.source.paths()[0].name}"

    def check(self, column: str, place: str) -> None:
        """Raise ``AmeirError`` when no table has a column that the description names."""
        if column not in set().union(*self._headers):
            self.where((column,), place)

    def clock(self, column: str, place: str, time_format: str = "") -> Clock:
        """Return how a time column is written, told by all its values.

        Args:
            column: its name.
            place: where the description says so, for messages.
            time_format: as the description has it; empty where the values tell.

        Raises:
            AmeirError: there is no such column, it holds no time, or how it is written cannot be told.
        """
        number = self.where((column,), place)
        source = self.source if number == 0 else self.joins[number - 1].source
        skipped = BadRows("skip", source.advice)
        profile = TimeProfile()
        for path, table in source.tables([column], skipped):
            values = plain(raw(table, column))
            if held := unfit(values.dtype):
                raise AmeirError(f"{path}, column '{column}': holds {held} where a time was expected ({place}). "
                                 f"{source.advice}")
            profile.add(without_missing(values, self.missing), place_of(path, skipped.unit, table[LINE]))
        if profile.present:
            try:
                return Clock.decide(profile, time_format, f"{source.paths()[0]}, column '{column}'")
            except AmeirError as error:
                raise AmeirError(f"{error} ({place}) {source.advice}") from error
        what = skipped.first[0] if skipped.first else f"{source.paths()[0]}, column '{column}': no row has a time."
        raise AmeirError(f"{what} {source.advice}")

    def parts(self, outputs: Sequence[Output]) -> Parts:
        """Return the files, ready to be read as chunks of the outputs; side tables are read now.

        Raises:
            AmeirError: a column is missing, or a row of a side table cannot be read.
        """
        by_table: dict[int, list[Output]] = {}
        for output in outputs:
            by_table.setdefault(self.where(output.columns, output.place), []).append(output)
        sides = []
        for number, join in enumerate(self.joins, 1):
            key = f"{_KEY}/{number}"
            by_table.setdefault(0, []).append(key_output(join.on, key, f"{join.place}on", gaps=True))
            if self.where((join.on,), f"{join.place}on") != 0:
                raise AmeirError(f"{self.source.description}: {join.place}on: '{join.on}' is no column of the rows.")
            sides.append((key, self._lacking(join), self._side(join, key, by_table.get(number, []))))
        return Parts(self.source, self.source.paths(), by_table.get(0, []), sides,
                     [name for o in outputs for name in o.names], self.missing, self.tally)

    def _side(self, join: Join, key: str, outputs: Sequence[Output]) -> pl.DataFrame:
        """A side table: key, whether it has a row, and the outputs."""
        if join.key not in join.source.header(join.source.paths()[0]):
            raise AmeirError(f"{join.source.description}: {join.place}key: there is no column '{join.key}' in "
                             f"{join.source.paths()[0]}."
                             f"{did_you_mean(join.key, join.source.header(join.source.paths()[0]))}")
        outputs = [*outputs, key_output(join.key, key, f"{join.place}key")]
        needed = list(dict.fromkeys(c for o in outputs for c in o.columns))
        parts: list[tuple[Path, pl.DataFrame]] = [
            (path, convert(chunk, outputs, self.missing, self.bad, path))
            for path, chunk in join.source.tables(needed, self.bad)]
        table = pl.concat([part for _, part in parts])
        twice = table[key].is_first_distinct()
        if not twice.all():
            i = int((~twice).arg_true()[0])
            ends = np.cumsum([len(part) for _, part in parts])
            path = parts[int(np.searchsorted(ends, i, side="right"))][0]
            earlier = table.filter(pl.col(key) == table[key][i])[LINE][0]
            raise AmeirError(f"{path}, {self.bad.unit} {table[LINE][i]}, column '{join.key}': '{table[key][i]}' has an "
                             f"earlier row too ({self.bad.unit} {earlier}); a side table has one row a key. "
                             f"{join.source.advice}")
        return table.drop(LINE).with_columns(pl.lit(True).alias(found(key)))
