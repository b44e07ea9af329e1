"""List columns of a described table: stored as lists or written as text, in fields and in histories."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from ameir_pl.data.bad_rows import BadRows
from ameir_pl.data.list_text import FORMS, SAYS, Form, bracketed, form_of, parse, trouble
from ameir_pl.data.table_fields import FieldSpec
from ameir_pl.data.table_types import raw, without
from ameir_pl.data.table_values import TYPES, scalar
from ameir_pl.errors import AmeirError

GONE = "missing elements of lists, left out"
"""What the notes of an encoded table call elements such as null, None and NaN."""
_LISTED = {"str": "words", "float": "numbers", "int": "whole numbers of at most 64 bits"}
_NUMBER = r"^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$"
_FINE = r"^[+-]?\d*\.\d{3,}|^-\d*\.\d*[1-9]|[eE]-"
"""Numbers that are no version: many decimals, a sign before a fraction, a negative exponent."""


def multivalent(table: pl.DataFrame, f: FieldSpec, bad: BadRows, path: Path, name: str) -> pl.DataFrame:
    """Return the table with the lists of a multivalent field as the column ``name``."""
    table = lists(table, f, bad, path, name)
    bad.count(GONE, int(_nulls(table[name]).sum() or 0))
    table = table.with_columns(_without_padding(pl.col(name).list.drop_nulls(), f))
    if f.fill_na is not None:
        filled = pl.lit([f.fill_na], pl.List(TYPES[f.dtype or "str"]))
        nothing = pl.all_horizontal(pl.col(column).is_null() for column in f.columns)
        table = table.with_columns(pl.when(nothing).then(filled).otherwise(name).alias(name))
    return table


def side_by_side(table: pl.DataFrame, fields: Sequence[FieldSpec], bad: BadRows, path: Path, names: Sequence[str]
                 ) -> pl.DataFrame:
    """Return the table with the lists of behaviors, of equal lengths, as columns ``names``.

    An element is left out when it is missing in all of them, or padding in all of those that say what padding is.

    Raises:
        AmeirError: lists of a row are not of one length, unless such rows are skipped.
    """
    for f, name in zip(fields, names, strict=True):
        table = lists(table, f, bad, path, name)
    for f, name in zip(fields[1:], names[1:], strict=True):
        lengths, first = table[name].list.len(), table[names[0]].list.len()
        wrong = lengths != first
        if wrong.any():
            at = int(wrong.arg_true()[0])
            table = bad.drop(table, wrong, path, f.columns[0], f"a list of {first[at]} elements, as many as "
                             f"'{fields[0].columns[0]}' has (it has {lengths[at]}),")
    missing = pl.all_horizontal(pl.col(name).is_null() for name in names)
    padding = [(pl.col(name) == _padding(f)).fill_null(False) for f, name in zip(fields, names, strict=True)
               if f.padding is not None]
    gaps = bool((_nulls(table[names[0]]) > 0).any())
    if gaps or padding:
        elements = table.select(names).with_row_index("@row").filter(pl.col(names[0]).list.len() > 0).explode(names)
        bad.count(GONE, int(elements.select(missing.sum()).item()))
        kept = elements.filter(~missing & ~(pl.all_horizontal(padding) if padding else pl.lit(False)))
        kept = kept.group_by("@row", maintain_order=True).agg(names)
        table = table.drop(names).with_row_index("@row").join(kept, on="@row", how="left", maintain_order="left"
                                                              ).drop("@row")
    return table


def lists(table: pl.DataFrame, f: FieldSpec, bad: BadRows, path: Path, name: str) -> pl.DataFrame:
    """Return the table with a field's lists as the column ``name``, empty where there is none; missing elements are
    null. Those of several columns lie one behind the other, the latest at the end.

    Raises:
        AmeirError: a column holds no lists of the field's type, or one of its rows does not (unless it is skipped).
    """
    dtype, parts = f.dtype or "str", []
    for i, column in enumerate(f.columns):
        values = without(raw(table, column), f.missing)
        stored = isinstance(values.dtype, pl.List)
        listed, wrong = (values, None) if stored else _from_text(values, f, column, path, bad)
        expected = SAYS.get(f.splitter, "a list") + f" of {_LISTED[dtype]}"
        inner: pl.DataType = listed.dtype.inner  # type: ignore[attr-defined]
        if inner == pl.String:
            stripped = pl.element().str.strip_chars()
            listed = listed.list.eval(pl.when(stripped != "").then(stripped))
        elif inner.is_float():
            listed = listed.list.eval(pl.when(pl.element().is_nan().not_()).then(pl.element()))
        _no_vectors(listed, f, column, path, bad)
        made = listed.list.eval(scalar(pl.element(), inner, dtype, f.decimal, f.thousands)).cast(pl.List(TYPES[dtype]))
        odd = (_nulls(made) != _nulls(listed)).fill_null(False)
        parts.append(f"{name}/{i}")
        empty = pl.lit([], pl.List(TYPES[dtype]))
        table = table.with_columns(made.alias(parts[-1])).with_columns(pl.col(parts[-1]).fill_null(empty))
        table = bad.drop(table, odd if wrong is None else odd | wrong, path, column, expected)
    joined = pl.concat_list(parts) if len(parts) > 1 else pl.col(parts[0])
    if f.order == "latest_first":
        joined = joined.list.reverse()
    return table.with_columns(joined.alias(name)).drop(parts)


def _nulls(values: pl.Series) -> pl.Series:
    return values.list.len() - values.list.drop_nulls().list.len()


def _padding(f: FieldSpec) -> pl.Expr:
    return pl.lit(f.padding).cast(TYPES[f.dtype or "str"], strict=False)


def _without_padding(values: pl.Expr, f: FieldSpec) -> pl.Expr:
    if f.padding is None:
        return values
    return values.list.eval(pl.element().filter(pl.element() != _padding(f)))


def _no_vectors(values: pl.Series, f: FieldSpec, column: str, path: Path, bad: BadRows) -> None:
    """Raise ``AmeirError`` for lists of numbers with a fraction that are described as categories."""
    if f.dtype == "float":
        return
    elements = values.explode().drop_nulls()
    if vector(elements, text=f.splitter not in FORMS):
        raise AmeirError(f"{path}, column '{column}': lists of numbers with a fraction such as {elements[0]}, as a "
                         f"vector (an embedding) has them, are no categories ({f.place}). Leave the field out, give "
                         f"each number a column of its own with `type: dense`, or say `dtype: float` where each number "
                         f"is a category. {bad.advice}")


def vector(elements: pl.Series, text: bool = True) -> bool:
    """Return whether elements of lists are numbers that make a vector, not ids.

    Args:
        elements: without null.
        text: strings may be words that look like numbers, such as versions.
    """
    if elements.dtype.is_float():
        return bool((elements != elements.round()).any())
    if elements.dtype != pl.String or not elements.str.contains(_NUMBER).all():
        return False
    fine = elements.str.contains(_FINE) if text else elements.str.contains(r"\.0*[1-9]|[eE]-")
    return bool(fine.any())


def _from_text(values: pl.Series, f: FieldSpec, column: str, path: Path, bad: BadRows) -> tuple[pl.Series, pl.Series]:
    """Lists of strings from a column without lists, and which of its values are none; a blank is an empty list."""
    text = values.cast(pl.String)
    nothing = pl.Series([False], dtype=pl.Boolean).new_from_index(0, len(text))
    if values.dtype != pl.String:  # plain numbers: lists of one
        return text.reshape((-1, 1)).arr.to_list(), nothing
    present = text.drop_nulls()
    where = f"{path}, column '{column}': "
    if f.splitter in FORMS:
        form: Form = f.splitter  # type: ignore[assignment]
        listed, wrong = parse(text, form)
        if len(present) and wrong.sum() > 0.5 * len(present):
            first = text.filter(wrong).first()
            other = form == "json" and not parse(present, "python")[1].any()
            raise AmeirError(f"{where}'{str(first)[:60]}' is not {SAYS[form]} ({trouble(text.filter(wrong))}"
                             f"{'; `splitter: python` reads them' if other else ''}), which {f.place} says. "
                             f"{bad.advice}")
        return listed, wrong
    brackets = bracketed(text).fill_null(False)
    if not f.splitter:
        if not len(present):
            return text.reshape((-1, 1)).arr.to_list(), nothing
        how = form_of(present) if brackets.any() else '"|"'
        raise AmeirError(f"{where}text such as '{present[0][:60]}' where lists are expected. {f.place} must say "
                         f"what is between the elements: `splitter: {how}`. {bad.advice}")
    if brackets.sum() >= 0.5 * max(len(present), 1):
        held = text.filter(brackets)
        found = parse(held, form_of(held))[1]
        what = f"`splitter: {form_of(held)}` reads them" if not found.all() else f"they are {trouble(held)}"
        raise AmeirError(f"{where}lists in brackets such as '{held[0][:60]}' are not cut at '{f.splitter}' "
                         f"({f.place}): {what}. {bad.advice}")
    if f.splitter == "," and _decimal_commas(present):
        raise AmeirError(f"{where}numbers with a decimal comma such as '{present[0]}' are no lists ({f.place}): "
                         f"`type: dense, decimal: ','` reads them. {bad.advice}")
    if f.splitter.isspace():
        text, splitter = text.str.replace_all(r"\s+", " "), " "
    else:
        splitter = f.splitter
    listed = text.str.split(splitter)
    return listed, brackets


def _decimal_commas(present: pl.Series) -> bool:
    """Whether text split at commas is numbers: never two commas, and a zero right behind some, before none."""
    return bool(len(present) and present.str.contains(r"^[+-]?\d+(?:,\d+)?$").all()
                and present.str.contains(r",0\d").any() and not present.str.contains(r"^[+-]?0\d").any())
