"""Criteo: every encoded value against plain Python, the forms its files come in, and what is refused."""

from __future__ import annotations

import csv
import gzip
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from ameir_pl.data import DATASETS, Encoded
from ameir_pl.data.criteo import COLUMNS
from ameir_pl.data.layouts import CRITEO
from ameir_pl.data.planted import GENERATORS
from ameir_pl.data.splits import RandomSplit, assign
from ameir_pl.errors import AmeirError
from ameir_pl.schema import OOV

Row = dict[str, str]


def encode(source: Path, tmp_path: Path, **options: Any) -> Encoded:
    return DATASETS.get("criteo")(raw=tmp_path / "none", encoded=tmp_path / "encoded", source=source,
                                  **options).prepare()


def refused(source: Path, tmp_path: Path, **options: Any) -> str:
    """The message of the refusal; nothing must be left of it."""
    with pytest.raises(AmeirError) as error:
        encode(source, tmp_path, **options)
    assert not [p for p in (tmp_path / "encoded").glob("**/*") if p.name != ".checksums.json"]
    return str(error.value)


def read(path: Path) -> list[Row]:
    with path.open(newline="") as file:
        if path.suffix == ".csv":
            return [{name.lower() if name.lower() == "label" else name: value for name, value in row.items()}
                    for row in csv.DictReader(file)]
        return [dict(zip(COLUMNS, line.rstrip("\n").split("\t"), strict=True)) for line in file]


def percentiles(values: list[float]) -> list[float]:
    """101 percentiles with linear steps between the sorted values, as numpy.quantile has them, written out."""
    values = sorted(values)
    found = []
    for step in range(101):
        at = step / 100 * (len(values) - 1)
        low = math.floor(at)
        high = min(low + 1, len(values) - 1)
        found.append(values[low] + (values[high] - values[low]) * (at - low))
    return found


def check(encoded: Encoded, rows: list[Row], min_count: int = 10) -> None:
    """Compare every category with plain Python, and every dense value with its rank among train values."""
    label = np.array([int(float(row["label"])) for row in rows], np.uint8)
    split = assign(RandomSplit(0.1, 0.1, 1), label)
    test = math.ceil(0.1 * len(rows))
    valid = math.ceil(0.1 * (len(rows) - test))
    assert encoded.manifest["rows"] == {"train": len(rows) - test - valid, "valid": valid, "test": test}
    order = np.argsort(split, kind="stable")
    assert np.array_equal(encoded.columns["label"], label[order].astype(np.float32))
    ids, dense = np.asarray(encoded.columns["fields"]), np.asarray(encoded.columns["dense"])
    assert ids.shape == (len(rows), 26) and dense.shape == (len(rows), 13)
    for i, name in enumerate(f.name for f in CRITEO.fields):
        values = [row[name] for row in rows]
        counts = Counter(value for value, part in zip(values, split, strict=True) if part == 0)
        words = encoded.vocabulary(name)
        assert set(words) == {value for value, count in counts.items() if count >= min_count}
        assert ids[:, i].tolist() == [words.get(values[row], OOV) for row in order]
    for i, name in enumerate(CRITEO.dense):
        values = [float(row[name]) if row[name] else None for row in rows]
        train = [v for v, part in zip(values, split, strict=True) if part == 0 and v is not None]
        knots = encoded.schema.percentiles[name]
        assert knots == pytest.approx(percentiles(train) if train else [0.0] * 101)
        given = np.array([values[row] is not None for row in order])
        assert (dense[~given, i] == -1).all() and (dense[given, i] >= -0.981).all() and (dense[given, i] <= 1).all()
        ordered = np.argsort([v for row in order if (v := values[row]) is not None], kind="stable")
        assert (np.diff(dense[given, i][ordered]) >= 0).all(), "dense values keep their order"


@pytest.mark.parametrize(("name", "rows", "clicks"), [
    ("criteo_first_10001_rows.tsv", 10_001, 2182), ("criteo_200_rows_header.csv", 200, 49),
    ("criteo_rows_90000_99999_intcoded.csv", 10_000, 2445), ("criteo_rows_100000_109999_intcoded.csv", 10_000, 2410),
    # Another data set of the same form: the logs of a month cannot be told apart from those of a week. Of its 1,000
    # rows 21 are clicks: about two of them validate and two test.
    ("criteo_1tb_1000_rows.tsv", 1000, 21)])
