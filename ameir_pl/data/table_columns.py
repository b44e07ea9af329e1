"""Columns of a described table, as files have them, turned into what is encoded; bad values are named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from ameir_pl.data.bad_rows import LINE, BadRows
from ameir_pl.data.splits import TEST, TRAIN, VALID
from ameir_pl.data.table_fields import FieldSpec
from ameir_pl.data.table_times import Clock
from ameir_pl.data.table_types import plain, raw, unfit
from ameir_pl.errors import AmeirError

MADE = "@made/"
"""What the names of turned columns begin with, so that they differ from those of the file."""
RESERVED = (MADE, "@key/", LINE, "@time value")
"""What the names of a file's columns may not begin with."""
_EXACT = 2**53
_TYPES: dict[str, pl.DataType] = {"str": pl.String(), "int": pl.Int64(), "float": pl.Float64()}
_EXPECTED = {"str": "text", "float": "a number",
             "int": "a whole number of at most 64 bits (`dtype: str` takes ids of any kind)"}
_LISTED = {"str": "words", "float": "numbers", "int": "whole numbers of at most 64 bits"}
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
    """Text as text; the words for a missing value as null."""
    values = plain(values)
    if values.dtype == pl.String:
        return values.set(values.is_in(["", *missing]).fill_null(False), None)
    if values.dtype.is_float() and any(word.lower() == "nan" for word in missing):
        return values.fill_nan(None)
    return values


def field_output(f: FieldSpec, clock: Clock | None = None) -> Output:
    """Return the output of a field of the rows, or of one behavior of an event table."""
    def scalar(table: pl.DataFrame, bad: BadRows, path: Path) -> pl.DataFrame:
        column, dtype = f.columns[0], f.dtype or "str"
        values = _scalars(raw(table, column), dtype)
        wrong = values.is_null() & raw(table, column).is_not_null()
        if f.fill_na is not None:
            values = values.fill_null(f.fill_na)
        expected = _EXPECTED[dtype] + (" or nothing" if f.kind == "dense" else "")
        table = table.with_columns(values.cast(_TYPES["float" if f.kind == "dense" else dtype]).alias(MADE + f.name))
        return bad.drop(table, wrong, path, column, expected)

    def several(table: pl.DataFrame, bad: BadRows, path: Path) -> pl.DataFrame:
        table = _lists(table, f, bad, path).with_columns(_without_padding(pl.col(MADE + f.name), f))
        if f.fill_na is not None:
            table = table.with_columns(pl.col(MADE + f.name).fill_null(pl.lit([f.fill_na])))
        return table

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

    turn = part if f.part else several if f.kind == "multivalent" else scalar
    return Output((f.name,), f.columns, f.place, turn, turn is several)


def behavior_lists(fields: Sequence[FieldSpec], prefix: str) -> Output:
    """Return the output of behaviors that lie as lists in the rows: columns ``prefix`` + name, of equal lengths.

    Where fields say what stands for padding, an element is left out when it is padding in all of them.
    """
    listed = [replace(f, name=prefix + f.name) for f in fields]

    def turn(table: pl.DataFrame, bad: BadRows, path: Path) -> pl.DataFrame:
        for f in listed:
            table = _lists(table, f, bad, path, gaps=True)
        made = [MADE + f.name for f in listed]
        for f in listed[1:]:
            lengths, first = table[MADE + f.name].list.len(), table[made[0]].list.len()
            wrong = lengths != first
            if wrong.any():
                at = int(wrong.arg_true()[0])
                table = bad.drop(table, wrong, path, f.columns[0], f"a list of {first[at]} elements, as many as "
                                 f"'{fields[0].columns[0]}' has (it has {lengths[at]}),")
        padded = [f for f in listed if f.padding is not None]
        if padded:
            table = _unpad(table, padded, made)
        return table

    return Output(tuple(f.name for f in listed), tuple(c for f in fields for c in f.columns), fields[0].place,
                  turn, True)


def _unpad(table: pl.DataFrame, padded: Sequence[FieldSpec], made: Sequence[str]) -> pl.DataFrame:
    """Leave out the elements that are padding in each of ``padded``."""
    is_padding = pl.all_horizontal((pl.col(MADE + f.name) == _literal(f)).fill_null(False) for f in padded)
    lists = table.select(made).with_row_index("@row").filter(pl.col(made[0]).list.len() > 0).explode(made)
    lists = lists.filter(~is_padding).group_by("@row", maintain_order=True).agg(made)
    rest = table.drop(made).with_row_index("@row").join(lists, on="@row", how="left", maintain_order="left")
    return rest.drop("@row")


def _literal(f: FieldSpec) -> pl.Expr:
    return pl.lit(f.padding).cast(_TYPES[f.dtype or "str"], strict=False)


def _without_padding(values: pl.Expr, f: FieldSpec) -> pl.Expr:
    if f.padding is None:
        return values
    return values.list.eval(pl.element().filter(pl.element() != _literal(f)))


