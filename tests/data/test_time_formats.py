"""Times in every spelling, from the file to the split: what is read is the truth, or it is refused by name."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ameir_pl.cli.infer import infer
from ameir_pl.data.table import Table
from ameir_pl.errors import AmeirError

ROWS = 100
MOMENTS = [datetime(2020, 1, 5, tzinfo=UTC) + timedelta(days=3 * i, hours=7 * i % 24, minutes=11 * i % 60)
           for i in range(ROWS)]
ORDER = random.Random(5).sample(range(ROWS), ROWS)
"""The order of the lines in the file."""


def labels() -> list[int]:
    """The label of each moment: 0 and 1 in turn for what trains, 0 for what validates, 1 for what tests."""
    return [1 if i >= ROWS * 0.9 else 0 if i >= ROWS * 0.8 else i % 2 for i in range(ROWS)]


def write(folder: Path, times: list[Any], name: str = "timestamp", suffix: str = "csv", **more: list[Any]) -> Path:
    """Write a table of which the times are those of :data:`MOMENTS`, in the order :data:`ORDER`."""
    table = pl.DataFrame({"click": labels(), "user_id": [i % 7 for i in range(ROWS)],
                          "item_id": [f"it{i % 5}" for i in range(ROWS)], name: pl.Series(times, strict=False), **more})
    path = folder / f"clicks.{suffix}"
    table = table[ORDER]
    table.write_csv(path, separator=";") if suffix == "csv" else table.write_parquet(path)
    return path


def prepared(path: Path, on_bad_row: str = "fail") -> Any:
    return Table(raw="none", encoded=path.parent / "encoded", source=path.with_suffix(".yaml"),
                 on_bad_row=on_bad_row).prepare()  # type: ignore[arg-type]


def assert_true_split(path: Path, **infers: Any) -> str:
    """Check that the last tenth in time tests and the one before it validates; return the description."""
    text = infer(str(path), "click", overwrite=True, **infers).read_text()
    assert "type: time" in text, text
    encoded = prepared(path)
    assert {name: len(rows) for name, rows in encoded.splits.items()} == {"train": 80, "valid": 10, "test": 10}
    label = encoded.columns["label"]
    assert label[list(encoded.splits["test"])].tolist() == [1] * 10
    assert label[list(encoded.splits["valid"])].tolist() == [0] * 10
    return text


def seconds(scale: int) -> Callable[[datetime], str]:
    return lambda moment: str(int(moment.timestamp()) * scale)


EAST = timezone(timedelta(hours=5, minutes=30))
FORMATS: dict[str, Callable[[datetime], str]] = {
    "iso": lambda m: m.strftime("%Y-%m-%d %H:%M:%S"),
    "iso T Z": lambda m: m.strftime("%Y-%m-%dT%H:%M:%SZ"),
    "iso offset": lambda m: m.astimezone(EAST).isoformat(),
    "iso short offset": lambda m: m.isoformat()[:-3],
    "iso minutes Z": lambda m: m.strftime("%Y-%m-%dT%H:%MZ"),
    "iso UTC": lambda m: m.strftime("%Y-%m-%d %H:%M:%S UTC"),
    "iso GMT": lambda m: m.strftime("%Y-%m-%d %H:%M:%S GMT"),
    "fraction": lambda m: m.strftime("%Y-%m-%d %H:%M:%S.%f"),
    "fraction UTC": lambda m: m.strftime("%Y-%m-%d %H:%M:%S.123 UTC"),
    "date": lambda m: m.strftime("%Y-%m-%d"),
    "slashes": lambda m: m.strftime("%Y/%m/%d"),
    "points": lambda m: m.strftime("%Y.%m.%d %H:%M"),
    "unpadded": lambda m: f"{m.year}-{m.month}-{m.day} {m.hour}:{m:%M}",
    "digits 8": lambda m: m.strftime("%Y%m%d"),
    "digits 10": lambda m: m.strftime("%Y%m%d%H"),
    "digits 14": lambda m: m.strftime("%Y%m%d%H%M%S"),
    "basic": lambda m: m.strftime("%Y%m%dT%H%M%SZ"),
    "day first": lambda m: m.strftime("%d/%m/%Y %H:%M"),
    "day first date": lambda m: m.strftime("%d/%m/%Y"),
    "month first": lambda m: m.strftime("%m/%d/%Y %H:%M"),
    "month first date": lambda m: m.strftime("%m/%d/%Y"),
    "day first points": lambda m: m.strftime("%d.%m.%Y"),
    "day first dashes": lambda m: m.strftime("%d-%m-%Y %H:%M:%S"),
    "unpadded day": lambda m: f"{m.day}/{m.month}/{m.year}",
    "half day": lambda m: m.strftime("%m/%d/%Y %I:%M %p"),
    "half day, small": lambda m: m.strftime("%d.%m.%Y %I:%M%p").lower(),
    "half day, unpadded": lambda m: f"{m.month}/{m.day}/{m.year} {(m.hour - 1) % 12 + 1}:{m:%M:%S %p}",
    "month name": lambda m: m.strftime("%b %d, %Y"),
    "month name last": lambda m: m.strftime("%d %b %Y"),
    "month name, time": lambda m: m.strftime("%d-%b-%Y %H:%M:%S"),
    "long": lambda m: m.strftime("%A, %B %d, %Y"),
    "long, time": lambda m: m.strftime("%B %d, %Y at %I:%M %p"),
    "RFC 2822": lambda m: format_datetime(m.astimezone(EAST)),
    "RFC 7231": lambda m: m.strftime("%a, %d %b %Y %H:%M:%S GMT"),
    "ctime": lambda m: m.ctime(),
    "log": lambda m: m.strftime("%d/%b/%Y:%H:%M:%S +0000"),
    "Chinese": lambda m: f"{m.year}年{m.month}月{m.day}日",
    "two digits, month first": lambda m: m.strftime("%m/%d/%y"),
    "blanks around": lambda m: f" {m:%d/%m/%Y} ",
    "seconds": seconds(1),
    "milliseconds": seconds(10**3),
    "microseconds": seconds(10**6),
    "nanoseconds": seconds(10**9),
    "float": lambda m: f"{m.timestamp()}",
    "float fraction": lambda m: f"{m.timestamp():.0f}.25",
    "exponent": lambda m: f"{m.timestamp():.9e}",
    "mixed spellings": lambda m: (
        m.strftime("%Y-%m-%d") if m.day % 3 else m.strftime("%d %B %Y %H:%M") if m.day % 2 else m.strftime("%d.%m.%Y")),
    "some zoned": lambda m: m.isoformat() if m.day % 2 else m.strftime("%Y-%m-%d %H:%M:%S")}


@pytest.mark.parametrize("spelling", FORMATS)
def test_every_spelling_splits_by_the_true_time(spelling: str, tmp_path: Path) -> None:
    suffix = "parquet" if len(spelling) % 2 else "csv"
    text = assert_true_split(write(tmp_path, [FORMATS[spelling](m) for m in MOMENTS], suffix=suffix))
    for words, order in (("day first", "day_first"), ("month first", "month_first")):
        assert (f"time_format: {order}" in text) or not spelling.startswith(words)


@pytest.mark.parametrize("stored", [
    MOMENTS, [m.replace(tzinfo=None) for m in MOMENTS], [m.date() for m in MOMENTS],
    pl.Series(MOMENTS).dt.convert_time_zone("Asia/Tokyo"), pl.Series(MOMENTS).dt.cast_time_unit("ns"),
    [int(m.timestamp()) for m in MOMENTS], [m.timestamp() + 0.5 for m in MOMENTS]])
def test_every_stored_type_splits_by_the_true_time(stored: Any, tmp_path: Path) -> None:
    assert_true_split(write(tmp_path, stored, suffix="parquet"))


def refused(folder: Path, expected: list[str], times: list[Any], suffix: str = "csv", **infers: Any) -> None:
    """Check that a column of times is refused, by ``infer`` or by ``prepare``, in words that hold ``expected``."""
    path = write(folder, times, suffix=suffix)
    with pytest.raises(AmeirError) as caught:
        infer(str(path), "click", overwrite=True, **infers)
        prepared(path)
    assert all(words in str(caught.value) for words in expected), str(caught.value)


EARLY = [datetime(2020, 1 + i % 12, 1 + i // 12, tzinfo=UTC) for i in range(ROWS)]
"""Days up to the ninth: their numbers do not tell day from month."""
PLAIN = [m.strftime("%d/%m/%Y") for m in MOMENTS]


@pytest.mark.bad_input
@pytest.mark.parametrize(("times", "expected"), [
    ([m.strftime("%d/%m/%Y") for m in EARLY], ["time_format: day_first` or `time_format: month_first"]),
    ([m.strftime("%m-%d-%Y 10:00") for m in EARLY], ["time_format: day_first` or `time_format: month_first"]),
    ([m.strftime("%d/%m/%y %H:%M") for m in MOMENTS], ["day_first` or `time_format: year_first", "four digits"]),
    ([m.strftime("%y-%m-%d") for m in MOMENTS], ["day_first` or `time_format: year_first", "four digits"]),
    ([m.strftime("%d-%b-%y") for m in MOMENTS], ["day_first` or `time_format: year_first"]),
    ([*PLAIN[:-4], *(m.strftime("%m/%d/%Y") for m in MOMENTS[-4:])],
     ["different orders", "with the day first", "'10/22/2020' (clicks.", "with the month first"]),
    ([int(m.timestamp()) * (1000 if i % 9 == 0 else 1) for i, m in enumerate(MOMENTS)],
     ["different units", "seconds", "12 milliseconds", "time_format: seconds"]),
    ([int(m.strftime("%Y%m%d" if i % 2 else "%Y%m%d%H%M%S")) for i, m in enumerate(MOMENTS)], ["different lengths"]),
    ([int(m.strftime("%d%m%Y")) for m in MOMENTS], ["the year last", "%d%m%Y"]),
    ([f"{m:%d%m%y}" for m in MOMENTS], ["six digits", "%d%m%y"]),
    ([int(m.timestamp()) if i != 7 else 0 for i, m in enumerate(MOMENTS)], ["found '0'", "from 1973 to 2099"]),
    ([int(m.timestamp()) if i != 7 else -1 for i, m in enumerate(MOMENTS)], ["found '-1'", "from 1973 to 2099"]),
    ([m.isoformat() if i != 7 else "1970-01-01" for i, m in enumerate(MOMENTS)], ["found '1970-01-01'"]),
    ([m.isoformat() if i != 7 else "9999-12-31T00:00:00Z" for i, m in enumerate(MOMENTS)], ["found '9999-12-31"]),
    ([m.isoformat() if i != 7 else "soon" for i, m in enumerate(MOMENTS)], ["found 'soon'", "column 'timestamp'"]),
    ([m.isoformat() if i != 7 else None for i, m in enumerate(MOMENTS)], ["found nothing", "on_bad_row=skip"]),
    ([m.isoformat() if i != 7 else "2020-02-30" for i, m in enumerate(MOMENTS)], ["found '2020-02-30'"]),
    ([*PLAIN[:7], "31/02/2020", *PLAIN[8:]], ["found '31/02/2020'", "the day first"])])
def test_what_cannot_be_told_is_refused_by_name(times: list[Any], expected: list[str], tmp_path: Path) -> None:
    refused(tmp_path, expected, times, "parquet" if len(expected[0]) % 2 else "csv")


@pytest.mark.parametrize(("pattern", "time_format"), [
    ("%d/%m/%y %H:%M", "day_first"), ("%y/%m/%d", "year_first"), ("%d.%m.%y", "%d.%m.%y"),
    ("%H:%M %d|%m|%Y", "%H:%M %d|%m|%Y"), ("%d%m%Y", "%d%m%Y"), ("%y%m%d", "number")])
def test_the_user_says_how_times_are_written(pattern: str, time_format: str, tmp_path: Path) -> None:
    times = [m.strftime(pattern) for m in MOMENTS]
    text = assert_true_split(write(tmp_path, times), time="timestamp", time_format=time_format)
    assert "time_format: " in text
    with pytest.raises(AmeirError, match=r"found .* was expected|cannot be the time"):
        infer(str(tmp_path / "clicks.csv"), "click", overwrite=True, time="timestamp", time_format="%Y, %d of %B")
        prepared(tmp_path / "clicks.csv")


def test_days_that_read_alike_in_both_orders_are_not_in_doubt(tmp_path: Path) -> None:
    days = [datetime(2016 + i // 12, 1 + i % 12, 1 + i % 12, tzinfo=UTC) for i in range(ROWS)]
    assert_true_split(write(tmp_path, [m.strftime("%d/%m/%Y") for m in days]))