def test_real_files(real: Path, tmp_path: Path, name: str, rows: int, clicks: int) -> None:
    path = real / "criteo" / name
    table = read(path)
    encoded = encode(path, tmp_path)
    check(encoded, table)
    assert len(encoded) == rows and float(np.asarray(encoded.columns["label"]).sum()) == clicks
    assert encoded.manifest["notes"]["clicks"] == f"{clicks / rows:.4f} of {rows} rows"
    assert not any("paper" in note for note in encoded.manifest["notes"])
    missing = sum(row[column] == "" for row in table for column in CRITEO.dense)
    assert int((np.asarray(encoded.columns["dense"]) == -1).sum()) == missing > 0
    # The proportion of clicks is the same in each part, to a click.
    label = np.asarray(encoded.columns["label"])
    for part in encoded.splits.values():
        assert abs(label[part].sum() - clicks * len(part) / rows) <= 1.001


@pytest.mark.bad_input
@pytest.mark.parametrize("half", ["train", "test"])
def test_indices_that_somebody_made_are_refused(real: Path, tmp_path: Path, half: str) -> None:
    message = refused(real / "criteo" / f"criteo_index_{half}_10000.csv", tmp_path)
    assert "40 comma-separated columns without a header" in message and "ameir data infer" in message


def test_hex_ids_come_back_from_the_vocabulary(real: Path, tmp_path: Path) -> None:
    path = real / "criteo" / "criteo_first_10001_rows.tsv"
    rows, encoded = read(path), encode(path, tmp_path, min_count=1)
    table = pl.read_parquet(encoded.folder / "vocabulary.parquet").filter(pl.col("vocabulary") == "C1")
    words = dict(zip(table["id"].to_list(), table["value"].to_list(), strict=True))
    label = np.array([int(row["label"]) for row in rows], np.uint8)
    train = np.flatnonzero(assign(RandomSplit(0.1, 0.1, 1), label) == 0)
    ids = np.asarray(encoded.columns["fields"])[:len(train), 0]
    assert [words[i] for i in ids.tolist()] == [rows[row]["C1"] for row in train]
    assert all(len(word) == 8 and int(word, 16) < 2**32 for word in words.values())
    assert sorted(words.values()) == list(words.values())


def test_dense_values_are_percentiles_of_train_rows(real: Path, tmp_path: Path) -> None:
    path = real / "criteo" / "criteo_first_10001_rows.tsv"
    rows, encoded = read(path), encode(path, tmp_path)
    label = np.array([int(row["label"]) for row in rows], np.uint8)
    split = assign(RandomSplit(0.1, 0.1, 1), label)
    order = np.argsort(split, kind="stable")
    column = CRITEO.dense.index("I6")
    train = np.array([float(rows[row]["I6"]) for row in order[split[order] == 0] if rows[row]["I6"]])
    assert encoded.schema.percentiles["I6"] == pytest.approx(np.quantile(train, np.arange(101) / 100).tolist())
    dense = np.asarray(encoded.columns["dense"])[:, column]
    for at, row in enumerate(order[:400]):
        if rows[row]["I6"]:
            # The share of train values below, and a half of those that are equal, from -0.98 to 1 in steps of a
            # hundredth.
            value = float(rows[row]["I6"])
            share = ((train < value).mean() + (train <= value).mean()) / 2
            assert dense[at] == pytest.approx(-0.98 + 1.98 * share, abs=0.022)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("planted")
    GENERATORS.get("criteo")(folder, 1500, 3, 0.0)
    return folder / "train.txt"


def same(one: Encoded, other: Encoded) -> None:
    assert one.schema == other.schema
    for name, column in one.columns.items():
        np.testing.assert_array_equal(column, other.columns[name])


@pytest.mark.parametrize("min_count", [1, 10])
def test_planted_rows(planted: Path, tmp_path: Path, min_count: int) -> None:
    check(encode(planted.parent, tmp_path, min_count=min_count), read(planted), min_count)


