"""What kind of file a table is in, told by its first bytes: those that are read, and those that are refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from ameir_pl.data.packed import packing_of
from ameir_pl.data.text import open_bytes
from ameir_pl.errors import AmeirError

FileKind = Literal["text", "parquet", "arrow", "json"]
FORMATS: dict[str, FileKind] = {"csv": "text", "tsv": "text", "text": "text", "parquet": "parquet", "arrow": "arrow",
                                "feather": "arrow", "ipc": "arrow", "json": "json", "jsonl": "json", "ndjson": "json"}
"""What a description may call a kind of file."""
PARQUET = (".parquet", ".pq")
TEXT = (".csv", ".tsv", ".txt", ".inter", ".user", ".item")
ARROW = (".feather", ".arrow", ".ipc")
JSON = (".jsonl", ".ndjson", ".json")
STREAM = b"\xff\xff\xff\xff"
"""How Arrow's stream format begins."""
_HEAD = 4096
_TABLE = "Write the table as Parquet or CSV"
_REFUSED = (
    (0, b"ORC", "an ORC file", _TABLE), (0, b"Obj\x01", "an Avro file", _TABLE),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file", f"{_TABLE} (pandas: read_hdf, then to_parquet)"),
    (0, b"SQLite format 3\x00", "an SQLite database", "Write the query's result as CSV (sqlite3 -header -csv)"),
    (0, b"\xd0\xcf\x11\xe0", "a workbook of a spreadsheet (xls)", "Save its sheet as CSV (UTF-8) or as Parquet"),
    (0, b"\x93NUMPY", "a NumPy array", _TABLE), (0, b"FEA1", "a Feather file of version 1", "Write it as version 2, "
                                                                                          "or as Parquet"),
    (257, b"ustar", "a tar archive", "Unpack it, and name the table in it"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", "Unpack it"), (0, b"Rar!", "a RAR archive", "Unpack it"),
    (0, b"%PDF", "a PDF", "Name the table itself"), (0, b"RDX", "R's own format", _TABLE),
    (0, b"RDA", "R's own format", _TABLE), (0, b"<stata_dta>", "a Stata file", _TABLE),
    (0, b"$FL2", "an SPSS file", _TABLE), (0, b"SEQ\x06", "a Hadoop sequence file", _TABLE),
    (0, b"\x00\x00\xfe\xff", "UTF-32 text", "Write it as UTF-8: iconv -f utf-32 -t utf-8 OLD > NEW"),
    (0, b"\xff\xfe\x00\x00", "UTF-32 text", "Write it as UTF-8: iconv -f utf-32 -t utf-8 OLD > NEW"),
    (0, b"\xff\xfe", "UTF-16 text", "Write it as UTF-8: iconv -f utf-16 -t utf-8 OLD > NEW"),
    (0, b"\xfe\xff", "UTF-16 text", "Write it as UTF-8: iconv -f utf-16 -t utf-8 OLD > NEW"))
_MARK = b"\xef\xbb\xbf"


def kind_of(path: Path, advice: str, named: str = "") -> FileKind:
    """Return the kind of a file.

    Args:
        path: the file.
        advice: the sentence that ends every error.
        named: what the description calls it; empty: it is told by its first bytes.

    Raises:
        AmeirError: the file is missing, empty, or of a kind that is not read.
    """
    if named:
        return FORMATS[named]
    if path.suffix.lower() in PARQUET:
        return "parquet"
    with open_bytes(path, advice) as file:
        head = file.read(_HEAD)
    with path.open("rb") as raw:
        packed = packing_of(raw.read(6))
    kind = _told(head, path, advice)
    if packed and kind in ("parquet", "arrow"):
        raise AmeirError(f"{path}: {kind.capitalize()} packed once more as {packed}. Unpack it. {advice}")
    return kind


def _told(head: bytes, path: Path, advice: str) -> FileKind:
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(b"ARROW1") or head.startswith(STREAM):
        return "arrow"
    for at, mark, what, remedy in _REFUSED:
        if head[at:at + len(mark)] == mark:
            raise AmeirError(f"{path}: {what}, which is not read. {remedy}. {advice}")
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        raise AmeirError(f"{path}: a pickle, which may run any code when it is read, so it is not. {_TABLE} (pandas: "
                         f"to_parquet). {advice}")
    text = head.removeprefix(_MARK).lstrip()
    if text[:200].lower().startswith((b"<!doctype", b"<html", b"<?xml", b"<svg")):
        raise AmeirError(f"{path}: a page of the web or XML, not a table. Was a download answered with it? {advice}")
    if text[:1] in (b"{", b"["):
        return "json"
    if b"\x00" in head:
        raise AmeirError(f"{path}: bytes of zero where text was expected: UTF-16 without its mark (iconv -f utf-16le "
                         f"-t utf-8 OLD > NEW), or no table at all. {advice}")
    return "text"
