"""Alimama: every encoded value against plain Python over the four raw tables, and what is refused."""

from __future__ import annotations

import gzip
import hashlib
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ameir_pl.data import DATASETS, Encoded, alimama
from ameir_pl.data.alimama_tables import COLUMNS
from ameir_pl.data.planted import GENERATORS
from ameir_pl.data.splits import pandas_sample
from tests.data.alimama_reference import DAY, START, check, encode, make, read, refused


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generated raw tables."""
    folder = tmp_path_factory.mktemp("planted")
    GENERATORS.get("alimama")(folder, 2000, 3, 0.0)
    return folder


@pytest.mark.parametrize(("share", "max_len", "min_count"), [(0.5, 50, 1), (1.0, 5, 4)])
def test_every_planted_row_equals_a_slow_loop(planted: Path, tmp_path: Path, share: float, max_len: int,
                                              min_count: int) -> None:
    encoded = encode(planted, tmp_path, user_share=share, max_len=max_len, min_count=min_count)
    check(encoded, planted, share, max_len, min_count)


@pytest.mark.parametrize(("share", "max_len"), [(0.25, 50), (0.6, 5)])
def test_dsin_s_preparation_equals_a_slow_loop(planted: Path, tmp_path: Path, share: float, max_len: int) -> None:
    encoded = encode(planted, tmp_path, user_share=share, max_len=max_len, preset="dsin")
    check(encoded, planted, share, max_len, dsin=True)
    assert "DSIN" in DATASETS.get("alimama")(raw=planted, encoded=tmp_path).protocol  # the default


# What pandas 3.1.1 gives for DataFrame(range(rows)).sample(frac=0.25, random_state=1024).
PANDAS = {8: [0, 2], 10: [2, 3], 6: [2, 5], 40: [7, 14, 2, 10, 27, 35, 22, 8, 4, 15]}
PANDAS_SHA256 = "439f614abc41f68b19a334cee77caf1fadfb03edcd9bcdc54fd0397100cdec2a"
"""Of the same for the 1,061,768 profiles of the publisher, as 64-bit little-endian numbers."""


def test_dsin_by_hand(tmp_path: Path) -> None:
    """Eight users with a profile, of whom two are drawn; 30 minutes, kinds, dates, the cut, and rows among events."""
    drawn, others = [100, 102], [101, 103, 104, 105, 106, 107]
    cut, since = 1_494_633_600, 1_493_769_600
    shown = [(100, cut - 1), (100, cut), (102, cut - 50_000), (102, cut - 60_000), (102, since + 2), (102, since + 100),
             (109, cut - 5), (107, cut + 5), *((100, cut - 90_000 + i) for i in range(6))]
    done = [(100, since - 1, "pv"), (100, since, "pv"), (100, since + 1800, "pv"), (100, since + 3600, "pv"),
            (100, cut - 40_000, "pv"), (100, cut - 39_999, "pv"),  # two of one session
            (100, cut - 30_000, "pv"), (100, cut - 29_999, "buy"), (100, cut - 29_998, "pv"),  # two of kind pv
            (102, since, "pv"), (102, since + 1, "pv"), (102, since + 50, "pv"), (102, since + 1851, "pv"),
            (107, since, "pv"), (109, since, "pv"), (107, since, "cart")]
    folder = tmp_path / "hand"
    folder.mkdir()
    rows = {"raw_sample": [[u, t, 1, "p", 1 - i % 2, i % 2] for i, (u, t) in enumerate(shown)],
            "ad_feature": [[1, 5, 6, 7, 8, 9.5]],
            "user_profile": [[u, 1, 1, 1, 1, 1, 1, 1, 1] for u in sorted([*drawn, *others])],
            "behavior_log": [[u, t, tag, i, 0] for i, (u, t, tag) in enumerate(done)]}
    for part, lines in rows.items():
        text = "\n".join([",".join(COLUMNS[part]), *(",".join(map(str, line)) for line in lines)])
        (folder / f"{part}.csv").write_text(text + "\n")
    encoded = encode(folder, tmp_path, preset="dsin", user_share=0.25)
    words = {number: word for word, number in encoded.vocabulary("cate_id").items()}
    user = {number: word for word, number in encoded.vocabulary("userid").items()}
    batch = encoded.gather(np.arange(len(encoded)))
    found = sorted((user[int(fields[0])], [words.get(int(i)) for i in ids[mask][:, 0]],
                    row >= encoded.splits["test"].start)
                   for row, (fields, ids, mask) in enumerate(zip(batch.fields, batch.behaviors, batch.mask,
                                                                 strict=True)))
    assert len(found) == 12 and {name for name, *_ in found} == {"102", "100"}
    assert [history for name, history, _ in found if name == "102"] == [
        [], ["9", "10", "11"], ["9", "10", "11"], ["9", "10", "11"]]
    assert {tuple(history) for name, history, _ in found if name == "100"} == {("1", "2", "3")}
    assert sum(test for *_, test in found) == 1
    assert encoded.manifest["notes"]["behaviors of another kind than pv or before 2017-05-03, left out"] == 3


def test_a_quarter_of_the_profiles_is_pandas_sample() -> None:
    for rows, chosen in PANDAS.items():
        assert pandas_sample(rows, 0.25, 1024).tolist() == chosen
    drawn = pandas_sample(1_061_768, 0.25, 1024)
    assert len(drawn) == 265_442 and hashlib.sha256(drawn.astype("<i8").tobytes()).hexdigest() == PANDAS_SHA256


@pytest.mark.bad_input
def test_a_log_without_what_dsin_keeps_is_refused(small: Path, tmp_path: Path) -> None:
    path = small / "behavior_log.csv"
    path.write_text(path.read_text().replace(",pv,", ",view,"))
    assert "is of kind 'pv' and from 2017-05-03 on" in refused(small, tmp_path, preset="dsin")
    assert "there is no preset 'dien'. Did you mean 'dsin'?" in refused(small, tmp_path, preset="dien")


def test_users_without_a_profile_may_be_left_out(planted: Path, tmp_path: Path) -> None:
    everyone = encode(planted, tmp_path / "all", user_share=0.5)
    profiled = encode(planted, tmp_path / "profiled", user_share=0.5, profiled_only=True)
    missing = everyone.columns["fields"][:, [f.name for f in everyone.schema.fields].index("cms_group_id")] == (
        everyone.vocabulary("cms_group_id")[""])
    assert missing.any() and len(profiled) == len(everyone) - missing.sum()
    assert "" not in profiled.vocabulary("cms_group_id")
    assert "0 of them without a profile" in profiled.manifest["notes"]["users"]


def same(one: Encoded, other: Encoded) -> None:
    assert one.schema == other.schema
    for name, column in one.columns.items():
        np.testing.assert_array_equal(column, other.columns[name])
    for name in one.schema.vocabularies:
        assert one.vocabulary(name) == other.vocabulary(name)


def test_chunks_and_ranges_of_users_change_nothing(planted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
                                                   ) -> None:
    whole = encode(planted, tmp_path / "whole", user_share=0.5)
    monkeypatch.setattr(alimama, "BLOCK", 20_000)
    monkeypatch.setattr(alimama, "BUCKET", 100_000)
    same(whole, encode(planted, tmp_path / "parts", user_share=0.5))


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return make(tmp_path / "small")


def test_small_tables(small: Path, tmp_path: Path) -> None:
    encoded = encode(small, tmp_path, max_len=10)
    check(encoded, small, max_len=10)
    assert encoded.vocabulary("brand")[""] == 2  # NULL in ads, nothing in the log: one and the same category
    assert encoded.vocabulary("cms_group_id")[""] == 2  # users without a profile
    assert (np.asarray(encoded.columns["dense"]) == -1).any()


def test_other_spellings_are_the_same_data(small: Path, tmp_path: Path) -> None:
    plain = encode(small, tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    for part in COLUMNS:
        rows = read(small / f"{part}.csv")
        names = list(reversed(rows[0]))
        lines = [", ".join(names), *(",".join(row[name] for name in names) for row in rows)]
        text = "\ufeff" + "\r\n".join(lines)
        (other / f"{part}.csv.gz").write_bytes(gzip.compress(text.encode()))
    same(plain, encode(other, tmp_path))


def test_the_eighth_day_of_china_tests() -> None:
    china = timezone(timedelta(hours=8))
    assert datetime.fromtimestamp(START, china) == datetime(2017, 5, 6, tzinfo=china)
    assert datetime.fromtimestamp(alimama.TEST_START, china) == datetime(2017, 5, 13, tzinfo=china)


def test_behaviors_without_a_time_are_left_out(small: Path, tmp_path: Path) -> None:
    path = small / "behavior_log.csv"
    path.write_text(path.read_text() + "1,0,pv,3,3\n2,-5000000000,pv,3,3\n")
    encoded = encode(small, tmp_path)
    check(encoded, small)
    assert encoded.manifest["notes"]["behaviors with a time of 0 or below, left out"] == 2


@pytest.mark.bad_input
@pytest.mark.parametrize(("name", "reason"), [
    ("dmr_train_500.csv", "a table that DMR's authors prepared (267 columns"),
    ("dmr_sample_99_header.csv", "a table that DMR's authors prepared (267 columns"),
    ("dsin_sample_512.csv", "a table that DSIN's authors prepared"),
    ("joined_raw_100.csv", "raw_sample joined with user_profile and ad_feature")])
def test_prepared_samples_are_refused(real: Path, tmp_path: Path, name: str, reason: str) -> None:
    message = refused(real / "alimama" / name, tmp_path)
    assert reason in message and "raw_sample.csv, ad_feature.csv, user_profile.csv, behavior_log.csv" in message
    assert ("ameir data infer" in message) == (name == "joined_raw_100.csv")


@pytest.mark.bad_input
def test_one_raw_table_alone_is_refused(small: Path, tmp_path: Path) -> None:
    assert "one of the four raw tables; they are needed together" in refused(small / "raw_sample.csv", tmp_path)
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    assert "a file with the columns a, b" in refused(tmp_path / "other.csv", tmp_path)


def test_real_rows_taken_apart_again(real: Path, tmp_path: Path) -> None:
    rows = read(real / "alimama" / "joined_raw_100.csv")
    china = timezone(timedelta(hours=8))
    rng = np.random.default_rng(1)
    tables: dict[str, dict[Any, list[str]]] = {part: {} for part in COLUMNS}
    for i, row in enumerate(rows):
        stamp = int(datetime.fromisoformat(row["time_stamp"]).replace(tzinfo=china).timestamp())
        # The rows are of one hour of the first day; a third is moved to the eighth, so that there are test rows.
        stamp += 7 * DAY if i % 3 == 0 else 0
        made = row | {"user": row["userid"], "time_stamp": str(stamp), "nonclk": str(1 - int(row["clk"]))}
        made |= {name: "NULL" for name in ("brand",) if not row[name]}
        for part, key in (("raw_sample", i), ("ad_feature", row["adgroup_id"]), ("user_profile", row["userid"])):
            tables[part][key] = [made[name] for name in COLUMNS[part]]
        for _ in range(3):
            at = rng.integers(0, len(rows))
            tables["behavior_log"][len(tables["behavior_log"])] = [
                row["userid"], str(stamp - int(rng.integers(-50, 100))), "pv", rows[at]["cate_id"], rows[at]["brand"]]
    folder = tmp_path / "apart"
    folder.mkdir()
    for part, lines in tables.items():
        (folder / f"{part}.csv").write_text("\n".join(map(",".join, [COLUMNS[part], *lines.values()])) + "\n")
    assert len(tables["user_profile"]) < len(tables["ad_feature"]) <= 100
    encoded = encode(folder, tmp_path, max_len=4)
    check(encoded, folder, max_len=4)
    assert len(encoded) == 100 and float(np.asarray(encoded.columns["label"]).sum()) == 4


def test_full_tables_are_compared_with_published_counts(planted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
                                                        ) -> None:
    assert not any("against" in note for note in encode(planted, tmp_path / "a").manifest["notes"])
    sample, ads, profiles, log = (read(planted / f"{part}.csv") for part in COLUMNS)
    counts = {"impressions": 2000, "users": len({row["user"] for row in sample}), "ads": len(ads),
              "profiles": len(profiles), "behaviors": len(log)}
    monkeypatch.setattr(alimama, "PUBLISHED", counts)
    notes = encode(planted, tmp_path / "b").manifest["notes"]
    assert notes["tables against the publisher's"] == "equal"
    encoded = encode(planted, tmp_path / "d", user_share=0.5)
    values = np.asarray(encoded.columns["values"])
    found = encoded.manifest["notes"]["sample against the paper's Table 6"]
    pairs = len({tuple(pair) for pair in values.tolist()})
    assert f"(cate_id, brand) pairs {pairs:,} where the paper has 1,027,443 (" in found
    rows = encoded.manifest["rows"]
    assert f"train rows {rows['train'] + rows['valid']:,} where the paper has 5,544,213 (" in found
    monkeypatch.setattr(alimama, "PUBLISHED", counts | {"ads": 7})
    notes = encode(planted, tmp_path / "c").manifest["notes"]
    assert notes["tables against the publisher's"] == f"ads {len(ads)} where the publisher has 7"
