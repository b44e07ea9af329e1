"""Reading delimited text in chunks: tables of strings, with errors that name file, line and column."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from polars.exceptions import PolarsError

from ameir_pl.data.bad_rows import LINE, BadRows
from ameir_pl.data.separators import BLANKS, UNIT, single, split_line, unified
from ameir_pl.data.text import BLOCK, LONGEST, blocks, count, csv_lines, one_ahead, open_bytes, text_line
from ameir_pl.errors import AmeirError, did_you_mean

_NEAR_END = 200
MOST_COLUMNS = 50_000
"""Words of a first line from which on it is no header."""


def header(path: Path, separator: str, advice: str) -> list[str]:
    """Return the words of a file's first line, as they are but for quotes.

    Raises:
        AmeirError: the file is missing, empty or not UTF-8.
    """
    with open_bytes(path, advice) as file:
        first = file.readline(LONGEST)
    if len(first) == LONGEST:
        raise AmeirError(f"{path}: its first line does not end within {LONGEST:,} bytes. Is it a table? {advice}")
    try:
        text = first.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise text_line(path, first, 1, advice) from error
    if not text.strip():
        raise AmeirError(f"{path}: the file is empty or begins with an empty line. {advice}")
    try:
        words = split_line(text, separator)
        if len(words) > MOST_COLUMNS:
            raise AmeirError(f"{path}, line 1: {len(words):,} columns, more than any table has. {advice}")
        return words
    except csv.Error as error:
        ends = " Do its lines end in a carriage return alone? tr '\\r' '\\n' < OLD > NEW." if "\r" in text else ""
        raise AmeirError(f"{path}, line 1: the header cannot be read ({error}).{ends} {advice}") from error


def is_number(word: str) -> bool:
    """Return whether a word is a number, which words of a header seldom are."""
    try:
        float(word)
    except ValueError:
        return False
    return True


def need_header(found: Sequence[str], wanted: Sequence[str], path: Path, advice: str) -> None:
    """Raise ``AmeirError`` when a header (blanks around its words do not matter) lacks a column of ``wanted``."""
    names = [word.strip() for word in found]
    missing = [name for name in wanted if name not in names]
    if missing:
        near = did_you_mean(missing[0], names) if len(missing) < len(wanted) else ""
        if len(missing) == len(wanted):
            near = " Is the first line a header?"
        raise AmeirError(f"{path}, line 1: the header lacks {', '.join(missing)}; found {', '.join(names)[:_NEAR_END]}."
                         f"{near} {advice}")
    twice = sorted(name for name, times in Counter(names).items() if times > 1)
    if twice:
        raise AmeirError(f"{path}, line 1: the column {', '.join(twice)[:_NEAR_END]} comes twice in the header. "
                         f"{advice}")


def chunks(path: Path, separator: str, bad: BadRows, columns: Sequence[str] | None = None,
           quotes: bool = False, size: int = BLOCK, dense: Sequence[str] = (), renamed: Sequence[str] = ()
           ) -> Iterator[pl.DataFrame]:
    """Yield a file as tables of strings, a block at a time; an empty value is null.

    Args:
        path: the file, plain or gzipped.
        separator: one character, several, or :data:`~ameir_pl.data.separators.BLANKS`.
        bad: what happens to a line with another number of columns.
        columns: names of a file without a header; None takes the first line for one (blanks around its words go).
        quotes: values may be in double quotes, as CSV has them. Without, a quote is a character like others.
        size: bytes of a block.
        dense: columns that come as Float64 from every block in which all their values are numbers; a parser that
            knows it is quicker.
        renamed: names in place of those of the header.

    Returns:
        Tables with the column ``line`` (UInt32, the number in the file) and the named ones.

    Raises:
        AmeirError: the file is missing, empty, cut off or not UTF-8; a line has another number of columns (unless
            such lines are skipped); nothing follows the header.
    """
    named = columns is None
    names = [word.strip() for word in header(path, separator, bad.advice)] if columns is None else list(columns)
    names = list(renamed) or names
    rows, skipped = 0, bad.skipped
    # A quotation goes over lines only where one character separates columns.
    for first, block in one_ahead(blocks(path, bad.advice, separator if quotes and single(separator) else "", size)):
        if first == 1 and named:
            end = block.index(b"\n") + 1
            first, block = 2, block[end:]
        if not single(separator):
            block = _unified(block, first, path, separator, bad, quotes)
        delimiter = separator if single(separator) else UNIT
        table = _parse(block, first, path, delimiter, bad, names, quotes, dense) if block else None
        if table is not None and len(table):
            rows += len(table)
            yield table
    if rows == 0 and bad.skipped == skipped:
        raise AmeirError(f"{path}: nothing follows the header. {bad.advice}")


def _parse(block: bytes, first: int, path: Path, separator: str, bad: BadRows, names: Sequence[str],
           quotes: bool, dense: Sequence[str] = ()) -> pl.DataFrame:
    if quotes and b'"' in block:
        return _quoted(_text(block, first, path, bad), first, path, separator, bad, names)
    lines: pl.Series | None = None
    # The counts of two characters tell whether every line has its columns: the parser fills short lines with nulls
    # and raises at long ones, so the two kinds cannot make up for each other unseen.
    if count(block, separator.encode()) != count(block, b"\n") * (len(names) - 1):
        block, lines = _whole_lines(block, first, path, separator, bad, names)
    kinds: dict[str, Any] = dict.fromkeys(names, pl.String)
    attempts = [kinds | dict.fromkeys(dense, pl.Float64)] if dense else []
    for schema in (*attempts, kinds, None):
        if schema is None:  # a long line and a short one: the counts agree, the lines do not
            if lines is not None:
                raise AmeirError(f"{path}: the block that begins at line {first} cannot be read. {bad.advice}")
            block, lines = _whole_lines(block, first, path, separator, bad, names)
            schema = kinds
        try:
            table = pl.read_csv(block, has_header=False, separator=separator, quote_char=None, schema=schema) if block \
                else pl.DataFrame(schema=schema)
            if table.select(pl.all_horizontal(pl.col(pl.Float64).is_finite().all())).item() is False:
                continue  # as text it can be shown as it is written
            break
        except PolarsError as error:
            if "utf-8" in str(error).lower():
                raise text_line(path, block, first, bad.advice) from error
    else:
        raise AmeirError(f"{path}: the block that begins at line {first} cannot be read. {bad.advice}")
    if lines is None:
        lines = pl.int_range(first, first + len(table), dtype=pl.UInt32, eager=True)
    return table.insert_column(0, lines.alias(LINE))


def _unified(block: bytes, first: int, path: Path, separator: str, bad: BadRows, quotes: bool) -> bytes:
    if UNIT.encode() in block:
        raise AmeirError(f"{path}: the byte 0x1f is met in the block that begins at line {first}, which a table whose "
                         f"columns are separated by {'blanks' if separator == BLANKS else repr(separator)} may not "
                         f"have. Delete it, or take another separator. {bad.advice}")
    return unified(_text(block, first, path, bad), separator, quotes).encode()


def _whole_lines(block: bytes, first: int, path: Path, separator: str, bad: BadRows, names: Sequence[str]
                 ) -> tuple[bytes, pl.Series]:
    """Return the lines that have as many columns as there are names, and their numbers. Blank lines go."""
    good, numbers = [], []
    for line, text in enumerate(_text(block, first, path, bad).split("\n")[:-1], first):
        width = text.count(separator) + 1
        if width == len(names):
            good.append(text)
            numbers.append(line)
        elif text.strip():
            bad.add(_width(path, line, width, names))
    return "".join(f"{text}\n" for text in good).encode(), pl.Series(numbers, dtype=pl.UInt32)


def _quoted(text: str, first: int, path: Path, separator: str, bad: BadRows, names: Sequence[str]) -> pl.DataFrame:
    """Return the rows of a block with quotations, as Python's csv module reads them."""
    reader = csv.reader(csv_lines(text), delimiter=separator, strict=True)
    rows, numbers = [], []
    while True:
        line = first + reader.line_num
        try:
            row = next(reader, None)
        except csv.Error as error:
            bad.add(f"{path}, line {line}: the quotation marks of this line do not fit ({error}). A quotation mark "
                    "inside a quoted value is written twice.")
            continue
        if row is None:
            break
        if len(row) == len(names):
            rows.append(row)
            numbers.append(line)
        elif row and (len(row) > 1 or row[0].strip()):
            bad.add(_width(path, line, len(row), names))
    columns = zip(*rows, strict=True) if rows else ([] for _ in names)
    table = pl.DataFrame([pl.Series(name, column, pl.String) for name, column in zip(names, columns, strict=True)])
    return table.with_columns(pl.all().replace("", None)).insert_column(0, pl.Series(LINE, numbers, pl.UInt32))


def _text(block: bytes, first: int, path: Path, bad: BadRows) -> str:
    try:
        return block.decode("utf-8")
    except UnicodeDecodeError as error:
        raise text_line(path, block, first, bad.advice) from error


def _width(path: Path, line: int, width: int, names: Sequence[str]) -> str:
    return (f"{path}, line {line}: {width} columns where {len(names)} were expected ({', '.join(names)[:_NEAR_END]}). "
            "Is the file cut off, or another one?")
