"""Ids that should meet: spellings of one id are one, how many meet is said, and tables whose ids never meet stop."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.data.test_table import columns, histories
from tests.data.test_table_bad_input import load, refused

ROWS = 40
TEXT = """
input: a.FORM
label: click
user: user
time: t
fields:
  - {name: user, group: user}
  - {name: item, group: target DTYPE}
behaviors: {max_len: 5, input: e.FORM, fields: [{name: past, from: item, share_embedding: item}]}
"""
LISTS = """
input: a.FORM
label: click
split: {type: random}
fields:
  - {name: user, group: user}
  - {name: item, group: target DTYPE}
behaviors: {max_len: 5, fields: [{name: past, SPLITTER share_embedding: item}]}
"""
NOTE = "values of behavior 'past' that 'item' has too"


def described(text: str, form: str, dtype: str = "", splitter: str = "") -> str:
    return text.replace("FORM", form).replace("DTYPE", f", dtype: {dtype}" if dtype else "").replace(
        "SPLITTER", splitter)


def rows(item: list[Any], **more: Any) -> pl.DataFrame:
    return pl.DataFrame({"click": [0, 1] * (ROWS // 2), "user": ["u", "v"] * (ROWS // 2), "t": range(100, 100 + ROWS),
                         "item": (item * ROWS)[:ROWS], **more}, strict=False)


def save(frame: pl.DataFrame, path: Path) -> None:
    frame.write_csv(path) if path.suffix == ".csv" else frame.write_parquet(path)


@pytest.mark.parametrize(("here", "there", "form", "dtype"), [
    ([100, 101], [100.0, 101.0], "parquet", ""), ([100, 101], [100.0, 101.0], "parquet", "int"),
    (["100", "101"], ["100.0", "101.0"], "csv", ""), (["100", "101"], ["100.0", "101.00"], "csv", "int"),
    ([" 100", "101 "], ["100", "101"], "csv", ""), ([" A", "B "], ["A", "B"], "parquet", ""),
    ([100, 101], ["100", "101"], "parquet", ""), ([100, 101], [Decimal("100.00"), Decimal("101.00")], "parquet", ""),
    (["100", "101"], ["1e2", "1.01e2"], "csv", "int"), (["007", "008"], ["7", "8"], "csv", "int"),
    ([True, False], ["true", "false"], "parquet", "")])
def test_the_same_id_in_other_words(here: list[Any], there: list[Any], form: str, dtype: str, tmp_path: Path) -> None:
    save(rows(here), tmp_path / f"a.{form}")
    save(pl.DataFrame({"user": ["u", "v"] * 2, "t": [1, 2, 3, 4], "item": there[:1] * 2 + there[1:] * 2}),
         tmp_path / f"e.{form}")
    encoded = load(tmp_path, described(TEXT, form, dtype))
    assert len(encoded.vocabulary("item")) == 2
    assert set(histories(encoded, "past")[0]) == set(columns(encoded)["item"])
    notes = encoded.manifest["notes"]
    assert notes[NOTE] == "100 % of 4" and notes["rows whose user has events"] == f"100 % of {ROWS}"


@pytest.mark.parametrize(("here", "there", "why"), [
    (["A1", "B1"], ["a1", "b1"], "they differ in capitals"), (["007", "008"], ["7", "8"], "leading zeros"),
    ([True, False], ["True", "False"], "they differ in capitals"), (["x", "y"], ["p", "q"], "")])
@pytest.mark.parametrize("lists", [False, True])
def test_ids_that_never_meet_stop(here: list[Any], there: list[Any], why: str, lists: bool, tmp_path: Path) -> None:
    if lists:
        save(rows(here, past=[there] * ROWS), tmp_path / "a.parquet")
        text = described(LISTS, "parquet")
    else:
        save(rows(here), tmp_path / "a.parquet")
        save(pl.DataFrame({"user": ["u", "v"] * 2, "t": [1, 2, 3, 4], "item": there * 2}), tmp_path / "e.parquet")
        text = described(TEXT, "parquet")
    refused(tmp_path, ["a.parquet", "none of the", "behavior 'past'", "field 'item'", f"'{str(there[0])}'",
                       f"'{str(here[0]).lower() if here[0] is True else here[0]}'", why, "share_embedding"], text)


def test_how_many_meet_is_said(tmp_path: Path) -> None:
    save(rows(["a", "b"], past=[["a", "b", "c", "c"]] * ROWS), tmp_path / "a.parquet")
    encoded = load(tmp_path, described(LISTS, "parquet"))
    assert encoded.manifest["notes"][NOTE] == f"50 % of {4 * len(encoded.splits['train'])}"
    save(rows(["a", "b"], past=["a,b, c ,c"] * ROWS), tmp_path / "a.csv")
    encoded = load(tmp_path, described(LISTS, "csv", splitter="splitter: ',',"))
    assert encoded.manifest["notes"][NOTE] == f"50 % of {4 * len(encoded.splits['train'])}"


def test_fields_that_share_and_never_meet(tmp_path: Path) -> None:
    save(rows(["a", "b"], other=["A", "B"] * (ROWS // 2)), tmp_path / "a.csv")
    text = described(LISTS, "csv").partition("behaviors")[0] + "  - {name: other, share_embedding: item}\n"
    refused(tmp_path, ["field 'other'", "'A', 'B'", "'a', 'b'", "capitals"], text)


def test_users_that_never_meet(tmp_path: Path) -> None:
    save(rows(["a", "b"]), tmp_path / "a.csv")
    past = pl.DataFrame({"user": ["U", "V"], "t": [1, 2], "item": ["a", "b"]})
    save(past, tmp_path / "e.csv")
    refused(tmp_path, ["e.csv, column 'user'", "none of its 2 events", "'U', 'V' beside 'u', 'v'", "capitals"],
            described(TEXT, "csv"))
    save(past.with_columns(user=pl.Series([" u", "w "])), tmp_path / "e.csv")
    notes = load(tmp_path, described(TEXT, "csv")).manifest["notes"]
    assert notes["rows whose user has events"] == f"50 % of {ROWS}"
    assert notes["events of users without a row, left out"] == 1
    save(past.with_columns(user=pl.Series(["u", "v"]), t=pl.Series([9000, 9000])), tmp_path / "e.csv")
    assert "NO ROW HAS A HISTORY" in load(tmp_path, described(TEXT, "csv")).manifest["notes"]


def test_a_side_table_that_never_meets(tmp_path: Path) -> None:
    save(rows(["a", "b"]), tmp_path / "a.csv")
    save(pl.DataFrame({"item": ["A", "B"], "brand": ["x", "y"]}), tmp_path / "s.csv")
    text = described(LISTS, "csv").partition("behaviors")[0].replace(
        "fields:", "join: [{input: s.csv, on: item}]\nfields:\n  - {name: brand}")
    refused(tmp_path, ["s.csv, column 'item'", f"none of the {ROWS} rows of a.csv", "'A', 'B' beside 'a', 'b'"], text)


@pytest.mark.bad_input
@pytest.mark.parametrize("dtype", ["", "int"])
def test_an_id_that_a_float_has_rounded_is_said(dtype: str, tmp_path: Path) -> None:
    save(rows([2.0**53 + 2, 7.0]), tmp_path / "a.parquet")
    text = described(LISTS, "parquet", dtype).partition("behaviors")[0]
    refused(tmp_path, ["a.parquet, row 1, column 'item'"], text)
    save(rows(["9007199254740994.0", "7"]), tmp_path / "a.csv")
    refused(tmp_path, ["a.csv, line 2, column 'item'", "'9007199254740994.0'"], text.replace("parquet", "csv"))
    save(rows([2**53 + 1, 7]), tmp_path / "a.csv")
    assert list(load(tmp_path, text.replace("parquet", "csv")).vocabulary("item")) in (
        [["7", "9007199254740993"]] if dtype else [["7", "9007199254740993"], ["9007199254740993", "7"]])
