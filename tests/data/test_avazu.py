"""Avazu: every encoded value against plain Python, the forms its files come in, and what is refused."""

from __future__ import annotations

import csv
import gzip
import math
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ameir_pl.data import DATASETS, Encoded
from ameir_pl.data.avazu import COLUMNS, RAW_FIELDS
from ameir_pl.data.layouts import AVAZU
from ameir_pl.data.planted import GENERATORS
from ameir_pl.data.splits import RandomSplit, assign
from ameir_pl.errors import AmeirError
from ameir_pl.schema import OOV


def encode(source: Path, tmp_path: Path, **options: Any) -> Encoded:
    return DATASETS.get("avazu")(raw=tmp_path / "none", encoded=tmp_path / "encoded", source=source,
                                 **options).prepare()


def refused(source: Path, tmp_path: Path, **options: Any) -> str:
    """The message of the refusal; nothing must be left of it."""
    with pytest.raises(AmeirError) as error:
        encode(source, tmp_path, **options)
    assert not [p for p in (tmp_path / "encoded").glob("**/*") if p.name != ".checksums.json"]
    return str(error.value)


def read(path: Path, header: bool = True) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file, None if header else COLUMNS))


def moment(hour: str) -> datetime:
    return datetime.strptime(hour, "%y%m%d%H") if len(hour) == 8 else datetime.fromisoformat(hour)


def fields(row: dict[str, str]) -> list[str]:
    when = moment(row["hour"])
    return [str(when.hour), str(when.day), str(when.weekday()), *(row[name] for name in RAW_FIELDS)]


def check(encoded: Encoded, rows: list[dict[str, str]], min_count: int) -> None:
    """Compare every value with plain Python."""
    label = np.array([int(row["click"]) for row in rows], np.uint8)
    split = assign(RandomSplit(0.2, 0.1, 1, stratified=False), label)
    test = math.ceil(0.2 * len(rows))
    valid = math.ceil(0.1 * (len(rows) - test))
    assert encoded.manifest["rows"] == {"train": len(rows) - test - valid, "valid": valid, "test": test}
    table = [fields(row) for row in rows]
    order = np.argsort(split, kind="stable")
    ids = np.asarray(encoded.columns["fields"])
    assert encoded.schema.field_names == tuple(f.name for f in AVAZU.fields) and ids.shape == (len(rows), 24)
    for i, name in enumerate(encoded.schema.field_names):
        counts = Counter(row[i] for row, part in zip(table, split, strict=True) if part == 0)
        words = encoded.vocabulary(name)
        assert set(words) == {value for value, count in counts.items() if count >= min_count}
        assert sorted(words.values()) == list(range(2, len(words) + 2))
        assert ids[:, i].tolist() == [words.get(table[row][i], OOV) for row in order]
    assert np.array_equal(encoded.columns["label"], label[order].astype(np.float32))


@pytest.mark.parametrize(("name", "header", "clicks"), [
    ("avazu_first_hour_train.csv", True, 1397), ("avazu_11_hours_2804.csv", True, 441),
    ("avazu_first_hour_dev.csv", False, None), ("avazu_first_hour_test.csv", False, None)])
def test_real_files(real: Path, tmp_path: Path, name: str, header: bool, clicks: int | None) -> None:
    path = real / "avazu" / name
    rows = read(path, header)
    encoded = encode(path, tmp_path)
    check(encoded, rows, 5)
    assert clicks is None or clicks == float(np.asarray(encoded.columns["label"]).sum())
    assert ("header" in encoded.manifest["notes"]) is not header
    # A part of the data is not compared with the paper's counts.
    assert not any("paper" in note for note in encoded.manifest["notes"])
    assert encoded.vocabulary("weekday") == {"1": 2}  # 2014-10-21 was a Tuesday
    assert encoded.vocabulary("day") == {"21": 2}


