"""Single values of a described table in the type they are compared in: what is the same is made the same."""

from __future__ import annotations

import re
from typing import Literal

import polars as pl

Dtype = Literal["str", "int", "float"]
TYPES: dict[str, pl.DataType] = {"str": pl.String(), "int": pl.Int64(), "float": pl.Float64()}
EXACT = 2**53
"""Whole numbers up to which a float tells each from the next."""
THOUSANDS = {" ": "[ \u00a0\u202f]", ".": r"\.", ",": ",", "'": "['\u2019]", "_": "_"}
"""What may stand between thousands, and the pattern of its spellings."""
EXPECTED = {"str": "an id (one that came through a float is exact up to 2^53)", "float": "a number",
            "int": "a whole number of at most 64 bits (`dtype: str` takes ids of any kind)"}
_ZEROS = r"^([+-]?\d+)\.0+$"


def scalar(value: pl.Expr, stored: pl.DataType, dtype: str, decimal: str = ".", thousands: str = "") -> pl.Expr:
    """Return a value in the type it is compared in; null where it has none. Whole numbers never pass through a float.

    Args:
        value: as the table has it.
        stored: its type there.
        dtype: ``str``, ``int`` or ``float``.
        decimal, thousands: of numbers written as text.
    """
    text = stored == pl.String
    if dtype == "str":
        return _identity(value, stored)
    if text and (decimal != "." or thousands):
        value = _written(value.str.strip_chars(), decimal, thousands)
    if dtype == "int":
        if text:
            stripped = value.str.strip_chars()
            # Tables that had gaps write whole numbers as 3.0, or 1e+16.
            return pl.coalesce(stripped.cast(pl.Int64, strict=False),
                               _exact(stripped.str.extract(_ZEROS).cast(pl.Int64, strict=False)),
                               _whole(stripped.str.extract(r"^([+-]?\d(?:\.\d{1,4})?[eE]\+?\d+)$")
                                      .cast(pl.Float64, strict=False)))
        if stored.is_float():
            return _whole(value)
        if isinstance(stored, pl.Duration):
            return _whole(_seconds(value))
        return value.cast(pl.Int64, strict=False) if is_number(stored) else pl.lit(None, pl.Int64)
    if isinstance(stored, pl.Duration):
        return _seconds(value)
    if not text and not is_number(stored):
        return pl.lit(None, pl.Float64)
    number = (value.str.strip_chars() if text else value).cast(pl.Float64, strict=False)
    return pl.when(number.is_finite()).then(number)


def scalars(values: pl.Series, dtype: str, decimal: str = ".", thousands: str = "") -> pl.Series:
    """Return a column's values as :func:`scalar` does."""
    made = scalar(pl.col("value"), values.dtype, dtype, decimal, thousands)
    return values.alias("value").to_frame().with_columns(made.alias("value")).to_series()


def is_number(stored: pl.DataType) -> bool:
    """Whether values of a type are numbers; false and true are 0 and 1."""
    return stored.is_numeric() or stored == pl.Boolean


def hint(found: str | None, decimal: str = ".") -> str:
    """Return what a description can say so that a value is taken for a number; empty where nothing helps."""
    text = (found or "").strip()
    if re.fullmatch(r"nan|[+-]?(?:inf|infinity)", text, re.IGNORECASE):
        return f" (`missing: [{text}]` in the field takes it for a missing value)"
    if re.fullmatch(r"[+-]?[\d. '\u00a0\u202f\u2019]*,\d+(?:[eE][+-]?\d+)?", text) and decimal == ".":
        return " (the field's `decimal: ','` reads decimal commas, `thousands: ','` commas between thousands)"
    if re.search(r"\d", text) and re.search(r"[%\u2030$\u20ac\u00a3\u00a5\u20b9]|^[A-Z]{3}\b|\b[A-Z]{3}$", text):
        return " (a sign or a unit beside a number is not read: take it off)"
    if re.fullmatch(r"[+-]?\d[\d .,'\u00a0\u202f\u2019]*", text):
        return " (the field's `decimal` and `thousands` say how numbers are written)"
    return ""


def _identity(value: pl.Expr, stored: pl.DataType) -> pl.Expr:
    """An id as text: blanks around it go, and 3.0 is 3."""
    if stored == pl.String:
        stripped = value.str.strip_chars()
        whole = stripped.str.extract(_ZEROS)
        number = whole.str.strip_chars_start("+-")
        lost = (number.str.len_chars() > 15) & (number.cast(pl.Int64, strict=False).fill_null(EXACT + 1) > EXACT)
        return pl.when(whole.is_null()).then(stripped).when(~lost).then(whole)
    if stored.is_float():
        number = pl.when(value.is_nan().not_()).then(value)
        return pl.when((number != number.round()) | number.is_infinite()).then(number.cast(pl.String)).otherwise(
            _whole(number).cast(pl.String))
    if isinstance(stored, pl.Duration):
        return _identity(_seconds(value), pl.Float64())
    if isinstance(stored, pl.Datetime | pl.Time):
        return value.cast(pl.String).str.replace(r"\.0+($|[+-])", "$1")
    return value.cast(pl.String)


def _whole(number: pl.Expr) -> pl.Expr:
    exact = (number == number.round()) & (number.abs() <= EXACT)
    return pl.when(exact).then(number).cast(pl.Int64, strict=False)


def _exact(number: pl.Expr) -> pl.Expr:
    return pl.when(number.abs() <= EXACT).then(number)


def _seconds(value: pl.Expr) -> pl.Expr:
    return value.dt.total_nanoseconds(fractional=True) / 1e9


def _written(text: pl.Expr, decimal: str, thousands: str) -> pl.Expr:
    """Numbers as a programme writes them; null for what is not written with this decimal sign and these thousands."""
    point, gap = re.escape(decimal), THOUSANDS.get(thousands, "")
    whole = rf"(?:\d+|\d{{1,3}}(?:{gap}\d{{3}})+)" if gap else r"\d+"
    fits = text.str.contains(rf"^[+-]?(?:{whole}(?:{point}\d*)?|{point}\d+)(?:[eE][+-]?\d+)?$")
    plain = text.str.replace_all(gap, "") if gap else text
    return pl.when(fits).then(plain.str.replace(decimal, ".", literal=True) if decimal != "." else plain)
