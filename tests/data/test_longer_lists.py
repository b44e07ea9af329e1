"""Lists longer than their limit: of sequences and histories the latest stay, of other lists the first."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from tests.data.test_table import columns, histories
from tests.data.test_table_bad_input import ROWS, load, refused

TEXT = """
input: a.FORM
label: click
split: {type: random}
fields:
  - {name: item}
  - {name: user}
  - {name: seq, type: TYPE, SPLITTER max_len: 2}
"""
BEHAVIORS = """
input: a.FORM
label: click
split: {type: random}
fields: [{name: item}, {name: user}]
behaviors: {max_len: 2, ORDER fields: [{name: seq, SPLITTER share_embedding: item}]}
"""


def write(folder: Path, form: str, text: str) -> str:
    """Rows whose list goes from old to new; the description of them."""
    rows = pl.DataFrame({"click": [i % 2 for i in range(ROWS)], "item": ["new", "mid", "old"] * (ROWS // 3),
                         "user": ["a", "b"] * (ROWS // 2), "seq": [["old", "mid", "new"]] * ROWS})
    if form == "csv":
        rows.with_columns(pl.col("seq").list.join("^")).write_csv(folder / "a.csv")
    else:
        rows.write_parquet(folder / "a.parquet")
    return text.replace("FORM", form).replace("SPLITTER", "splitter: '^'," if form == "csv" else "")


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize(("kind", "kept"), [
    ("sequence", ["mid", "new"]), ("sequence, order: latest_last", ["mid", "new"]),
    ("sequence, order: latest_first", ["mid", "old"]), ("multivalent", ["old", "mid"])])
def test_a_sequence_keeps_its_latest(form: str, kind: str, kept: list[str], tmp_path: Path) -> None:
    encoded = load(tmp_path, write(tmp_path, form, TEXT).replace("TYPE", kind))
    assert columns(encoded)["seq"] == [kept] * ROWS


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize(("order", "kept"), [
    ("", ["mid", "new"]), ("order: latest_last,", ["mid", "new"]), ("order: latest_first,", ["mid", "old"])])
def test_a_history_in_the_rows_keeps_its_latest(form: str, order: str, kept: list[str], tmp_path: Path) -> None:
    encoded = load(tmp_path, write(tmp_path, form, BEHAVIORS).replace("ORDER", order))
    assert histories(encoded, "seq") == [kept] * ROWS


def test_where_an_order_has_no_meaning_it_is_refused(tmp_path: Path) -> None:
    text = write(tmp_path, "csv", TEXT).replace("TYPE", "sequence")
    refused(tmp_path, ["fields[1].order", "is for lists"],
            text.replace("name: item", "name: item, order: latest_first"))
    refused(tmp_path, ["fields[3].order", "'newest' is unknown"], text.replace("max_len", "order: newest, max_len"))
    past = write(tmp_path, "csv", BEHAVIORS)
    events = past.replace("ORDER", "order: latest_first, input: e.csv, user: user, time: t,")
    refused(tmp_path, ["behaviors.order", "go by their time"], events)
    refused(tmp_path, ["behaviors.max_len", "of all behaviors (2)"],
            past.replace("ORDER", "").replace("share_", "max_len: 1, share_"))