def test_other_spellings_are_the_same_data(planted: Path, tmp_path: Path) -> None:
    plain, text = encode(planted, tmp_path), planted.read_text()
    (tmp_path / "rows.gz").write_bytes(gzip.compress(text.encode()))
    same(plain, encode(tmp_path / "rows.gz", tmp_path))
    (tmp_path / "windows.txt").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    same(plain, encode(tmp_path / "windows.txt", tmp_path))
    with (tmp_path / "rows.csv").open("w", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow(["C26", "Id", "Label", *(name.lower() for name in COLUMNS[1:-1])])
        for i, row in enumerate(read(planted)):
            writer.writerow([row["C26"], i, *list(row.values())[:-1]])
    same(plain, encode(tmp_path / "rows.csv", tmp_path))


BAD = [(0, "2", "column 'label': found '2' where 0 or 1"), (0, "", "column 'label': found nothing"),
       (3, "many", "column 'I3': found 'many' where a number or nothing"),
       (13, "NaN", "column 'I13': found 'NaN'"), (1, "inf", "column 'I1': found 'inf'"),
       (5, "1\t2", "41 columns where 40")]


@pytest.mark.bad_input
@pytest.mark.parametrize(("column", "value", "message"), BAD)
def test_a_bad_row_stops_or_is_skipped(planted: Path, tmp_path: Path, column: int, value: str, message: str) -> None:
    lines = planted.read_text().split("\n")
    for line in range(600, 607):
        words = lines[line - 1].split("\t")
        words[column] = value
        lines[line - 1] = "\t".join(words)
    path = tmp_path / "bad.txt"
    path.write_text("\n".join(lines))
    found = refused(path, tmp_path)
    assert f"{path}, line 600" in found and message in found and "on_bad_row=skip" in found
    encoded = encode(path, tmp_path, on_bad_row="skip")
    notes = encoded.manifest["notes"]
    assert notes["bad rows, skipped"] == 7
    assert [f"{path}, line {line}" in what for line, what in zip(range(600, 605), notes["the first of them"],
                                                                 strict=True)] == [True] * 5
    rows = read(planted)
    del rows[599:606]
    check(encoded, rows)


@pytest.mark.bad_input
def test_files_that_are_not_criteo(planted: Path, tmp_path: Path) -> None:
    path, lines = tmp_path / "other.txt", planted.read_text().split("\n")
    path.write_bytes(b"")
    assert "the file is empty" in refused(path, tmp_path)
    path.write_text("label,I1,I2\n0,1,2\n")
    assert "the header lacks I3, I4" in refused(path, tmp_path)
    path.write_text(",".join(COLUMNS) + "\n")
    assert "nothing follows the header" in refused(path, tmp_path)
    path.write_text("\n".join([",".join(COLUMNS), *(line.replace("\t", ",") for line in lines[:300]),
                               ",".join(COLUMNS)]))
    assert f"{path}, line 302, column 'label': found 'label'" in refused(path, tmp_path)
    path.write_text("\n".join([",".join([*COLUMNS[:-1], "C25"]), lines[0].replace("\t", ",")]))
    assert "the header lacks C26" in refused(path, tmp_path)
    path.write_bytes(gzip.compress(planted.read_bytes())[:-2000])
    assert "the gzip file is cut off" in refused(path, tmp_path)
    path.write_bytes("\n".join([*lines[:50], lines[50][:-4]]).encode() + b"\xff\n")
    message = refused(path, tmp_path)
    assert f"{path}, line 51" in message and "not UTF-8" in message
    path.write_text("\n".join(line for line in lines if line.startswith("1")))
    assert "every train row has the label 1" in refused(path, tmp_path)
    path.write_text(lines[0] + "\n")
    assert "no row is left for" in refused(path, tmp_path)
    assert "on_bad_row" not in refused(path, tmp_path, on_bad_row="skip")


@pytest.mark.bad_input
def test_missing_files_and_settings(tmp_path: Path) -> None:
    with pytest.raises(AmeirError) as error:
        DATASETS.get("criteo")(raw=tmp_path / "raw", encoded=tmp_path / "encoded").prepare()
    for part in ("train.txt is missing", "kaggle.com/c/criteo-display-ad-challenge", "research, not commercial",
                 str(tmp_path / "raw"), "ameir data generate dataset=criteo"):
        assert part in str(error.value)
    for options in ({"min_count": 0}, {"split_seed": -1}, {"on_bad_row": "drop"}):
        with pytest.raises(AmeirError):
            DATASETS.get("criteo")(raw=tmp_path, encoded=tmp_path, **options)


def test_rows_are_compared_with_the_papers(planted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = DATASETS.get("criteo")
    assert sum(kind.paper_rows.values()) == 45_840_617  # the lines of the publisher's train.txt
    monkeypatch.setattr(kind, "paper_rows", {"train and validation": 1350, "test": 150})
    notes = encode(planted, tmp_path).manifest["notes"]
    assert notes["rows against the paper's table"] == "equal"
