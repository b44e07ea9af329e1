"""What tables of a user's own store in unusual ways: read as meant, or refused by the name of the column."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from ameir_pl.data.bad_rows import LINE, BadRows
from ameir_pl.data.infer import infer_description
from ameir_pl.data.table_times import MICRO, Clock
from ameir_pl.errors import AmeirError
from tests.data.test_table import columns, histories
from tests.data.test_table_bad_input import GOOD, PAST, ROWS, good, load, refused

PARQUET = GOOD.replace("a.csv", "a.parquet")
NOON = 1_706_702_400
"""2024-01-31 12:00:00, a Wednesday, in seconds since 1970."""


def stored(folder: Path, **changed: Any) -> None:
    """Write the good rows as Parquet with changed columns."""
    good().with_columns(**changed).write_parquet(folder / "a.parquet")


@pytest.mark.parametrize("per_second", [1, 1e3, 1e6])
@pytest.mark.parametrize("kind", [pl.Float64, pl.String, pl.Decimal(20, 1)])
def test_fractions_of_every_unit(per_second: float, kind: Any) -> None:
    times = [int((NOON + hour * 3600) * per_second) for hour in range(12)]
    text = pl.Series([f"{t}.5" for t in times[:6]] + [f"{t}" for t in times[6:]])
    decimal = text.str.to_decimal(scale=1)
    values = {pl.String: text, pl.Float64: text.cast(pl.Float64)}.get(kind, decimal)
    clock = Clock.of(values)
    assert (clock.form, clock.second) == ("fraction", per_second)
    table = pl.DataFrame({LINE: range(12), "t": values})
    read = clock.read(table, "t", BadRows("fail", ""), Path(), "read")["read"]
    assert read.diff().drop_nulls().min() > 0
    assert clock.part(read, "hour").to_list() == list(range(12, 24))
    assert set(clock.part(read, "weekday")) == {2}
    whole = Clock.of(pl.Series(times))
    assert whole.joint(clock, "a", "b") == clock.joint(whole, "a", "b") == clock
    with pytest.raises(AmeirError, match="different units"):
        clock.joint(Clock("whole", 10**9), "a", "b")


def test_dates_need_no_scale() -> None:
    clock = Clock("date", MICRO)
    assert clock.part(pl.Series([NOON * MICRO]), "hour").to_list() == [12]


@pytest.mark.parametrize("times", [
    ["20240131", "20240201"], ["2024013112", "2024013123"], ["20240131235959"] * 2, [20240131, 20240201],
    [20240131.0, 20240201.0], ["1000", "2000"], ["0", "99999999"]])
@pytest.mark.parametrize("part", ["hour", "weekday"])
def test_numbers_that_do_not_count_since_1970_have_no_hour(times: list[Any], part: str, tmp_path: Path) -> None:
    good().with_columns(t=pl.Series(times * (ROWS // 2))).sort("t").write_csv(tmp_path / "a.csv")
    assert len(load(tmp_path)) == ROWS, "a time to split by"
    for folder in (tmp_path / "encoded").glob("table-*"):
        folder.rename(tmp_path / folder.name)
    text = GOOD.replace("fields:", f"fields:\n  - {{name: p, from: t, part: {part}}}")
    refused(tmp_path, ["a.csv, column 't'", f"'{times[0]}'", "no time since 1970", "fields[1]", "2024-01-31 23:59:59"],
            text)
    if not isinstance(times[0], float):
        written = infer_description(str(tmp_path / "a.csv"), "click", tmp_path / "b.yaml").text
        assert "part:" not in written and "taken for seconds" not in written


def test_dates_as_numbers_and_seconds_are_not_compared(tmp_path: Path) -> None:
    good().with_columns(t=pl.lit(20240131)).write_csv(tmp_path / "a.csv")
    good().with_columns(t=pl.lit(NOON)).write_csv(tmp_path / "e.csv")
    refused(tmp_path, ["different units", "dates of 8 digits", "seconds"], GOOD + PAST)


def test_a_decimal_is_no_whole_number(tmp_path: Path) -> None:
    halves = [Decimal("2.5") if i == 4 else Decimal(i % 5) for i in range(ROWS)]
    stored(tmp_path, user=pl.Series(halves))
    refused(tmp_path, ["a.parquet, row 5, column 'user'", "'2.5'", "a whole number"], PARQUET)
    stored(tmp_path, user=pl.Series([Decimal(i % 5) for i in range(ROWS)]).cast(pl.Decimal(20, 2)))
    assert list(load(tmp_path, PARQUET).vocabulary("user")) == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize("there", ["3.0", Decimal("3.00"), 3.0])
@pytest.mark.parametrize("here", ["3", "3.0", Decimal("3.00"), 3.0, 3])
def test_keys_with_and_without_zeros_are_the_same(here: Any, there: Any, tmp_path: Path) -> None:
    rows = good().with_columns(user=pl.Series([here] * ROWS), shop_id=pl.Series([here] * ROWS))
    rows.write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"user": [there], "t": [7], "item": ["i1"]}).write_parquet(tmp_path / "e.parquet")
    pl.DataFrame({"shop_id": [there], "town": ["Rome"]}).write_parquet(tmp_path / "s.parquet")
    text = (PARQUET + PAST.replace("e.csv", "e.parquet")).replace(
        "fields:\n", "join: [{input: s.parquet, on: shop_id}]\nfields:\n  - {name: town}\n", 1)
    encoded = load(tmp_path, text)
    assert set(columns(encoded)["town"]) == {"Rome"} and histories(encoded, "item") == [["i1"]] * ROWS


@pytest.mark.parametrize("name", ["@made/item", "@made/price", "@key/1", "@time value"])
def test_reserved_names_of_columns(name: str, tmp_path: Path) -> None:
    good().rename({"item": name}).write_csv(tmp_path / "a.csv")
    refused(tmp_path, ["a.csv", f"'{name}'", "reserved", "Rename it"],
            GOOD.replace("name: item,", f"name: item, from: '{name}',"))
    text = infer_description(str(tmp_path / "a.csv"), "click", tmp_path / "b.yaml").text
    assert f"# - {{name: '{name}'" in text


@pytest.mark.parametrize("name", ["*", "^.*$", "^t$", "@timestamp", "a.b", "pl.col('t')"])
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_names_of_columns_are_no_expressions(name: str, suffix: str, tmp_path: Path) -> None:
    rows = good().rename({"item": name})
    rows.write_csv(tmp_path / "a.csv") if suffix == "csv" else rows.write_parquet(tmp_path / "a.parquet")
    text = GOOD.replace("a.csv", f"a.{suffix}").replace("name: item,", f"name: item, from: \"{name}\",")
    encoded = load(tmp_path, text)
    assert sorted(columns(encoded)["item"]) == sorted(good()["item"])
    written = infer_description(str(tmp_path / f"a.{suffix}"), "click", tmp_path / "table.yaml").text
    assert load(tmp_path, written)


@pytest.mark.parametrize("name", ["*", "^.*$", "@time"])
def test_reserved_names_of_fields(name: str, tmp_path: Path) -> None:
    good().write_csv(tmp_path / "a.csv")
    refused(tmp_path, ["fields[2]", f"'{name}' is reserved", "from: COLUMN"],
            GOOD.replace("name: item,", f"name: '{name}', from: item,"))


LISTS = pl.Series([[1, 2]] * ROWS)
NESTED = pl.Series([[[1], [2]]] * ROWS)
BYTES = pl.Series([b"\xff\xfe"] * ROWS)


@pytest.mark.bad_input
@pytest.mark.parametrize(("column", "values", "expected"), [
    ("item", LISTS, ["holds lists", "fields[2]", "type: multivalent"]),
    ("price", LISTS, ["holds lists", "fields[4]", "type: multivalent"]),
    ("item", NESTED, ["holds lists", "fields[2]"]),
    ("tags", NESTED, ["holds lists of nested values", "fields[3]"]),
    ("tags", pl.Series([[{"a": 1}]] * ROWS), ["holds lists of nested values"]),
    ("tags", pl.Series([{"a": 1}] * ROWS), ["holds nested values", "lists of plain values"]),
    ("click", LISTS, ["holds lists", "(label)"]),
    ("t", LISTS, ["holds lists", "a time was expected"]),
    ("item", BYTES, ["holds bytes that are not UTF-8", "fields[2]"]),
    ("tags", pl.Series([[b"a", b"\xff"]] * ROWS), ["holds lists of bytes that are not UTF-8"]),
    ("t", BYTES, ["holds bytes that are not UTF-8", "a time was expected"]),
])
def test_types_that_cannot_be_read(column: str, values: pl.Series, expected: list[str], tmp_path: Path) -> None:
    stored(tmp_path, **{column: values})
    refused(tmp_path, [f"a.parquet, column '{column}'", "Correct it, or the description", *expected], PARQUET)
    refused(tmp_path, expected, PARQUET, on_bad_row="skip")


@pytest.mark.parametrize("values", [
    pl.Series([[1, 2]] * ROWS, dtype=pl.Array(pl.Int64, 2)), pl.Series([[b"1", b"2"]] * ROWS),
    pl.Series([["1", "2"]] * ROWS, dtype=pl.List(pl.Categorical)), pl.Series([b"1 2"] * ROWS)])
def test_lists_of_other_types(values: pl.Series, tmp_path: Path) -> None:
    stored(tmp_path, tags=values)
    assert columns(load(tmp_path, PARQUET))["tags"] == [["1", "2"]] * ROWS
    written = infer_description(str(tmp_path / "a.parquet"), "click", tmp_path / "table.yaml").text
    assert "{name: tags, " in written and load(tmp_path, written)


def test_bytes_are_left_out_of_a_guess(tmp_path: Path) -> None:
    stored(tmp_path, tags=pl.Series([[b"a", b"\xff"]] * ROWS), photo=BYTES, nested=NESTED,
           amount=pl.Series([Decimal(i) / 4 for i in range(ROWS)]))
    text = infer_description(str(tmp_path / "a.parquet"), "click", tmp_path / "table.yaml").text
    for name, why in (("tags", "bytes that"), ("photo", "bytes that"), ("nested", "nested values")):
        assert any(line.startswith(f"  # - {{name: {name},") and why in line for line in text.splitlines()), text
    assert "{name: amount, type: dense}" in text
    assert np.isfinite(load(tmp_path, text).columns["dense"]).all()