def test_the_first_hour_has_all_its_clicks(real: Path) -> None:
    rows = [row for name in ("train", "dev", "test")
            for row in read(real / "avazu" / f"avazu_first_hour_{name}.csv", name == "train")]
    assert (len(rows), sum(row["click"] == "1" for row in rows)) == (8999, 1563)


def test_real_files_that_are_no_rows_with_labels(real: Path, tmp_path: Path) -> None:
    rows, labels = (real / "avazu" / f"avazu_random_15000_{part}.csv" for part in "Xy")
    assert "no column 'click', which is the label" in refused(rows, tmp_path)
    assert "labels alone" in refused(labels, tmp_path)


@pytest.mark.bad_input
def test_the_hour_of_day_alone_is_not_enough(real: Path, tmp_path: Path) -> None:
    rows, labels = (read(real / "avazu" / f"avazu_random_15000_{part}.csv") for part in "Xy")
    path = tmp_path / "joined.csv"
    write(path, [{"id": "1", "device_ip": "x", **a, **b} for a, b in zip(rows[:500], labels[:500], strict=True)])
    message = refused(path, tmp_path)
    assert "hour of day alone ('02')" in message and "YYMMDDHH (14102100)" in message


def write(path: Path, rows: list[dict[str, str]], columns: tuple[str, ...] = COLUMNS, header: bool = True) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        if header:
            writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("planted")
    GENERATORS.get("avazu")(folder, 1500, 3, 0.0)
    return folder / "train.csv"


def same(one: Encoded, other: Encoded) -> None:
    assert one.schema == other.schema
    for name, column in one.columns.items():
        np.testing.assert_array_equal(column, other.columns[name])


@pytest.mark.parametrize("min_count", [1, 5, 20])
def test_planted_rows_of_ten_days(planted: Path, tmp_path: Path, min_count: int) -> None:
    encoded = encode(planted, tmp_path, min_count=min_count)
    check(encoded, read(planted), min_count)
    assert set(encoded.vocabulary("weekday")) == set("0123456")
    # Ids of 64 bits are no field and break nothing.
    assert max(int(row["id"]) for row in read(planted)) > 2**63
    assert "id" not in encoded.schema.field_names


def test_other_spellings_are_the_same_data(planted: Path, tmp_path: Path) -> None:
    rows = read(planted)
    plain = encode(planted, tmp_path)
    shuffled = tmp_path / "shuffled.csv"
    write(shuffled, rows, tuple(reversed(COLUMNS)))
    same(plain, encode(shuffled, tmp_path))
    headless = tmp_path / "headless.csv"
    write(headless, rows, header=False)
    same(plain, encode(headless, tmp_path))
    stamped = tmp_path / "stamped.csv"
    write(stamped, [row | {"hour": moment(row["hour"]).isoformat(" ")} for row in rows])
    same(plain, encode(stamped, tmp_path))
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "train.gz").write_bytes(gzip.compress(planted.read_bytes()))
    same(plain, encode(folder, tmp_path))
    windows = tmp_path / "windows.csv"
    windows.write_bytes(b"\xef\xbb\xbf" + planted.read_bytes().replace(b"\n", b"\r\n"))
    same(plain, encode(windows, tmp_path))


def test_an_empty_value_is_a_category(planted: Path, tmp_path: Path) -> None:
    rows = read(planted)
    for row in rows[::3]:
        row["site_id"] = ""
    write(tmp_path / "gaps.csv", rows)
    check(encode(tmp_path / "gaps.csv", tmp_path), rows, 5)


def broken(planted: Path, path: Path, line: int, change: dict[str, str] | str | bytes) -> Path:
    """A copy with one line changed: values of columns, or the whole line."""
    lines = planted.read_bytes().split(b"\n")
    if isinstance(change, dict):
        row = dict(zip(COLUMNS, lines[line - 1].decode().split(","), strict=True)) | change
        change = ",".join(row.values())
    lines[line - 1] = change.encode() if isinstance(change, str) else change
    path.write_bytes(b"\n".join(lines))
    return path


