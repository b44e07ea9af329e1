"""Guesses of text: numbers with decimal commas, words among numbers, lists in brackets; what is written can be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from ameir_pl.data.infer import infer_description
from ameir_pl.data.text_facts import text_facts
from tests.data.test_table import columns, histories
from tests.data.test_table_bad_input import load, refused

ROWS = 120


def inferred(folder: Path, separator: str = ";", **more: Any) -> str:
    """Write a table with more columns; return its guessed description."""
    rows = pl.DataFrame({"click": [i // 6 % 2 for i in range(ROWS)], "user_id": [f"u{i % 7}" for i in range(ROWS)],
                         "item_id": [f"it{i % 5}" for i in range(ROWS)],
                         **{name: (values * ROWS)[:ROWS] for name, values in more.items()}}, strict=False)
    rows.write_csv(folder / "t.csv", separator=separator)
    return infer_description(str(folder / "t.csv"), "click", folder / "table.yaml").text


def line(text: str, name: str) -> str:
    return next(line for line in text.splitlines() if f"name: {name}," in line)


@pytest.mark.parametrize(("write", "keys"), [
    (lambda v: f"{v:.2f}".replace(".", ","), "decimal: ','"),
    (lambda v: f" {v:.2f} ".replace(".", ","), "decimal: ','"),
    (lambda v: f"{v * 1000:,.2f}".translate(str.maketrans(",.", ".,")), "decimal: ',', thousands: ."),
    (lambda v: f"{v * 1000:,.2f}".replace(",", "\u00a0").replace(".", ","), "decimal: ',', thousands: ' '"),
    (lambda v: f"{v * 1000:,.2f}".replace(",", " ").replace(".", ","), "decimal: ',', thousands: ' '"),
    (lambda v: f"{v * 1000:,.2f}", "thousands: ','"),
    (lambda v: f"{v * 1000:,.2f}".replace(",", "'"), "thousands: ''''"),
    (lambda v: f"{v:.2f}" if v > 0.3 else "NA", "missing: [NA]"),
    (lambda v: f"{v:+.2e}" if v > 0.3 else "-", "missing: ['-']"),
    (lambda v: f"{v:.2f}".replace(".", ",") if v > 0.3 else "inf", "decimal: ',', missing: [inf]")])
@pytest.mark.parametrize("separator", [";", "\t", "|", ","])
def test_numbers_are_dense_however_they_are_written(write: Any, keys: str, separator: str, tmp_path: Path) -> None:
    numbers = [0.05 + 0.11 * (i * 17 % ROWS) for i in range(ROWS)]
    text = inferred(tmp_path, separator, price=[write(v) for v in numbers])
    assert f"- {{name: price, type: dense, {keys}}}" in line(text, "price"), text
    if separator == ";":
        dense = load(tmp_path, text).columns["dense"][:, 0]
        given = np.array([v if v > 0.3 or "missing" not in keys else -1 for v in numbers])
        assert sorted((dense > -1).tolist()) == sorted((given > 0).tolist())
        assert len(np.unique(dense[dense > -1])) > 0.8 * (given > 0).sum(), "as many values as were written"


@pytest.mark.parametrize(("cells", "words"), [
    (["1,234", "2,345"], ["left out", "1.234 or 1234", "decimal: ','", "thousands: ','"]),
    (["1 234", "2 345"], ["left out", "1234 or a list of two"]),
    (["12 %", "5 %"], ["type: categorical", "a sign or a unit"]), (["$1.50", "$2"], ["type: categorical", "a sign"]),
    (["NA", "DE", "FR"], ["type: categorical, dtype: str"]), (["1,2,3", "4,5"], ["splitter: ','"]),
    (["0.125|-0.5|1.5", "0.25|0.75|-1.25"], ["left out", "a vector"]),
    (["[0.125, -0.5]", "[0.25, 0.75]"], ["left out", "a vector"]),
    (["[[1], [2]]", "[[3]]"], ["left out", "nested"]), (["[{'id': 1}]", "[]"], ["left out", "nested"]),
    (["[0 1 ... 8 9]", "[1 2 ... 3 4]"], ["left out", "cut off"])])
def test_what_cannot_be_told_is_said(cells: list[str], words: list[str], tmp_path: Path) -> None:
    found = line(inferred(tmp_path, thing=cells), "thing")
    assert all(word in found for word in words), found
    assert ("# - {" in found) == ("left out" in words)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize(("cells", "form"), [
    (["['War, Civil', 'Action']", "['Action']", "[]"], "python"),
    (['["War, Civil","Action"]', '["Action"]', "[]"], "json"),
    (["['War, Civil' 'Action']", "['Action']", "[]"], "python"),
    (["('War, Civil', 'Action')", "('Action',)", "()"], "python")])
def test_lists_in_brackets_are_found(cells: list[str], form: str, separator: str, tmp_path: Path) -> None:
    text = inferred(tmp_path, separator, genres=cells, hist_item_id=["['it0', 'it1']", "['it4']", "[]"])
    assert f"type: multivalent, dtype: str, group: target, splitter: {form}}}" in line(text, "genres")
    encoded = load(tmp_path, text)
    expected = sorted([["Action", "War, Civil"], ["Action"], []] * (ROWS // 3))
    assert sorted(map(sorted, columns(encoded)["genres"])) == expected
    assert sorted(histories(encoded, "item_id")) == sorted([["it0", "it1"], ["it4"], []] * (ROWS // 3))


def test_a_damaged_list_is_said_and_stops(tmp_path: Path) -> None:
    text = inferred(tmp_path, genres=["['War', 'Action']"] * 49 + ["['War', 'Act"])
    found = line(text, "genres")
    assert "splitter: python" in found and "2 of 120 are damaged, e.g. ['War', 'Act" in found
    refused(tmp_path, ["t.csv, line 51, column 'genres'", "['War', 'Act"], text)


@pytest.mark.parametrize(("cells", "expected"), [
    (["1", "2", "NA"], ("int", ("NA",))), (["1.5", " n/a "], ("float", ("n/a",))), (["a", "NA"], ("text", ())),
    (["NA", "NA", "1"], ("text", ())), (["1", "2", "?"], ("int", ("?",)))])
def test_words_among_numbers(cells: list[str], expected: tuple[str, tuple[str, ...]]) -> None:
    found = text_facts(pl.Series(cells), frozenset())
    assert (found.kind, found.gaps) == expected


@pytest.mark.parametrize(("cells", "words"), [
    ([json.dumps(json.dumps(["War", "Action"])), json.dumps(json.dumps(["War"]))], "written twice"),
    (['["War", "Action"', '["War", "Dr'], "damaged")])
def test_lists_that_cannot_be_read_are_left_out(cells: list[str], words: str, tmp_path: Path) -> None:
    found = line(inferred(tmp_path, genres=cells), "genres")
    assert words in found and "# - {" in found, found


@pytest.mark.parametrize("splitter", [" ", "|", ","])
@pytest.mark.parametrize("length", [3, 30])
def test_histories_of_ids_are_lists_whatever_their_length(splitter: str, length: int, tmp_path: Path) -> None:
    lists = [[f"it{(i + j) % 5}" for j in range(1 + i % length)] for i in range(ROWS)]
    encoded = load(tmp_path, inferred(tmp_path, hist_item_id=[splitter.join(one) for one in lists]))
    assert sorted(histories(encoded, "item_id")) == sorted(lists)


def test_words_of_sentences_are_no_list() -> None:
    for words in (["buy 2 red shoes", "red shoes"], ["see part 2 of the story, and of the other one that is as long"]):
        assert text_facts(pl.Series(words * 50), frozenset({"session", "query"})).splitter == ""
