"""The four raw tables of Alimama's display ads (Tianchi 56), read in chunks and checked; ids are 32-bit numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from ameir_pl.data.bad_rows import LINE, BadRows
from ameir_pl.data.delimited import chunks, header, need_header
from ameir_pl.data.text import BLOCK
from ameir_pl.errors import AmeirError

SAMPLE, ADS, PROFILES, LOG = "raw_sample", "ad_feature", "user_profile", "behavior_log"
COLUMNS = {
    SAMPLE: ("user", "time_stamp", "adgroup_id", "pid", "nonclk", "clk"),
    ADS: ("adgroup_id", "cate_id", "campaign_id", "customer", "brand", "price"),
    PROFILES: ("userid", "cms_segid", "cms_group_id", "final_gender_code", "age_level", "pvalue_level",
               "shopping_level", "occupation", "new_user_class_level"),
    LOG: ("user", "time_stamp", "btag", "cate", "brand")}
"""The columns of each table, in the publisher's order; the header of a file decides."""
HIGHEST_ID = 2**32 - 1
_NULL = "NULL"


def read_ads(path: Path, bad: BadRows) -> pl.DataFrame:
    """Return the ads: ids UInt32 (null is missing, but for ``adgroup_id``) and ``price`` Float64.

    Raises:
        AmeirError: for bad input; also, whether bad rows are skipped or not, when an ad comes twice.
    """
    parts = []
    for table in _read(path, ADS, bad):
        table = _without_null_words(_ids(table, ("adgroup_id",), path, bad), "price")
        table = _ids(table, COLUMNS[ADS][1:-1], path, bad, gaps=True)
        parts.append(bad.number(table, "price", path, whole=False, gaps=True))
    return _once(parts, "adgroup_id", path, bad)


def read_profiles(path: Path, bad: BadRows) -> pl.DataFrame:
    """Return the users' profiles, UInt32, null is missing but for ``userid``; raises as :func:`read_ads`."""
    parts = []
    for table in _read(path, PROFILES, bad):
        table = _ids(table, ("userid",), path, bad)
        parts.append(_ids(table, COLUMNS[PROFILES][1:], path, bad, gaps=True))
    return _once(parts, "userid", path, bad)


def read_sample(path: Path, ads: pl.Series, bad: BadRows, size: int = BLOCK) -> Iterator[pl.DataFrame]:
    """Yield the impressions: ``user``, ``adgroup_id`` UInt32, ``time_stamp`` Int64, ``pid`` String, ``clk`` UInt8.

    Args:
        path: ``raw_sample.csv``.
        ads: ``adgroup_id`` of all ads.
        bad: what happens to bad rows.
        size: bytes of a chunk.
    """
    for table in _read(path, SAMPLE, bad, size):
        table = _ids(table, ("user", "adgroup_id"), path, bad)
        table = bad.number(table, "time_stamp", path, low=1)
        table = bad.label(bad.label(table, "clk", path), "nonclk", path)
        table = bad.drop(table, table["nonclk"] == table["clk"], path, "nonclk", "1 - clk")
        table = bad.drop(table, ~table["adgroup_id"].is_in(ads.implode()), path, "adgroup_id",
                         "an ad of ad_feature.csv")
        yield _without_null_words(table, "pid").drop(LINE, "nonclk")


def read_log(path: Path, users: pl.Series, bad: BadRows, size: int = BLOCK) -> Iterator[pl.DataFrame]:
    """Yield the behaviors: ``user``, ``cate``, ``brand`` UInt32 (null is missing, but for ``user``), ``time_stamp``
    Int64, ``btag`` String.

    Args:
        path: ``behavior_log.csv``.
        users: all users of ``raw_sample.csv``.
        bad: what happens to bad rows.
        size: bytes of a chunk.
    """
    known = users.implode()
    for table in _read(path, LOG, bad, size):
        table = _times(_ids(table, ("user",), path, bad), path, bad)
        table = _ids(table, ("cate", "brand"), path, bad, gaps=True)
        yield bad.drop(table, ~table["user"].is_in(known), path, "user", "a user of raw_sample.csv").drop(LINE)


def _read(path: Path, part: str, bad: BadRows, size: int = BLOCK) -> Iterator[pl.DataFrame]:
    need_header(header(path, ",", bad.advice), COLUMNS[part], path, bad.advice)
    for table in chunks(path, ",", bad, size=size):
        yield table.select(LINE, *COLUMNS[part])


def _ids(table: pl.DataFrame, columns: Sequence[str], path: Path, bad: BadRows, gaps: bool = False) -> pl.DataFrame:
    """Turn columns of strings into UInt32; with ``gaps`` an empty value or NULL is null."""
    for column in columns:
        raw = table[column]
        values = raw.cast(pl.UInt32, strict=False)
        lost = values.null_count()
        # The usual case first: everything is a number or a gap. Only else is each row looked at.
        if lost and not (gaps and (lost == raw.null_count() or lost == raw.null_count() + (raw == _NULL).sum())):
            table = _without_null_words(table, column) if gaps else table
            table = bad.number(table, column, path, 0, HIGHEST_ID, gaps=gaps)
            values = table[column].cast(pl.UInt32)
        table = table.with_columns(values.alias(column))
    return table


def _times(table: pl.DataFrame, path: Path, bad: BadRows) -> pl.DataFrame:
    values = table["time_stamp"].cast(pl.Int64, strict=False)
    if values.null_count():
        return bad.number(table, "time_stamp", path)
    return table.with_columns(values)


def _without_null_words(table: pl.DataFrame, column: str) -> pl.DataFrame:
    raw = table[column]
    words = raw.str.strip_chars() == _NULL
    return table.with_columns(raw.set(words.fill_null(False), None)) if words.any() else table


def _once(parts: list[pl.DataFrame], column: str, path: Path, bad: BadRows) -> pl.DataFrame:
    """Return the whole table without lines; which of two rows of one key is right cannot be known."""
    if not parts:
        raise AmeirError(f"{path}: no row could be read. {bad.advice}")
    table = pl.concat(parts)
    again = table.filter(~table[column].is_first_distinct())
    if len(again):
        key = again[column][0]
        first = table.filter(pl.col(column) == key)[LINE][0]
        raise AmeirError(f"{path}, line {again[LINE][0]}, column '{column}': {key} is on line {first} already, and "
                         f"which of the two is right cannot be known. Remove one. {bad.advice}")
    return table.drop(LINE)

