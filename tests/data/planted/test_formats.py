"""The raw files are what the publishers' files are."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from ameir_pl.data import DATASETS
from ameir_pl.data.layouts import ALIMAMA, AVAZU, CRITEO
from ameir_pl.data.planted import alimama, avazu, blocks, criteo

Planted = Callable[..., tuple[Path, dict[str, Any]]]
HEX = re.compile(r"[0-9a-f]{8}")


def _lines(path: Path) -> list[str]:
    text = path.read_text()
    assert text.endswith("\n") and "\r" not in text
    return text.splitlines()


def test_criteo(planted: Planted) -> None:
    folder, truth = planted("criteo")
    rows = [line.split("\t") for line in _lines(folder / "train.txt")]
    assert len(rows) == 6000 and {len(row) for row in rows} == {40}
    assert {row[0] for row in rows} == {"0", "1"}
    columns = list(zip(*rows, strict=True))
    for i in range(1, 14):
        numbers = [int(word) for word in columns[i] if word]
        assert min(numbers) >= (-3 if i == 2 else 0)
    assert min(map(int, columns[2])) == -3 and "" not in columns[2]
    for column in columns[14:]:
        assert all(word == "" or HEX.fullmatch(word) for word in column)
    distinct = {f"C{i}": len(set(columns[13 + i]) - {""}) for i in range(1, 27)}
    assert [distinct[f"C{i}"] for i in (6, 9, 14, 17, 20, 22, 23)] == [24, 3, 27, 10, 4, 18, 15]
    assert all(0.2 * 6000 < distinct[f"C{i}"] < 0.5 * 6000 for i in (3, 12, 16, 21))
    assert truth["click_rate"] == np.mean([row[0] == "1" for row in rows]) and 0.22 < truth["click_rate"] < 0.28
    names = [f.name for f in CRITEO.fields] + list(CRITEO.dense)
    assert {name for crossing in truth["interactions"] for name in crossing} | set(truth["fields"]) <= set(names)


def test_avazu(planted: Planted) -> None:
    folder, truth = planted("avazu")
    lines = _lines(folder / "train.csv")
    assert lines[0] == ("id,click,hour,C1,banner_pos,site_id,site_domain,site_category,app_id,app_domain,app_category,"
                        "device_id,device_ip,device_model,device_type,device_conn_type,C14,C15,C16,C17,C18,C19,C20,C21")
    rows = [line.split(",") for line in lines[1:]]
    assert len(rows) == 6000 and {len(row) for row in rows} == {24}
    ids = [int(row[0]) for row in rows]
    assert len(set(ids)) == 6000 and 0.4 < np.mean([i > 2**63 for i in ids]) < 0.6 and max(ids) < 2**64
    hours = [row[2] for row in rows]
    assert hours == sorted(hours) and hours[0] == "14102100" and hours[-1] == "14103023" and len(set(hours)) == 240
    for row in rows[:500]:
        assert all(HEX.fullmatch(word) for word in row[5:14])
        assert all(re.fullmatch(r"-?\d+", word) for word in row[14:])
    assert "-1" in {row[22] for row in rows} and {row[3] for row in rows} <= {
        "1001", "1002", "1005", "1007", "1008", "1010", "1012"}
    assert 0.14 < truth["click_rate"] < 0.2
    names = {f.name for f in AVAZU.fields}
    assert {name for crossing in truth["interactions"] for name in crossing} | set(truth["fields"]) <= names


def test_alimama(planted: Planted) -> None:
    folder, truth = planted("alimama")
    headers = {"raw_sample": "user,time_stamp,adgroup_id,pid,nonclk,clk",
               "ad_feature": "adgroup_id,cate_id,campaign_id,customer,brand,price",
               "user_profile": "userid,cms_segid,cms_group_id,final_gender_code,age_level,pvalue_level,"
                               "shopping_level,occupation,new_user_class_level ",
               "behavior_log": "user,time_stamp,btag,cate,brand"}
    rows = {}
    for name, header in headers.items():
        lines = _lines(folder / f"{name}.csv")
        assert lines[0] == header
        rows[name] = [line.split(",") for line in lines[1:]]
        assert {len(row) for row in rows[name]} == {header.count(",") + 1}
    assert len(rows["raw_sample"]) == 6000 and len(rows["behavior_log"]) == 163_200 == truth["log_rows"]
    assert len(rows["ad_feature"]) == 192 and truth["users"] == 258
    for row in rows["raw_sample"]:
        assert row[3] in ("430548_1007", "430539_1007") and {row[4], row[5]} == {"0", "1"}
        assert 1_494_000_000 <= int(row[1]) < 1_494_691_200
    seen, known, active = ({row[0] for row in rows[name]} for name in ("raw_sample", "user_profile", "behavior_log"))
    assert seen > known and seen > active and len(seen) == truth["users"]
    assert {row[2] for row in rows["raw_sample"]} <= {row[0] for row in rows["ad_feature"]}
    times = [int(row[1]) for row in rows["behavior_log"]]
    assert min(times) >= 1_492_790_400 and max(times) < 1_494_691_200 and times != sorted(times)
    tags = Counter(row[2] for row in rows["behavior_log"])
    assert set(tags) == {"pv", "cart", "fav", "buy"} and tags["pv"] > 0.9 * len(times)
    assert 0 < sum(row[4] == "NULL" for row in rows["ad_feature"]) < 60
    assert 0.35 < np.mean([row[5] == "" for row in rows["user_profile"]]) < 0.65
    assert 0.2 < np.mean([row[8] == "" for row in rows["user_profile"]]) < 0.45
    assert 0.85 < len(rows["user_profile"]) / truth["users"] < 0.99
    categories = {row[1] for row in rows["ad_feature"]}
    assert {row[3] for row in rows["behavior_log"]} <= categories == set(truth["behavior"]["groups"])
    names = {f.name for f in ALIMAMA.fields} | set(ALIMAMA.dense)
    assert {name for crossing in truth["interactions"] for name in crossing} | set(truth["fields"]) <= names


def test_movielens_is_read_by_its_dataset(planted: Planted, tmp_path: Path) -> None:
    folder, truth = planted("movielens")
    rows = [line.split("\t") for line in _lines(folder / "u.data")]
    assert len({(row[0], row[1]) for row in rows}) == len(rows) == 6000
    assert min(Counter(row[0] for row in rows).values()) >= 20
    encoded = DATASETS.get("movielens")(raw=folder, encoded=tmp_path, max_len=20).prepare()
    assert encoded.schema.max_len == 20
    names = {f.name for f in encoded.schema.fields}
    assert {name for crossing in truth["interactions"] for name in crossing} | set(truth["fields"]) <= names
    assert truth["bayes"]["rows"] == len(encoded.splits["test"])


@pytest.mark.parametrize(("name", "file"), [("beauty", "Beauty.txt"), ("steam", "Steam.txt")])
def test_sequences_are_read_by_their_dataset(name: str, file: str, planted: Planted, tmp_path: Path) -> None:
    folder, truth = planted(name)
    pairs = [tuple(map(int, line.split(" "))) for line in _lines(folder / file)]
    assert len(pairs) == len(set(pairs)) == 4000
    users, items = Counter(u for u, _ in pairs), Counter(i for _, i in pairs)
    assert min(users.values()) >= 5 and min(items.values()) >= 5
    assert set(users) == set(range(1, truth["users"] + 1)) and set(items) == set(range(1, truth["items"] + 1))
    encoded = DATASETS.get(name)(raw=folder, encoded=tmp_path).prepare()
    assert len(encoded.splits["test"]) == truth["users"] == truth["bayes"]["rows"]


def test_synthetic(planted: Planted) -> None:
    folder, truth = planted("synthetic")
    clicks, events = pl.read_parquet(folder / "clicks.parquet"), pl.read_parquet(folder / "events.parquet")
    assert clicks.columns == ["click", "time", "user_id", "segment", "age_level", "city", "hour", "position",
                              "item_id", "category", "brand", "tags", "price"]
    assert clicks.schema["time"] == pl.Int64 and clicks.schema["tags"] == pl.List(pl.String)
    assert clicks.schema["price"] == pl.Float64 and 0 < clicks["price"].null_count() < 1200
    assert events.columns == ["user_id", "time", "category", "brand", "kind"]
    assert len(clicks) == 6000 and len(events) == truth["events"]
    assert (clicks["hour"] == clicks["time"] // 3600 % 24).all()
    assert (clicks.group_by("item_id").agg(pl.col("brand").n_unique())["brand"] == 1).all()
    assert set(events["category"]) <= set(truth["behavior"]["groups"])
    assert {name for crossing in truth["interactions"] for name in crossing} <= set(clicks.columns)


def test_blocks_join_without_a_seam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block has its own generator, so another size of blocks is another draw; nothing else may change."""
    monkeypatch.setattr(blocks, "BLOCK", 700)
    monkeypatch.setattr(avazu, "BLOCK", 700)
    monkeypatch.setattr(alimama, "USERS", 30)
    truth = criteo.criteo(tmp_path / "criteo", 2000, 0, 0.0)
    assert len(_lines(tmp_path / "criteo" / "train.txt")) == 2000 and truth["bayes"]["rows"] == 200
    avazu.avazu(tmp_path / "avazu", 2000, 0, 0.0)
    rows = [line.split(",") for line in _lines(tmp_path / "avazu" / "train.csv")[1:]]
    assert len({row[0] for row in rows}) == len(rows) == 2000
    assert [row[2] for row in rows] == sorted(row[2] for row in rows) and len({row[2] for row in rows}) == 240
    truth = alimama.alimama(tmp_path / "alimama", 4000, 0, 0.0)
    shown = [line.split(",") for line in _lines(tmp_path / "alimama" / "raw_sample.csv")[1:]]
    assert len(shown) == 4000 and len(_lines(tmp_path / "alimama" / "behavior_log.csv")) == 1 + truth["log_rows"]
    places = defaultdict(list)
    for place, row in enumerate(shown):
        places[row[0]].append(place)
    assert all(p[-1] - p[0] < 4000 / 172 * 30 * 2 for p in places.values()), "a user is in more than one block"
