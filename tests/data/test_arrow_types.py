"""Every type that Parquet and Arrow have: its values come through, or its column is refused or left out by name."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ameir_pl.data.infer import infer_description
from ameir_pl.errors import AmeirError
from tests.data.test_table import columns
from tests.data.test_table_bad_input import load

ROWS = 120
"""Enough for the guesses that need a hundred rows."""
TEXT = """
input: a.FORM
label: click
split: {type: random}
fields:
  - {name: item}
  - {name: user}
  - {name: x, TYPE}
"""
DAY, NOON = dt.date(2024, 1, 2), dt.datetime(2024, 1, 2, 12)
UTC = NOON.replace(tzinfo=dt.UTC)
WORDS = ["a", "b", None]
LISTS = [["a", "b"], [], None]
PLAIN: list[tuple[pa.DataType, list[Any], list[str]]] = [
    (pa.bool_(), [True, False, None], ["true", "false", ""]), (pa.bool8(), [True, False, None], ["true", "false", ""]),
    *((kind, [1, 7, None], ["1", "7", ""]) for kind in (
        pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32())),
    (pa.uint64(), [2**63 + 5, 1, None], [str(2**63 + 5), "1", ""]),
    (pa.int64(), [2**53 + 1, -1], [str(2**53 + 1), "-1"]),
    *((kind, [1.0, 2.5, None], ["1", "2.5", ""]) for kind in (pa.float16(), pa.float32(), pa.float64())),
    *((kind, [Decimal("1.50"), Decimal("-2.00"), None], ["1.5", "-2", ""]) for kind in (
        pa.decimal32(5, 2), pa.decimal64(10, 2), pa.decimal128(20, 2), pa.decimal256(50, 2))),
    *((kind, WORDS, ["a", "b", ""]) for kind in (
        pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string()),
        pa.dictionary(pa.uint32(), pa.large_string()), pa.run_end_encoded(pa.int32(), pa.string()))),
    *((kind, [b"a", b"b", None], ["a", "b", ""]) for kind in (
        pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(1))),
    (pa.dictionary(pa.int8(), pa.int64()), [1, 7, None], ["1", "7", ""]),
    (pa.dictionary(pa.int8(), pa.decimal256(50, 2)), [Decimal("1.50"), None], ["1.5", ""]),
    (pa.json_(), ['{"a": 1}', None], ['{"a": 1}', ""]),
    (pa.uuid(), [b"0123456789abcdef", None], ["30313233-3435-3637-3839-616263646566", ""]),
    (pa.date32(), [DAY, None], ["2024-01-02", ""]), (pa.date64(), [DAY, None], ["2024-01-02", ""]),
    *((pa.timestamp(unit), [NOON, None], ["2024-01-02 12:00:00", ""]) for unit in ("s", "ms", "us", "ns")),
    (pa.timestamp("us", "UTC"), [UTC, None], ["2024-01-02 12:00:00+00:00", ""]),
    *((kind, [dt.time(1, 2, 3), None], ["01:02:03", ""]) for kind in (
        pa.time32("s"), pa.time64("us"), pa.time64("ns"))),
    *((pa.duration(unit), [dt.timedelta(seconds=90), None], ["90", ""]) for unit in ("s", "ms", "us", "ns")),
    (pa.month_day_nano_interval(), [pa.MonthDayNano([1, 2, 0]), None], ["1 months 2 days", ""]),
    (pa.null(), [None], [""])]
LISTED: list[tuple[pa.DataType, list[Any], list[list[str]]]] = [
    *((kind, LISTS, [["a", "b"], [], []]) for kind in (
        pa.list_(pa.string()), pa.large_list(pa.large_string()), pa.list_view(pa.string()),
        pa.large_list_view(pa.string()), pa.list_(pa.dictionary(pa.int8(), pa.string())))),
    (pa.list_(pa.string(), 2), [["a", "b"], None], [["a", "b"], []]),
    (pa.list_(pa.int64(), 2), [[1, 2], [3, None]], [["1", "2"], ["3"]]),
    *((pa.list_(kind), [[1, 7], [None]], [["1", "7"], []]) for kind in (
        pa.int8(), pa.uint64(), pa.float16(), pa.float64())),
    (pa.list_(pa.float32()), [[1.0, float("nan")], [2.0]], [["1"], ["2"]]),
    (pa.list_(pa.decimal128(20, 2)), [[Decimal("1.00")], None], [["1"], []]),
    (pa.list_(pa.decimal256(50, 2)), [[Decimal("1.00"), None], None, []], [["1"], [], []]),
    (pa.list_(pa.bool_()), [[True, False]], [["true", "false"]]), (pa.list_(pa.binary()), [[b"a"]], [["a"]]),
    (pa.list_(pa.date32()), [[DAY]], [["2024-01-02"]]),
    (pa.list_(pa.timestamp("ms")), [[NOON]], [["2024-01-02 12:00:00"]]),
    (pa.list_(pa.duration("s")), [[dt.timedelta(seconds=90)]], [["90"]]),
    (pa.list_(pa.time64("us")), [[dt.time(1, 2)]], [["01:02:00"]]), (pa.list_(pa.null()), [[None], None], [[], []])]
REFUSED: list[tuple[pa.DataType, list[Any], str]] = [
    (pa.struct([("a", pa.int64())]), [{"a": 1}], "nested values"),
    (pa.map_(pa.string(), pa.int8()), [[("a", 1)]], "nested"),
    (pa.struct([("a", pa.decimal256(50, 2))]), [{"a": Decimal("1.00")}], "nested values"),
    (pa.list_(pa.list_(pa.int8())), [[[1]]], "nested"),
    (pa.list_(pa.struct([("a", pa.int8())])), [[{"a": 1}]], "nested"),
    (pa.list_(pa.list_(pa.float32(), 2), 1), [[[1.0, 2.0]]], "nested"), (pa.binary(), [b"\xff\xfe"], "not UTF-8"),
    (pa.list_(pa.binary()), [[b"\xff"]], "not UTF-8"), (pa.list_(pa.float32()), [[0.5, 1.0]], "vector"),
    (pa.list_(pa.float16(), 2), [[0.5, -1.0]], "vector"), (pa.large_list(pa.float64()), [[0.5], None], "vector")]


def write(folder: Path, kind: pa.DataType, values: list[Any]) -> str:
    """Write a table with a column of a type, as Parquet or, where that has no such type, as Arrow; return which."""
    some = (values * ROWS)[:ROWS]
    if pa.types.is_run_end_encoded(kind):
        column: Any = pa.RunEndEncodedArray.from_arrays(pa.array(range(1, ROWS + 1), kind.run_end_type),
                                                        pa.array(some, kind.value_type))
    elif isinstance(kind, pa.BaseExtensionType):
        column = pa.ExtensionArray.from_storage(kind, pa.array(some if kind != pa.bool8() else [
            None if value is None else int(value) for value in some], kind.storage_type))
    elif pa.types.is_dictionary(kind):
        column = pa.array(some, kind.value_type).dictionary_encode().cast(kind)
    else:
        column = pa.array(some, kind)
    table = pa.table({"click": [i // 6 % 2 for i in range(ROWS)], "item": ["i", "j"] * (ROWS // 2),
                      "user": ["u", "v", "w"] * (ROWS // 3), "x": column})
    try:
        pq.write_table(table, folder / "a.parquet")
        return "parquet"
    except pa.ArrowNotImplementedError:
        with pa.ipc.new_file(folder / "a.arrow", table.schema) as file:
            file.write_table(table)
        return "arrow"


def guessed(folder: Path, form: str) -> str:
    """The line of the column in a guessed description, which loads."""
    text = infer_description(str(folder / f"a.{form}"), "click", folder / "guess.yaml", time="none").text
    if "  - {name: x" in text:
        load(folder, text)
    return next(line for line in text.splitlines() if "name: x" in line)


def kind_name(value: Any) -> str:
    return str(value) if isinstance(value, pa.DataType) else ""


@pytest.mark.parametrize(("kind", "values", "words"), PLAIN, ids=kind_name)
def test_single_values(kind: pa.DataType, values: list[Any], words: list[str], tmp_path: Path) -> None:
    form = write(tmp_path, kind, values)
    encoded = load(tmp_path, TEXT.replace("FORM", form).replace("TYPE", "type: categorical"))
    assert sorted(columns(encoded)["x"]) == sorted((words * ROWS)[:ROWS])
    assert guessed(tmp_path, form)


@pytest.mark.parametrize(("kind", "values", "words"), LISTED, ids=kind_name)
def test_lists(kind: pa.DataType, values: list[Any], words: list[list[str]], tmp_path: Path) -> None:
    form = write(tmp_path, kind, values)
    encoded = load(tmp_path, TEXT.replace("FORM", form).replace("TYPE", "type: multivalent"))
    assert sorted(columns(encoded)["x"] if encoded.schema.fields[2].width > 1 else [
        [word] if word else [] for word in columns(encoded)["x"]]) == sorted((words * ROWS)[:ROWS])
    assert guessed(tmp_path, form)


@pytest.mark.bad_input
@pytest.mark.parametrize(("kind", "values", "why"), REFUSED, ids=kind_name)
def test_what_is_refused_by_name(kind: pa.DataType, values: list[Any], why: str, tmp_path: Path) -> None:
    form = write(tmp_path, kind, values)
    for described in ("type: multivalent", "type: categorical", "type: dense"):
        with pytest.raises(AmeirError, match=f"a.{form}, column 'x'") as caught:
            load(tmp_path, TEXT.replace("FORM", form).replace("TYPE", described))
        assert described != "type: multivalent" or why in str(caught.value)
    line = guessed(tmp_path, form)
    assert line.startswith("  # - {") and why in line


@pytest.mark.parametrize(("kind", "values", "dense"), [
    (pa.duration("ms"), [dt.timedelta(seconds=i, milliseconds=500) for i in range(ROWS)], "a duration, in seconds"),
    (pa.float64(), [float("inf"), float("-inf"), *(i / 4 for i in range(ROWS - 2))], "missing: [inf, -inf]"),
    (pa.float64(), [None, float("nan"), *(i / 4 for i in range(ROWS - 2))], "type: dense"),
    (pa.float16(), [i / 4 for i in range(ROWS)], "type: dense"),
    (pa.decimal256(50, 2), [Decimal(i) / 4 for i in range(ROWS)], "type: dense")])
def test_numbers_that_are_dense(kind: pa.DataType, values: list[Any], dense: str, tmp_path: Path) -> None:
    form = write(tmp_path, kind, values)
    line = guessed(tmp_path, form)
    assert line.startswith("  - {name: x, type: dense") and dense in line, line


@pytest.mark.bad_input
@pytest.mark.parametrize(("kind", "values"), [(pa.time64("us"), [dt.time(i % 24, i % 60) for i in range(ROWS)]),
                                              (pa.duration("s"), [dt.timedelta(seconds=i) for i in range(ROWS)])])
def test_what_is_no_time_of_a_row(kind: pa.DataType, values: list[Any], tmp_path: Path) -> None:
    form = write(tmp_path, kind, values)
    with pytest.raises(AmeirError, match=f"a.{form}.*'x'"):
        load(tmp_path, TEXT.replace("FORM", form).replace("type: random", "type: time, column: x").replace(
            "  - {name: x, TYPE}\n", ""))
    text = infer_description(str(tmp_path / f"a.{form}"), "click", tmp_path / "guess.yaml").text
    assert "\ntime: x" not in text


@pytest.mark.bad_input
@pytest.mark.parametrize(("value", "hint"), [(float("inf"), "missing: [inf]"), (float("nan"), "missing: [nan]")])
def test_numbers_that_are_none_are_bad_rows(value: float, hint: str, tmp_path: Path) -> None:
    form = write(tmp_path, pa.float64(), [value, *(float(i) for i in range(ROWS - 1))])
    text = TEXT.replace("FORM", form)
    with pytest.raises(AmeirError, match="a.parquet, row 1, column 'x'") as caught:
        load(tmp_path, text.replace("TYPE", "type: dense"))
    assert hint in str(caught.value)
    assert (load(tmp_path, text.replace("TYPE", f"type: dense, {hint}")).columns["dense"] == -1).sum() == 1
