"""Dates and times as text: each spelling that is read, as microseconds since 1970 in UTC."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl

ORDERS = ("day_first", "month_first", "year_first")
"""Orders of the numbers in a date whose year does not come first with four digits."""
PIVOT = 69
"""Years of two digits are 1969 to 2068, as POSIX reads them."""
MICRO = 1_000_000
_ISO = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d", "%Y-%m-%d %H:%M")
_ISO_ZONED = "%Y-%m-%d %H:%M:%S%.f%#z"
_NAMES = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
          "november", "december")
_MONTHS = {word: i for i, name in enumerate(_NAMES, 1) for word in (name, name[:3])} | {"sept": 9}
_WEEKDAY = r"^(?:mon|tues?|wed(?:nes)?|thu(?:rs?)?|fri|sat(?:ur)?|sun)(?:day)?\.?,?\s+"
# Sun Sep 13 18:09:28 2020, with or without a zone before the year.
_CTIME = r"^([a-z]{3,9})\s+(\d{1,2})\s+(\d{1,2}:\d\d:\d\d)\s+(?:(utc|gmt|[+-]\d{4})\s+)?(\d{4})$"
_TH = r"(?:st|nd|rd|th)?"
_DATE = "|".join((
    r"(?P<y1>\d{4})[-/.](?P<m1>\d{1,2})[-/.](?P<d1>\d{1,2})",
    r"(?P<y2>\d{4})(?P<m2>\d\d)(?P<d2>\d\d)",
    r"(?P<y3>\d{4})[-/. ](?P<n3>[a-z]{3,9})\.?[-/. ](?P<d3>\d{1,2})",
    rf"(?P<n4>[a-z]{{3,9}})\.?[-/. ]?\s?(?P<d4>\d{{1,2}}){_TH}[-/,. ]\s?(?P<y4>\d{{4}})",
    rf"(?P<d5>\d{{1,2}}){_TH}\.?[-/. ]?\s?(?:of )?(?P<n5>[a-z]{{3,9}})\.?,?[-/. ]\s?(?P<y5>\d{{4}})",
    r"(?P<a6>\d{1,2})[-/. ](?P<n6>[a-z]{3,9})\.?[-/. ](?P<c6>\d\d)",
    r"(?P<a7>\d{1,2})\s?[-/.]\s?(?P<b7>\d{1,2})\s?[-/.]\s?(?P<c7>\d{4})",
    r"(?P<a8>\d{1,2})[-/.](?P<b8>\d{1,2})[-/.](?P<c8>\d\d)"))
_CLOCK = "|".join((
    r"(?P<h>\d{1,2})(?::(?P<mi>\d\d)(?::(?P<s>\d\d)(?:[.,](?P<f>\d+))?)?)?(?:\s*(?P<ap>[ap])\.?m\.?)?",
    r"(?P<ch>\d\d)(?P<cm>\d\d)(?P<cs>\d\d)?"))
_ZONE = r"(?P<z>z|utc?|gmt)?\s?(?P<o>[+-]\d\d(?::?\d\d)?)?(?:\s?\([a-z ]+\)|\[[^\]]+\])?"
_PATTERN = rf"^(?:{_DATE})(?:(?:\s*(?:t|at|,|:|_|\s)\s*)(?:{_CLOCK}))?\s*{_ZONE}$"
TIME_OF_DAY = r"^\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?(?:\s*[APap]\.?[Mm]\.?)?$"
"""A time of day without a date: it has no place in time."""


def parse_datetimes(text: pl.Series) -> pl.DataFrame:
    """Return what a column of strings says as dates and times.

    Args:
        text: (rows,) strings; null is null.

    Returns:
        (rows,) microseconds since 1970 in UTC (Int64, UTC where no zone is said), null where the text is no such
        date: ``moment`` of what can be read in one way only; ``day_first``, ``month_first`` and ``year_first`` of
        dates such as 01/02/2020, in each order that gives a date. Beside them flags: ``short`` (the year has two
        digits), ``timed`` (there is a time of day) and ``zoned`` (there is a zone or an offset).
    """
    text = text.alias("text").str.strip_chars()
    moment, zoned = _iso(text)
    timed = moment.is_not_null() & text.str.contains(":", literal=True).fill_null(False)
    left = moment.is_null() & text.is_not_null()
    table = pl.DataFrame({"moment": moment, "timed": timed, "zoned": zoned})
    if not left.any():
        nothing = pl.lit(None, pl.Int64)
        return table.with_columns(*(nothing.alias(order) for order in ORDERS), pl.lit(False).alias("short"))
    other = _taken_apart(text.set(~left, None))
    return other.with_columns(moment.zip_with(moment.is_not_null(), other["moment"]).alias("moment"),
                              (timed | other["timed"]).alias("timed"), (zoned | other["zoned"]).alias("zoned"))


def _iso(text: pl.Series) -> tuple[pl.Series, pl.Series]:
    """The common spellings, which polars reads quickly: microseconds, and whether there is a zone."""
    found = pl.Series("moment", [None] * len(text), dtype=pl.Int64)
    zoned = pl.Series("zoned", [False] * len(text), dtype=pl.Boolean)
    # Of four digits: polars takes 14 for a year of four digits, too.
    text = text.set(~text.str.contains(r"^\d{4}[-/]\d").fill_null(False), None)
    text = text.str.replace("T", " ", literal=True).str.replace_all("/", "-", literal=True)
    for form in (*_ISO, _ISO_ZONED):
        left = found.is_null() & text.is_not_null()
        if not left.any():
            break
        times = text.set(~left, None).str.to_datetime(form, strict=False, time_unit="us").cast(pl.Int64)
        if form == _ISO_ZONED:
            zoned = times.is_not_null().alias("zoned")
        found = found.zip_with(found.is_not_null(), times)
    return found.alias("moment"), zoned


def _taken_apart(text: pl.Series) -> pl.DataFrame:
    """All spellings, by one pattern; as :func:`parse_datetimes`."""
    words = text.str.to_lowercase().str.replace_all(r"\s+", " ")
    words = words.str.replace_all("[年月]", "-").str.replace("日", " ", literal=True)
    words = words.str.replace(_WEEKDAY, "").str.replace(_CTIME, "$1 $2 $5 $3 $4").str.strip_chars()
    groups = words.str.extract_groups(_PATTERN).struct.unnest()
    raw = {name: groups[name] for name in groups.columns}

    def whole(*names: str) -> np.ndarray:
        merged = raw[names[0]]
        for name in names[1:]:
            merged = merged.zip_with(merged.is_not_null(), raw[name])
        return merged.cast(pl.Int64, strict=False).fill_null(-1).to_numpy()

    def month(*names: str) -> np.ndarray:
        merged = raw[names[0]]
        for name in names[1:]:
            merged = merged.zip_with(merged.is_not_null(), raw[name])
        return merged.replace_strict(_MONTHS, default=None, return_dtype=pl.Int64).fill_null(-1).to_numpy()

    rest, fits = _within_day(raw, whole)
    named = month("n3", "n4", "n5")
    moment = _moment(whole("y1", "y2", "y3", "y4", "y5"), np.where(named > 0, named, whole("m1", "m2")),
                     whole("d1", "d2", "d3", "d4", "d5"), rest, fits)
    first, second, last = whole("a6", "a7", "a8"), whole("b7", "b8"), whole("c6", "c7", "c8")
    short = (raw["c6"].is_not_null() | raw["c8"].is_not_null()).to_numpy()
    spelled = month("n6")
    year = np.where(short, _century(last), last)
    middle = np.where(spelled > 0, spelled, second)
    columns = {
        "moment": moment,
        "day_first": _moment(year, middle, first, rest, fits),
        "month_first": _moment(year, first, second, rest, fits),
        "year_first": _moment(_century(first), middle, last, rest, fits & short)}
    return pl.DataFrame(columns).with_columns(
        (raw["h"].is_not_null() | raw["ch"].is_not_null()).alias("timed"),
        (raw["z"].is_not_null() | raw["o"].is_not_null()).alias("zoned"), pl.Series("short", short))


def _within_day(raw: dict[str, pl.Series], whole: Callable[..., np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Microseconds since midnight in UTC, and where the time of day is one."""
    hour, minute, second = (np.maximum(whole(*names), 0) for names in (("h", "ch"), ("mi", "cm"), ("s", "cs")))
    half = raw["ap"].fill_null("").to_numpy()
    has_half = half != ""
    fits = np.where(has_half, (hour >= 1) & (hour <= 12), (hour <= 23) | ((hour == 24) & (minute + second == 0)))
    fits &= (minute <= 59) & (second <= 60)
    hour = np.where(has_half, hour % 12 + 12 * (half == "p"), hour)
    fraction = raw["f"].str.slice(0, 6).str.pad_end(6, "0").cast(pl.Int64, strict=False).fill_null(0).to_numpy()
    offset = raw["o"].str.replace(":", "", literal=True)
    hours = offset.str.slice(1, 2).cast(pl.Int64, strict=False).fill_null(0).to_numpy()
    minutes = offset.str.slice(3, 2).cast(pl.Int64, strict=False).fill_null(0).to_numpy()
    fits &= (hours <= 14) & (minutes <= 59)
    sign = np.where(offset.str.starts_with("-").fill_null(False).to_numpy(), -1, 1)
    seconds = hour * 3600 + minute * 60 + second - sign * (hours * 3600 + minutes * 60)
    return seconds * MICRO + fraction, fits


def _century(year: np.ndarray) -> np.ndarray:
    return np.where(year < 0, -1, np.where(year < PIVOT, 2000, 1900) + year)


def _moment(year: np.ndarray, month: np.ndarray, day: np.ndarray, rest: np.ndarray, fits: np.ndarray) -> pl.Series:
    """Microseconds since 1970; null where there is no such day."""
    known = fits & (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1)
    months = np.where(known, (year - 1970) * 12 + month - 1, 0)
    begin = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    length = (months + 1).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) - begin
    days = pl.Series(begin + day - 1)
    return (days * (86_400 * MICRO) + pl.Series(rest)).set(pl.Series(~(known & (day <= length))), None)
