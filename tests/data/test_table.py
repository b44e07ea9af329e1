"""Tables of a user's own: the same data as the built-in datasets and as plain loops, in every file format."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from ameir_pl.data import DATASETS, Encoded, EncodedSequences
from ameir_pl.data.table import Table

SPLITS = ("train", "valid", "test")


def described(folder: Path, text: str, name: str = "table.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def table(path: Path, **settings: Any) -> Table:
    return Table(raw="none", encoded=path.parent / "encoded", source=path, **settings)


def words(encoded: Encoded, vocabulary: str) -> np.ndarray:
    """Value of each id; of padding None, of what train rows never showed "?"."""
    return np.array([None, "?", *encoded.vocabulary(vocabulary)], dtype=object)


def columns(encoded: Encoded) -> dict[str, list[Any]]:
    """Values of each field of all rows; of multivalent ones lists."""
    found = {}
    at = np.cumsum([0, *(f.width for f in encoded.schema.fields)])
    for f, start in zip(encoded.schema.fields, at, strict=False):
        values = words(encoded, f.vocabulary)[encoded.columns["fields"][:, start:start + f.width]].tolist()
        found[f.name] = [v[0] for v in values] if f.width == 1 else [[w for w in v if w is not None] for v in values]
    return found


def histories(encoded: Encoded, name: str) -> list[list[str]]:
    """The univalent behavior field's history of every row."""
    at = sum(b.width for b in encoded.schema.behaviors[:[b.name for b in encoded.schema.behaviors].index(name)])
    vocabulary = next(b.vocabulary for b in encoded.schema.behaviors if b.name == name)
    values = words(encoded, vocabulary)[encoded.columns["values"][:, at]].tolist()
    begin, end = encoded.columns["begin"], encoded.columns["end"]
    begin = np.maximum(begin, end - encoded.schema.max_len)
    return [values[b:e] for b, e in zip(begin.tolist(), end.tolist(), strict=True)]


MOVIELENS = """
input: ratings.inter
label: rating
threshold: 4
user: user_id
time: timestamp
join:
  - {input: ml-100k.user, on: user_id}
  - {input: ml-100k.item, on: item_id}
fields:
  - {name: user_id, dtype: int, group: user}
  - {name: [gender, occupation], group: user}
  - {name: hour, from: timestamp, part: hour}
  - {name: weekday, from: timestamp, part: weekday}
  - {name: movie_id, from: item_id, dtype: int, group: target}
  - {name: genres, from: class, type: sequence, splitter: " ", group: target}
behaviors:
  max_len: 20
  input: ratings.inter
  join: [{input: ml-100k.item, on: item_id}]
  fields:
    - {name: movie_id, from: item_id}
    - {name: genres, from: class, type: multivalent, splitter: " "}
    - {name: rating, dtype: int}
"""


def test_movielens_described_equals_the_built_in_dataset(real: Path, tmp_path: Path) -> None:
    source = real / "ml_100k"
    lines = (source / "ml-100k.inter").read_text().splitlines()
    # The built-in dataset sorts rows of one time by user and movie; a table keeps the order of the file.
    rows = sorted((line.split("\t") for line in lines[1:]), key=lambda r: (int(r[3]), int(r[0]), int(r[1])))
    (tmp_path / "ratings.inter").write_text("\n".join([lines[0], *("\t".join(row) for row in rows)]) + "\n")
    for name in ("ml-100k.user", "ml-100k.item"):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    mine = table(described(tmp_path, MOVIELENS))
    assert mine.stages == (1, 2, 3) and mine.protocol == "time split 80/10/10"
    here = mine.prepare()
    there = DATASETS.get("movielens")(raw="none", encoded=tmp_path / "encoded", source=source, max_len=20).prepare()
    assert here.splits == there.splits
    np.testing.assert_array_equal(here.columns["label"], there.columns["label"])
    ours, theirs = columns(here), columns(there)
    for name in ("user_id", "gender", "occupation", "hour", "weekday", "movie_id", "genres"):
        assert ours[name] == theirs[name], name
    for name in ("movie_id", "rating"):
        assert histories(here, name) == histories(there, name)
    assert here.schema.target_of == (5, 6, None)
    assert not any("without a row" in note for note in here.manifest["notes"])


