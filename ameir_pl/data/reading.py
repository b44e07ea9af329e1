"""Reading users' text files into tables of strings, with errors that name file, line and column."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from ameir_pl.errors import AmeirError

LINE = "line"
"""Name of the column that holds the 1-based line number of a row."""


def read_lines(path: Path, advice: str, encoding: str = "utf-8") -> pl.DataFrame:
    """Return the lines of a text file that are not blank.

    Args:
        path: the file.
        advice: the sentence that ends every error: what the user can do.
        encoding: of the file; a byte order mark is dropped.

    Returns:
        Columns ``line`` (1-based number) and ``text`` (without the line's end).

    Raises:
        AmeirError: the file is missing, empty or not text of that encoding.
    """
    if not path.is_file():
        raise AmeirError(f"{path}: {'a folder, not a file' if path.is_dir() else 'no such file'}. {advice}")
    try:
        text = path.read_bytes().decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise AmeirError(f"{path}: byte {error.start} is not {encoding} text. {advice}") from error
    except OSError as error:
        raise AmeirError(f"{path}: cannot be read ({error.strerror}). {advice}") from error
    lines = pl.DataFrame({"text": text.split("\n")}, schema={"text": pl.String})
    lines = lines.select((pl.int_range(pl.len()) + 1).alias(LINE), pl.col("text").str.strip_chars_end("\r"))
    lines = lines.filter(pl.col("text").str.strip_chars() != "")
    if lines.is_empty():
        raise AmeirError(f"{path}: the file is empty. {advice}")
    return lines


def read_table(path: Path, separator: str, advice: str, columns: Sequence[str] | None = None,
               encoding: str = "utf-8") -> pl.DataFrame:
    """Return a delimited file as strings.

    Args:
        path: the file.
        separator: between the columns of a line.
        advice: the sentence that ends every error.
        columns: their names; None reads them from the first line, where a type may follow a colon
            (``user_id:token``, RecBole's atomic files).
        encoding: of the file.

    Returns:
        The column ``line`` and the named ones, all strings.

    Raises:
        AmeirError: as :func:`read_lines`, and for a line with another number of columns.
    """
    lines = read_lines(path, advice, encoding)
    if columns is None:
        columns = [name.split(":")[0].strip() for name in lines["text"][0].split(separator)]
        lines = lines.slice(1)
        if lines.is_empty():
            raise AmeirError(f"{path}: nothing follows the header. {advice}")
    return split_columns(lines, path, separator, advice, columns)


def split_columns(lines: pl.DataFrame, path: Path, separator: str, advice: str,
                  columns: Sequence[str]) -> pl.DataFrame:
    """Split what :func:`read_lines` gave into ``columns``; raises ``AmeirError`` at a line with another count."""
    parts = lines.select(LINE, pl.col("text").str.split(separator).alias("parts"))
    wrong = parts.filter(pl.col("parts").list.len() != len(columns)).head(1)
    if not wrong.is_empty():
        line, found = wrong.row(0)
        raise AmeirError(f"{path}, line {line}: {len(found)} columns where {len(columns)} were expected "
                         f"({', '.join(columns)}). Is the file cut off, or another one? {advice}")
    return parts.select(LINE, *(pl.col("parts").list.get(i).alias(name) for i, name in enumerate(columns)))


def need_columns(table: pl.DataFrame, names: Sequence[str], path: Path, advice: str) -> None:
    """Raise ``AmeirError`` naming the columns of ``names`` that the file's header lacks."""
    missing = [name for name in names if name not in table.columns]
    if missing:
        found = [name for name in table.columns if name != LINE]
        raise AmeirError(f"{path}: the header lacks {', '.join(missing)}; found {', '.join(found)}. {advice}")


def number(table: pl.DataFrame, column: str, path: Path, advice: str, low: float | None = None,
           high: float | None = None, whole: bool = True) -> pl.Series:
    """Return a column as numbers.

    Args:
        table: what :func:`read_table` gave.
        column: its name there.
        path: the file, for the message.
        advice: the sentence that ends the message.
        low, high: bounds, both included; None is unbounded.
        whole: give Int64, else Float64.

    Raises:
        AmeirError: at the first value that is not such a number, with file, line, column and value.
    """
    text = table[column].str.strip_chars()
    values = text.cast(pl.Int64 if whole else pl.Float64, strict=False)
    bad = values.is_null()
    if not whole:
        bad = bad | ~values.is_finite()
    if low is not None:
        bad = bad | (values < low)
    if high is not None:
        bad = bad | (values > high)
    bad = bad.fill_null(True)
    if bad.any():
        i = int(bad.arg_true()[0])
        kind = "a whole number" if whole else "a number"
        bounds = "" if low is None else f" of at least {low}" if high is None else f" from {low} to {high}"
        raise AmeirError(f"{path}, line {table[LINE][i]}, column '{column}': found '{text[i]}' where {kind}{bounds} "
                         f"was expected. {advice}")
    return values


def unique(table: pl.DataFrame, column: str, path: Path, advice: str) -> None:
    """Raise ``AmeirError`` at the first line whose ``column`` an earlier line already has."""
    again = table.filter(~pl.col(column).is_first_distinct()).head(1)
    if not again.is_empty():
        raise AmeirError(f"{path}, line {again[LINE][0]}, column '{column}': {again[column][0]} occurs on an earlier "
                         f"line too. {advice}")
