"""TimeProfile: what the values of a column show of how its times are written, counted over all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import polars as pl

from ameir_pl.data.datetime_text import MICRO, ORDERS, TIME_OF_DAY, parse_datetimes
from ameir_pl.data.table_types import plain

UNITS = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
"""What numbers can count since 1970: name → units of a second."""
SINCE_1970 = 10**8
"""Seconds (of 1973) from which on numbers are taken for a time since 1970; below they may count from anywhere."""
FAR = 4_102_444_800
"""Seconds of the year 2100."""
RARE = 0.05
"""Up to this share, values that do not fit the others are mistakes; from here on they say that another rule holds."""
_BOUNDS = (("seconds", SINCE_1970, 10**11), ("milliseconds", 10**11, 10**14), ("microseconds", 10**14, 10**17),
           ("nanoseconds", 10**17, 2**64))
_DAY = r"^(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
_WITHIN = {8: "", 10: r"(?:[01]\d|2[0-3])", 12: r"(?:[01]\d|2[0-3])[0-5]\d", 14: r"(?:[01]\d|2[0-3])(?:[0-5]\d){2}",
           17: r"(?:[01]\d|2[0-3])(?:[0-5]\d){2}\d{3}"}
DIGITS = {length: f"{_DAY}{rest}$" for length, rest in _WITHIN.items()}
"""Dates written as a number, 20240131, or with hour, minute, second and milliseconds behind it: digits → pattern."""


_D, _M = "(?:0?[1-9]|[12][0-9]|3[01])", "(?:0?[1-9]|1[0-2])"
_D2, _M2 = "(?:0[1-9]|[12][0-9]|3[01])", "(?:0[1-9]|1[0-2])"
_UNORDERED = {"year last": rf"^(?:{_D}{_M2}|{_M}{_D2})(?:19|20)\d\d$",
              "six digits": rf"^(?:(?:{_D}{_M2}|{_M}{_D2})\d\d|\d?\d{_M2}{_D2})$"}
"""Dates written as a number that does not grow with time, or may not."""
Place = Callable[[int], str]
"""Returns where the value of a row is, in words."""


def place_of(path: Path, unit: str, lines: pl.Series) -> Place:
    """Return the places of a chunk's rows: file and line (or row)."""
    return lambda row: f"{path.name}, {unit} {lines[row]}"


def without_missing(values: pl.Series, missing: Sequence[str]) -> pl.Series:
    """Return a column in a plain type, with null for the words that stand for a missing value and for NaN."""
    values = plain(values)
    if values.dtype == pl.String:
        return values.set(values.is_in(["", *missing]).fill_null(False), None)
    return values.fill_nan(None) if values.dtype.is_float() else values