def test_alimama_joined_csv_is_a_table(real: Path, tmp_path: Path) -> None:
    path = real / "alimama" / "joined_raw_100.csv"
    names = ["userid", "adgroup_id", "cate_id", "brand", "pid", "age_level"]
    encoded = table(described(tmp_path, f"""
input: {path}
label: clk
split: {{type: random, seed: 3}}
fields:
  - {{name: [{", ".join(names)}], dtype: str, group: target}}
  - {{name: price, type: numeric}}
  - {{name: day, from: time_stamp, part: weekday}}
""")).prepare()
    with path.open(newline="") as file:
        raw = list(csv.DictReader(file))
    assert [len(encoded.splits[s]) for s in SPLITS] == [80, 10, 10]
    assert encoded.columns["label"].sum() == sum(int(row["clk"]) for row in raw) == 4
    found = columns(encoded)
    known = {name: encoded.vocabulary(name) for name in names}
    expected = sorted(tuple(row[n] if row[n] in known[n] else "?" for n in names) for row in raw)
    assert sorted(zip(*(found[n] for n in names), strict=True)) == expected
    assert "" in known["brand"], "a missing brand is a category"
    days = {str(datetime.fromisoformat(row["time_stamp"]).weekday()) for row in raw}
    assert set(found["day"]) - {"?"} <= days
    order = np.argsort(encoded.columns["dense"][:, 0], kind="stable")
    assert len(order) == 100 and np.isfinite(encoded.columns["dense"]).all()


def test_dsin_lists_with_padding(real: Path, tmp_path: Path) -> None:
    path = real / "alimama" / "dsin_sample_512.csv"
    sessions = range(5)
    encoded = table(described(tmp_path, f"""
input: {path}
label: clk
split: {{type: random}}
fields:
  - {{name: [userid, cms_segid], dtype: int, group: user}}
  - {{name: [cate_id, brand], dtype: int, group: target}}
  - {{name: price, type: dense}}
behaviors:
  max_len: 50
  fields:
    - {{name: cate_id, from: [{", ".join(f"sess_{i}_cate_id" for i in sessions)}], splitter: " ", padding: 0}}
    - {{name: brand, from: [{", ".join(f"sess_{i}_brand" for i in sessions)}], splitter: " ", padding: 0}}
""")).prepare()
    with path.open(newline="") as file:
        raw = list(csv.DictReader(file))
    past = []
    for row in raw:
        pairs = [pair for i in sessions for pair in zip(
            row[f"sess_{i}_cate_id"].split(), row[f"sess_{i}_brand"].split(), strict=True)]
        past.append([pair for pair in pairs if pair != ("0", "0")])
    known = encoded.vocabulary("cate_id")
    expected = sorted([c if c in known else "?" for c, _ in pairs] for pairs in past)
    assert sorted(histories(encoded, "cate_id")) == expected
    assert encoded.schema.target_of == (2, 3)


CLICKS = """
label: click
user: user
time: when
split: {type: time}
fields:
  - {name: user, dtype: int, group: user}
  - {name: item, dtype: int, group: target}
  - {name: color, group: target, min_categr_count: 2}
  - {name: tags, type: multivalent, splitter: "|", max_len: 2}
  - {name: price, type: dense}
  - {name: hour, from: when, part: hour}
"""
EVENTS = """
behaviors:
  max_len: 3
  input: EVENTS
  user: who
  time: at
  fields:
    - {name: what, share_embedding: item}
    - {name: kind}
"""


