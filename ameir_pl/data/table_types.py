"""Types that Parquet stores, brought to those that a described table is read from; the others are refused by name."""

from __future__ import annotations

import re
from collections.abc import Sequence

import polars as pl
from polars.exceptions import PolarsError

_ENDLESS = re.compile(r"[+-]?inf(?:inity)?", re.IGNORECASE)


def raw(table: pl.DataFrame, column: str) -> pl.Series:
    """Return a column under a plain name: methods of a series look it up by name, and take ``^a$`` for a pattern."""
    return table.get_column(column).alias("raw")


def plain(values: pl.Series) -> pl.Series:
    """Return a column in a type that it can be read from.

    Decimals, categories and bytes become text (a decimal has no float that equals it), lists of one length become
    lists. Bytes that are not UTF-8 text, and values of other types, stay as they are.
    """
    if isinstance(values.dtype, pl.Array):
        values = values.arr.to_list()
    inner = values.dtype.inner if isinstance(values.dtype, pl.List) else values.dtype
    if isinstance(inner, pl.Decimal):
        text = pl.element().cast(pl.String) if isinstance(values.dtype, pl.List) else pl.col("raw").cast(pl.String)
        short = pl.when(text.str.contains(".", literal=True)).then(text.str.replace(r"\.?0+$", "")).otherwise(text)
        return values.list.eval(short) if isinstance(values.dtype, pl.List) else \
            values.alias("raw").to_frame().select(short).to_series()
    if isinstance(inner, pl.Decimal | pl.Categorical | pl.Enum | pl.Binary | pl.Null):
        try:
            return values.cast(pl.List(pl.String) if isinstance(values.dtype, pl.List) else pl.String)
        except PolarsError:
            return values
    return values


def without(values: pl.Series, missing: Sequence[str]) -> pl.Series:
    """Return a column with null for words that stand for a missing value, of numbers for NaN and inf if named."""
    if values.dtype == pl.String:
        return values.set(values.is_in(list(missing)).fill_null(False), None) if missing else values
    if values.dtype.is_float():
        endless = [float(word) for word in missing if _ENDLESS.fullmatch(word.strip())]
        values = values.fill_nan(None) if any(word.lower() == "nan" for word in missing) else values
        return values.set(values.is_in(endless).fill_null(False), None) if endless else values
    return values


def unfit(kind: pl.DataType, lists: bool = False) -> str:
    """Return what a column of a type holds that cannot be read; empty where it can be.

    Args:
        kind: its type after :func:`plain`.
        lists: whether lists are read, or single values.
    """
    if isinstance(kind, pl.List):
        if not lists:
            return "lists"
        if kind.inner.is_nested():
            return "lists of nested values"
        return "lists of bytes that are not UTF-8 text" if kind.inner == pl.Binary else ""
    if kind == pl.Binary:
        return "bytes that are not UTF-8 text"
    return "nested values" if kind.is_nested() or kind == pl.Object else ""
