"""Columns of a described table, as files have them, turned into what is encoded; bad values are named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from ameir_pl.data.bad_rows import LINE, BadRows
from ameir_pl.data.splits import TEST, TRAIN, VALID
from ameir_pl.data.table_fields import FieldSpec
from ameir_pl.data.table_lists import multivalent, side_by_side
from ameir_pl.data.table_times import Clock
from ameir_pl.data.table_types import plain, raw, unfit, without
from ameir_pl.data.table_values import EXPECTED, TYPES, hint, scalars
from ameir_pl.errors import AmeirError

MADE = "@made/"
"""What the names of turned columns begin with, so that they differ from those of the file."""
RESERVED = (MADE, "@key/", LINE, "@time value")
"""What the names of a file's columns may not begin with."""
_SPLITS = {"train": TRAIN, "valid": VALID, "validation": VALID, "dev": VALID, "test": TEST}
Turn = Callable[[pl.DataFrame, BadRows, Path], pl.DataFrame]


@dataclass(frozen=True)
class Output:
    """Columns to be made.

    Args:
        names: of them; mostly one.
        columns: those it is made of, all of one table.
        place: where the description says so, for messages.
        turn: adds the columns :data:`MADE` + name to a table; may leave out rows.
        lists: it is made of lists, else of single values.
    """

    names: tuple[str, ...]
    columns: tuple[str, ...]
    place: str
    turn: Turn
    lists: bool = False


def convert(table: pl.DataFrame, outputs: Sequence[Output], missing: Sequence[str], bad: BadRows, path: Path
            ) -> pl.DataFrame:
    """Return ``line`` and the outputs.

    Args:
        table: ``line`` and the columns that the outputs are made of.
        outputs: the columns to make.
        missing: words that stand for a missing value, beside the empty one.
        bad, path: as for :meth:`BadRows.drop`.

    Raises:
        AmeirError: a column has a name or a type that cannot be read, or a value is bad.
    """
    for name in table.columns:
        if name != LINE and name.startswith(RESERVED):
            raise AmeirError(f"{path}: a column may not be called '{name}': names that begin with "
                             f"{', '.join(RESERVED)} are reserved. Rename it. {bad.advice}")
    table = table.with_columns(_tidy(raw(table, name), missing).alias(name) for name in table.columns if name != LINE)
    for output in outputs:
        _check(table, output, path, bad)
        table = output.turn(table, bad, path)
    return table.select(LINE, *(pl.col(MADE + name).alias(name) for o in outputs for name in o.names))


def _check(table: pl.DataFrame, output: Output, path: Path, bad: BadRows) -> None:
    for column in output.columns:
        if found := unfit(table.schema[column], output.lists):
            several = "; make it `type: multivalent`" if found == "lists" and "fields" in output.place else ""
            expected = "lists of plain values" if output.lists else "a single value, text or a number, was"
            raise AmeirError(f"{path}, column '{column}': holds {found} where {expected} expected ({output.place})"
                             f"{several}. {bad.advice}")


def _tidy(values: pl.Series, missing: Sequence[str]) -> pl.Series:
    """Text as text without blanks around it; the words for a missing value, and numbers that are none, as null."""
    values = plain(values)
    return without(values.str.strip_chars() if values.dtype == pl.String else values, ("", *missing))


def field_output(f: FieldSpec, clock: Clock | None = None) -> Output:
    """Return the output of a field of the rows, or of one behavior of an event table."""
    def single(table: pl.DataFrame, bad: BadRows, path: Path) -> pl.DataFrame:
        column, dtype = f.columns[0], f.dtype or "str"
        given = without(raw(table, column), f.missing)
        values = scalars(given, dtype, f.decimal, f.thousands)
        wrong = values.is_null() & given.is_not_null()
        first = given.filter(wrong).first() if wrong.any() else None
        if f.fill_na is not None:
            values = values.fill_null(f.fill_na)
        expected = EXPECTED[dtype] + (" or nothing" if f.kind == "dense" else "") + (
            "" if first is None else hint(str(first), f.decimal))
        table = table.with_columns(values.cast(TYPES["float" if f.kind == "dense" else dtype]).alias(MADE + f.name))
        return bad.drop(table, wrong, path, column, expected)

    def several(table: pl.DataFrame, bad: BadRows, path: Path) -> pl.DataFrame:
        return multivalent(table, f, bad, path, MADE + f.name)

    def part(table: pl.DataFrame, bad: BadRows, path: Path) -> pl.DataFrame:
        if clock is None or f.part is None:
            raise ValueError("a part of a time needs a clock")
        if not clock.since_1970:
            first: Any = raw(table, f.columns[0]).drop_nulls().first()
            raise AmeirError(f"{path}, column '{f.columns[0]}': '{first}' is no "
                             f"time since 1970, so it has no {f.part} ({f.place}). Write dates and times as "
                             f"2024-01-31 23:59:59, or leave the field out. {bad.advice}")
        table = clock.read(table, f.columns[0], bad, path, MADE + f.name)
        return table.with_columns(clock.part(table[MADE + f.name], f.part).alias(MADE + f.name))

    turn = part if f.part else several if f.kind == "multivalent" else single
    return Output((f.name,), f.columns, f.place, turn, turn is several)


def behavior_lists(fields: Sequence[FieldSpec], prefix: str) -> Output:
    """Return the output of behaviors that lie as lists in the rows: columns ``prefix`` + name, of equal lengths."""
    names = tuple(prefix + f.name for f in fields)
    made = [MADE + name for name in names]
    return Output(names, tuple(c for f in fields for c in f.columns), fields[0].place,
                  lambda table, bad, path: side_by_side(table, fields, bad, path, made), True)


def key_output(column: str, name: str, place: str, gaps: bool = False) -> Output:
    """Return the output of a column that is compared with one of another table: as text, 3.0 as 3, without blanks.

    ``gaps``: an empty value is null, else it is bad.
    """
    def turn(table: pl.DataFrame, bad: BadRows, path: Path) -> pl.DataFrame:
        given = raw(table, column)
        values = scalars(given, "str")
        wrong = values.is_null() & (given.is_not_null() if gaps else True)
        return bad.drop(table.with_columns(values.alias(MADE + name)), wrong, path, column, EXPECTED["str"])

    return Output((name,), (column,), place, turn)


def time_output(column: str, clock: Clock, name: str, place: str) -> Output:
    """Return the output of a time, Int64."""
    return Output((name,), (column,), place,
                  lambda table, bad, path: clock.read(table, column, bad, path, MADE + name))


def split_output(column: str, name: str) -> Output:
    """Return the output of the column that says where a row belongs."""
    def turn(table: pl.DataFrame, bad: BadRows, path: Path) -> pl.DataFrame:
        words = raw(table, column).cast(pl.String, strict=False).str.strip_chars().str.to_lowercase()
        values = words.replace_strict(_SPLITS, default=None, return_dtype=pl.UInt8)
        return bad.drop(table.with_columns(values.alias(MADE + name)), values.is_null(), path, column,
                        "one of train, valid, test")

    return Output((name,), (column,), "split.column", turn)
