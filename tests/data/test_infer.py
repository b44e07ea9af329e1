"""Guessed descriptions: they run as they are, and say of every column what it was taken for and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from ameir_pl.data import Encoded
from ameir_pl.data.column_facts import column_facts, name_words
from ameir_pl.data.infer import default_output, infer_description
from ameir_pl.data.table import Table
from ameir_pl.data.table_description import Description
from ameir_pl.errors import AmeirError
from tests.data.make import write_movielens

ROWS = 600


def inferred(path: Path, label: str, **settings: Any) -> tuple[str, Description]:
    output = default_output(str(path))
    guessed = infer_description(str(path), label, output, **settings)
    output.write_text(guessed.text, encoding="utf-8")
    return guessed.text, Table(raw="none", encoded="none", source=output).description


def encoded(description: Description, folder: Path) -> Encoded:
    return Table(raw="none", encoded=folder / "encoded", source=description.path).prepare()


def shop(seed: int = 0) -> pl.DataFrame:
    generator = np.random.default_rng(seed)
    users, items = generator.integers(0, 40, ROWS), generator.integers(0, 60, ROWS)
    return pl.DataFrame({
        "row": [f"r{i:04d}" for i in range(ROWS)], "clicked_ad": generator.integers(0, 2, ROWS),
        "userId": users + 2**55, "itemId": items, "category": [f"c{i % 9}" for i in items],
        "price": (items * 1.37 + 0.5).round(2), "views": generator.integers(0, 5000, ROWS),
        "tags": [[f"t{i % 5}", f"t{i % 3 + 5}"] for i in items], "zip": [f"{u % 30:05d}" for u in users],
        "site": ["shop"] * ROWS, "score": [None if i % 5 == 0 else i % 4 for i in items],
        "ts": 1_700_000_000 + generator.permutation(ROWS) * 1000,
        "comment": [f"a long text of nobody's interest, number {i % 40}, that goes on and on" for i in range(ROWS)],
        "hist_item_id": [generator.integers(0, 60, int(n)).tolist() for n in generator.integers(0, 6, ROWS)]})


def events(seed: int = 1) -> pl.DataFrame:
    generator = np.random.default_rng(seed)
    return pl.DataFrame({"userId": generator.integers(0, 45, 900) + 2**55, "itemId": generator.integers(0, 60, 900),
                         "ts": 1_700_000_000 + generator.permutation(900) * 600,
                         "kind": [("view", "buy")[int(k)] for k in generator.integers(0, 2, 900)]})


def test_every_column_is_taken_for_what_it_is(tmp_path: Path) -> None:
    shop().write_parquet(tmp_path / "shop.parquet")
    text, about = inferred(tmp_path / "shop.parquet", "clicked_ad")
    fields = {f.name: f for f in about.fields}
    assert set(fields) == {"userId", "itemId", "category", "price", "views", "tags", "zip", "score", "hour", "weekday"}
    kinds = {name: f.kind for name, f in fields.items() if f.kind != "categorical"}
    assert kinds == {"price": "dense", "views": "dense", "tags": "multivalent"}
    groups = {name: f.group for name, f in fields.items() if f.kind != "dense"}
    assert groups == {"userId": "user", "zip": "user", "itemId": "target", "category": "target", "score": "context",
                      "tags": "target", "hour": "context", "weekday": "context"}
    assert {n for n, f in fields.items() if f.dtype == "int"} == {"userId", "itemId", "score", "hour", "weekday"}
    assert (about.user, about.time, about.rule) == ("userId", "ts", "time split 80/10/10")
    assert about.behaviors is not None and [b.vocabulary for b in about.behaviors.fields] == ["itemId"]
    for name, why in {"row": "another value in every row", "site": "the same value", "comment": "long text"}.items():
        line = next(line for line in text.splitlines() if f"name: {name}," in line)
        assert line.startswith("  # - {") and why in line
    for line in text.splitlines():
        assert not line.startswith("  - {") or "  # " in line, "each has its reason"
    assert "19 % missing" in text or "20 % missing" in text or "18 % missing" in text


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_inferred_equals_a_slow_loop(suffix: str, tmp_path: Path) -> None:
    rows, past = shop().drop("hist_item_id"), events()
    for name, frame in (("shop", rows), ("events", past)):
        if suffix == "parquet":
            frame.write_parquet(tmp_path / f"{name}.parquet")
        else:
            frame.with_columns(pl.col(pl.List(pl.String)).list.join("|")).write_csv(tmp_path / f"{name}.csv")
    _, about = inferred(tmp_path / f"shop.{suffix}", "clicked_ad", events=str(tmp_path / f"events.{suffix}"))
    data = encoded(about, tmp_path)
    order = np.argsort(rows["ts"].to_numpy(), kind="stable")
    split = np.zeros(ROWS, int)
    split[order[480:540]], split[order[540:]] = 1, 2
    in_order = [i for part in range(3) for i in range(ROWS) if split[i] == part]
    assert [len(data.splits[s]) for s in ("train", "valid", "test")] == [480, 60, 60]
    values = {b.name: np.array([None, "?", *data.vocabulary(b.vocabulary)], dtype=object)[data.columns["values"][:, i]]
              for i, b in enumerate(data.schema.behaviors)}
    assert list(values) == ["itemId", "kind"]
    users = np.array([None, "?", *data.vocabulary("userId")], dtype=object)[data.columns["fields"][:, 0]]
    known, by_time = data.vocabulary("itemId"), past.sort("ts").rows(named=True)
    begin, end = np.maximum(data.columns["begin"], data.columns["end"] - 50), data.columns["end"]
    for place, i in enumerate(in_order):
        row = rows.row(i, named=True)
        assert data.columns["label"][place] == row["clicked_ad"] and users[place] in (str(row["userId"]), "?")
        before = [e for e in by_time if e["userId"] == row["userId"] and e["ts"] < row["ts"]]
        inside = slice(begin[place], end[place])
        assert values["kind"][inside].tolist() == [e["kind"] for e in before]
        assert values["itemId"][inside].tolist() == [str(e["itemId"]) if str(e["itemId"]) in known else "?"
                                                     for e in before]


def test_ids_of_another_kind_are_not_shared(tmp_path: Path) -> None:
    shop().drop("hist_item_id").write_parquet(tmp_path / "shop.parquet")
    events().with_columns(pl.format("x{}", "itemId").alias("itemId")).write_parquet(tmp_path / "events.parquet")
    _, about = inferred(tmp_path / "shop.parquet", "clicked_ad", events=str(tmp_path / "events.parquet"))
    data = encoded(about, tmp_path)
    assert [b.vocabulary for b in data.schema.behaviors] == ["event_itemId", "kind"]


def test_recbole_files_load_with_those_beside_them(tmp_path: Path) -> None:
    write_movielens(tmp_path)
    text, about = inferred(tmp_path / "ml-100k.inter", "rating")
    assert about.label_rule.threshold == 4 and [j.on for j in about.joins] == ["user_id", "item_id"]
    assert about.behaviors is not None and {b.name for b in about.behaviors.fields} >= {"item_id", "rating", "class"}
    assert {f.name: f.group for f in about.fields}["gender"] == "user"
    assert "join:" in text and "# - {name: movie_title" in text
    data = encoded(about, tmp_path)
    assert len(data) == 2500 and data.schema.has_target
    stars = [float(line.split("\t")[2]) for line in (tmp_path / "ml-100k.inter").read_text().splitlines()[1:]]
    assert data.columns["label"].sum() == sum(s >= 4 for s in stars)


def test_real_samples_run_as_guessed(real: Path, tmp_path: Path) -> None:
    for name, label in {"alimama/joined_raw_100.csv": "clk", "alimama/dsin_sample_512.csv": "clk",
                        "criteo/criteo_200_rows_header.csv": "label", "avazu/avazu_11_hours_2804.csv": "click"}.items():
        path = tmp_path / Path(name).name
        path.write_bytes((real / name).read_bytes())
        _, about = inferred(path, label)
        assert len(encoded(about, tmp_path)) == len(path.read_text().splitlines()) - 1
    assert about.time == "hour"
    about = Table(raw="none", encoded="none", source=tmp_path / "dsin_sample_512.yaml").description
    assert about.behaviors is not None and [len(b.columns) for b in about.behaviors.fields] == [5, 5]
    assert {b.padding for b in about.behaviors.fields} == {"0"}
    with pytest.raises(AmeirError, match="no header"):
        infer_description(str(real / "criteo" / "criteo_index_test_10000.csv"), "x", tmp_path / "x.yaml")


def test_without_a_label_the_candidates_are_named(tmp_path: Path) -> None:
    path = tmp_path / "shop.parquet"
    shop().write_parquet(path)
    for label, expected in ((None, "label=COLUMN"), ("clicked", "'clicked_ad'"), ("category", "which are a click")):
        with pytest.raises(AmeirError) as caught:
            infer_description(str(path), label, tmp_path / "shop.yaml")
        assert expected in str(caught.value) and "Columns of 0 and 1: clicked_ad." in str(caught.value)
    with pytest.raises(AmeirError, match="rows have no label"):
        infer_description(str(path), "score", tmp_path / "shop.yaml")


def test_later_rows_are_looked_at_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = shop().select("clicked_ad", "userId", "itemId", "price").with_columns(
        pl.Series("code", ["7"] * 200 + ["8"] * 399 + ["x"]))
    rows.write_csv(tmp_path / "shop.csv")
    monkeypatch.setattr("ameir_pl.data.column_facts.look.__defaults__", (300,))
    text, about = inferred(tmp_path / "shop.csv", "clicked_ad")
    assert "the first 300 of 600 rows" in text
    assert {f.name: f.dtype for f in about.fields}["code"] == "str"
    assert len(encoded(about, tmp_path)) == ROWS


@pytest.mark.parametrize(("values", "kind"), [
    (["1", "2", "-3"], "int"), (["1.0", "2.0"], "int"), (["1.5", "2"], "float"), (["007", "8"], "text"),
    (["18446744073709551615", "1"], "text"), (["2024-01-01", "2024-02-01"], "date"), (["a", "b"], "text"),
    ([1.0, 2.0], "int"), ([1.5], "float"), ([True, False], "int"), ([[1, 2]], "list"), ([{"a": 1}], "nested"),
    ([None, None], "empty"), ([2**64 - 1], "text")])
def test_kinds(values: list[Any], kind: str) -> None:
    assert column_facts(pl.Series("x", values, dtype=pl.UInt64 if values == [2**64 - 1] else None)).kind == kind


def test_splitters_and_words_of_names() -> None:
    assert column_facts(pl.Series("x", ["a|b", "b|c", "a"] * 9)).splitter == "|"
    assert column_facts(pl.Series("x", ["1 2 3", "3 2 1 1"] * 9)).splitter == " "
    assert column_facts(pl.Series("x", [f"the story of {i} and others" for i in range(30)])).splitter == ""
    assert name_words("hist_itemId") == {"hist", "item", "id"}
    assert name_words("userid") == {"user", "id"} and name_words("uid") == {"uid"}


def test_where_the_description_goes() -> None:
    places = {"a/clicks.csv.gz": "a/clicks.yaml", "clicks.parquet": "clicks.yaml", "a/parts": "a/parts.yaml",
              "a/part-*.csv": "a/part.yaml", "a/*.csv": "a/a.yaml"}
    for table, expected in places.items():
        assert default_output(table) == Path(expected)


@pytest.mark.parametrize("head", ["", " ", "Unnamed: 0", "__index_level_0__", "rowid", "index", '""'])
def test_an_index_is_left_out_with_its_reason(head: str, tmp_path: Path) -> None:
    rows = [f"{i},{i % 3 % 2},u{i % 7},i{i % 5},{1_700_000_000 + i}" for i in range(30)]
    (tmp_path / "a.csv").write_text("\n".join([f"{head},click,user,item,ts", *rows]) + "\n")
    text, about = inferred(tmp_path / "a.csv", "click")
    assert [f.name for f in about.fields][:2] == ["user", "item"]
    assert "numbers the rows (an index)" in text and len(encoded(about, tmp_path)) == 30


def test_a_column_without_a_name_that_holds_data_is_a_field(tmp_path: Path) -> None:
    rows = [f"{i % 3 % 2},u{i % 7},i{i % 5},{'abc'[i % 3]}," for i in range(30)]
    (tmp_path / "a.csv").write_text("\n".join(["click,user,item,,", *rows]) + "\n")
    text, about = inferred(tmp_path / "a.csv", "click")
    assert [f.name for f in about.fields] == ["user", "item", "column_4"] and "column_5" in text
    assert sorted(encoded(about, tmp_path).vocabulary("column_4")) == ["a", "b", "c"]
