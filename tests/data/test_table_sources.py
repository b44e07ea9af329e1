"""Separators and kinds of file: each is read as the same table, or named with what to do."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.feather as feather
import pytest

from ameir_pl.data.bad_rows import LINE, BadRows
from ameir_pl.data.separators import BLANKS, guess_separator
from ameir_pl.data.table_sources import Source
from ameir_pl.errors import AmeirError

COLUMNS = ["user_id", "item_id", "click", "ts"]
ROWS = [[str(i % 20), f"it{i % 15}", str(i % 3 % 2), str(1_600_000_000 + 977 * i)] for i in range(60)]
Write = Callable[[Path], object]


def lines(separator: str, head: list[str] | None = None, rows: list[list[str]] | None = None) -> str:
    return "".join(separator.join(row) + "\n" for row in ([COLUMNS] if head is None else [head]) + (rows or ROWS))


def source(path: Path, **settings: object) -> Source:
    return Source(path.name, path.parent / "d.yaml", **settings)  # type: ignore[arg-type]


def read(path: Path, **settings: object) -> pl.DataFrame:
    """All columns, as text."""
    found = source(path, **settings)
    parts = [table for _, table in found.tables(list(found.header(path)), BadRows("fail", found.advice))]
    return pl.concat(parts).drop(LINE).with_columns(pl.all().cast(pl.String))


def expected() -> pl.DataFrame:
    return pl.DataFrame(ROWS, schema=COLUMNS, orient="row")


def typed(names: list[str]) -> list[str]:
    return [f"{name}:{kind}" for name, kind in zip(names, ("token", "token", "float"), strict=False)] + names[3:]


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("inside.csv", lines(","))


def records() -> list[dict[str, object]]:
    return [dict(zip(COLUMNS, [int(u), i, int(c), int(t)], strict=True)) for u, i, c, t in ROWS]


def arrow() -> pa.Table:
    return pa.table({name: [row[name] for row in records()] for name in COLUMNS})


def stream(path: Path) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, arrow().schema) as writer:
        for batch in arrow().to_batches(max_chunksize=7):
            writer.write_batch(batch)


READ: dict[str, Write] = {
    **{f"sep{i}.csv": (lambda path, s=s: path.write_text(lines(s)))  # type: ignore[misc]
       for i, s in enumerate([",", "\t", ";", "|", "^", "\x01", "::", "||", " ", "   "])},
    "ratings.dat": lambda path: path.write_text(lines("::")),
    "aligned.txt": lambda path: path.write_text("".join(
        "  " + "".join(f"{word:<14}" for word in row) + "\n" for row in [COLUMNS, *ROWS])),
    **{f"r{i}.inter": (lambda path, s=s: path.write_text(lines(s, typed(COLUMNS))))  # type: ignore[misc]
       for i, s in enumerate(["\t", ",", " ", ";", "|"])},
    "crlf.csv": lambda path: path.write_bytes(lines(";").replace("\n", "\r\n").encode()),
    "mark.csv": lambda path: path.write_bytes(b"\xef\xbb\xbf" + lines(",").encode()),
    "quoted.csv": lambda path: path.write_text(lines(",", [f'"{name}"' for name in COLUMNS])),
    "quoted_mark.csv": lambda path: path.write_bytes(b"\xef\xbb\xbf" + lines(
        ";", [f'"{name}"' for name in COLUMNS]).encode()),
    "a.csv.gz": lambda path: path.write_bytes(gzip.compress(lines(",").encode())),
    "a.csv.bz2": lambda path: path.write_bytes(bz2.compress(lines("::").encode())),
    "a.csv.xz": lambda path: path.write_bytes(lzma.compress(lines(",").encode())),
    "a.csv.zst": lambda path: path.write_bytes(pa.compress(lines(",").encode(), codec="zstd", asbytes=True)),
    "a.zip": zipped,
    "a.jsonl": lambda path: path.write_text("".join(json.dumps(row) + "\n" for row in records())),
    "lines.json": lambda path: path.write_text("".join(json.dumps(row) + "\n\n" for row in records())),
    "a.ndjson.gz": lambda path: path.write_bytes(gzip.compress(
        "\n".join(json.dumps(row) for row in records()).encode())),
    "array.json": lambda path: path.write_text(json.dumps(records())),
    "pretty.json": lambda path: path.write_bytes(b"\xef\xbb\xbf" + json.dumps(records(), indent=2).encode()),
    "a.feather": lambda path: feather.write_feather(arrow(), str(path), compression="zstd"),
    "no_suffix": lambda path: feather.write_feather(arrow(), str(path), compression="uncompressed"),
    "a.arrow": stream,
    "a.parquet": lambda path: pl.DataFrame(records()).write_parquet(path)}


@pytest.mark.parametrize("name", READ)
def test_each_kind_is_the_same_table(name: str, tmp_path: Path) -> None:
    READ[name](tmp_path / name)
    found = read(tmp_path / name)
    assert found.select(COLUMNS).equals(expected()) and found.columns == COLUMNS


def hdf() -> bytes:
    return b"\x89HDF\r\n\x1a\n" + bytes(100)


def several() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("a.csv", lines(","))
        archive.writestr("b.csv", lines(","))
    return made.getvalue()


def workbook() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("[Content_Types].xml", "x")
        archive.writestr("xl/workbook.xml", "x")
    return made.getvalue()


REFUSED: dict[str, tuple[bytes, list[str]]] = {
    "a.orc": (b"ORC" + bytes(100), ["an ORC file", "Parquet"]), "a.avro": (b"Obj\x01" + bytes(50), ["Avro", "Parquet"]),
    "a.h5": (hdf(), ["HDF5", "to_parquet"]), "a.xlsx": (workbook(), ["workbook", "Save its sheet"]),
    "a.db": (b"SQLite format 3\x00" + bytes(90), ["SQLite", "sqlite3"]),
    "a.pkl": (b"\x80\x04\x95" + bytes(90), ["a pickle", "to_parquet"]),
    "two.zip": (several(), ["2 files (a.csv, b.csv)", "Unpack"]),
    "cut.zst": (pa.compress(lines(",").encode() * 50, codec="zstd", asbytes=True)[:200], ["zstd", "damaged"]),
    "cut.bz2": (bz2.compress(lines(",").encode())[:100], ["bzip2", "cut off"]),
    "a.csv": (lines(",").encode("utf-16"), ["UTF-16", "iconv -f utf-16"]),
    "b.csv": (lines(",").encode("utf-16-le"), ["UTF-16 without its mark"]),
    "c.csv": (lines(",").replace("it3", "März").encode("latin-1"), ["line 5", "iconv -f latin1"]),
    "page.csv": (b"<!DOCTYPE html><html>404", ["a page of the web"]),
    "a.tar": (b"a.csv".ljust(257, b"\0") + b"ustar\x0000" + bytes(200), ["a tar archive"]),
    "gz.parquet.gz": (gzip.compress(b"PAR1" + bytes(99)), ["packed once more as gzip"]),
    "cut.feather": (b"ARROW1\0\0" + bytes(50), ["cannot be read as Arrow"]),
    "columns.json": (b'{"click": {"0": 1, "1": 0}, "item": {"0": 3, "1": 4}}\n', ["an object of columns", "records"]),
    "pretty.json": (b'{\n "click": 1\n}\n', ["line 1", "one object a line"]),
    "arrays.json": (b"[[1, 2], [3, 4]]", ["an array of arrays"]),
    "cut.json": (json.dumps(records()).encode()[:-20], ["element 60", "cut off"]),
    "broken.jsonl": (b'{"click": 1}\n{"click": \n', ["line 2", "no JSON object"]),
    "none.jsonl": (b"{}\n", ["no object with a key"]),
    "bare.csv": (lines("::").encode().split(b"\n", 1)[1], ["no header", "columns: [label"]),
    "twice.csv": (b"a,b,a\n1,2,3\n", ["the column a comes twice"])}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_read_is_named(name: str, tmp_path: Path) -> None:
    content, words = REFUSED[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AmeirError) as caught:
        read(tmp_path / name)
    assert name in str(caught.value)
    for word in words:
        assert word in str(caught.value), str(caught.value)


def test_json_keeps_values_as_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"id": 1.10, "big": 18446744073709551617, "tags": [1, 2.0, null], "on": true, "nan": NaN}\n'
        '{"tags": null, "id": 1.1, "late": "x"}\n')
    found = Source("a.jsonl", tmp_path / "d.yaml")
    names = list(found.header(tmp_path / "a.jsonl"))
    table = pl.concat([t for _, t in found.tables(names, BadRows("fail", ""))])
    assert names == ["id", "big", "tags", "on", "nan", "late"]
    assert table.rows() == [(1, "1.10", "18446744073709551617", ["1", "2.0", None], "true", "NaN", None),
                            (2, "1.1", None, None, None, None, "x")]


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_json_comes_in_chunks(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ameir_pl.data.json_rows.ROWS", 7)
    monkeypatch.setattr("ameir_pl.data.json_rows._PART", 11)  # objects and characters are cut anywhere
    rows = [row | {"item_id": "ключ"} for row in records()]
    text = json.dumps(rows, ensure_ascii=False) if name == "a.json" else "".join(
        json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (tmp_path / name).write_text(text)
    found = source(tmp_path / name)
    parts = [t for _, t in found.tables(COLUMNS, BadRows("fail", ""))]
    assert len(parts) == 9 and pl.concat(parts).drop(LINE).equals(
        expected().with_columns(pl.lit("ключ").alias("item_id")))
    assert pl.concat(parts)[LINE].to_list() == list(range(1, 61))


@pytest.mark.parametrize(("text", "separator"), [
    ("a;b\n0,05;1\n1,5;2\n", ";"), ("0,05;1\n0,07;2\n", ";"), ('a,b\n"x;y;z",1\n"p;q;r",2\n', ","),
    ('"a,b";c\n"1,2";3\n', ";"), ("date time,x\n2024-01-01 10:00,5\n", ","), ("a\tb c\n1\t2 3\n", "\t"),
    ("a|b\n1,2|3,4\n", "|"), ("a b\n1 2\n", " "), ("a  b\n1 2\n", BLANKS), ("a\n1\n2\n", ","),
    ("a::b\n1::2\n", "::"), ("a||b\n1||2\n", "||"), ("a,b,c\n1,2\n1,2,3\n", ","), ("a;b;c,d\n1;2;3\n", ";")])
def test_separators(text: str, separator: str) -> None:
    assert guess_separator(text.split("\n")) == separator


def test_the_description_may_say_what_is_not_seen(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(lines("~"))
    assert read(tmp_path / "a.txt", separator="~").equals(expected())
    (tmp_path / "bare").write_text(lines("::").split("\n", 1)[1])
    assert read(tmp_path / "bare", columns=tuple(COLUMNS)).equals(expected())
    (tmp_path / "odd.csv").write_text('{"a",b}\n1,2\n')
    assert read(tmp_path / "odd.csv", format="csv").height == 1


def test_quotations_hold_separators_of_several_characters(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text('a  b\n"x  y" 2\n"p"   "q ""r"""\n')
    assert read(tmp_path / "a.txt", separator=BLANKS, quotes=True).rows() == [("x  y", "2"), ("p", 'q "r"')]


