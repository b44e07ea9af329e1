"""Alimama: what is refused or skipped, with file, line and column."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest

from ameir_pl.data import alimama
from ameir_pl.data.alimama_tables import COLUMNS
from ameir_pl.errors import AmeirError
from tests.data.alimama_reference import change, check, encode, make, read, refused

pytestmark = pytest.mark.bad_input


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return make(tmp_path / "small")


BIG = str(2**32)
BAD = [("raw_sample", "clk", "2", "found '2' where 0 or 1"), ("raw_sample", "user", "-1", "found '-1' where a whole"),
       ("raw_sample", "user", BIG, f"found '{BIG}' where a whole number from 0 to 4294967295"),
       ("raw_sample", "adgroup_id", "99", "found '99' where an ad of ad_feature.csv"),
       ("raw_sample", "time_stamp", "2017-05-06", "found '2017-05-06' where a whole number"),
       ("raw_sample", "time_stamp", "", "found nothing"), ("raw_sample", "time_stamp", "-3", "found '-3'"),
       ("raw_sample", "nonclk", "both", "found 'both' where 0 or 1"),
       ("raw_sample", "", "1,2,3", "3 columns where 6 were expected"),
       ("behavior_log", "user", "77", "found '77' where a user of raw_sample.csv"),
       ("behavior_log", "time_stamp", "soon", "found 'soon'"), ("behavior_log", "time_stamp", "", "found nothing"),
       ("behavior_log", "brand", BIG, f"found '{BIG}' where a whole number from 0 to 4294967295 or nothing"),
       ("behavior_log", "cate", "-7", "found '-7'"), ("behavior_log", "user", "", "found nothing"),
       ("behavior_log", "", ",".join(COLUMNS["behavior_log"]), "This line repeats the header"),
       ("user_profile", "age_level", "old", "found 'old'"), ("user_profile", "userid", "NULL", "found 'NULL'"),
       ("user_profile", "cms_segid", "-1", "found '-1' where a whole number from 0 to 4294967295 or nothing"),
       ("ad_feature", "price", "cheap", "found 'cheap' where a number or nothing"),
       ("ad_feature", "price", "NaN", "found 'NaN'"), ("ad_feature", "price", "inf", "found 'inf'"),
       ("ad_feature", "brand", "x", "found 'x'"), ("ad_feature", "adgroup_id", "", "found nothing")]


@pytest.mark.parametrize(("part", "column", "value", "message"), BAD)
def test_a_bad_row_stops_or_is_skipped(small: Path, tmp_path: Path, part: str, column: str, value: str, message: str
                                       ) -> None:
    before = shutil.copytree(small, tmp_path / "before")
    path = change(small, part, 5, column, value)
    found = refused(small, tmp_path)
    assert f"{path}, line 5" in found and message in found and "on_bad_row=skip" in found
    assert not column or f"column '{column}'" in found
    encoded = encode(small, tmp_path, on_bad_row="skip")
    notes = encoded.manifest["notes"]
    assert message in notes["the first of them"][0] and f"{path}, line 5" in notes["the first of them"][0]
    # The same as without the line, and where an ad is gone, without its impressions.
    lines = (before / path.name).read_text().split("\n")
    gone = lines.pop(4)
    (before / path.name).write_text("\n".join(lines))
    lost = 0
    if part == "ad_feature":
        sample = (before / "raw_sample.csv").read_text().split("\n")
        kept = [line for line in sample if not line or line.split(",")[2] != gone.split(",")[0]]
        lost = len(sample) - len(kept)
        (before / "raw_sample.csv").write_text("\n".join(kept))
    assert notes["bad rows, skipped"] == 1 + lost and len(notes["the first of them"]) == min(1 + lost, 5)
    check(encoded, before)


def test_nonclk_must_be_the_opposite(small: Path, tmp_path: Path) -> None:
    clicked = read(small / "raw_sample.csv")[3]["clk"]
    path = change(small, "raw_sample", 5, "nonclk", clicked)
    assert f"{path}, line 5, column 'nonclk': found '{clicked}' where 1 - clk was expected" in refused(small, tmp_path)


def test_five_of_many_skipped_rows_are_shown(small: Path, tmp_path: Path) -> None:
    for line in range(3, 12):
        change(small, "raw_sample", line, "clk", "x")
    change(small, "behavior_log", 9, "cate", "x")
    notes = encode(small, tmp_path, on_bad_row="skip").manifest["notes"]
    assert notes["bad rows, skipped"] == 10
    assert [f"raw_sample.csv, line {line}," in what for line, what in enumerate(notes["the first of them"], 3)
            ] == [True] * 5


@pytest.mark.parametrize("policy", ["fail", "skip"])
@pytest.mark.parametrize(("part", "column"), [("user_profile", "userid"), ("ad_feature", "adgroup_id")])
def test_a_key_that_comes_twice_is_always_an_error(small: Path, tmp_path: Path, part: str, column: str, policy: str
                                                   ) -> None:
    key = read(small / f"{part}.csv")[1][column]
    path = change(small, part, 6, column, key)
    found = refused(small, tmp_path, on_bad_row=policy)
    assert f"{path}, line 6, column '{column}': {key} is on line 3 already" in found


def test_tables_that_are_not_alimamas(small: Path, tmp_path: Path) -> None:
    saved = shutil.copytree(small, tmp_path / "saved")

    def told(part: str, content: bytes) -> str:
        path = small / f"{part}.csv"
        path.write_bytes(content)
        message = refused(small, tmp_path)
        shutil.copy(saved / path.name, path)
        assert str(path) in message
        return message

    for part in COLUMNS:
        whole = (saved / f"{part}.csv").read_bytes()
        first, rest = whole.split(b"\n", 1)
        assert "Is the first line a header?" in told(part, rest)
        assert "the file is empty" in told(part, b"")
        assert "nothing follows the header" in told(part, first + b"\n")
        last = COLUMNS[part][-1]
        assert f"the header lacks {last};" in told(part, whole.replace(b"," + last.encode(), b",other", 1))
        assert "comes twice in the header" in told(part, first + b"," + COLUMNS[part][0].encode() + b"\n" + rest)
        assert "the gzip file is cut off" in told(part, gzip.compress(whole)[:-12])
        message = told(part, first + b"\n" + rest.replace(b"\n", b"\n\xff", 1))
        assert "line 3" in message and "not UTF-8" in message
        assert f"2 columns where {len(COLUMNS[part])} were" in told(part, whole + b"1,2\n")


def test_a_split_without_rows_and_rows_of_one_label(small: Path, tmp_path: Path) -> None:
    path = small / "raw_sample.csv"
    lines = path.read_text().splitlines()
    early = [w for w in lines[1:] if int(w.split(",")[1]) < alimama.TEST_START]
    late = [w for w in lines[1:] if w not in early]
    users = {row["user"] for row in read(small / "raw_sample.csv")}
    path.write_text("\n".join([lines[0], *early]))
    assert {w.split(",")[0] for w in early} == users
    assert "no row is left for test (100% of the users, days 1-7 train" in refused(small, tmp_path)
    path.write_text("\n".join([lines[0], *late]))
    assert "no row is left for train and valid" in refused(small, tmp_path)
    path.write_text("\n".join([lines[0], *(w[:-3] + "1,0" for w in lines[1:])]))
    assert "every train row has the label 0" in refused(small, tmp_path)


def test_missing_tables_and_settings(small: Path, tmp_path: Path) -> None:
    (small / "user_profile.csv").unlink()
    (small / "behavior_log.csv").unlink()
    message = refused(small, tmp_path)
    for part in (f"{small / 'user_profile.csv'}, {small / 'behavior_log.csv'} are missing", "tianchi.aliyun.com",
                 "research, not commercial", f"Put the files into {small}", "ameir data generate dataset=alimama"):
        assert part in message
    for name, value in (("max_len", 0), ("min_count", 0), ("split_seed", -1), ("user_share", 0.0),
                        ("user_share", 1.1), ("on_bad_row", "drop")):
        with pytest.raises(AmeirError, match=name):
            encode(small, tmp_path, **{name: value})
