"""Reading user–item sequences in the three formats they are published in, told apart by their contents."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

import polars as pl

from ameir_pl.data.reading import LINE, number, read_lines, split_columns
from ameir_pl.errors import AmeirError

Format = Literal["lines", "pairs", "ratings"]
_RATINGS = ("user", "item", "rating", "timestamp")


class Interactions(NamedTuple):
    """Interactions of a file.

    Args:
        format: ``lines``, ``pairs`` or ``ratings``.
        table: ``user`` and ``item``, sorted by user, in time order within a user.
    """

    format: Format
    table: pl.DataFrame


def read(path: Path, advice: str) -> Interactions:
    """Read a file of sequences, of one of three formats:

    * ``lines``, one line a user, ``user item item …`` in time order (S3-Rec);
    * ``pairs``, one ``user item`` a line, in time order within a user (SASRec);
    * ``ratings``, the publisher's CSV ``user,item,rating,timestamp``, with or without a header; ids are any text,
      and interactions of one time stay in the order of the file.

    In the first two, ids are whole numbers; columns are separated by blanks or tabs. A file is ``pairs`` when every
    line has two columns.

    Raises:
        AmeirError: with file and line: missing, empty, another format, or a value that is no number.
    """
    lines = read_lines(path, advice)
    if "," in lines["text"][0]:
        return Interactions("ratings", _ratings(lines, path, advice))
    lines = lines.with_columns(pl.col("text").str.strip_chars().str.replace_all(r"\s+", " "))
    counts = lines["text"].str.count_matches(" ", literal=True) + 1
    if (counts == 2).all():
        pairs = split_columns(lines, path, " ", advice, ("user", "item"))
        table = pl.DataFrame({name: number(pairs, name, path, advice, low=0) for name in ("user", "item")})
        return Interactions("pairs", table.sort("user", maintain_order=True))
    short = lines.filter(counts < 2).head(1)
    if not short.is_empty():
        raise AmeirError(f"{path}, line {short[LINE][0]}: '{short['text'][0][:60]}' where `user item item …`, "
                         f"`user item` or `user,item,rating,timestamp` was expected. Is the file cut off? {advice}")
    return Interactions("lines", _per_user(lines, path, advice))


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


def _per_user(lines: pl.DataFrame, path: Path, advice: str) -> pl.DataFrame:
    parts = lines.select(LINE, pl.col("text").str.split(" ").alias("parts"))
    parts = parts.select(LINE, pl.col("parts").list.first().alias("user"),
                         pl.col("parts").list.slice(1).alias("item"))
    again = parts.filter(~pl.col("user").is_first_distinct()).head(1)
    if not again.is_empty():
        raise AmeirError(f"{path}, line {again[LINE][0]}: user {again['user'][0]} has an earlier line too. A file has "
                         f"one line a user, or one `user item` pair on every line. {advice}")
    parts = parts.explode("item")
    table = pl.DataFrame({name: number(parts, name, path, advice, low=0) for name in ("user", "item")})
    return table.sort("user", maintain_order=True)


def _ratings(lines: pl.DataFrame, path: Path, advice: str) -> pl.DataFrame:
    table = split_columns(lines, path, ",", advice, _RATINGS)
    # A header has no number where the ratings are.
    if table["rating"].head(1).str.strip_chars().cast(pl.Float64, strict=False).is_null().any():
        if table["rating"][0].strip().lower() not in ("rating", "overall"):
            number(table.head(1), "rating", path, advice, whole=False)
        table = table.slice(1)
        if table.is_empty():
            raise AmeirError(f"{path}: nothing follows the header. {advice}")
    number(table, "rating", path, advice, whole=False)
    blank = table.filter((pl.col("user").str.strip_chars() == "") | (pl.col("item").str.strip_chars() == "")).head(1)
    if not blank.is_empty():
        raise AmeirError(f"{path}, line {blank[LINE][0]}: the user or the item is empty. {advice}")
    time = number(table, "timestamp", path, advice, whole=False)
    return table.select("user", "item", time.alias("time")).sort("user", "time", maintain_order=True).drop("time")
