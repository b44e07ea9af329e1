"""Next-item data from the files their publishers ship: every format, plain and gzipped, and what is refused and why."""

from __future__ import annotations

import ast
import gzip
import inspect
import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

from ameir_pl.data import DATASETS
from ameir_pl.data.bad_rows import BadRows
from ameir_pl.data.sequence_files import read
from ameir_pl.errors import AmeirError
from tests.data.sequence_helpers import prepare, python2

LARGEST = 2**63 - 1
INTER = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"


def rows(path: Path, **settings: Any) -> list[tuple[Any, ...]]:
    return read(path, BadRows("fail", ""), **settings).table.select("user", "item").rows()


def notes(source: Path, out: Path, name: str = "steam", **settings: Any) -> dict[str, Any]:
    return dict(prepare(source, out, name, **settings).manifest["notes"])


def test_steam_reviews_equal_a_slow_reader(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    texts = ["good", "don't", 'say "no"', "don't say \"no\"", "back\\slash", "\\", "Игра ★ 🎮", "line\nfeed\ttab", "",
             "u'date': u'1999-01-01'", "', u'username': u'thief', u'x': u'", '", u"date": "1999-01-01", "', "{}",
             "}, {"]
    users = ["Chaos Syren", "O'Neil", 'a "quoted" one', "both ' and \"", "Жук", "back\\slash", "date", "username", " "]
    records = []
    for i in range(600):
        record = {"hours": 9.1, "username": users[generator.integers(0, 8)], "product_id": str(generator.integers(9)),
                  "page_order": i % 10, "date": f"2017-0{generator.integers(1, 10)}-1{generator.integers(0, 3)}",
                  "text": texts[generator.integers(len(texts))], "early_access": bool(i % 2), "page": -1, "found": None}
        names = [*record]
        generator.shuffle(names)
        records.append({name: record[name] for name in names})
    lines = [python2(record) for record in records]
    lines[3] = lines[3].replace("{", "{'nested': [1, (2, {'date': 'x'})], ")   # no flat dict
    lines[5] = lines[5].replace("{", "{u'date': u'1999-01-01', ")              # the later one counts
    lines[7] = "  " + lines[7] + " \r"
    lines.insert(9, "")
    path = tmp_path / "steam_reviews.json.gz"
    path.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))
    expected = defaultdict(list)
    for line in filter(None, lines):
        record = ast.literal_eval(line.strip())
        expected[record["username"]].append((record["date"], record["product_id"]))
    slow = [(user, item) for user in sorted(expected)
            for _, item in sorted(expected[user], key=lambda pair: pair[0])]  # one day: in the order of the file
    assert rows(path) == slow


def test_steam_reviews_are_prepared(tmp_path: Path) -> None:
    lines = [python2({"username": f"user {u}", "product_id": f"{10 * i}", "date": f"2017-01-{20 - i:02d}", "text": "x"})
             for i in range(9) for u in range(12)]
    path = tmp_path / "steam_new.json"
    path.write_text("\n".join(lines))
    dataset = DATASETS.get("steam")(raw=tmp_path, encoded=tmp_path / "encoded")
    encoded = dataset.prepare()
    assert encoded.manifest["notes"]["format"] == "reviews"
    assert (encoded.manifest["notes"]["items a user, mean"], len(encoded.splits["test"])) == (9.0, 12)
    words = {v: k for k, v in encoded.vocabulary("item").items()}
    assert [words[i] for i in encoded.columns["values"][:9, 0]] == [f"{10 * i}" for i in reversed(range(9))]


def test_amazon_reviews_as_json_and_as_python(tmp_path: Path) -> None:
    records = [{"reviewerID": f"A{i % 3:013d}", "asin": f"B{i:09d}", "helpful": [0, 1], "reviewText": '"asin": "no"',
                "unixReviewTime": 1_390_176_000 - i} for i in range(30)]
    (tmp_path / "json").write_text("\n".join(map(json.dumps, records)))
    (tmp_path / "python").write_text("\n".join(map(repr, records)))
    expected = [(f"A{u:013d}", f"B{i:09d}") for u in range(3) for i in reversed(range(u, 30, 3))]
    assert rows(tmp_path / "json") == rows(tmp_path / "python") == expected


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("swapped", [False, True])
def test_amazon_ratings_of_2014_and_2018(swapped: bool, packed: bool, sequence_files: dict[str, Path],
                                         tmp_path: Path) -> None:
    text = sequence_files["ratings"].read_text()
    if swapped:
        text = "".join(",".join((i, u, *rest)) + "\n" for u, i, *rest in (t.split(",") for t in text.split()))
    path = tmp_path / "Beauty.csv"
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    assert rows(path) == rows(sequence_files["ratings"])


