"""Times of a described table as whole numbers: of any unit as they are, of dates and times in microseconds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import polars as pl

from ameir_pl.data.bad_rows import BadRows
from ameir_pl.data.table_types import plain, raw
from ameir_pl.errors import AmeirError

Form = Literal["whole", "fraction", "date"]
WORDS: dict[Form, str] = {"whole": "a whole number", "fraction": "a number",
                          "date": "a date or time such as 2024-01-31 23:59:59"}
MICRO = 1_000_000
UNIT_WORDS = {1: "seconds", 10**3: "milliseconds", 10**6: "microseconds", 10**9: "nanoseconds"}
SINCE_1970 = 10**8
"""Seconds from which on numbers are taken for a time since 1970; below they may count from anywhere."""
UNITS = ((10**17, 10**9), (10**14, 10**6), (10**11, 10**3))
"""(least number, its units a second): what a number of some size counts since 1970, nanoseconds to milliseconds."""
_TIME = "@time value"
_FORMATS = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d", "%Y-%m-%d %H:%M")
_DIGITS = (r"^(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
           r"(?:(?:[01]\d|2[0-3])(?:[0-5]\d(?:[0-5]\d)?)?)?$")
_ZONED = "%Y-%m-%d %H:%M:%S%.f%#z"


@dataclass(frozen=True)
class Clock:
    """How the times of a column are written.

    Args:
        form: ``whole`` numbers, numbers with a ``fraction``, or ``date`` (dates and times as text or as Parquet has
            them; UTC where no zone is said).
        second: units of a second.
        digits: of dates written as a number, as 20240131 or 20240131235959; 0 for numbers that count.
        since_1970: whether the numbers can count since 1970: only such times have an hour and a weekday.
    """

    form: Form
    second: int = 1
    digits: int = 0
    since_1970: bool = True

    @classmethod
    def of(cls, values: pl.Series) -> Clock:
        """Return the clock of a column, told by its first values."""
        if values.dtype.is_temporal():
            return cls("date", MICRO)
        text = values.dtype == pl.String
        present = values.drop_nulls()
        numbers = (present.str.strip_chars() if text else present).cast(pl.Float64, strict=False)
        numbers = numbers.filter(numbers.is_finite())  # of what is no number, nothing is left
        if len(numbers) == 0 and len(present):
            return cls("date", MICRO)
        form: Form = "fraction" if (numbers != numbers.round()).any() else "whole"
        largest = float(numbers.abs().max() or 0)  # type: ignore[arg-type]
        written = numbers.cast(pl.Int64, strict=False).cast(pl.String)
        if form == "whole" and len(written) and written.str.contains(_DIGITS).fill_null(False).all():
            return cls(form, 1, len(written[0]), False)
        return cls(form, next((units for least, units in UNITS if largest >= least), 1), 0, largest >= SINCE_1970)

    @property
    def unit(self) -> str:
        """What the numbers count, in words."""
        return f"dates of {self.digits} digits" if self.digits else UNIT_WORDS[self.second]

    @property
    def _scale(self) -> int:
        """By how much numbers with a fraction are multiplied: to microseconds, which floats of today tell apart."""
        return max(MICRO // self.second, 1) if self.form == "fraction" else 1

    def pause(self, seconds: int) -> int:
        """Return how many units of what :meth:`read` gives ``seconds`` are; 0 where a number's unit is not known."""
        return seconds * self.second * self._scale if self.since_1970 else 0

    def joint(self, other: Clock, here: str, there: str) -> Clock:
        """Return the clock that reads both columns; ``here`` and ``there`` name them.

        Raises:
            AmeirError: one has dates and the other numbers, or their numbers are of another size.
        """
        if (self.form == "date") != (other.form == "date"):
            raise AmeirError(f"{here} is {WORDS[self.form]} and {there} is {WORDS[other.form]}: they cannot be "
                             "compared. Write both the same way.")
        if (self.second, self.digits) != (other.second, other.digits):
            raise AmeirError(f"{here} and {there} seem to be in different units (one of them counts {self.unit}, the "
                             f"other {other.unit}). Write both in the same unit.")
        return replace(self, form="fraction") if other.form == "fraction" else self

    def read(self, table: pl.DataFrame, column: str, bad: BadRows, path: Path, name: str) -> pl.DataFrame:
        """Return the table with ``name``, Int64, of a column's times; raises as ``BadRows.drop``."""
        given = plain(raw(table, column))
        if self.form == "date":
            values = _dates(given)
        else:
            stripped = given.str.strip_chars() if given.dtype == pl.String else given
            exact = stripped.cast(pl.Int64, strict=False)
            if given.dtype.is_float() or (exact.is_null() & given.is_not_null()).any():
                floats = stripped.cast(pl.Float64, strict=False)
                floats = floats.set(~floats.is_finite().fill_null(False), None)
                if self.form == "fraction":
                    exact = (floats * self._scale).round().cast(pl.Int64, strict=False)
                else:
                    whole = floats.set((floats != floats.round()).fill_null(True), None).cast(pl.Int64, strict=False)
                    exact = whole if given.dtype.is_float() else exact.zip_with(exact.is_not_null(), whole)
            elif self.form == "fraction":
                exact = (exact.cast(pl.Float64) * self._scale).cast(pl.Int64, strict=False)
            values = exact
        table = table.with_columns(values.alias(_TIME))
        return bad.drop(table, values.is_null(), path, column, WORDS[self.form]).rename({_TIME: name})

    def part(self, times: pl.Series, part: str) -> pl.Series:
        """Return the ``hour`` (0 to 23) or the ``weekday`` (0 is Monday) of what :meth:`read` gave, in UTC."""
        seconds = times // (self.second * self._scale)
        # 1970-01-01 was a Thursday.
        return (seconds // 3600 % 24) if part == "hour" else ((seconds // 86400 + 3) % 7)


def _dates(raw: pl.Series) -> pl.Series:
    """Microseconds since 1970, UTC; null for what is no date."""
    nothing = pl.Series([None] * len(raw), dtype=pl.Int64)
    if raw.dtype == pl.Date:
        return raw.cast(pl.Datetime("us")).cast(pl.Int64)
    if isinstance(raw.dtype, pl.Datetime):
        return raw.cast(pl.Datetime("us", raw.dtype.time_zone)).cast(pl.Int64)
    if raw.dtype != pl.String:
        return nothing
    text = raw.str.strip_chars().str.replace("T", " ", literal=True).str.replace_all("/", "-", literal=True)
    found = nothing
    for form in (*_FORMATS, _ZONED):
        left = found.is_null() & raw.is_not_null()
        if not left.any():
            break
        part = text.set(~left, None) if form == _ZONED else text
        times = part.str.to_datetime(form, strict=False, time_unit="us").cast(pl.Int64)
        found = found.zip_with(found.is_not_null(), times)
    return found