def clicks(rows: int = 400, seed: int = 1) -> dict[str, list[Any]]:
    generator = np.random.default_rng(seed)
    return {
        "click": generator.integers(0, 2, rows).tolist(),
        "when": (1_700_000_000 + generator.permutation(rows * 50)[:rows]).tolist(),
        # Above 2**53, so that a float anywhere would merge them; negative ones too.
        "user": [2**60 + int(u) for u in generator.integers(0, 20, rows)],
        "item": [-int(i) - 1 for i in generator.integers(0, 30, rows)],
        "color": [None if c == 5 else f"c{c}" for c in generator.integers(0, 6, rows)],
        "tags": ["|".join(f"t{t}" for t in generator.integers(0, 5, generator.integers(0, 4))) for _ in range(rows)],
        "price": [None if p < 0 else round(float(p), 2) for p in generator.normal(1, 1, rows)]}


def events(rows: int = 300, seed: int = 2) -> dict[str, list[Any]]:
    generator = np.random.default_rng(seed)
    return {"who": [2**60 + int(u) for u in generator.integers(0, 25, rows)],
            "at": (1_700_000_000 + generator.permutation(400 * 50)[:rows]).tolist(),
            "what": [-int(i) - 1 for i in generator.integers(0, 30, rows)],
            "kind": [("view", "buy")[int(k)] for k in generator.integers(0, 2, rows)]}