BAD = [({"click": "2"}, "column 'click': found '2' where 0 or 1"), ({"click": ""}, "column 'click': found nothing"),
       ({"hour": "141021"}, "column 'hour': found '141021' where an hour as YYMMDDHH"),
       ({"hour": "14102124"}, "column 'hour': found '14102124'"), ({"hour": ""}, "column 'hour': found nothing"),
       ({"hour": "yesterday"}, "column 'hour': found 'yesterday'"), ("1,0,14102100", "3 columns where 24"),
       (",".join(COLUMNS), "This line repeats the header"), (",".join(["x"] * 25), "25 columns where 24")]


@pytest.mark.bad_input
@pytest.mark.parametrize(("change", "message"), BAD)
def test_a_bad_row_stops_or_is_skipped(planted: Path, tmp_path: Path, change: Any, message: str) -> None:
    path = broken(planted, tmp_path / "bad.csv", 700, change)
    found = refused(path, tmp_path)
    assert f"{path}, line 700" in found and message in found and "on_bad_row=skip" in found
    encoded = encode(path, tmp_path, on_bad_row="skip")
    assert encoded.manifest["notes"]["bad rows, skipped"] == 1
    assert message in encoded.manifest["notes"]["the first of them"][0]
    rows = read(planted)
    del rows[698]
    check(encoded, rows, 5)


@pytest.mark.bad_input
def test_files_that_are_not_avazu(planted: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    lines = planted.read_text().split("\n")
    path.write_text("\n".join(lines[1:]).replace(",141", ",20141"))
    assert "Is the first line a header?" in refused(path, tmp_path)
    path.write_text("\n".join([lines[0].replace("C14", "C14x"), *lines[1:]]))
    assert "the header lacks C14;" in refused(path, tmp_path)
    path.write_bytes(b"")
    assert "the file is empty" in refused(path, tmp_path)
    path.write_text(lines[0] + "\n")
    assert "nothing follows the header" in refused(path, tmp_path)
    path.write_bytes(gzip.compress(planted.read_bytes())[:-2000])
    assert "the gzip file is cut off" in refused(path, tmp_path)
    found = refused(broken(planted, path, 50, b"1,0,14102100,\xff" + b",1" * 20), tmp_path)
    assert f"{path}, line 50" in found and "not UTF-8" in found
    write(path, [row | {"click": "0"} for row in read(planted)])
    assert "every train row has the label 0" in refused(path, tmp_path)
    write(path, read(planted)[:1])
    assert "no row is left for" in refused(path, tmp_path)


@pytest.mark.bad_input
def test_missing_files_and_settings(tmp_path: Path) -> None:
    with pytest.raises(AmeirError) as error:
        DATASETS.get("avazu")(raw=tmp_path / "raw", encoded=tmp_path / "encoded").prepare()
    for part in ("train.csv is missing", "kaggle.com/c/avazu-ctr-prediction", "Kaggle competition",
                 str(tmp_path / "raw"), "ameir data generate dataset=avazu"):
        assert part in str(error.value)
    assert str(tmp_path / "nowhere.csv") in refused(tmp_path / "nowhere.csv", tmp_path)
    for options in ({"min_count": 0}, {"split_seed": -1}, {"on_bad_row": "drop"}):
        with pytest.raises(AmeirError):
            DATASETS.get("avazu")(raw=tmp_path, encoded=tmp_path, **options)


def test_rows_are_compared_with_the_papers(planted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = DATASETS.get("avazu")
    assert sum(kind.paper_rows.values()) == 40_428_967  # the rows of the publisher's train.csv
    monkeypatch.setattr(kind, "paper_rows", {"train and validation": 1200, "test": 299})
    notes = encode(planted, tmp_path).manifest["notes"]
    assert notes["rows against the paper's table"] == "test 300 where the paper has 299"
