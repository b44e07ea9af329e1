"""Reading user–item sequences in the formats they are published in, told apart by their contents."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import polars as pl

from ameir_pl.data.bad_rows import LINE, SHOWN, BadRows
from ameir_pl.data.delimited import chunks, is_number
from ameir_pl.data.ratings import read_ratings
from ameir_pl.data.reviews import read_reviews, told
from ameir_pl.data.text import blocks, open_bytes, text_line
from ameir_pl.errors import AmeirError

Format = Literal["lines", "pairs", "histories", "ratings", "reviews"]
RAW: tuple[Format, ...] = ("ratings", "reviews")
"""The formats in which data are published unfiltered, and that have times."""
_LARGEST = 2**63 - 1
_LONGEST_LINE = 2**24
_LIST = "@list"
_ID = f"a whole number from 0 to {_LARGEST}"


class Interactions(NamedTuple):
    """Interactions of a file.

    Args:
        format: as :func:`read` calls it.
        table: ``user`` and ``item``, sorted by user, in time order within a user; ``time`` where the format has it.
    """

    format: Format
    table: pl.DataFrame


def read(path: Path, bad: BadRows, columns: Sequence[str] | None = None) -> Interactions:
    """Read a file of sequences, plain or gzipped, of one of five formats:

    * ``lines``, one line a user, ``user item item …`` in time order (S3-Rec);
    * ``pairs``, one ``user item`` a line, in time order within a user (SASRec);
    * ``histories``, a header ``history<TAB>next`` and one row a user: items in time order, and the one that follows;
    * ``ratings``, rows of a user, an item, a rating and a time: the publisher's CSV, RecBole's ``.inter`` (see
      :func:`~ameir_pl.data.ratings.read_ratings`);
    * ``reviews``, one record a line, JSON or Python, of Amazon or Steam (see
      :func:`~ameir_pl.data.reviews.read_reviews`).

    In the first three, ids are whole numbers, and columns of the first two are separated by blanks or tabs. A file is
    ``pairs`` when every line has two columns, or most lines have and some user has several lines. In the last two,
    ids are any text; interactions of one time (of one day, where the time is a date) stay in the order of the file.

    Args:
        path: the file.
        bad: what happens to lines that cannot be read; where one line is a user, the whole user is skipped.
        columns: names of the columns of ``ratings``, where they cannot be told.

    Raises:
        AmeirError: with file and line: missing, empty, another format, or a value that is no number.
    """
    line, first = _first_line(path, bad.advice)
    words = [word.strip() for word in first.split("\t")]
    if first[0] in "{[":
        if first[0] == "[":
            raise AmeirError(f"{path}, line {line}: a JSON array, where one record a line was expected. {bad.advice}")
        return Interactions("reviews", _in_time_order(read_reviews(path, *told(path, first, line, bad.advice), bad)))
    if "::" in first:
        raise AmeirError(f"{path}, line {line}: '{first[:60]}' looks like `id::name` or another table with `::` "
                         f"between its columns, not like sequences. {bad.advice}")
    if words == ["history", "next"]:
        return Interactions("histories", _histories(path, bad))
    tabs = len(words) > 1 and (columns is not None or not any(is_number(word) for word in words))
    if tabs or "," in first:
        return Interactions("ratings", _in_time_order(read_ratings(path, "\t" if tabs else ",", bad, columns)))
    table = _split(path, bad)
    single = table["item"].list.len() == 1
    if single.all() or (single.mean() or 0) > 0.5 and table["user"].is_duplicated().any():  # type: ignore[operator]
        return Interactions("pairs", _pairs(table, path, bad))
    return Interactions("lines", _lines(table, path, bad))


def core(table: pl.DataFrame, least: int) -> pl.DataFrame:
    """Drop users and items with fewer than ``least`` interactions, again and again until none is left to drop.

    Returns the rest in its order; for ``least`` = 5 the "5-core" of McAuley's data.
    """
    while True:
        kept = table.filter(pl.len().over("user") >= least)
        kept = kept.filter(pl.len().over("item") >= least)
        if len(kept) == len(table):
            return kept
        table = kept


def _first_line(path: Path, advice: str) -> tuple[int, str]:
    """Number and text of the first line that is not blank; of a very long line the beginning."""
    with open_bytes(path, advice) as file:
        for line in itertools.count(1):
            raw = file.readline(_LONGEST_LINE)
            if not raw:
                break
            if line == 1:
                raw = raw.removeprefix(b"\xef\xbb\xbf")
            if raw.strip():
                try:
                    return line, raw.decode("utf-8", "ignore" if len(raw) == _LONGEST_LINE else "strict").strip(" \r\n")
                except UnicodeDecodeError as error:
                    raise text_line(path, raw, line, advice) from error
    raise AmeirError(f"{path}: the file is empty. {advice}")


def _in_time_order(table: pl.DataFrame) -> pl.DataFrame:
    return table.sort("user", "time", maintain_order=True)


def _split(path: Path, bad: BadRows) -> pl.DataFrame:
    """Lines that are not blank as ``line``, ``user`` and ``item`` (list), all but the first strings."""
    tables = []
    for first, block in blocks(path, bad.advice):
        try:
            text = block.decode("utf-8")
        except UnicodeDecodeError as error:
            raise text_line(path, block, first, bad.advice) from error
        lines = pl.DataFrame({"text": text.split("\n")}, schema={"text": pl.String})
        lines = lines.select(pl.int_range(first, first + pl.len(), dtype=pl.UInt32).alias(LINE),
                             pl.col("text").str.strip_chars().str.replace_all(r"\s+", " ").str.split(" "))
        tables.append(lines.select(LINE, pl.col("text").list.first().alias("user"),
                                   pl.col("text").list.slice(1).alias("item")).filter(pl.col("user") != ""))
    return pl.concat(tables)


def _drop(table: pl.DataFrame, wrong: pl.Series, bad: BadRows, words: Callable[[dict[str, Any]], str]) -> pl.DataFrame:
    """Report rows and leave them out; ``words`` describes one."""
    rows = wrong.arg_true().to_list()
    for n, i in enumerate(rows[:SHOWN], 1):
        bad.add(words(table.row(i, named=True)), len(rows) - SHOWN + 1 if n == SHOWN else 1)
    return table.filter(~wrong)


def _pairs(table: pl.DataFrame, path: Path, bad: BadRows) -> pl.DataFrame:
    table = _drop(table, table["item"].list.len() != 1, bad, lambda row:
                  f"{path}, line {row[LINE]}: {1 + len(row['item'])} columns where 2 were expected (user, item), as on "
                  "other lines. Is the file cut off, or another one?")
    table = table.with_columns(pl.col("item").list.first())
    for name in ("user", "item"):
        table = bad.number(table, name, path, low=0, high=_LARGEST)
    return table.select("user", "item").sort("user", maintain_order=True)


def _lines(table: pl.DataFrame, path: Path, bad: BadRows) -> pl.DataFrame:
    table = _drop(table, table["item"].list.len() == 0, bad, lambda row:
                  f"{path}, line {row[LINE]}: '{row['user'][:60]}', a user without an item, where `user item item …` "
                  "was expected. Is the file cut off?")
    table = bad.number(table, "user", path, low=0, high=_LARGEST)
    table = _drop(table, ~table["user"].is_first_distinct(), bad, lambda row:
                  f"{path}, line {row[LINE]}: user {row['user']} has an earlier line too. A file has one line a user, "
                  "or one `user item` pair on every line.")
    return _whole_numbers(table, "item", path, bad).select("user", "item").explode("item").sort(
        "user", maintain_order=True)


def _whole_numbers(table: pl.DataFrame, column: str, path: Path, bad: BadRows) -> pl.DataFrame:
    """Turn lists of strings into lists of ids; a row with a bad one is bad as a whole."""
    value = pl.element().cast(pl.Int64, strict=False)
    wrong = table[column].list.eval(pl.element().filter(value.is_null() | (value < 0)))
    # The message shows the first bad value of a list.
    kept = bad.drop(table.with_columns(wrong.list.first().alias(column), table[column].alias(_LIST)),
                    wrong.list.len() > 0, path, column, _ID)
    return kept.with_columns(pl.col(_LIST).cast(pl.List(pl.Int64)).alias(column)).drop(_LIST)


def _histories(path: Path, bad: BadRows) -> pl.DataFrame:
    """Rows are users, numbered by their lines: the file does not name them. A history may be empty."""
    tables = []
    for table in chunks(path, "\t", bad):
        table = bad.number(table, "next", path, low=0, high=_LARGEST)
        words = pl.col("history").fill_null("").str.split(" ").list.eval(pl.element().filter(pl.element() != ""))
        table = _whole_numbers(table.with_columns(words), "history", path, bad)
        items = pl.concat_list("history", "next").alias("item")
        tables.append(table.select(pl.col(LINE).cast(pl.Int64).alias("user"), items).explode("item"))
    if not tables:
        raise AmeirError(f"{path}: no row can be read. {bad.advice}")
    return pl.concat(tables)