@pytest.fixture(params=["clicks.csv", "clicks.tsv", "clicks.csv.gz", "clicks.parquet", "clicks", "clicks-*.csv"])
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Descriptions of the same rows in several formats."""
    name = request.param
    rows, past = pl.DataFrame(clicks()), pl.DataFrame(events())
    if name.endswith(".parquet"):
        rows.with_columns(pl.col("tags").str.split("|").list.eval(pl.element().filter(pl.element() != "")).alias("tags")
                          ).write_parquet(tmp_path / name, row_group_size=70)
        past.write_parquet(tmp_path / "events.parquet")
    elif name == "clicks":
        (tmp_path / name).mkdir()
        rows[:150].write_csv(tmp_path / name / "a.csv")
        rows[150:].write_parquet(tmp_path / name / "b.parquet")
    elif "*" in name:
        rows[:150].write_csv(tmp_path / "clicks-01.csv", separator=";")
        rows[150:].write_csv(tmp_path / "clicks-02.csv")
    elif name.endswith(".gz"):
        with gzip.open(tmp_path / name, "wt") as file:
            file.write(rows.write_csv())
    else:
        rows.write_csv(tmp_path / name, separator="\t" if name.endswith("tsv") else ",")
    if not name.endswith(".parquet"):
        past.write_csv(tmp_path / "events.csv")
    kind = "parquet" if name.endswith(".parquet") else "csv"
    yield described(tmp_path, f"input: {name}\n" + CLICKS + EVENTS.replace("EVENTS", f"events.{kind}"))


def test_every_format_equals_a_slow_loop(written: Path) -> None:
    encoded = table(written).prepare()
    rows, past = clicks(), events()
    count = len(rows["click"])
    order = np.argsort(rows["when"], kind="stable")
    split = np.zeros(count, int)
    split[order[320:360]], split[order[360:]] = 1, 2
    in_order = [i for part in range(3) for i in range(count) if split[i] == part]
    assert [len(encoded.splits[s]) for s in SPLITS] == [320, 40, 40]
    train = [i for i in range(count) if split[i] == 0]
    found, dense = columns(encoded), encoded.columns["dense"][:, 0]
    colors = [rows["color"][i] or "" for i in train]
    seen = {"user": {str(rows["user"][i]) for i in train}, "color": {c for c in colors if colors.count(c) > 1}}
    known_items = encoded.vocabulary("item")
    lists, kinds = histories(encoded, "what"), histories(encoded, "kind")
    by_time = sorted(range(len(past["at"])), key=lambda e: past["at"][e])
    starts = encoded.gather(np.arange(count)).starts.tolist()
    for place, i in enumerate(in_order):
        assert encoded.columns["label"][place] == rows["click"][i]
        for name in ("user", "color"):
            value = "" if rows[name][i] is None else str(rows[name][i])
            assert found[name][place] == (value if value in seen[name] else "?")
        assert found["hour"][place] in (str(rows["when"][i] // 3600 % 24), "?")
        assert found["tags"][place] == [t for t in rows["tags"][i].split("|") if t][:2]
        assert (dense[place] == -1) == (rows["price"][i] is None)
        before = [e for e in by_time if past["who"][e] == rows["user"][i] and past["at"][e] < rows["when"][i]][-3:]
        assert lists[place] == [str(past["what"][e]) if str(past["what"][e]) in known_items else "?" for e in before]
        assert kinds[place] == [past["kind"][e] for e in before]
        pauses = [past["at"][b] - past["at"][a] > 1800 for a, b in pairwise(before)]
        assert starts[place] == [bool(before), *pauses, *[False] * (3 - max(len(before), 1))]
    assert list(encoded.vocabulary("item")) == sorted(encoded.vocabulary("item"), key=int), "sorted as numbers"
    notes = encoded.manifest["notes"]
    assert notes["events of users without a row, left out"] == sum(u >= 2**60 + 20 for u in past["who"])


def test_formats_give_the_same_columns(tmp_path: Path) -> None:
    rows = pl.DataFrame(clicks())
    rows.write_csv(tmp_path / "a.csv")
    with gzip.open(tmp_path / "a.csv.gz", "wb") as file:
        file.write((tmp_path / "a.csv").read_bytes())
    rows.write_parquet(tmp_path / "a.parquet")
    made = [table(described(tmp_path, f"input: {name}\n{CLICKS}", f"{name}.yaml")).prepare()
            for name in ("a.csv", "a.csv.gz", "a.parquet")]
    for other in made[1:]:
        assert made[0].schema == other.schema
        for name, column in made[0].columns.items():
            np.testing.assert_array_equal(column, other.columns[name])
        for name in made[0].schema.vocabularies:
            assert made[0].vocabulary(name) == other.vocabulary(name)
    assert len({encoded.fingerprint for encoded in made}) == 3


def test_other_ways_of_writing_text(tmp_path: Path) -> None:
    rows = pl.DataFrame(clicks())
    text = rows.write_csv()
    (tmp_path / "a.csv").write_text(text)
    ways = {"crlf": text.replace("\n", "\r\n").encode(), "mark": b"\xef\xbb\xbf" + text.encode(),
            "quoted": rows.write_csv(quote_style="always").replace('""', "").encode(),
            "open": text.removesuffix("\n").encode(), "blanks": text.replace(",", " ,", 1).encode(),
            "floats": rows.with_columns(pl.col("item").cast(pl.Float64), pl.col("click") == 1).write_csv().encode()}
    first = table(described(tmp_path, f"input: a.csv\n{CLICKS}")).prepare()
    for name, written in ways.items():
        (tmp_path / f"{name}.csv").write_bytes(written)
        other = table(described(tmp_path, f"input: {name}.csv\n{CLICKS}", f"{name}.yaml")).prepare()
        for column, values in first.columns.items():
            np.testing.assert_array_equal(values, other.columns[column], err_msg=name)


def test_a_changed_description_is_encoded_again(tmp_path: Path) -> None:
    pl.DataFrame(clicks()).write_csv(tmp_path / "a.csv")
    path = described(tmp_path, f"input: a.csv\n{CLICKS}")
    first = table(path).prepare()
    assert table(path).prepare().folder == first.folder
    described(tmp_path, f"input: a.csv\n{CLICKS}  - {{name: click2, from: color}}\n")
    assert table(path).prepare().folder != first.folder


def test_a_split_column_and_headerless_columns(real: Path, tmp_path: Path) -> None:
    rows = clicks()
    where = ["train"] * 300 + ["valid"] * 50 + ["TEST "] * 50
    pl.DataFrame(rows | {"part": where}).drop("when").write_csv(tmp_path / "a.csv")
    encoded = table(described(tmp_path, """