def _lists(table: pl.DataFrame, f: FieldSpec, bad: BadRows, path: Path, gaps: bool = False) -> pl.DataFrame:
    """Add a field's lists; those of several columns one behind the other. ``gaps``: empty elements stay, as null."""
    dtype, parts = f.dtype or "str", []
    for i, column in enumerate(f.columns):
        lists = raw(table, column)
        if not isinstance(lists.dtype, pl.List):
            lists = _split(lists, f, path, bad)
        inner = lists.dtype.inner  # type: ignore[attr-defined]
        if inner == pl.String:
            lists = lists.list.eval(pl.when(pl.element() != "").then(pl.element()))
        values = lists.list.eval(_scalar(pl.element(), inner, dtype))
        wrong = lists.list.drop_nulls().list.len() != values.list.drop_nulls().list.len()
        parts.append(f"{MADE}{f.name}/{i}")
        empty = pl.lit([], pl.List(_TYPES[dtype]))
        filled = (values if gaps else values.list.drop_nulls()).cast(pl.List(_TYPES[dtype]))
        table = table.with_columns(filled.alias(parts[-1])).with_columns(pl.col(parts[-1]).fill_null(empty))
        table = bad.drop(table, wrong.fill_null(False), path, column, f"a list of {_LISTED[dtype]}")
    joined = pl.concat_list(parts) if len(parts) > 1 else pl.col(parts[0])
    if f.order == "latest_first":
        joined = joined.list.reverse()
    return table.with_columns(joined.alias(MADE + f.name)).drop(parts)


def _split(values: pl.Series, f: FieldSpec, path: Path, bad: BadRows) -> pl.Series:
    """Lists of strings from text; a value that is blank is an empty list."""
    if not f.splitter:
        present = values.drop_nulls()
        if values.dtype == pl.String and len(present):
            raise AmeirError(f"{path}, column '{f.columns[0]}': text such as '{present[0][:60]}' where lists are "
                             f"expected. {f.place} must say what is between the elements: `splitter: \"|\"`. "
                             f"{bad.advice}")
        return values.cast(pl.String).reshape((-1, 1)).arr.to_list()
    text = values.cast(pl.String).str.strip_chars()
    if f.splitter.isspace():
        text, splitter = text.str.replace_all(r"\s+", " "), " "
    else:
        splitter = f.splitter
    lists = text.str.split(splitter).list.eval(pl.element().str.strip_chars())
    return lists.zip_with(text.fill_null("") != "", pl.Series([[]], dtype=pl.List(pl.String)))


def _scalar(value: pl.Expr, stored: pl.DataType, dtype: str) -> pl.Expr:
    """A value in the type it is compared in; null where it has none. Whole numbers never pass through a float."""
    text = stored == pl.String
    if dtype == "str":
        return value.cast(pl.String)
    if dtype == "int":
        if text:
            stripped = value.str.strip_chars()
            # Tables that had gaps write whole numbers as 3.0.
            return pl.coalesce(stripped.cast(pl.Int64, strict=False),
                               stripped.str.extract(r"^([+-]?\d+)\.0*$").cast(pl.Int64, strict=False))
        if stored.is_float():
            exact = (value == value.round()) & (value.abs() <= _EXACT)
            return pl.when(exact).then(value).cast(pl.Int64, strict=False)
        return value.cast(pl.Int64, strict=False) if _is_number(stored) else pl.lit(None, pl.Int64)
    if not text and not _is_number(stored):
        return pl.lit(None, pl.Float64)
    number = (value.str.strip_chars() if text else value).cast(pl.Float64, strict=False)
    return pl.when(number.is_finite()).then(number)


def _is_number(stored: pl.DataType) -> bool:
    return stored.is_numeric() or stored == pl.Boolean


def _scalars(values: pl.Series, dtype: str) -> pl.Series:
    return values.alias("value").to_frame().with_columns(
        _scalar(pl.col("value"), values.dtype, dtype).alias("value")).to_series()


def label_output(column: str, threshold: float | None, name: str) -> Output:
    """Return the output of the label: 0 and 1 (or false and true), or whether a number is at least ``threshold``."""
    def turn(table: pl.DataFrame, bad: BadRows, path: Path) -> pl.DataFrame:
        given = raw(table, column)
        if threshold is None:
            words = given.str.strip_chars().str.to_lowercase().replace({"true": "1", "false": "0"}) \
                if given.dtype == pl.String else given
            values = _scalars(words, "float")
            wrong = ~values.is_in([0.0, 1.0]).fill_null(False)
            return bad.drop(table.with_columns(values.cast(pl.UInt8, strict=False).alias(MADE + name)), wrong, path,
                            column, "0 or 1 (or a `threshold` in the description, from which on a number is a click)")
        values = _scalars(given, "float")
        made = (values >= threshold).cast(pl.UInt8).alias(MADE + name)
        return bad.drop(table.with_columns(made), values.is_null(), path, column, "a number")

    return Output((name,), (column,), "label", turn)


def key_output(column: str, name: str, place: str, gaps: bool = False) -> Output:
    """Return the output of a column that is compared with one of another table: as text, 3.0 as 3.

    Tables that had gaps write whole numbers as 3.0, and decimals have their zeros.

    ``gaps``: an empty value is null, else it is bad.
    """
    def turn(table: pl.DataFrame, bad: BadRows, path: Path) -> pl.DataFrame:
        given = raw(table, column)
        values = given.cast(pl.String, strict=False).str.strip_chars().str.replace(r"^([+-]?\d+)\.0+$", "$1")
        wrong = values.is_null() & (given.is_not_null() if gaps else True)
        return bad.drop(table.with_columns(values.alias(MADE + name)), wrong, path, column, "an id")

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
