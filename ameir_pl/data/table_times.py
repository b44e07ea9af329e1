"""Times of a described table as whole numbers: of any unit as they are, of dates and times in microseconds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

import polars as pl
from polars.exceptions import PolarsError

from ameir_pl.data.bad_rows import BadRows
from ameir_pl.data.datetime_text import MICRO, ORDERS, parse_datetimes
from ameir_pl.data.table_types import plain, raw
from ameir_pl.data.time_profile import DIGITS, FAR, RARE, SINCE_1970, UNITS, TimeProfile
from ameir_pl.errors import AmeirError

Form = Literal["whole", "fraction", "date"]
WORDS: dict[Form, str] = {"whole": "a whole number", "fraction": "a number",
                          "date": "a date or time such as 2024-01-31 23:59:59"}
ORDER_WORDS = {"day_first": "the day first, such as 31/01/2024", "month_first": "the month first, such as 01/31/2024",
               "year_first": "the year first, such as 24/01/31"}
COARSE = ("stored with 32 bits, which round seconds since 1970 to 128: order and hours are not exact. Write them as "
          "whole numbers or with 64 bits")
COUNT = "number"
"""The time format of numbers that count from anywhere: they order rows, and nothing is expected of their size."""
TIME_FORMATS = (*ORDERS, *UNITS, COUNT)
"""What ``time_format`` may be, beside a pattern of strptime such as ``%d.%m.%y``."""
_TIME = "@time value"


@dataclass(frozen=True)
class Clock:
    """How the times of a column are written.

    Args:
        form: ``whole`` numbers, numbers with a ``fraction``, or ``date`` (dates and times as text or as Parquet has
            them; UTC where no zone is said).
        second: units of a second.
        digits: of dates written as a number, as 20240131 or 20240131235959; 0 for numbers that count.
        since_1970: whether the numbers can count since 1970: only such times have an hour and a weekday.
        order: of the numbers in a date whose year does not come first with four digits, one of
            :data:`~ameir_pl.data.datetime_text.ORDERS`; empty where no date is so.
        pattern: of strptime, which all dates have; empty for any of the known ones.
        bounded: times lie between 1973 and 2100; others are mistakes, such as 0 for none.
        daily: no time has a time of day.
        coarse: the numbers are stored with 32 bits, which round them.
    """

    form: Form
    second: int = 1
    digits: int = 0
    since_1970: bool = True
    order: str = ""
    pattern: str = ""
    bounded: bool = False
    daily: bool = False
    coarse: bool = False

    @classmethod
    def of(cls, values: pl.Series, time_format: str = "") -> Clock:
        """Return the clock of a column, told by all its values; raises as :meth:`decide`."""
        profile = TimeProfile()
        profile.add(values)
        return cls.decide(profile, time_format, "the column")

    @classmethod
    def decide(cls, profile: TimeProfile, time_format: str, where: str) -> Clock:
        """Return the clock that reads the values of a column.

        Args:
            profile: of all values.
            time_format: one of :data:`TIME_FORMATS` or a pattern, from the description; empty: the values tell.
            where: the column, for messages.

        Raises:
            AmeirError: the values do not tell, or tell different things.
        """
        if "%" in time_format:
            return cls("date", MICRO, pattern=time_format)
        if profile.stored:
            if profile["time of day"]:
                raise AmeirError(f"{where} holds times of day or durations without a date, such as "
                                 f"{profile.first['time of day']}: they have no order in time. Put date and time into "
                                 "one column.")
            return cls("date", MICRO, bounded=_bounded(profile, "date"), daily=not profile["timed"])
        if time_format in (*UNITS, COUNT) or (not time_format and profile["number"] >= max(profile["date"], 1)):
            return cls._of_numbers(profile, time_format, where)
        return cls._of_dates(profile, time_format, where)

    @classmethod
    def _of_numbers(cls, profile: TimeProfile, time_format: str, where: str) -> Clock:
        number = profile["number"]
        form: Form = "fraction" if profile["fraction"] else "whole"
        coarse = profile["coarse"] > 0
        if time_format:
            return cls(form, UNITS.get(time_format, 1), since_1970=time_format != COUNT, coarse=coarse)
        digits = [n for n in DIGITS if profile[f"digits {n}"]]
        if digits and sum(profile[f"digits {n}"] for n in digits) >= (1 - RARE) * number:
            if len(digits) > 1:
                shown = " and ".join(profile.first[f"digits {n}"] for n in digits[:2])
                raise AmeirError(f"{where} holds dates of different lengths, {shown}: as numbers they have no order. "
                                 "Write all the same way.")
            return cls("whole", 1, digits[0], False, coarse=coarse)
        for kind, example in (("year last", "%d%m%Y"), ("six digits", "%d%m%y")):
            if profile[kind] >= (1 - RARE) * number:
                what = "with the year last" if kind == "year last" else "of six digits"
                raise AmeirError(f"{where} seems to hold dates {what}, such as {profile.first[kind]}, which as numbers "
                                 f"have no order. Say how they are written, as `time_format: '{example}'` in the "
                                 f"description; `time_format: {COUNT}` takes them as numbers that grow with time.")
        units = profile.units()
        if not units or profile["small"] > RARE * number or sum(profile[u] for u in units) <= profile["late"]:
            return cls(form, _largest(units), 0, False, coarse=coarse)
        if len(units) > 1:
            shown = ", ".join(f"{profile[u]:,} {u}, the first {profile.first[u]}" for u in units)
            raise AmeirError(f"{where} holds times of different units: {shown}. Write all in one unit. Or name the "
                             f"unit: `time_format: {max(units, key=profile.__getitem__)}` in the description takes all "
                             f"as that, `time_format: {COUNT}` as numbers that only order the rows.")
        return cls(form, UNITS[units[0]], 0, True, bounded=_bounded(profile, "number"), coarse=coarse)

    @classmethod
    def _of_dates(cls, profile: TimeProfile, time_format: str, where: str) -> Clock:
        order = time_format
        if not order and profile["loose"]:
            fitting = profile.orders()
            if not fitting:
                shown = ", ".join(f"{profile[f'only {o}']:,} with {ORDER_WORDS[o].split(',')[0]}, the first "
                                  f"{profile.first[f'only {o}']}" for o in ORDERS if profile[f"only {o}"])
                held = [order for order in ORDERS if profile[f"only {order}"]]
                raise AmeirError(f"{where} holds dates of different orders: {shown}. Write all the same way, or say "
                                 f"which holds, {_choices(held)} in the description; the others are bad rows then.")
            if several := profile.ambiguous():
                short = " Years of four digits leave less to guess." if profile["short"] else ""
                raise AmeirError(f"{where}: the order of day, month and year cannot be told: dates such as "
                                 f"{profile.first['loose']} can have {' or '.join(ORDER_WORDS[o] for o in several)}, "
                                 f"and all values fit both. Say which, {_choices(several)} in the description."
                                 f"{short}")
            order = fitting[0]
        return cls("date", MICRO, order=order, bounded=_bounded(profile, "date"),
                   daily=profile["date"] > 0 and not profile["timed"])

    @property
    def unit(self) -> str:
        """What the numbers count, in words."""
        words = {second: name for name, second in UNITS.items()}
        return f"dates of {self.digits} digits" if self.digits else words[self.second]

    @property
    def expected(self) -> str:
        """What a value has to be, in words."""
        if self.pattern:
            return f"a date or time as {self.pattern}"
        words = f"a date with {ORDER_WORDS[self.order]}," if self.order else WORDS[self.form]
        if self.digits:
            words = f"a date of {self.digits} digits, as in the other rows,"
        if self.bounded:
            unit = f" in {self.unit} since 1970" if self.form != "date" else ""
            return f"{words.rstrip(',')}{unit}, from 1973 to 2099 as in the other rows,"
        return words

    def misfits(self, profile: TimeProfile) -> tuple[int, str]:
        """Return how many values of a column have no time that this clock can read, and the first of them."""
        if self.pattern:  # which values have it was not counted
            return profile["missing"], profile.first.get("missing", "")
        kinds = ["missing", "unreadable", "time of day"]
        if self.form == "date":
            kinds += ["number"] + ["early", "far"] * self.bounded
        else:
            kinds += ["date"] + ["not positive", "small", "late"] * self.bounded
        count = sum(profile[kind] for kind in kinds)
        if self.order:
            count += profile["loose"] - profile[self.order]
        if self.digits:
            count += profile["number"] - profile[f"digits {self.digits}"]
        return count, next((profile.first[kind] for kind in kinds if profile[kind]), "one of another form")

    @property
    def _scale(self) -> int:
        """By how much numbers with a fraction are multiplied: to microseconds, which floats of today tell apart."""
        return max(MICRO // self.second, 1) if self.form == "fraction" else 1

    def pause(self, seconds: int) -> int:
        """Return how many units of what :meth:`read` gives ``seconds`` are; 0 where a number's unit is not known."""
        return seconds * self.second * self._scale if self.since_1970 else 0

    def joint(self, other: Clock, here: str, there: str) -> Clock:
        """Return the clock that reads this column so that it can be compared with one that ``other`` reads.

        ``here`` and ``there`` name the columns.

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
        values = self._dates(given) if self.form == "date" else self._numbers(given)
        if self.bounded:
            second = self.second * self._scale
            values = values.set(((values < SINCE_1970 * second) | (values >= FAR * second)).fill_null(False), None)
        table = table.with_columns(values.alias(_TIME))
        return bad.drop(table, values.is_null(), path, column, self.expected).rename({_TIME: name})

    def _numbers(self, given: pl.Series) -> pl.Series:
        stripped = given.str.strip_chars() if given.dtype == pl.String else given
        exact = stripped.cast(pl.Int64, strict=False)
        if given.dtype.is_float() or (exact.is_null() & given.is_not_null()).any():
            floats = stripped.cast(pl.Float64, strict=False)
            floats = floats.set(~floats.is_finite().fill_null(False), None)
            if self.form == "fraction":
                return (floats * self._scale).round().cast(pl.Int64, strict=False)
            whole = floats.set((floats != floats.round()).fill_null(True), None).cast(pl.Int64, strict=False)
            exact = whole if given.dtype.is_float() else exact.zip_with(exact.is_not_null(), whole)
        elif self.form == "fraction":
            return (exact.cast(pl.Float64) * self._scale).cast(pl.Int64, strict=False)
        if self.digits:
            return exact.set(~exact.cast(pl.String).str.contains(DIGITS[self.digits]).fill_null(False), None)
        return exact

    def _dates(self, given: pl.Series) -> pl.Series:
        """Microseconds since 1970, UTC; null for what is no date."""
        if given.dtype == pl.Date:
            return given.cast(pl.Datetime("us")).cast(pl.Int64)
        if isinstance(given.dtype, pl.Datetime):
            return given.cast(pl.Datetime("us", given.dtype.time_zone)).cast(pl.Int64)
        if self.pattern and given.dtype.is_integer():
            given = given.cast(pl.String)
        if given.dtype != pl.String:
            return pl.Series([None] * len(given), dtype=pl.Int64)
        if self.pattern:
            return given.str.strip_chars().str.to_datetime(self.pattern, strict=False, time_unit="us").cast(pl.Int64)
        read = parse_datetimes(given)
        if not self.order:
            return read["moment"]
        return read["moment"].zip_with(read["moment"].is_not_null(), read[self.order])

    def part(self, times: pl.Series, part: str) -> pl.Series:
        """Return the ``hour`` (0 to 23) or the ``weekday`` (0 is Monday) of what :meth:`read` gave, in UTC."""
        seconds = times // (self.second * self._scale)
        # 1970-01-01 was a Thursday.
        return (seconds // 3600 % 24) if part == "hour" else ((seconds // 86400 + 3) % 7)


def wrong_pattern(pattern: str) -> str:
    """Return why a pattern of strptime reads no dates; empty where it can."""
    if "%Z" in pattern:
        return "the name of a zone does not tell the time: write offsets, and %z"
    try:
        moment = pl.Series([datetime(2024, 1, 31, 18, 9, 5)]).dt.replace_time_zone("UTC")
        read = moment.dt.strftime(pattern).str.to_datetime(pattern, strict=False)
    except PolarsError as error:
        return str(error).splitlines()[0]
    return "" if read[0] is not None and read[0].year == moment[0].year else "a date needs a day and a year"


def _bounded(profile: TimeProfile, kind: str) -> bool:
    """Whether nearly all times lie from 1973 to 2099, so that the others are mistakes."""
    if kind == "date":
        return profile["early"] + profile["far"] <= RARE * profile["date"]
    return profile["small"] + profile["late"] <= RARE * profile["number"]


def _largest(units: list[str]) -> int:
    return UNITS[units[-1]] if units else 1


def _choices(orders: tuple[str, ...] | list[str]) -> str:
    return " or ".join(f"`time_format: {order}`" for order in orders)
