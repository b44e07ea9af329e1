"""Bad tables and descriptions: every error names the file, the place and what to do, and nothing is written."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from ameir_pl.data.table import Table
from ameir_pl.errors import AmeirError

GOOD = """
input: a.csv
label: click
user: user
time: t
fields:
  - {name: user, dtype: int, group: user}
  - {name: item, group: target}
  - {name: tags, type: multivalent, splitter: " "}
  - {name: price, type: dense}
"""
PAST = """
behaviors: {max_len: 5, input: e.csv, fields: [{name: item}]}
"""
ROWS = 60


def good() -> pl.DataFrame:
    generator = np.random.default_rng(0)
    return pl.DataFrame({"click": [i % 2 for i in range(ROWS)], "t": range(1000, 1000 + ROWS),
                         "user": generator.integers(-3, 9, ROWS), "item": [f"i{i % 7}" for i in range(ROWS)],
                         "tags": ["a b" if i % 3 else "c" for i in range(ROWS)],
                         "price": generator.normal(5, 2, ROWS).round(2)})


def load(folder: Path, text: str = GOOD, **settings: Any) -> Any:
    path = folder / "table.yaml"
    path.write_text(text, encoding="utf-8")
    return Table(raw="none", encoded=folder / "encoded", source=path, **settings).prepare()


def refused(folder: Path, words: list[str], text: str = GOOD, **settings: Any) -> None:
    """Loading fails with all the words in its message, and leaves nothing."""
    with pytest.raises(AmeirError) as caught:
        load(folder, text, **settings)
    for word in words:
        assert word in str(caught.value), str(caught.value)
    assert not [p for p in (folder / "encoded").glob("*") if p.name != ".checksums.json"]


def lines(folder: Path, change: Callable[[list[str]], list[str]]) -> None:
    """Write the good rows as CSV with changed lines; line 1 is the header."""
    (folder / "a.csv").write_text("\n".join(change(good().write_csv().splitlines())) + "\n")


def cell(row: int, column: str, value: str) -> Callable[[list[str]], list[str]]:
    """Put a value into line ``row``."""
    def change(text: list[str]) -> list[str]:
        values = text[row - 1].split(",")
        values[text[0].split(",").index(column)] = value
        return [*text[:row - 1], ",".join(values), *text[row:]]
    return change


@pytest.mark.bad_input
@pytest.mark.parametrize(("change", "expected"), [
    (cell(7, "click", "2"), ["a.csv, line 7, column 'click'", "'2'", "0 or 1", "on_bad_row=skip"]),
    (cell(7, "click", ""), ["line 7, column 'click'", "nothing"]),
    (cell(9, "price", "cheap"), ["a.csv, line 9, column 'price'", "'cheap'", "a number or nothing"]),
    (cell(9, "price", "NaN"), ["line 9, column 'price'", "'NaN'"]),
    (cell(9, "price", "inf"), ["line 9, column 'price'", "'inf'"]),
    (cell(5, "user", "18446744073709551616"), ["line 5, column 'user'", "64 bits", "dtype: str"]),
    (cell(5, "user", "9223372036854775808"), ["line 5, column 'user'", "64 bits", "dtype: str"]),
    (cell(5, "user", "1.5"), ["line 5, column 'user'", "'1.5'", "whole number"]),
    (cell(8, "t", "yesterday"), ["line 8, column 't'", "'yesterday'", "a whole number"]),
    (cell(8, "t", ""), ["line 8, column 't'", "nothing"]),
    (lambda t: [*t[:20], t[0], *t[20:]], ["a.csv, line 21, column", "repeats the header"]),
    (lambda t: [*t[:20], t[20] + ",1", *t[21:]], ["a.csv, line 21", "7 columns where 6"]),
    (lambda t: [*t[:20], "1,2", *t[21:]], ["a.csv, line 21", "2 columns where 6"]),
    (lambda t: t[:1], ["a.csv", "nothing follows the header"]),
    (lambda t: [""], ["a.csv", "empty"]),
    (lambda t: t[1:], ["a.csv, line 1", "no header", "columns:"]),
    (lambda t: [t[0].replace("price", "item"), *t[1:]], ["a.csv, line 1", "item comes twice"]),
    (lambda t: [t[0], *("1" + line[1:] for line in t[1:])], ["a.csv", "every train row has the label 1"]),
    (lambda t: t[:6], ["a.csv", "no row is left for valid and test", "time split 80/10/10"]),
])
def test_bad_rows(change: Callable[[list[str]], list[str]], expected: list[str], tmp_path: Path) -> None:
    lines(tmp_path, change)
    refused(tmp_path, expected)


@pytest.mark.bad_input
def test_skipping_leaves_bad_rows_out_and_counts_them(tmp_path: Path) -> None:
    lines(tmp_path, lambda t: cell(9, "price", "cheap")(cell(7, "click", "2")(t)))
    encoded = load(tmp_path, on_bad_row="skip")
    assert len(encoded) == ROWS - 2 and encoded.manifest["notes"]["bad rows, skipped"] == 2
    assert "line 7, column 'click'" in encoded.manifest["notes"]["the first of them"][0]


def test_words_for_missing_values(tmp_path: Path) -> None:
    lines(tmp_path, lambda t: cell(9, "price", "NaN")(cell(7, "item", "\\N")(t)))
    encoded = load(tmp_path, GOOD + "missing: [NaN, '\\N']\n")
    assert (encoded.columns["dense"] == -1).sum() == 1 and "" in encoded.vocabulary("item")


@pytest.mark.bad_input
@pytest.mark.parametrize(("old", "new", "expected"), [
    ("name: item", "name: itm", ["table.yaml: fields[2]", "no column 'itm'", "Did you mean 'item'?"]),
    ("label: click", "label: clik", ["table.yaml: label", "'clik'", "'click'"]),
    ("time: t", "time: tt", ["table.yaml: time", "'tt'"]),
    ("a.csv", "b.csv", ["table.yaml: input", "no file", "Did you mean 'a.csv'?"]),
    ("label: click", "labl: click", ["table.yaml: labl", "Did you mean 'label'?"]),
    ("label: click\n", "", ["table.yaml: label", "is missing"]),
    ("group: user", "group: usr", ["fields[1].group", "'usr'", "Did you mean 'user'?"]),
    ("dtype: int", "dtype: integer", ["fields[1].dtype", "Did you mean 'int'?"]),
    ("type: dense", "type: dens", ["fields[4].type", "Did you mean 'dense'?"]),
    ("type: dense", "type: dense, share_embedding: item", ["fields[4].share_embedding", "dense"]),
    ("name: item,", "name: item, share_embedding: price,", ["fields[2].share_embedding", "'price' is dense"]),
    ("name: item,", "name: item, share_embedding: usr,", ["fields[2].share_embedding", "'usr'", "'user'"]),
    ("name: item,", "name: item, dtype: str, share_embedding: user,", ["fields[2]", "dtype str", "which has int"]),
    ("name: item,", "name: user,", ["'user' comes twice"]),
    ("name: item,", "nme: item,", ["fields[2].nme", "'name'"]),
    ("name: item,", "name: item, active: maybe,", ["fields[2].active", "true or false", "'maybe'"]),
    ("name: item,", "name: item, max_len: 0,", ["fields[2].max_len", "at least 1", "'0'"]),
    ("name: item,", "name: item, min_categr_count: few,", ["fields[2].min_categr_count", "'few'"]),
    ("name: item,", "name: click,", ["fields[2]", "the label"]),
    ("name: item,", "name: '@label',", ["fields[2]", "reserved"]),
    ("time: t", "split: {type: time}", ["split.column", "is missing"]),
    ("time: t", "split: {type: tme, column: t}", ["split.type", "'time'"]),
    ("time: t", "split: {type: random, valid: 0.6, test: 0.5}", ["split.valid", "nothing to train on"]),
    ("time: t", "split: {type: random, valid: 0}", ["split.valid", "above 0"]),
    ("time: t", "split: {type: random, column: t}", ["split.column", "no key"]),
    ("time: t", "split: [1]", ["split", "must be a mapping", "a list"]),
    ("time: t", "task: ranking", ["task", "'ranking'"]),
    ("time: t", "threshold: high", ["threshold", "expected a number", "'high'"]),
    ("time: t", "item: item", ["item", "task: retrieval"]),
    ("time: t", "separator: ab", ["separator", "between columns", "'ab'"]),
    ("time: t", "time: t\ntime: t", ["line 6", "'time' comes twice"]),
    ("  - {name: price", "\t- {name: price", ["table.yaml, line", "tab"]),
    ("fields:", "fields: {a: b}\nmissing:", ["fields", "a list", "a mapping"]),
    ("type: multivalent, splitter: \" \"", "type: multivalent", ["a.csv, column 'tags'", "splitter", "fields[3]"]),
])
def test_mistakes_in_the_description(old: str, new: str, expected: list[str], tmp_path: Path) -> None:
    good().write_csv(tmp_path / "a.csv")
    assert old in GOOD
    refused(tmp_path, expected, GOOD.replace(old, new, 1))


@pytest.mark.bad_input
@pytest.mark.parametrize(("text", "expected"), [
    ("", ["must be a mapping", "nothing"]), ("[1]", ["must be a mapping"]), ("a: [", ["table.yaml, line", "not YAML"]),
    (GOOD + "behaviors: {max_len: 0, input: a.csv, fields: [{name: item}]}", ["behaviors.max_len", "at least 1"]),
    (GOOD + "behaviors: {input: a.csv}", ["behaviors.fields", "is missing"]),
    (GOOD + "behaviors: {fields: [{name: price}]}", ["behaviors.fields[1]", "dense"]),
    (GOOD + "behaviors: {fields: [{name: x, share_embedding: itm}]}", ["behaviors.fields[1].share_embedding", "item"]),
    (GOOD + "behaviors: {fields: [{name: x, type: dense}]}", ["behaviors.fields[1]", "no dense fields"]),
    ("input: a.csv\nlabel: click\nfields: [{name: item}]", ["fields", "two are needed"]),
    ("task: retrieval\ninput: a.csv\nuser: user\nitem: item\ntime: t", ["behaviors", "max_len"]),
    ("task: retrieval\ninput: a.csv\nuser: user\ntime: t\nbehaviors: {max_len: 3}", ["item", "is missing"]),
    ("task: retrieval\ninput: a.csv\nlabel: click\n", ["label", "task: ctr"]),
])
def test_other_mistakes_in_the_description(text: str, expected: list[str], tmp_path: Path) -> None:
    good().write_csv(tmp_path / "a.csv")
    refused(tmp_path, expected, text)


@pytest.mark.bad_input
def test_no_description() -> None:
    with pytest.raises(AmeirError, match=r"dataset\.source=clicks\.yaml"):
        Table(raw="none", encoded="none")
    with pytest.raises(AmeirError, match="no such file"):
        Table(raw="none", encoded="none", source="none.yaml")


@pytest.mark.bad_input
def test_the_table_in_place_of_its_description(tmp_path: Path) -> None:
    good().write_parquet(tmp_path / "a.parquet")
    with pytest.raises(AmeirError, match="not UTF-8 text, so not a description"):
        Table(raw="none", encoded="none", source=tmp_path / "a.parquet")


@pytest.mark.bad_input
def test_damaged_files(tmp_path: Path) -> None:
    text = good().write_csv().encode()
    (tmp_path / "a.csv").write_bytes(gzip.compress(text)[:-20])
    refused(tmp_path, ["a.csv", "cut off"])
    (tmp_path / "a.csv").write_bytes(text.replace(b"i3", b"\xe9", 1))
    refused(tmp_path, ["a.csv, line", "not UTF-8"])
    good().write_parquet(tmp_path / "a.parquet")
    whole = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(whole[:-50])
    parquet = GOOD.replace("a.csv", "a.parquet")
    refused(tmp_path, ["a.parquet", "cannot be read as Parquet"], parquet)
    (tmp_path / "a.parquet").write_bytes(whole[:4] + b"\xff" * 300 + whole[304:])
    refused(tmp_path, ["a.parquet", "damaged near row 1"], parquet)
    good().head(0).write_parquet(tmp_path / "a.parquet")
    refused(tmp_path, ["a.parquet", "no rows"], parquet)
    (tmp_path / "a.csv").write_bytes(b"")
    refused(tmp_path, ["a.csv", "empty"])


@pytest.mark.bad_input
def test_bad_values_in_parquet_are_named_by_row(tmp_path: Path) -> None:
    def parquet(**columns: Any) -> None:
        good().with_columns(**columns).write_parquet(tmp_path / "a.parquet", row_group_size=10)

    text = GOOD.replace("a.csv", "a.parquet")
    number = pl.int_range(pl.len())
    parquet(price=pl.when(number == 31).then(float("nan")).otherwise(pl.col("price")))
    refused(tmp_path, ["a.parquet, row 32, column 'price'", "nan"], text)
    parquet(user=pl.when(number == 31).then(2**64 - 1).otherwise(number.cast(pl.UInt64)))
    refused(tmp_path, ["a.parquet, row 32, column 'user'", "18446744073709551615", "dtype: str"], text)
    assert "18446744073709551615" in load(tmp_path, text.replace("dtype: int", "dtype: str")).vocabulary("user")
    parquet(click=pl.when(number == 31).then(None).otherwise(pl.col("click")))
    for folder in (tmp_path / "encoded").glob("table-*"):
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    refused(tmp_path, ["a.parquet, row 32, column 'click'", "nothing"], text)
    parquet(price=pl.struct("user"))
    refused(tmp_path, ["a.parquet, column 'price': holds nested values", "a number", "fields[4]"], text)


def test_events(tmp_path: Path) -> None:
    good().write_csv(tmp_path / "a.csv")
    past = pl.DataFrame({"user": [1, 1, 2, 50, 51], "t": [5, 3, 4, 1, 1], "item": ["i1", "i2", "i3", "i1", "i1"]})
    past.write_csv(tmp_path / "e.csv")
    notes = load(tmp_path, GOOD + PAST).manifest["notes"]
    assert notes["events of users without a row, left out"] == 2
    assert notes["users whose events were not in the order of time, sorted"] == 1
    for folder in (tmp_path / "encoded").glob("table-*"):
        folder.rename(tmp_path / folder.name)
    past.with_columns(pl.col("user") + 100).write_csv(tmp_path / "e.csv")
    refused(tmp_path, ["e.csv, column 'user'", "none of its 5 events", "a.csv"], GOOD + PAST)
    past.with_columns(pl.lit("2024-01-01").alias("t")).write_csv(tmp_path / "e.csv")
    refused(tmp_path, ["a.csv, column 't'", "e.csv, column 't'", "cannot be compared"], GOOD + PAST)
    past.with_columns(pl.col("t").cast(pl.Int64) + 1_700_000_000_000).write_csv(tmp_path / "e.csv")
    refused(tmp_path, ["different units"], GOOD + PAST)
    past.drop("item").write_csv(tmp_path / "e.csv")
    refused(tmp_path, ["behaviors.fields[1]", "no column 'item'", "e.csv"], GOOD + PAST)
    past.with_columns(pl.when(pl.col("t") == 4).then(None).otherwise(pl.col("user")).alias("user")).write_csv(
        tmp_path / "e.csv")
    refused(tmp_path, ["e.csv, line 4, column 'user'", "nothing"], GOOD + PAST)
    refused(tmp_path, ["behaviors.time"], GOOD + PAST.replace("input", "time: when, input"))


@pytest.mark.bad_input
def test_lists_of_unequal_length(tmp_path: Path) -> None:
    text = GOOD + "behaviors: {fields: [{name: h, splitter: ' '}, {name: k, splitter: ' '}]}\n"
    past = pl.DataFrame({"h": ["a b"] * ROWS, "k": ["1 2"] * 30 + ["1"] + ["1 2"] * 29})
    good().hstack(past).write_csv(tmp_path / "a.csv")
    refused(tmp_path, ["a.csv, line 32, column 'k'", "a list of 2 elements", "'h'"], text)
    encoded = load(tmp_path, text, on_bad_row="skip")
    assert len(encoded) == ROWS - 1


def test_side_tables(tmp_path: Path) -> None:
    text = GOOD.replace("fields:", "join: [{input: s.csv, on: item}]\nfields:\n  - {name: shop, dtype: int}", 1)
    good().write_csv(tmp_path / "a.csv")
    side = pl.DataFrame({"item": [f"i{i}" for i in range(6)], "shop": range(6)})
    side.write_csv(tmp_path / "s.csv")
    encoded = load(tmp_path, text)
    assert encoded.manifest["notes"]["rows of a.csv without a row in s.csv"] == sum(i % 7 == 6 for i in range(ROWS))
    assert "" in encoded.vocabulary("shop")
    for folder in (tmp_path / "encoded").glob("table-*"):
        folder.rename(tmp_path / folder.name)
    pl.concat([side, side[2:3]]).write_csv(tmp_path / "s.csv")
    refused(tmp_path, ["s.csv, line 8, column 'item'", "'i2'", "line 4"], text)
    side.with_columns(pl.lit("x").alias("shop")).write_csv(tmp_path / "s.csv")
    refused(tmp_path, ["s.csv, line 2, column 'shop'", "'x'"], text)
    side.rename({"item": "thing"}).write_csv(tmp_path / "s.csv")
    refused(tmp_path, ["join[1].key", "no column 'item'", "s.csv"], text)
    assert load(tmp_path, text.replace("on: item", "on: item, key: thing")).vocabulary("shop")
