"""Reading delimited text in chunks: tables of strings, with errors that name file, line and column."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from ameir_pl.data.bad_rows import LINE, BadRows
from ameir_pl.data.text import BLOCK, blocks, count, open_bytes, text_line
from ameir_pl.errors import AmeirError, did_you_mean

_NEAR_END = 200


def header(path: Path, separator: str, advice: str) -> list[str]:
    """Return the words of a file's first line, as they are but for quotes.

    Raises:
        AmeirError: the file is missing, empty or not UTF-8.
    """
    with open_bytes(path, advice) as file:
        first = file.readline()
    try:
        text = first.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise text_line(path, first, 1, advice) from error
    if not text.strip():
        raise AmeirError(f"{path}: the file is empty or begins with an empty line. {advice}")
    return next(csv.reader([text], delimiter=separator))


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
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise AmeirError(f"{path}, line 1: the column {', '.join(twice)} comes twice in the header. {advice}")


def chunks(path: Path, separator: str, bad: BadRows, columns: Sequence[str] | None = None,
           quotes: bool = False, size: int = BLOCK) -> Iterator[pl.DataFrame]:
    """Yield a file as tables of strings, a block at a time; an empty value is null.

    Args:
        path: the file, plain or gzipped.
        separator: one character.
        bad: what happens to a line with another number of columns.
        columns: names of a file without a header; None takes the first line for one (blanks around its words go).
        quotes: values may be in double quotes, as CSV has them. Without, a quote is a character like others.
        size: bytes of a block.

    Returns:
        Tables with the column ``line`` (UInt32, the number in the file) and the named ones.

    Raises:
        AmeirError: the file is missing, empty, cut off or not UTF-8; a line has another number of columns (unless
            such lines are skipped); nothing follows the header.
    """
    named = columns is None
    names = [word.strip() for word in header(path, separator, bad.advice)] if columns is None else list(columns)
    rows, skipped = 0, bad.skipped
    for first, block in blocks(path, bad.advice, quotes, size):
        if first == 1 and named:
            end = block.index(b"\n") + 1
            first, block = 2, block[end:]
        table = _parse(block, first, path, separator, bad, names, quotes) if block else None
        if table is not None and len(table):
            rows += len(table)
            yield table
    if rows == 0 and bad.skipped == skipped:
        raise AmeirError(f"{path}: nothing follows the header. {bad.advice}")


def _parse(block: bytes, first: int, path: Path, separator: str, bad: BadRows, names: Sequence[str],
           quotes: bool) -> pl.DataFrame:
    quoted = quotes and b'"' in block
    lines: pl.Series | None = None
    # Where nothing is quoted the counts of two characters tell whether every line has its columns: the parser fills
    # short lines with nulls and raises at long ones, so the two kinds cannot make up for each other unseen.
    fits = not quoted and count(block, separator.encode()) == count(block, b"\n") * (len(names) - 1)
    for attempt in ("as it is", "whole lines only"):
        if not fits:
            block, lines = _whole_lines(block, first, path, separator, bad, names, quoted)
        try:
            table = pl.read_csv(block, has_header=False, separator=separator, quote_char='"' if quoted else None,
                                schema=dict.fromkeys(names, pl.String)) if block else pl.DataFrame(
                                    schema=dict.fromkeys(names, pl.String))
            break
        except PolarsError as error:
            if "utf-8" in str(error).lower():
                raise text_line(path, block, first, bad.advice) from error
            if not fits or attempt == "whole lines only":
                raise AmeirError(f"{path}: the block that begins at line {first} cannot be read ({error}). "
                                 f"{bad.advice}") from error
            fits = False  # a long line and a short one
    if quoted:
        table = table.with_columns(pl.all().replace("", None))
    if lines is None:
        lines = pl.int_range(first, first + len(table), dtype=pl.UInt32, eager=True)
    return table.insert_column(0, lines.alias(LINE))


def _whole_lines(block: bytes, first: int, path: Path, separator: str, bad: BadRows, names: Sequence[str],
                 quoted: bool) -> tuple[bytes, pl.Series]:
    """Return the lines that have as many columns as there are names, and their numbers. Blank lines go."""
    try:
        text = block.decode("utf-8")
    except UnicodeDecodeError as error:
        raise text_line(path, block, first, bad.advice) from error
    good, numbers, line = [], [], first
    reader = _records(text, separator) if quoted else ((t, t.count(separator) + 1, 1) for t in text.split("\n")[:-1])
    for record, width, height in reader:
        if width == len(names):
            good.append(record)
            numbers.append(line)
        elif record.strip():
            bad.add(f"{path}, line {line}: {width} columns where {len(names)} were expected "
                    f"({', '.join(names)[:_NEAR_END]}). Is the file cut off, or another one?")
        line += height
    whole = "".join(f"{record}\n" for record in good)
    return whole.encode(), pl.Series(numbers, dtype=pl.UInt32)


def _records(text: str, separator: str) -> Iterator[tuple[str, int, int]]:
    """Yield (record, its columns, its lines) of text with quotations."""
    lines = text.split("\n")[:-1]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    at = 0
    for row in reader:
        height = reader.line_num - at
        yield "\n".join(lines[at:at + height]), len(row), height
        at += height
