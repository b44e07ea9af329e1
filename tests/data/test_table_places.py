"""Where tables of a user's own lie and what a description names: each mistake is told by what it is."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ameir_pl.data.infer import infer_description
from ameir_pl.data.table import Table
from ameir_pl.errors import AmeirError
from tests.data.test_table_bad_input import GOOD, PAST, ROWS, cell, good, lines, load, refused

RETRIEVAL = "task: retrieval\ninput: r.csv\nuser: user\nitem: item\ntime: t\nbehaviors: {max_len: 5}\n"


@pytest.mark.bad_input
@pytest.mark.parametrize(("fill", "expected"), [
    (2**63, ["fields[1].fill_na", str(2**63), "64 bits", "dtype: str"]),
    (-2**63 - 1, ["fields[1].fill_na", "64 bits"]), ("x", ["fields[1].fill_na", "whole number"])])
def test_fill_na_of_64_bits(fill: int | str, expected: list[str], tmp_path: Path) -> None:
    good().write_csv(tmp_path / "a.csv")
    refused(tmp_path, expected, GOOD.replace("dtype: int", f"dtype: int, fill_na: {fill}"))


def test_the_largest_fill_na(tmp_path: Path) -> None:
    lines(tmp_path, cell(2, "user", ""))
    assert str(2**63 - 1) in load(tmp_path, GOOD.replace("dtype: int", f"dtype: int, fill_na: {2**63 - 1}")
                                  ).vocabulary("user")


@pytest.mark.parametrize(("items", "fits"), [(105, True), (104, False), (10, False)])
def test_retrieval_needs_items_to_rank(items: int, fits: bool, tmp_path: Path) -> None:
    pairs = [(0, i) for i in range(5)] + [(1 + i // 4, i) for i in range(items)]
    pl.DataFrame([(u, i, n) for n, (u, i) in enumerate(pairs)], schema=["user", "item", "t"], orient="row"
                 ).write_csv(tmp_path / "r.csv")
    if not fits:
        refused(tmp_path, ["r.csv", f"{items} items in all", "one user has 5", "100"], RETRIEVAL)
        return
    encoded = load(tmp_path, RETRIEVAL)
    batch = encoded.gather(np.array(list(encoded.splits["test"])))
    assert batch.negatives.shape[1] == 100


@pytest.mark.bad_input
@pytest.mark.parametrize(("character", "line"), [("\0", 1), ("\x07", 3), ("\x1b", 12)])
def test_control_characters_in_a_description(character: str, line: int, tmp_path: Path) -> None:
    text = (GOOD.strip() + "\n# the end\n" * 3).splitlines()
    text[line - 1] += character
    refused(tmp_path, [f"table.yaml, line {line}: not YAML", f"{ord(character):#06x}"], "\n".join(text))


@pytest.mark.bad_input
def test_a_time_of_lines_that_cannot_be_read(tmp_path: Path) -> None:
    lines(tmp_path, lambda text: [text[0], *(line + ",1" for line in text[1:])])
    for policy in ("fail", "skip"):
        refused(tmp_path, ["a.csv, line 2: 7 columns where 6 were expected"], on_bad_row=policy)
    lines(tmp_path, lambda text: [text[0], *(line.replace(line.split(",")[1], "", 1) for line in text[1:])])
    refused(tmp_path, ["no row has a time"], GOOD.replace("label: click", "label: click\nmissing: [x]"))


@pytest.mark.parametrize("folder", ["data[1]", "a*b", "what?"])
def test_globs_below_a_folder_of_a_strange_name(folder: str, tmp_path: Path) -> None:
    place = tmp_path / folder / "deep"
    place.mkdir(parents=True)
    for i in range(2):
        good()[i * 30:(i + 1) * 30].write_csv(place.parent / f"part-{i}.csv")
    for pattern in ("../part-*.csv", "../part-[01].csv"):
        path = place / "table.yaml"
        path.write_text(GOOD.replace("a.csv", pattern))
        assert len(Table(raw="none", encoded=tmp_path / "encoded", source=path).prepare()) == ROWS
    assert "part-*" in infer_description(f"{place.parent}/part-*.csv".replace(folder, "[" + folder[0] + "]*"), "click",
                                         tmp_path / "out.yaml").text


def test_what_is_no_plain_file(tmp_path: Path) -> None:
    os.symlink("gone.csv", tmp_path / "a.csv")
    refused(tmp_path, ["table.yaml: input", "a.csv is a link to gone.csv, which is not there"])
    (tmp_path / "a.csv").unlink()
    os.mkfifo(tmp_path / "a.csv")
    refused(tmp_path, ["table.yaml: input", "a.csv is not a plain file"])


@pytest.mark.bad_input
@pytest.mark.parametrize(("old", "new", "expected"), [
    ("user: user", "user: usr", ["table.yaml: user", "no column 'usr'", "Did you mean 'user'?"]),
    ("time: t", "split: {type: random}\ntime: tt", ["table.yaml: time", "no column 'tt'"])])
def test_columns_that_nothing_needs_are_looked_for_too(old: str, new: str, expected: list[str], tmp_path: Path) -> None:
    good().write_csv(tmp_path / "a.csv")
    refused(tmp_path, expected, GOOD.replace(old, new, 1))


@pytest.mark.bad_input
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_events_without_a_row(kind: str, tmp_path: Path) -> None:
    good().write_csv(tmp_path / "a.csv")
    none = good().head(0)
    none.write_csv(tmp_path / "e.csv") if kind == "csv" else none.write_parquet(tmp_path / "e.parquet")
    for policy in ("fail", "skip"):
        refused(tmp_path, [f"e.{kind}", "nothing follows the header" if kind == "csv" else "no rows"],
                GOOD + PAST.replace("e.csv", f"e.{kind}"), on_bad_row=policy)


def test_interactions_without_a_label_are_for_retrieval(tmp_path: Path) -> None:
    rows = good().select("user", "item", "t").rename({"t": "timestamp"})
    typed = {"user": "user_id:token", "item": "item_id:token", "timestamp": "timestamp:float"}
    for name, header in (("a.inter", typed), ("b.csv", {})):
        rows.rename(header).write_csv(tmp_path / name, separator="\t" if header else ",")
        with pytest.raises(AmeirError, match=r"label=COLUMN.*`task: retrieval` as docs/your-own-data\.md"):
            infer_description(str(tmp_path / name), None, tmp_path / "c.yaml")
    rows.drop("timestamp").write_csv(tmp_path / "b.csv")
    with pytest.raises(AmeirError) as caught:
        infer_description(str(tmp_path / "b.csv"), None, tmp_path / "c.yaml")
    assert "retrieval" not in str(caught.value)
