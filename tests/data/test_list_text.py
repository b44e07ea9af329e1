"""Lists in brackets written as text: read as what wrote them meant, or found damaged, and never cut at a comma."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from ameir_pl.data.list_text import bracketed, form_of, parse
from tests.data.test_table import columns, histories
from tests.data.test_table_bad_input import ROWS, load, refused

LISTS = [["a", "b"], [], ["it's", 'say "x"'], ["a, b", "[c]"], ["é", "\\", "tab\t"], ["x" * 30]]
TEXT = """
input: a.FORM
label: click
split: {type: random}
fields:
  - {name: item}
  - {name: tags, type: multivalent, SPLITTER}
"""
PAST = TEXT.replace("name: tags, type: multivalent, SPLITTER", "name: user") + """
behaviors: {fields: [{name: tags, SPLITTER}]}
"""


def write(folder: Path, cells: list[Any], form: str = "csv") -> None:
    rows = pl.DataFrame({"click": [i % 2 for i in range(ROWS)], "item": ["a", "b"] * (ROWS // 2),
                         "user": ["u", "v", "w"] * (ROWS // 3), "tags": (cells * ROWS)[:ROWS]})
    rows.write_csv(folder / "a.csv") if form == "csv" else rows.write_parquet(folder / "a.parquet")


def text(splitter: str, form: str = "csv", base: str = TEXT) -> str:
    return base.replace("FORM", form).replace("SPLITTER", splitter)


@pytest.mark.parametrize("write_list", [json.dumps, repr, lambda v: json.dumps(v, ensure_ascii=False),
                                        lambda v: repr(tuple(v)), lambda v: repr(np.array(v or [""])[:len(v)])])
def test_what_a_programme_writes_is_read_again(write_list: Any) -> None:
    cells = pl.Series([write_list(value) for value in LISTS] + [None])
    read, wrong = parse(cells, form_of(cells))
    assert read.to_list() == [*LISTS, None] and not wrong.any()
    assert bracketed(cells).to_list() == [True] * len(LISTS) + [None]


@pytest.mark.parametrize(("cell", "expected"), [
    ("[1, 2]", ["1", "2"]), ("[1 2 3]", ["1", "2", "3"]), ("[ 1\n 2]", ["1", "2"]), ("['a' 'b']", ["a", "b"]),
    ("array([1, 2], dtype=int64)", ["1", "2"]), ("{'a'}", ["a"]), ("set()", []), ("()", []), ("(1,)", ["1"]),
    ("[1.0, nan]", ["1.0", None]), ("[None, 'None']", [None, "None"]), ("[np.int64(5), np.float64(1.5)]", ["5", "1.5"]),
    ("[u'a']", ["a"]), ("[a, b c]", ["a", "b c"]), ("{a,\"b c\"}", ["a", "b c"]), ("[Children's, War]",
                                                                                 ["Children's", "War"]),
    ("War", ["War"]), ("5", ["5"]), ("(none)", ["(none)"]), ("None", None), ("[True, False]", ["true", "false"])])
def test_other_spellings(cell: str, expected: list[str | None] | None) -> None:
    read, wrong = parse(pl.Series([cell]), "python")
    assert read.to_list() == [expected] and not wrong.any()


@pytest.mark.parametrize("cell", ["['a', 'b'", "'a', 'b']", "['a', b']", "[1,,2]", "[[1], [2]]", "[{'id': 1}]",
                                  "{'a': 1}", "{a=1}", "[0 1 ... 8 9]", "[a, ..., b]", "a, b", "['a': 1]"])
def test_what_is_no_list_is_found(cell: str) -> None:
    read, wrong = parse(pl.Series([cell, "['a']"]), "python")
    assert wrong.to_list() == [True, False] and read.to_list() == [None, ["a"]]
    assert parse(pl.Series([cell]), "json")[1].all()


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize(("splitter", "cells"), [
    ("json", ['["x","y, z"]', "[]", '["z"]']), ("python", ["['x', 'y, z']", "()", "z"]),
    ("python", ["['x', None, 'y, z']", None, "array(['z'], dtype=object)"])])
def test_a_table_of_them(form: str, splitter: str, cells: list[str], tmp_path: Path) -> None:
    write(tmp_path, cells, form)
    expected = [[], ["x", "y, z"], ["z"]]
    fields = load(tmp_path, text(f"splitter: {splitter}", form))
    assert [sorted(filter(None, found)) for found in sorted(columns(fields)["tags"])] == sorted(expected * (ROWS // 3))
    past = load(tmp_path, text(f"splitter: {splitter}", form, PAST))
    assert sorted(histories(past, "tags")) == sorted(expected * (ROWS // 3))
    missing = past.manifest["notes"].get("missing elements of lists, left out", 0)
    assert missing == (ROWS // 3 if "None" in str(cells[0]) else 0)


@pytest.mark.bad_input
@pytest.mark.parametrize("base", [TEXT, PAST])
def test_a_damaged_cell_is_a_bad_row(base: str, tmp_path: Path) -> None:
    write(tmp_path, ["['x', 'y']"] * 4 + ["['x', 'y'"] + ["[]"] * (ROWS - 5))
    refused(tmp_path, ["a.csv, line 6, column 'tags'", "['x', 'y'", "a list as Python writes it"],
            text("splitter: python", base=base))
    assert len(load(tmp_path, text("splitter: python", base=base), on_bad_row="skip")) == ROWS - 1


@pytest.mark.bad_input
@pytest.mark.parametrize("base", [TEXT, PAST])
@pytest.mark.parametrize(("cells", "splitter", "words"), [
    (["['x', 'y']", "['z']"], "splitter: ','", ["['x', 'y']", "brackets", "`splitter: python` reads them"]),
    (['["x","y"]', "[]"], "splitter: ','", ["`splitter: json` reads them"]),
    (["[1, 2]", "[3]"], "splitter: ', '", ["`splitter: json` reads them"]),
    (["[1 2]", "[3]"], "splitter: ' '", ["`splitter: python` reads them"]),
    (["[x, y]", "[y, z]"], "splitter: ','", ["`splitter: python` reads them"]),
    (["('x', 'y')", "('z',)"], "splitter: ','", ["`splitter: python` reads them"]),
    (["{'x', 'y'}", "{'z'}"], "splitter: ','", ["`splitter: python` reads them"]),
    (["[[1], [2]]"], "splitter: ','", ["nested"]), (["[{'id': 1}, {'id': 2}]"], "splitter: ','", ["nested"]),
    (["[0 1 ... 8 9]"], "splitter: python", ["cut off"]), (["['x']"], "splitter: json", ["`splitter: python`"]),
    (["[0.12, -0.5]"], "splitter: json", ["vector", "type: dense"]), (["[0.12 -0.5]"], "splitter: python", ["vector"]),
    (["0.125|-0.5", "1.5|2.25"], "splitter: '|'", ["vector"]),
    (["['x']"], "padding: q", ["`splitter: python`"]), (['["x"]'], "padding: q", ["`splitter: json`"]),
    (["0,05", "1,15"], "splitter: ','", ["decimal comma", "decimal: ','"])])
def test_what_would_be_cut_wrong_is_refused(cells: list[str], splitter: str, words: list[str], base: str,
                                            tmp_path: Path) -> None:
    write(tmp_path, cells)
    refused(tmp_path, ["a.csv, column 'tags'", *words], text(splitter, base=base))
    refused(tmp_path, words, text(splitter, base=base), on_bad_row="skip")


@pytest.mark.parametrize(("cells", "splitter", "found"), [
    (["(no genres listed)", "War|Action"], "|", {"(no genres listed)", "War", "Action"}),
    (["05,12", "07,01"], ",", {"05", "12", "07", "01"}), (["1.2|1.3", "2.0|1.2"], "|", {"1.2", "1.3", "2"}),
    (["1,15", "3,4,5"], ",", {"1", "15", "3", "4", "5"})])
def test_plain_lists_that_look_like_others_are_cut(cells: list[str], splitter: str, found: set[str], tmp_path: Path
                                                   ) -> None:
    write(tmp_path, cells)
    assert set(load(tmp_path, text(f"splitter: '{splitter}'")).vocabulary("tags")) == found


def test_stored_floats_are_ids_where_they_are_whole(tmp_path: Path) -> None:
    write(tmp_path, [[0.5, float("nan")], [2.0, 1.0]], "parquet")
    refused(tmp_path, ["a.parquet, column 'tags'", "vector"], text("padding: q", "parquet"))
    write(tmp_path, [[1.0, float("inf")]], "parquet")
    refused(tmp_path, ["a.parquet, row 1, column 'tags'", "[1.0, inf]"], text("dtype: int", "parquet"))
    write(tmp_path, [[0.5, float("nan")], [2.0, 1.0]], "parquet")
    assert list(load(tmp_path, text("dtype: float", "parquet")).vocabulary("tags")) == ["0.5", "1.0", "2.0"]
    write(tmp_path, [[1.0, float("nan")], [2.0, 1.0], None], "parquet")
    for base in (TEXT, PAST):
        encoded = load(tmp_path, text("dtype: int", "parquet", base))
        assert list(encoded.vocabulary("tags")) == ["1", "2"]
        assert encoded.manifest["notes"]["missing elements of lists, left out"] == ROWS // 3


def test_a_gap_in_one_of_two_histories_stays(tmp_path: Path) -> None:
    write(tmp_path, ["['x', None, None]"])
    rows = pl.read_csv(tmp_path / "a.csv").with_columns(kind=pl.lit("[None, 2, None]"))
    rows.write_csv(tmp_path / "a.csv")
    encoded = load(tmp_path, text("splitter: python}, {name: kind, splitter: python", base=PAST))
    assert histories(encoded, "tags") == [["x", ""]] * ROWS and histories(encoded, "kind") == [["", "2"]] * ROWS
    assert encoded.manifest["notes"]["missing elements of lists, left out"] == ROWS


@pytest.mark.bad_input
@pytest.mark.parametrize("base", [TEXT, PAST])
@pytest.mark.parametrize("splitter", ["','", "json", "python"])
@pytest.mark.parametrize(("cells", "words"), [
    ([json.dumps(json.dumps(["x", "y"])), json.dumps(json.dumps(["z"]))], "written twice"),
    (['["x","y"', '["z"'], "damaged"), (["['x', 'y'", "['z', "], "damaged"), (["[1, 2", "[3, 4"], "damaged")])
def test_lists_written_twice_or_without_an_end_are_refused(cells: list[str], words: str, splitter: str, base: str,
                                                           tmp_path: Path) -> None:
    write(tmp_path, cells)
    refused(tmp_path, ["a.csv, column 'tags'", words], text(f"splitter: {splitter}", base=base))
