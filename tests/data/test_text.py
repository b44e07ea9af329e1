"""Blocks of lines, delimited chunks and bad rows: what is read does not depend on how it is cut."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ameir_pl.data.bad_rows import LINE, BadRows, Policy
from ameir_pl.data.delimited import chunks, header, need_header
from ameir_pl.data.text import blocks
from ameir_pl.errors import AmeirError

ADVICE = "Do something."


def strict(policy: Policy = "fail") -> BadRows:
    return BadRows(policy, ADVICE)


def write(path: Path, data: bytes, zipped: bool = False) -> Path:
    path.write_bytes(gzip.compress(data) if zipped else data)
    return path


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
def test_blocks_are_the_file_whatever_their_size(tmp_path: Path, size: int, zipped: bool) -> None:
    text = "".join(f"line {i} {'x' * (i % 40)}\n" for i in range(300)).encode()
    for ending in (b"", b"last"):
        path = write(tmp_path / "f", text + ending, zipped)
        found = list(blocks(path, ADVICE, size=size))
        assert b"".join(b for _, b in found) == text + (ending and ending + b"\n")
        assert all(block.endswith(b"\n") for _, block in found)
        starts = np.cumsum([0, *(b.count(b"\n") for _, b in found)])
        assert [n for n, _ in found] == [int(s) + 1 for s in starts[:-1]]


def test_a_byte_order_mark_is_dropped(tmp_path: Path) -> None:
    path = write(tmp_path / "f", b"\xef\xbb\xbfa,b\n1,2\n")
    assert header(path, ",", ADVICE) == ["a", "b"]
    assert next(iter(chunks(path, ",", strict()))).columns == [LINE, "a", "b"]


@pytest.mark.parametrize("size", [40, 200, 10**6])
@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_chunks_equal_the_csv_module(tmp_path: Path, size: int, zipped: bool, newline: str) -> None:
    rng = np.random.default_rng(0)
    words = ["", "a", "naïve", "x y", "12", "-0.5", "NULL"]
    rows = [[words[i] for i in rng.integers(0, len(words), 4)] for _ in range(200)]
    for row in rows:
        row[0] = row[0] or "key"
    text = "".join(",".join(row) + newline for row in [["k", "b", "c", "d"], *rows])
    path = write(tmp_path / "f.csv", text.encode(), zipped)
    found = pl.concat(list(chunks(path, ",", strict(), size=size)))
    assert found[LINE].to_list() == list(range(2, 202))
    assert found.drop(LINE).fill_null("").rows() == [tuple(row) for row in rows]


@pytest.mark.parametrize("size", [30, 90, 10**6])
def test_quoted_values_with_separators_and_line_feeds(tmp_path: Path, size: int) -> None:
    rows = [["1", 'say "hi"', "x"], ["2", "a,b", "y"], ["3", "two\nlines", "z"], ["4", "plain", "w"]] * 5
    path = tmp_path / "f.csv"
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([["n", "text", "t"], *rows])
    found = pl.concat(list(chunks(path, ",", strict(), quotes=True, size=size)))
    assert found.drop(LINE).rows() == [tuple(row) for row in rows]
    assert found[LINE].to_list() == [i * 5 + j for i in range(5) for j in (2, 3, 4, 6)]


def test_a_quotation_that_never_ends(tmp_path: Path) -> None:
    path = write(tmp_path / "f.csv", b'a,b\n1,2\n3,"4\n5,6\n')
    with pytest.raises(AmeirError, match="f.csv, line 3: a quotation opens here"):
        list(chunks(path, ",", strict(), quotes=True))


BAD_LINES = {
    "short": (b"a,b,c\n1,2,3\n4,5\n6,7,8\n", "line 3: 2 columns where 3 were expected"),
    "long": (b"a,b,c\n1,2,3\n4,5,6,7\n6,7,8\n", "line 3: 4 columns where 3"),
    "long and short": (b"a,b,c\n1,2\n4,5,6,7\n6,7,8\n1,2,3\n", "line 2: 2 columns where 3"),
    "short and long": (b"a,b,c\n4,5,6,7\n1,2\n6,7,8\n1,2,3\n", "line 2: 4 columns where 3"),
    "quoted": (b'a,b,c\n"1",2,3\n4,"5,5"\n6,7,8\n', "line 3: 2 columns where 3"),
    "cut off": (b"a,b,c\n1,2,3\n6,7,8\n4", "line 4: 1 columns where 3"),
}


@pytest.mark.bad_input
@pytest.mark.parametrize("case", BAD_LINES)
def test_a_line_with_another_number_of_columns(tmp_path: Path, case: str) -> None:
    data, message = BAD_LINES[case]
    path = write(tmp_path / "f.csv", data)
    with pytest.raises(AmeirError, match=message) as error:
        list(chunks(path, ",", strict(), quotes=True))
    assert str(path) in str(error.value) and ADVICE in str(error.value) and "on_bad_row=skip" in str(error.value)
    bad = strict("skip")
    kept = pl.concat(list(chunks(path, ",", bad, quotes=True)))
    wrong = 2 if " and " in case else 1
    assert bad.skipped == wrong and len(bad.first) == wrong and message in bad.first[0]
    assert ("6", "7", "8") in kept.drop(LINE).rows() and len(kept) == 2


def test_blank_lines_are_no_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "f.csv", b"a,b\n1,2\n\n3,4\n\n\n")
    found = pl.concat(list(chunks(path, ",", strict())))
    assert found.rows() == [(2, "1", "2"), (4, "3", "4")]


BAD_FILES = {
    "missing": (None, "no such file"),
    "empty": (b"", "the file is empty"),
    "blank": (b"\n", "the file is empty"),
    "header only": (b"a,b\n", "nothing follows the header"),
    "latin-1": ("a,b\n1,2\n3,Straße\n".encode("latin-1"), "line 3: byte 7 of the line is not UTF-8"),
    "cut gz": (gzip.compress(b"a,b\n" + bytes(range(48, 58)) * 900)[:-9], "gzip file is cut off"),
    "bad gz": (gzip.compress(b"a,b\n1,2\n")[:12] + b"\x00" * 20, "gzip file is damaged"),
}


@pytest.mark.bad_input
@pytest.mark.parametrize("case", BAD_FILES)
def test_a_file_that_cannot_be_read(tmp_path: Path, case: str) -> None:
    data, message = BAD_FILES[case]
    path = tmp_path / "f.csv"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(AmeirError, match=message) as error:
        list(chunks(path, ",", strict()))
    assert str(path) in str(error.value) and str(error.value).endswith(ADVICE)


def test_headers(tmp_path: Path) -> None:
    need_header(["user ", " item"], ["user", "item"], tmp_path, ADVICE)
    with pytest.raises(AmeirError, match="lacks label; found user, lable.*mean 'lable'"):
        need_header(["user", "lable"], ["user", "label"], tmp_path, ADVICE)
    with pytest.raises(AmeirError, match="lacks user, label.*Is the first line a header"):
        need_header(["1", "2"], ["user", "label"], tmp_path, ADVICE)
    with pytest.raises(AmeirError, match="user comes twice"):
        need_header(["user", "user "], ["user"], tmp_path, ADVICE)


def table(**columns: list[str | None]) -> pl.DataFrame:
    return pl.DataFrame(columns).with_row_index(LINE, 5)


NUMBERS = {
    "1": True, "-3": True, " 7 ": True, "9223372036854775807": True, "9223372036854775808": False, "x": False,
    "1.5": False, "": False, None: False, "NaN": False, "1e3": False}


@pytest.mark.parametrize("value", NUMBERS)
def test_whole_numbers(tmp_path: Path, value: str | None) -> None:
    data = table(n=["4", value])
    if NUMBERS[value]:
        assert strict().number(data, "n", tmp_path)["n"].to_list() == [4, int(value or 0)]
        return
    with pytest.raises(AmeirError, match="line 6, column 'n': found .* where a whole number was expected"):
        strict().number(data, "n", tmp_path)
    bad = strict("skip")
    assert bad.number(data, "n", tmp_path)["n"].to_list() == [4] and bad.skipped == 1


@pytest.mark.parametrize(("value", "fits"), [("1.5", True), (None, True), ("nan", False), ("inf", False),
                                             ("1,5", False), ("-1", False), ("11", False)])
def test_dense_numbers_with_gaps_and_bounds(tmp_path: Path, value: str | None, fits: bool) -> None:
    data = table(n=["4", value])
    if fits:
        assert strict().number(data, "n", tmp_path, 0, 10, whole=False, gaps=True)["n"].to_list()[0] == 4.0
    else:
        with pytest.raises(AmeirError, match="where a number from 0 to 10 or nothing was expected"):
            strict().number(data, "n", tmp_path, 0, 10, whole=False, gaps=True)


def test_labels_and_a_repeated_header(tmp_path: Path) -> None:
    good = strict().label(table(click=["0", "1", "1.0"]), "click", tmp_path)["click"]
    assert good.to_list() == [0, 1, 1] and good.dtype == pl.UInt8
    for word, more in (("2", ""), ("yes", ""), (None, "found nothing"), ("click", "This line repeats the header")):
        with pytest.raises(AmeirError, match=f"(?=.*line 6, column 'click'.*0 or 1)(?=.*{more})"):
            strict().label(table(click=["0", word]), "click", tmp_path)


def test_skipped_rows_are_counted_and_the_first_five_shown(tmp_path: Path) -> None:
    bad = strict("skip")
    kept = bad.number(table(n=["1", *["x"] * 7, "2"]), "n", tmp_path)
    assert kept["n"].to_list() == [1, 2]
    bad.label(table(c=["5"]), "c", tmp_path)
    notes = bad.notes()
    assert notes["bad rows, skipped"] == 8 and len(notes["the first of them"]) == 5
    assert "line 6, column 'n': found 'x'" in notes["the first of them"][0]
    assert strict("skip").notes() == {}
    with pytest.raises(AmeirError, match="on_bad_row=skp is unknown. Did you mean 'skip'"):
        BadRows("skp", ADVICE)  # type: ignore[arg-type]


QUOTES = {
    "inside a plain value": (b'n,t,x\n1,5" disk,a\n2,"b,c",d\n3,6" disk,e\n',
                             [("1", '5" disk', "a"), ("2", "b,c", "d"), ("3", '6" disk', "e")]),
    "one inside a plain value": (b'n,t,x\n1,5" disk,a\n2,"b,c",d\n', [("1", '5" disk', "a"), ("2", "b,c", "d")]),
    "a carriage return inside": (b'n,t,x\n1,"a\rb",c\n2,d,e\n', [("1", "a b", "c"), ("2", "d", "e")]),
    "empty ones": (b'n,t,x\n1,"",c\n2,d,e\n', [("1", None, "c"), ("2", "d", "e")]),
    "a long one": (b'n,t,x\n1,"' + b"y" * 200_000 + b'",c\n', [("1", "y" * 200_000, "c")]),
    "windows": (b'n,t,x\r\n1,"a",c\r\n"2",d,e\r\n', [("1", "a", "c"), ("2", "d", "e")]),
}


@pytest.mark.parametrize("case", QUOTES)
@pytest.mark.parametrize("size", [20, 10**6])
def test_quotation_marks(tmp_path: Path, case: str, size: int) -> None:
    data, rows = QUOTES[case]
    path = write(tmp_path / "f.csv", data)
    assert pl.concat(list(chunks(path, ",", strict(), quotes=True, size=size))).drop(LINE).rows() == rows


def test_a_quotation_over_many_lines_is_read_once(tmp_path: Path) -> None:
    inside = "\n".join(f"line {i}" for i in range(20_000))
    path = write(tmp_path / "f.csv", f'a,b\n1,"{inside}"\n2,x\n'.encode())
    found = pl.concat(list(chunks(path, ",", strict(), quotes=True, size=100)))
    assert found.rows() == [(2, "1", inside), (20_002, "2", "x")]


@pytest.mark.bad_input
def test_quotation_marks_that_do_not_fit(tmp_path: Path) -> None:
    path = write(tmp_path / "f.csv", b'n,t\n1,a\n2,"b"c\n3,d\n')
    with pytest.raises(AmeirError, match="line 3: the quotation marks of this line do not fit"):
        list(chunks(path, ",", strict(), quotes=True))
    bad = strict("skip")
    assert pl.concat(list(chunks(path, ",", bad, quotes=True))).rows() == [(2, "1", "a"), (4, "3", "d")]
    assert bad.skipped == 1


@pytest.mark.parametrize("quotes", [True, False])
def test_lines_that_end_in_a_carriage_return_alone(tmp_path: Path, quotes: bool) -> None:
    path = write(tmp_path / "f.csv", b"a,b\r1,2\r3,4\r")
    with pytest.raises(AmeirError, match="carriage return alone.*tr "):
        list(chunks(path, ",", strict(), quotes=quotes))


def test_dense_columns_come_as_numbers_where_all_are(tmp_path: Path) -> None:
    path = write(tmp_path / "f.csv", b"a,b\nx,2\ny,\nz,-1.5\n")
    assert pl.concat(list(chunks(path, ",", strict(), dense=["b"])))["b"].to_list() == [2.0, None, -1.5]
    for word in (b"NaN", b"inf", b"q", b"1x"):
        path = write(tmp_path / "f.csv", b"a,b\nx,2\ny," + word + b"\n")
        assert pl.concat(list(chunks(path, ",", strict(), dense=["b"])))["b"].to_list() == ["2", word.decode()]


def test_hexadecimal_columns(tmp_path: Path) -> None:
    good = strict().hexadecimals(table(c=["05db9164", None, "ffffffff"]), ["c"], tmp_path)["c"]
    assert good.to_list() == [0x05DB9164, None, 2**32 - 1] and good.dtype == pl.UInt32
    for word in ("05db916", "05db91644", "05db916g", "+5db9164", "", "nothex"):
        with pytest.raises(AmeirError, match="line 6, column 'c': found '.*' where eight hexadecimal digits"):
            strict().hexadecimals(table(c=["05db9164", word]), ["c"], tmp_path)
