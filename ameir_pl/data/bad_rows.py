"""BadRows: what happens to a row that cannot be read: it stops the preparation, or is skipped and counted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import polars as pl

from ameir_pl.errors import AmeirError, did_you_mean

LINE = "@line"
"""Name of the column that holds the 1-based line (or row) number of a row."""
Policy = Literal["fail", "skip"]
SHOWN = 5
_LONGEST = 60


class BadRows:
    """Checks columns of tables of strings.

    Args:
        policy: ``fail``: the first bad row raises; ``skip``: bad rows are dropped, counted and the first five kept
            for the report.
        advice: the sentence that ends an error: what the user can do.

    Attributes:
        unit: what rows are numbered by, in messages: ``line`` of a text, ``row`` of a Parquet file.
        skipped: how many rows were dropped.
        first: the first five, in words.

    Raises:
        AmeirError: an unknown policy.
    """

    def __init__(self, policy: Policy, advice: str) -> None:
        if policy not in get_args(Policy):
            raise AmeirError(f"on_bad_row={policy} is unknown.{did_you_mean(str(policy), get_args(Policy))}")
        self.policy, self.advice, self.unit = policy, advice, "line"
        self.skipped = 0
        self.first: list[str] = []
        self.counted: dict[str, int] = {}

    def add(self, what: str, count: int = 1) -> None:
        """Report bad rows, of which ``what`` describes the first; raises ``AmeirError`` unless they are skipped."""
        if self.policy == "fail":
            hint = "" if "on_bad_row" in self.advice else " on_bad_row=skip leaves such rows out."
            raise AmeirError(f"{what} {self.advice}{hint}")
        self.skipped += count
        if len(self.first) < SHOWN:
            self.first.append(what)

    def count(self, what: str, number: int) -> None:
        """Count what is no mistake of a row but worth knowing."""
        if number:
            self.counted[what] = self.counted.get(what, 0) + number

    def extend(self, later: BadRows) -> None:
        """Count what was skipped in the parts behind, which were read by themselves."""
        self.skipped += later.skipped
        for what, number in later.counted.items():
            self.count(what, number)
        self.first = [*self.first, *later.first][:SHOWN]

    def drop(self, table: pl.DataFrame, bad: pl.Series, path: Path, column: str, expected: str) -> pl.DataFrame:
        """Return the rows that are not bad.

        Args:
            table: with the column ``line``.
            bad: (rows,) bool; null counts as bad.
            path, column: where the values are from, for the message; ``column`` is one of the table.
            expected: what should be there, as "a whole number".

        Raises:
            AmeirError: a row is bad and the policy is ``fail``: file, line, column, value.
        """
        bad = bad.fill_null(True)
        if not bad.any():
            return table
        rows = bad.arg_true()
        for i in rows.head(SHOWN):
            value = table[column][int(i)]
            value = value.to_list() if isinstance(value, pl.Series) else value
            found = "nothing" if value is None else f"'{str(value)[:_LONGEST]}'"
            again = f" This {self.unit} repeats the header." if isinstance(value, str) and value == column else ""
            self.add(f"{path}, {self.unit} {table[LINE][int(i)]}, column '{column}': found {found} where {expected} "
                     f"was expected.{again}")
        self.skipped += max(len(rows) - SHOWN, 0)
        return table.filter(~bad)

    def number(self, table: pl.DataFrame, column: str, path: Path, low: float | None = None,
               high: float | None = None, whole: bool = True, gaps: bool = False) -> pl.DataFrame:
        """Return the table with a column of strings turned into numbers, Int64 or Float64.

        Args:
            table, column, path: as for :meth:`drop`.
            low, high: bounds, both included; None is unbounded.
            whole: whole numbers.
            gaps: an empty value is null, else it is bad.

        Raises:
            AmeirError: at the first value that is not such a number, unless bad rows are skipped.
        """
        raw = table[column]
        kind = pl.Int64 if whole else pl.Float64
        values = (raw.str.strip_chars() if raw.dtype == pl.String else raw).cast(kind, strict=False)
        bad = values.is_null() & raw.is_not_null() if gaps else values.is_null()
        if not whole:
            bad = bad | ~values.is_finite().fill_null(True)
        if low is not None:
            bad = bad | (values < low).fill_null(False)
        if high is not None:
            bad = bad | (values > high).fill_null(False)
        bounds = "" if low is None else f" of at least {low}" if high is None else f" from {low} to {high}"
        expected = f"{'a whole number' if whole else 'a number'}{bounds}{' or nothing' if gaps else ''}"
        kept = self.drop(table.with_columns(values.alias(_NUMBER)), bad, path, column, expected)
        return kept.with_columns(pl.col(_NUMBER).alias(column)).drop(_NUMBER)

    def numbers(self, table: pl.DataFrame, columns: Sequence[str], path: Path, low: float | None = None,
                high: float | None = None, whole: bool = True, gaps: bool = False) -> pl.DataFrame:
        """Return the table with several columns turned into numbers; as :meth:`number`, quick where all are good."""
        kind = pl.Int64 if whole else pl.Float64
        cast = table.select(pl.col(columns).cast(kind, strict=False))
        fits = [pl.col(c).null_count() <= (table[c].null_count() if gaps else 0) for c in columns]
        fits += [pl.col(c).is_finite().all() for c in columns if not whole]
        fits += [pl.col(c).min().fill_null(low) >= low for c in columns if low is not None]
        fits += [pl.col(c).max().fill_null(high) <= high for c in columns if high is not None]
        if cast.select(pl.all_horizontal(fits)).item():
            return table.with_columns(cast)
        for column in columns:
            table = self.number(table, column, path, low, high, whole, gaps)
        return table

    def hexadecimals(self, table: pl.DataFrame, columns: Sequence[str], path: Path) -> pl.DataFrame:
        """Return the table with columns of eight hexadecimal digits, capitals or not, turned into UInt32."""
        numbers = table.select(pl.col(columns).str.to_integer(base=16, dtype=pl.UInt32, strict=False))
        for column in _wrong(table, numbers, columns):
            table = self.drop(table, table[column].is_not_null() & ~table[column].str.contains("^[0-9a-fA-F]{8}$"),
                              path, column, "eight hexadecimal digits or nothing")
            numbers = table.select(pl.col(columns).str.to_integer(base=16, dtype=pl.UInt32, strict=False))
        return table.with_columns(numbers)

    def label(self, table: pl.DataFrame, column: str, path: Path) -> pl.DataFrame:
        """Return the table with a column of 0 and 1 turned into UInt8; raises as :meth:`number`."""
        raw = table[column]
        values = (raw.str.strip_chars() if raw.dtype == pl.String else raw).cast(pl.Float64, strict=False)
        kept = self.drop(table.with_columns(values.alias(_NUMBER)), ~values.is_in([0.0, 1.0]), path, column, "0 or 1")
        return kept.with_columns(pl.col(_NUMBER).cast(pl.UInt8).alias(column)).drop(_NUMBER)

    def notes(self) -> dict[str, Any]:
        """Return what was skipped, for the manifest; empty where nothing was."""
        if not self.skipped:
            return dict(self.counted)
        return self.counted | {"bad rows, skipped": self.skipped, "the first of them": list(self.first)}


_NUMBER = "@number"


def _wrong(table: pl.DataFrame, numbers: pl.DataFrame, columns: Sequence[str]) -> list[str]:
    """Return the columns where a number is missing, or was not written with eight digits."""
    odd = table.select(((pl.col(columns).str.len_bytes() != 8) | pl.col(columns).str.starts_with("+")).any()).row(0)
    return [c for c, found in zip(columns, odd, strict=True)
            if found or numbers[c].null_count() != table[c].null_count()]