@pytest.mark.parametrize(("head", "names"), [
    (",click,x", ["column_1", "click", "x"]), ("click,x,", ["click", "x", "column_3"]),
    (" ,click,\t", ["column_1", "click", "column_3"]), ('"",click,""', ["column_1", "click", "column_3"]),
    ("column_3,click,", ["column_3", "click", "column_3_"]), ("\ufeff\ufeff,click,x", ["column_1", "click", "x"])])
def test_columns_without_a_name_are_called_by_their_place(head: str, names: list[str], tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"{head}\n0,1,2\n3,4,5\n")
    found = read(tmp_path / "a.csv")
    assert found.columns == names and found.rows() == [("0", "1", "2"), ("3", "4", "5")]


def test_parquet_without_a_name(tmp_path: Path) -> None:
    pa.parquet.write_table(pa.table({"": [1, 2], "click": [0, 1]}), tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet").columns == ["column_1", "click"]
    pa.parquet.write_table(pa.table([[1], [2]], names=["a", "a"]), tmp_path / "b.parquet")
    with pytest.raises(AmeirError, match="'a' is there twice"):
        read(tmp_path / "b.parquet")


def test_a_folder_of_json_or_arrow(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    for i in range(2):
        (tmp_path / "parts" / f"{i}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in records()))
    found = Source("parts", tmp_path / "d.yaml")
    assert [p.name for p in found.paths()] == ["0.jsonl", "1.jsonl"]
    (tmp_path / "parts" / "a.csv.zst").write_bytes(pa.compress(lines(",").encode(), codec="zstd", asbytes=True))
    assert [p.name for p in found.paths()] == ["a.csv.zst"], "JSON beside a table is notes about it"


def test_a_description_that_is_not_there_yet_is_not_blamed(tmp_path: Path) -> None:
    (tmp_path / "clicks.csv").write_bytes(b"click,user\n1,K\xe4the\n")
    with pytest.raises(AmeirError, match=r"clicks.csv, line 2: .*Correct it, or name another table\.$"):
        read(tmp_path / "clicks.csv")
    with pytest.raises(AmeirError, match=r"^input=clikcs.csv: no file .*clikcs.csv. Did you mean 'clicks.csv'\?$"):
        source(tmp_path / "clikcs.csv").paths()
    (tmp_path / "d.yaml").write_text("input: clicks.csv")
    with pytest.raises(AmeirError, match=r"d.yaml: input: no file .*\? Paths are relative to"):
        source(tmp_path / "clikcs.csv").paths()
