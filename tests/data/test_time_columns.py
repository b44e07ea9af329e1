"""Which column is the time: what is taken, and what is said of columns that look like one and are not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ameir_pl.cli.infer import infer
from ameir_pl.data.bad_rows import BadRows
from ameir_pl.data.ratings import read_ratings
from ameir_pl.data.table import Table
from ameir_pl.errors import AmeirError

ROWS = 120
MOMENTS = [datetime(2020, 1, 5, tzinfo=UTC) + timedelta(days=i, minutes=37 * i) for i in range(ROWS)]
ISO = [m.isoformat() for m in MOMENTS]
SECONDS = [int(m.timestamp()) for m in MOMENTS]
DAYS = [m.strftime("%Y-%m-%d") for m in MOMENTS]


def write(folder: Path, suffix: str = "csv", **columns: Any) -> Path:
    table = pl.DataFrame({"click": [i % 2 for i in range(ROWS)], "user_id": [i // 2 % 7 for i in range(ROWS)],
                          "item_id": [f"it{i // 2 % 5}" for i in range(ROWS)]})
    table = table.with_columns(pl.Series(name, values, strict=False) for name, values in columns.items())
    path = folder / f"a.{suffix}"
    table.write_csv(path) if suffix == "csv" else table.write_parquet(path)
    return path


def guessed(path: Path, capsys: pytest.CaptureFixture[str], **infers: Any) -> tuple[str, str]:
    """The description and what the console says."""
    text = infer(str(path), "click", overwrite=True, **infers).read_text()
    return text, capsys.readouterr().out


@pytest.mark.parametrize(("columns", "reason"), [
    ({"hour": [i % 24 for i in range(ROWS)]}, "hour: looks like a time and was not taken: numbers from 0 to 23"),
    ({"time": [i % 24 for i in range(ROWS)]}, "numbers from 0 to 23"),
    ({"time": [m.strftime("%H:%M:%S") for m in MOMENTS]}, "times of day or durations, such as '00:00:00' (a."),
    ({"time": [m.time() for m in MOMENTS]}, "times of day or durations"),
    ({"dwell_time": [timedelta(seconds=i) for i in range(ROWS)]}, "times of day or durations"),
    ({"release_date": DAYS}, "not when a row was"), ({"birth_date": [m.date() for m in MOMENTS]}, "not when a row was"),
    ({"click_time": [None if i % 2 else text for i, text in enumerate(ISO)]}, "50 % of the rows have none"),
    ({"event_time": [f"{m:%Y-%m-%d %H:%M:%S} EST" for m in MOMENTS]}, "' (a."),
    ({"dt": ["morning" if i % 3 else "evening" for i in range(ROWS)]}, "in no form of date or time that is read"),
    ({"timestamp": [SECONDS[0]] * ROWS}, "the same value in every row"),
    ({"timestamp": [text if i % 2 else str(SECONDS[i]) for i, text in enumerate(ISO)]}, "60 rows have no time"),
    ({"created_at": [i * 7 for i in range(ROWS)]}, "time=created_at time_format=number takes them"),
    ({"时间": ["早上" if i % 3 else "晚上" for i in range(ROWS)]}, "时间: looks like a time")])
def test_a_column_that_looks_like_a_time_and_is_not_taken_is_said(
        columns: dict[str, list[Any]], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, said = guessed(write(tmp_path, "parquet", **columns), capsys)
    for place in (text, said):
        assert "looks like a time and was not taken" in place and reason in place, place
    assert "split: at random, because no column of time was found" in said
    assert "type: random" in text


@pytest.mark.parametrize(("columns", "taken"), [
    ({"release_date": ISO, "timestamp": SECONDS}, "timestamp"), ({"date": DAYS, "ts": SECONDS}, "ts"),
    ({"birth_date": DAYS, "created_at": SECONDS}, "created_at"), ({"updated_at": ISO, "created_at": ISO}, "created_at"),
    ({"hour": [i % 24 for i in range(ROWS)], "day": DAYS}, "day"),
    ({"日期": [f"{m:%Y年%m月%d日}" for m in MOMENTS]}, "日期"),
    ({"seen": [f"{m:%d %B %Y}" for m in MOMENTS]}, "seen"),
    ({"eventTime": ISO, "time": list(range(ROWS))}, "eventTime"),
    ({"video_time": SECONDS, "logged": ISO}, "logged"), ({"when": [m.date() for m in MOMENTS]}, "when"),
    ({"date": [f"{m:%d/%m/%Y}" for m in MOMENTS], "time": [f"{m:%H:%M}" for m in MOMENTS]}, "date"),
    ({"date": ["01/02/2020"] * 60 + ["02/01/2020"] * 60, "ts": SECONDS}, "ts")])
def test_the_likeliest_column_is_taken_and_the_others_are_said(
        columns: dict[str, list[Any]], taken: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, said = guessed(write(tmp_path, **columns), capsys)
    assert f"\ntime: {taken}" in text and f"{taken}: time (" in said
    for other in set(columns) - {taken}:
        assert f"  {other}: looks like a time and was not taken: " in said


def test_versions_are_no_dates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, said = guessed(write(tmp_path, version=[f"1.{i % 12 + 1}.{i % 7 + 20}" for i in range(ROWS)]), capsys)
    assert "looks like a time" not in said and "name: version" in text


@pytest.mark.parametrize(("gap", "times"), [("", ISO), ("N/A", SECONDS), ("unknown", ISO), ("0", SECONDS),
                                            ("0000-00-00", ISO), ("-", SECONDS)])
def test_one_time_that_is_none_leaves_the_column_the_time(
        gap: str, times: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, ts=[gap if i == 7 else str(time) for i, time in enumerate(times)])
    text, said = guessed(path, capsys)
    assert "type: time" in text and "1 of 120 rows have no time that can be used" in said
    assert "(a.csv, line 9)" in said and "dataset.on_bad_row=skip" in said
    for policy in ("fail", "skip"):
        table = Table(raw="none", encoded=tmp_path / "encoded", source=path.with_suffix(".yaml"),
                      on_bad_row=policy)  # type: ignore[arg-type]
        if policy == "skip":
            assert len(table.prepare()) == ROWS - 1
            continue
        with pytest.raises(AmeirError, match=r"a\.csv, line 9, column 'ts'"):
            table.prepare()


def test_rows_behind_the_sample_tell_the_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                               capsys: pytest.CaptureFixture[str]) -> None:
    days = [datetime(2010 + i // 9, 1 + i % 9, 1 + i // 9 % 12, tzinfo=UTC) for i in range(ROWS - 1)]
    times = [f"{day:%d/%m/%Y}" for day in days]
    monkeypatch.setattr("ameir_pl.data.column_facts.look.__defaults__", (60,))
    monkeypatch.setattr("ameir_pl.data.table_sources.BLOCK", 1000)
    text, _ = guessed(write(tmp_path, date=[*times, "31/12/2030"]), capsys)
    assert "time_format: day_first" in text
    text, _ = guessed(write(tmp_path, date=[*times, "12/31/2030"]), capsys)
    assert "time_format: month_first" in text
    with pytest.raises(AmeirError, match="time_format=…"):
        infer(str(tmp_path / "a.csv"), "click", overwrite=True) if write(tmp_path, date=[*times, times[0]]) else None


@pytest.mark.parametrize(("infers", "words"), [
    ({"time": "timestmp"}, "Did you mean 'timestamp'"), ({"time_format": "dayfirst"}, "Did you mean 'day_first'"),
    ({"time_format": "%d/%m"}, "a date needs a day and a year"), ({"time_format": "%Y %Z"}, "write offsets"),
    ({"time": "item_id"}, "120 rows have no time"), ({"time": "half"}, "50 % of the rows have none")])
@pytest.mark.bad_input
def test_a_choice_of_the_user_that_is_no_time_is_refused(infers: dict[str, str], words: str, tmp_path: Path) -> None:
    path = write(tmp_path, timestamp=ISO, half=[None if i % 2 else text for i, text in enumerate(ISO)])
    with pytest.raises(AmeirError) as caught:
        infer(str(path), "click", **infers)
    assert words in str(caught.value)


def test_the_user_may_take_any_column_or_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, timestamp=ISO, step=list(range(ROWS)))
    text, said = guessed(path, capsys, time="step")
    assert "\ntime: step" in text and "timestamp: looks like a time and was not taken: 'step' was taken" in said
    text, said = guessed(path, capsys, time="none")
    assert "type: random" in text and "split: at random, as time=none says" in said


def test_rows_and_events_may_spell_times_otherwise(tmp_path: Path) -> None:
    write(tmp_path, t=[f"{m:%d/%m/%Y %H:%M}" for m in MOMENTS])
    events = pl.DataFrame({"user_id": [i // 2 % 7 for i in range(ROWS)], "item_id": [f"it{i % 5}" for i in range(ROWS)],
                           "at": [f"{m - timedelta(minutes=1):%b %d, %Y %I:%M %p}" for m in MOMENTS]})
    events.write_csv(tmp_path / "e.csv", separator=";")
    (tmp_path / "a.yaml").write_text("""