def test_the_other_formats(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(INTER + "u\tb\t3\t20.0\nu\ta\t5\t10.0\nt\tc\t1\t5.5\n")
    assert rows(path) == [("t", "c"), ("u", "a"), ("u", "b")]
    path.write_text("item_id\tuser_id\ttimestamp\nb\tu\t20\na\tu\t10\n")
    assert rows(path) == [("u", "a"), ("u", "b")]
    path.write_text('user_id,parent_asin,rating,timestamp\n"u,1",b,3,1452647382001\n"u,1",a,3,1452647382000\n')
    assert rows(path) == [("u,1", "a"), ("u,1", "b")]
    path.write_text("20,x,b,u\n10,x,a,u\n")
    assert rows(path, columns=("timestamp", "shop", "item", "user")) == [("u", "a"), ("u", "b")]
    path.write_text("when,shop,what,who\n20,x,b,u\n10,x,a,u\n")
    assert rows(path, columns=("timestamp", "shop", "item", "user")) == [("u", "a"), ("u", "b")]
    path.write_text("history\tnext\n3 1\t2\n\t7\n")
    assert rows(path) == [(2, 3), (2, 1), (2, 2), (3, 7)]
    path.write_text(f"1\t{LARGEST}\n1  {LARGEST - 1}\n")
    assert rows(path) == [(1, LARGEST), (1, LARGEST - 1)], "never a float"




def test_amazon_finds_the_files_of_a_category(tmp_path: Path) -> None:
    make = DATASETS.get("amazon")
    for name in ("Video_Games.json.gz", "Video_Games.csv", "ratings_Video_Games.csv", "Video_Games_5.json.gz",
                 "reviews_Video_Games_5.json.gz", "reviews_Video_Games_5.json", "Video_Games.txt"):
        (tmp_path / name).write_text("x")
        found = make(raw=tmp_path, encoded=tmp_path, category="Video_Games").files()
        assert found == {"sequences": tmp_path / name}, "added in the order from the last choice to the first"
    with pytest.raises(AmeirError, match="category='../x'"):
        make(raw=tmp_path, encoded=tmp_path, category="../x")
    assert make(raw=tmp_path, encoded=tmp_path).max_len == 15


@pytest.mark.parametrize("name", ["amazon", "beauty", "steam", "movielens"])
def test_settings_are_those_of_the_configuration(name: str, tmp_path: Path) -> None:
    conf = yaml.safe_load((Path(__file__).parents[2] / "conf" / "dataset" / f"{name}.yaml").read_text())
    parameters = inspect.signature(DATASETS.get(name)).parameters
    common = {"raw", "encoded", "source", "max_len", "on_bad_row"}
    assert set(conf["options"]) | common == set(parameters)
    assert all(p.kind is p.KEYWORD_ONLY for p in parameters.values())
    DATASETS.get(name)(raw=tmp_path, encoded=tmp_path, max_len=conf["max_len"], on_bad_row="skip", **conf["options"])
    for key, value in (("on_bad_row", "ignore"), ("max_len", 0)):
        with pytest.raises(AmeirError, match=f"{key}={value}"):
            DATASETS.get(name)(raw=tmp_path, encoded=tmp_path, **{key: value})


@pytest.mark.bad_input
@pytest.mark.parametrize("columns", [["user", "item"], ["user", "item", "timestamp", "user"]])
def test_columns_are_checked(columns: list[str], tmp_path: Path) -> None:
    with pytest.raises(AmeirError, match="needed are user, item, timestamp"):
        DATASETS.get("steam")(raw=tmp_path, encoded=tmp_path, columns=columns)


def test_table_7_is_compared_where_it_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "s.txt"
    path.write_text("".join(f"{u} 1 2 3 {u + 4}\n" for u in range(20)) + "20 1 2 3 4 5\n")
    make, note = DATASETS.get("steam"), "Table 7 of the paper"
    found = notes(path, tmp_path / "a")
    assert note not in found
    assert [found[f"items a user, {k}"] for k in ("min", "max", "mean")] == [4, 5, 4.048]
    paper = make.paper_counts
    assert paper == (281_210, 11_961, 5, 1_226, 12.391) and type(paper)(22_363, 12_101, 5, 204, 8.876) == \
        DATASETS.get("beauty").paper_counts
    monkeypatch.setattr(make, "paper_counts", type(paper)(21, 23, 4, 5, 4.048))
    assert notes(path, tmp_path / "b")[note] == "counts equal"
    monkeypatch.setattr(make, "paper_counts", type(paper)(22, 23, 4, 6, 4.048))
    assert notes(path, tmp_path / "c")[note] == "differs: users 21 here, 22 there; max 5 here, 6 there"


def test_real_beauty_equals_table_7(real: Path, tmp_path: Path) -> None:
    path = real / "amazon_beauty" / "Beauty.txt"
    lengths = [len(line.split()) - 1 for line in path.read_text().splitlines()]
    found = notes(path, tmp_path, "beauty")
    assert found["Table 7 of the paper"] == "counts equal" and found["format"] == "lines"
    assert (found["users"], found["items a user, min"], found["items a user, max"]) == (len(lengths), 5, 204)
    assert found["items a user, mean"] == round(sum(lengths) / len(lengths), 3) == 8.876


def test_real_video_games_pairs(real: Path, tmp_path: Path) -> None:
    path = real / "amazon_video_games" / "Video.txt"
    users: dict[str, list[str]] = defaultdict(list)
    for user, item in (line.split() for line in path.read_text().splitlines()):
        users[user].append(item)
    items = {item for sequence in users.values() for item in sequence}
    lengths = sorted(map(len, users.values()))
    assert (sum(lengths), len(users), len(items), lengths[0], lengths[-1]) == (287_107, 31_013, 23_715, 1, 860)
    encoded = prepare(path, tmp_path, "amazon")
    found = encoded.manifest["notes"]
    assert (found["format"], found["items a user, max"], encoded.items) == ("pairs", 860, 23_715)
    assert found["users"] == sum(n >= 3 for n in lengths)
    assert found["users with fewer than 3 items, dropped"] == sum(n < 3 for n in lengths) > 0, "no 5-core"
    core = prepare(path, tmp_path, "amazon", filter_sequences=True)
    assert 0 < len(core.splits["test"]) < found["users"] and core.manifest["notes"]["items a user, min"] == 5


@pytest.mark.parametrize("part", ["val", "test"])
def test_real_steam_histories(part: str, real: Path, tmp_path: Path) -> None:
    path = real / "steam" / f"steam_{part}_1194.tsv"
    lines = [line.split("\t") for line in path.read_text().split("\n")[1:-1]]
    users = [[*map(int, history.split()), int(item)] for history, item in lines]
    assert len(users) == 1194
    encoded = prepare(path, tmp_path)
    found = encoded.manifest["notes"]
    assert found["format"] == "histories" and encoded.items == len({item for items in users for item in items})
    long = [items for items in users if len(items) >= 3]
    assert (found["users"], found["users with fewer than 3 items, dropped"]) == (len(long), 1194 - len(long))
    words = pl.Series(sorted({item for items in users for item in items}))
    assert (words.gather(encoded.columns["values"][:, 0] - 2) == pl.Series([i for items in long for i in items])).all()
    assert (part == "test") == (min(map(len, users)) == 1), "one user has an empty history"


def test_real_movielens_ratings_as_sequences(real: Path, tmp_path: Path) -> None:
    path = real / "ml_100k" / "ml-100k.inter"
    counts = Counter(line.split("\t")[1] for line in path.read_text().splitlines()[1:])
    found = notes(path, tmp_path)
    # Every user has 20 or more, so that dropping the rare items is all there is to do.
    assert (found["format"], found["users"]) == ("ratings", 943)
    assert found["items"] == sum(count >= 5 for count in counts.values())
    assert found["interactions"] + found["interactions outside the 5-core, dropped"] == 100_000