@dataclass
class TimeProfile:
    """Counts of the values of one column, and the first of each kind.

    Attributes:
        counts: kind of value → how many. ``rows`` and ``missing``; ``number``, of these ``fraction``, ``not positive``,
            ``small`` (below 1973 in seconds), ``late`` (from 2100 on), one of :data:`UNITS`, and ``digits N`` (dates of
            N digits), ``year last`` (31012024) and ``six digits`` (310124 or another order), ``coarse`` (32 bits do
            not tell it from the next whole number); ``date``, of these
            ``loose`` (an order has to be known), the :data:`ORDERS` that fit, ``only …`` of these, pairs of orders
            that read it differently (``day_first/month_first``), ``short`` (years of two digits), ``timed``, ``zoned``,
            ``early`` (before 1973) and ``far`` (from 2100 on); ``time of day``; ``unreadable``.
        first: kind of value → where the first is, in words.
        stored: the column has a type of dates or times.
        placed: the first of each kind are named with their places.
    """

    counts: dict[str, int] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)
    stored: bool = False
    placed: bool = False

    def __getitem__(self, kind: str) -> int:
        return self.counts.get(kind, 0)

    @property
    def present(self) -> int:
        """How many values there are."""
        return self["rows"] - self["missing"]

    def add(self, values: pl.Series, place: Place | None = None) -> None:
        """Count more values.

        Args:
            values: (rows,) of any plain type; missing ones are null.
            place: returns where the value of a row is, for messages.
        """
        values = values.alias("value")
        self.counts["rows"] = self["rows"] + len(values)
        self._count("missing", values.is_null(), values, place)
        if values.dtype.is_temporal():
            self.stored = True
            if values.dtype == pl.Date or isinstance(values.dtype, pl.Datetime):
                times = values.cast(pl.Datetime("us")).cast(pl.Int64)
                self._count("date", values.is_not_null(), values, place)
                self._count("timed", values.is_not_null() & (values.dtype != pl.Date), values, place)
                self._far(times, values, place)
            else:
                self._count("time of day", values.is_not_null(), values, place)
            return
        text = values.str.strip_chars() if values.dtype == pl.String else values
        floats = text.cast(pl.Float64, strict=False)
        numbers = floats.is_finite().fill_null(False)
        if numbers.any():
            self._numbers(text.set(~numbers, None), floats.set(~numbers, None), values, place)
        left = values.is_not_null() & ~numbers
        if values.dtype != pl.String:
            self._count("unreadable", left, values, place)
        elif left.any():
            self._texts(text.set(~left, None), values, place)

    def _numbers(self, text: pl.Series, floats: pl.Series, values: pl.Series, place: Place | None
                 ) -> None:
        self._count("number", floats.is_not_null(), values, place)
        self._count("fraction", floats != floats.round(), values, place)
        if values.dtype == pl.Float32:
            self._count("coarse", floats.abs() >= 2**24, values, place)
        self._count("not positive", floats <= 0, values, place)
        self._count("small", (floats > 0) & (floats < SINCE_1970), values, place)
        for unit, low, high in _BOUNDS:
            inside = (floats >= low) & (floats < high)
            self._count(unit, inside, values, place)
            self._count("late", inside & (floats >= FAR * UNITS[unit]), values, place)
        whole = text.cast(pl.Int64, strict=False)
        whole = whole.zip_with(whole.is_not_null(), floats.cast(pl.Int64, strict=False))
        written = whole.set((floats != floats.round()).fill_null(True), None).cast(pl.String)
        if values.dtype == pl.String:
            written = written.zip_with(written.is_null() | ~text.str.contains(r"^0\d+$").fill_null(False), text)
        for kind, pattern in _UNORDERED.items():
            self._count(kind, written.str.contains(pattern), values, place)
        if written.str.contains(r"^(?:19|20)\d{6}").any():
            for length, pattern in DIGITS.items():
                self._count(f"digits {length}", written.str.contains(pattern), values, place)

    def _texts(self, text: pl.Series, values: pl.Series, place: Place | None) -> None:
        read = parse_datetimes(text)
        orders = {order: read[order].is_not_null() for order in ORDERS}
        loose = orders["day_first"] | orders["month_first"] | orders["year_first"]
        known = read["moment"].is_not_null()
        self._count("date", known | loose, values, place)
        if loose.any():
            self._count("loose", loose, values, place)
            for order in ORDERS:
                self._count(order, orders[order], values, place)
                others = [name for name in ORDERS if name != order]
                self._count(f"only {order}", orders[order] & ~(orders[others[0]] | orders[others[1]]), values, place)
            for a, b in combinations(ORDERS, 2):
                self._count(f"{a}/{b}", orders[a] & orders[b] & (read[a] != read[b]), values, place)
            self._count("short", loose & read["short"], values, place)
        self._count("timed", (known | loose) & read["timed"], values, place)
        self._count("zoned", (known | loose) & read["zoned"], values, place)
        self._far(read["moment"], values, place)
        clock = text.str.contains(TIME_OF_DAY).fill_null(False) & ~(known | loose)
        self._count("time of day", clock, values, place)
        self._count("unreadable", text.is_not_null() & ~(known | loose | clock), values, place)

    def _far(self, times: pl.Series, values: pl.Series, place: Place | None) -> None:
        self._count("early", times < SINCE_1970 * MICRO, values, place)
        self._count("far", times >= FAR * MICRO, values, place)

    def _count(self, kind: str, which: pl.Series, values: pl.Series, place: Place | None) -> None:
        count = int(which.sum() or 0)
        if not count:
            return
        self.counts[kind] = self[kind] + count
        if kind not in self.first:
            i = int(which.fill_null(False).arg_true()[0])
            found = values[i]
            self.first[kind] = (f"'{str(found)[:60]}'" if found is not None else "nothing") + (
                f" ({place(i)})" if place else "")

    def orders(self) -> list[str]:
        """Return the orders in which all dates without a sure order can be read."""
        return [order for order in ORDERS if self["loose"] and self[order] == self["loose"]]

    def ambiguous(self) -> list[str]:
        """Return the orders that fit all dates and read some of them differently; empty where one order is left."""
        fitting = self.orders()
        differing = {name for a, b in combinations(fitting, 2) if self[f"{a}/{b}"] for name in (a, b)}
        return [order for order in fitting if order in differing]

    def units(self) -> list[str]:
        """Return the units that the numbers since 1970 have."""
        return [unit for unit in UNITS if self[unit]]