input: a.csv
label: click
user: user_id
time: t
fields: [{name: user_id, dtype: int}, {name: item_id}]
behaviors: {max_len: 300, input: e.csv, time: at, fields: [{name: item_id}]}
""")
    encoded = Table(raw="none", encoded=tmp_path / "encoded", source=tmp_path / "a.yaml").prepare()
    lengths = encoded.columns["end"] - encoded.columns["begin"]
    who = [i // 2 % 7 for i in range(ROWS)]
    assert lengths.tolist() == [who[:i + 1].count(who[i]) for i in range(ROWS)]


def test_next_items_go_by_the_true_time(tmp_path: Path) -> None:
    rows = [(u, f"i{u * 13 + k}", MOMENTS[k * 9 * (u + 1) % 119]) for u in range(10) for k in range(13)]
    pl.DataFrame([(u, i, f"{m:%m/%d/%Y}") for u, i, m in rows], schema=["user", "item", "t"], orient="row").write_csv(
        tmp_path / "r.csv")
    (tmp_path / "r.yaml").write_text("task: retrieval\ninput: r.csv\nuser: user\nitem: item\ntime: t\n"
                                     "behaviors: {max_len: 50}\n")
    table = Table(raw="none", encoded=tmp_path / "encoded", source=tmp_path / "r.yaml")
    encoded = table.prepare()
    known, stop = {i: word for word, i in encoded.vocabulary("item").items()}, encoded.columns["stop"]
    last = [known[int(encoded.columns["values"][stop[r] - 1, 0])] for r in encoded.splits["test"]]
    assert sorted(last) == sorted(max((m, i) for v, i, m in rows if v == u)[1] for u in range(10))


def test_no_time_and_no_split_is_said_when_encoding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, hour=[i % 24 for i in range(ROWS)], day=DAYS)
    (tmp_path / "a.yaml").write_text("input: a.csv\nlabel: click\nfields: [{name: user_id}, {name: item_id}]\n")
    Table(raw="none", encoded=tmp_path / "encoded", source=tmp_path / "a.yaml").prepare()
    said = capsys.readouterr().err.replace("\n", " ")
    assert "random split" in said and "has neither `split` nor `time`" in said
    (tmp_path / "a.yaml").write_text("input: a.csv\nlabel: click\ntime: day\nfields: [{name: user_id}, "
                                     "{name: item_id}, {name: hour, from: day, part: hour}]\n")
    encoded = Table(raw="none", encoded=tmp_path / "encoded", source=tmp_path / "a.yaml").prepare()
    assert encoded.manifest["notes"]["hour"] == "0 in every row: 'day' has no time of day"


@pytest.mark.parametrize("spelling", ["%d/%m/%Y", "%Y-%m-%dT%H:%M:%SZ", "%b %d, %Y"])
def test_a_file_of_ratings_may_have_dates(spelling: str, tmp_path: Path) -> None:
    lines = [f"u{i % 4},b{i % 9},5,{m.strftime(spelling)}" if "," not in spelling else
             f'u{i % 4},b{i % 9},5,"{m.strftime(spelling)}"' for i, m in enumerate(MOMENTS)]
    path = tmp_path / "r.csv"
    path.write_text("\n".join(["user,item,rating,timestamp", *lines[60:], *lines[:60]]) + "\n")
    table = read_ratings(path, ",", BadRows("fail", ""))
    truth = {f"u{i % 4} b{i % 9} {i}" for i in range(ROWS)}
    order = table.sort("time").with_row_index("at").select(pl.concat_str("user", "item", "at", separator=" "))
    assert set(order.to_series()) == truth


@pytest.mark.bad_input
def test_ratings_of_two_units_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("user,item,rating,timestamp\n" + "".join(
        f"u{i % 4},b{i % 9},5,{second * (1000 if i % 9 == 0 else 1)}\n" for i, second in enumerate(SECONDS)))
    with pytest.raises(AmeirError, match="different units: 106 seconds, .* 14 milliseconds"):
        read_ratings(path, ",", BadRows("fail", ""))


def test_times_that_32_bits_round_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = pl.DataFrame({"click": [i % 2 for i in range(60)], "user_id": [i // 2 % 7 for i in range(60)],
                          "item_id": [i // 2 % 5 for i in range(60)],
                          "ts": pl.Series([1_600_000_000 + 900 * i for i in range(60)], dtype=pl.Float32)})
    table.write_parquet(tmp_path / "t.parquet")
    text, said = guessed(tmp_path / "t.parquet", capsys)
    assert "stored with 32 bits" in said and "ts" in text
    encoded = Table(raw=tmp_path, encoded=tmp_path / "encoded", source=str(tmp_path / "t.yaml")).prepare()
    assert "stored with 32 bits" in encoded.manifest["notes"]["times"]
    table.with_columns(pl.col("ts").cast(pl.Float64)).write_parquet(tmp_path / "t.parquet")
    assert "32 bits" not in guessed(tmp_path / "t.parquet", capsys)[1]