input: a.csv
label: click
split: {type: column, column: part}
fields: [{name: user, dtype: int}, {name: item, dtype: int}]
""")).prepare()
    assert [len(encoded.splits[s]) for s in SPLITS] == [300, 50, 50]
    names = ["label", *(f"c{i}" for i in range(39))]
    path = real / "criteo" / "criteo_index_train_10000.csv"
    encoded = table(described(tmp_path, f"input: {path}\ncolumns: [{', '.join(names)}]\nlabel: label\n"
                                        "fields: [{name: [c0, c1, c38], dtype: int}]\n", "b.yaml")).prepare()
    assert len(encoded) == 10_000 and encoded.columns["label"].sum() == 2563


def test_times_of_every_kind_are_strictly_before(tmp_path: Path) -> None:
    moments = [datetime(2024, 1, 1 + day, 12, tzinfo=UTC) for day in range(20)]
    base = {"click": [0, 1] * 10, "user": ["u"] * 20, "item": [f"i{i}" for i in range(20)]}
    kinds: dict[str, list[Any]] = {
        "seconds": [int(m.timestamp()) for m in moments], "fractions": [m.timestamp() + 0.25 for m in moments],
        "milliseconds": [int(m.timestamp()) * 1000 for m in moments], "text": [m.isoformat() for m in moments],
        "plain": [m.strftime("%Y-%m-%d %H:%M:%S") for m in moments], "dates": [m.date() for m in moments],
        "moments": moments}
    for name, times in kinds.items():
        for suffix in ("parquet", "csv") if name in ("dates", "text", "fractions", "seconds") else ("parquet",):
            rows = pl.DataFrame(base | {"t": times})
            path = tmp_path / f"{name}.{suffix}"
            rows.write_parquet(path) if suffix == "parquet" else rows.write_csv(path)
            encoded = table(described(tmp_path, f"""
input: {path.name}
label: click
user: user
time: t
fields: [{{name: user}}, {{name: item, group: target}}, {{name: weekday, from: t, part: weekday}}]
behaviors: {{max_len: 50, input: {path.name}, fields: [{{name: item}}]}}
""", f"{name}-{suffix}.yaml")).prepare()
            lengths = encoded.columns["end"] - encoded.columns["begin"]
            assert lengths.tolist() == list(range(20)), name
            days = columns(encoded)["weekday"]
            assert days[:16] == [str(m.weekday()) for m in moments[:16]], name


def test_retrieval(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    rows = [(f"u{u}", f"i{generator.integers(0, 200)}", int(t)) for u in range(30)
            for t in generator.permutation(12)[:int(generator.integers(2, 12))]]
    pl.DataFrame(rows, schema=["u", "i", "t"], orient="row").write_csv(tmp_path / "a.csv")
    mine = table(described(tmp_path, """
task: retrieval
input: a.csv
user: u
item: i
time: t
behaviors: {max_len: 7}
"""))
    assert mine.stages == (1,)
    encoded = mine.prepare()
    assert isinstance(encoded, EncodedSequences) and encoded.schema.max_len == 7
    assert isinstance(mine.prepare(), EncodedSequences), "reused"
    known = words(encoded, "item")
    begin, stop = (encoded.columns[name] for name in ("begin", "stop"))
    tests = encoded.splits["test"]
    found = sorted([known[i] for i in encoded.columns["values"][begin[r]:stop[r], 0]] for r in tests)
    users = {u for u, _, _ in rows}
    expected = [[i for _, i in sorted((t, i) for v, i, t in rows if v == u)] for u in users]
    assert found == sorted(items for items in expected if len(items) > 2)
    assert encoded.items == len({i for _, i, _ in rows})
    assert table(mine.description.path, max_len=4).prepare().schema.max_len == 4


def test_stages_need_no_data(tmp_path: Path) -> None:
    no = described(tmp_path, "input: none.csv\nlabel: y\nfields: [{name: [a, b]}, {name: c, type: dense}]\n")
    assert table(no).stages == (2, 3)
    one = described(tmp_path, "input: none.csv\nlabel: y\nfields: [{name: a}]\n"
                              "behaviors: {fields: [{name: h, share_embedding: a, splitter: ','}]}\n")
    assert table(one).stages == (1,)
    assert table(one).description.behaviors.max_len == 50
