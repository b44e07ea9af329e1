"""Reading delimited tables of ratings: the publisher's CSV with or without a header, RecBole's typed ``.inter``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from ameir_pl.data.bad_rows import LINE, BadRows
from ameir_pl.data.delimited import chunks, header, is_number, need_header
from ameir_pl.data.table_times import Clock
from ameir_pl.data.time_profile import TimeProfile, place_of
from ameir_pl.errors import AmeirError

NEEDED = ("user", "item", "timestamp")
"""What every table must have."""
_PLAIN = ("user", "item", "rating", "timestamp")
_ALIASES = {"user": ("user", "user_id", "userid", "reviewerid"),
            "item": ("item", "item_id", "itemid", "asin", "parent_asin", "product_id"),
            "rating": ("rating", "overall"),
            "timestamp": ("timestamp", "time", "unixreviewtime")}
_OPTION = "dataset.options.columns=[item,user,rating,timestamp] names the columns in their order."
_ASIN = r"^[0-9A-Z]{10}$"
_SAMPLE = 2**20
_WRITTEN, _TIME = "@written", "@read"


def read_ratings(path: Path, separator: str, bad: BadRows, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """Read a table with a user, an item and a timestamp in every row; a rating must be a number, and is not kept.

    The columns are those of ``columns``, else those a header names, else ``user,item,rating,timestamp`` (Amazon,
    2014) or ``item,user,rating,timestamp`` (2018), told apart by the ids: an item of Amazon has ten characters of
    0-9 and A-Z, a user rarely.

    Args:
        path: the file, plain or gzipped.
        separator: a comma or a tab.
        bad: what happens to rows that cannot be read.
        columns: names in the order of the columns; ``user``, ``item``, ``timestamp`` and ``rating`` are read.

    Returns:
        ``user``, ``item`` (strings) and ``time``, in the order of the file.

    Raises:
        AmeirError: another kind of table; the order of the columns cannot be told; a bad row, with line and column,
            unless such rows are skipped.
    """
    words = [word.strip() for word in header(path, separator, bad.advice)]
    named = not any(is_number(word) for word in words)
    if columns is not None and len(columns) != len(words):
        raise AmeirError(f"{path}, line 1: {len(words)} columns where dataset.options.columns names {len(columns)} "
                         f"({', '.join(columns)}). {bad.advice}")
    if named:
        need_header(words, (), path, bad.advice)  # no name twice
        roles = dict(zip(columns, words, strict=True)) if columns is not None else _roles(words, path, bad.advice)
        order = None
    else:
        order = tuple(columns) if columns is not None else _order(path, separator, len(words), bad.advice)
        roles = {role: role for role in order}
    tables = [_chunk(table, roles, path, bad) for table in chunks(path, separator, bad, order, quotes=separator == ",")]
    if not tables:
        raise AmeirError(f"{path}: no row can be read. {bad.advice}")
    return _timed(pl.concat(tables), roles["timestamp"], path, bad)


def _timed(table: pl.DataFrame, column: str, path: Path, bad: BadRows) -> pl.DataFrame:
    """Read the times, numbers or dates as all of them tell."""
    profile = TimeProfile()
    profile.add(table[_WRITTEN].set((table[_WRITTEN].str.strip_chars() == "").fill_null(False), None),
                place_of(path, bad.unit, table[LINE]))
    try:
        clock = Clock.decide(profile, "", f"{path}, column '{column}'")
    except AmeirError as error:
        raise AmeirError(f"{error} A description is that of a table: dataset=table, task: retrieval. {bad.advice}"
                         ) from error
    clock = replace(clock, bounded=False)  # as published, whatever it is
    table = clock.read(table.rename({_WRITTEN: column}), column, bad, path, _TIME)
    return table.select("user", "item", pl.col(_TIME).alias("time"))


def _chunk(table: pl.DataFrame, roles: dict[str, str], path: Path, bad: BadRows) -> pl.DataFrame:
    for role in ("user", "item"):
        table = bad.drop(table, table[roles[role]].str.strip_chars() == "", path, roles[role], "an id")
    if "rating" in roles:
        table = bad.number(table, roles["rating"], path, whole=False)
    return table.select(LINE, *(pl.col(roles[role]).str.strip_chars().alias(role) for role in ("user", "item")),
                        pl.col(roles["timestamp"]).alias(_WRITTEN))


def _roles(words: Sequence[str], path: Path, advice: str) -> dict[str, str]:
    """Which column of a header is what; a type may follow a name (``user_id:token``)."""
    names = {word.split(":")[0].strip().lower(): word for word in reversed(words)}
    roles = {role: names[alias] for role, aliases in _ALIASES.items() for alias in reversed(aliases) if alias in names}
    lacking = [role for role in NEEDED if role not in roles]
    if lacking:
        raise AmeirError(f"{path}, line 1: not a table of ratings: the header has no column for {', '.join(lacking)}; "
                         f"found {', '.join(words)[:200]}. If they have other names, {_OPTION} {advice}")
    return roles


def _order(path: Path, separator: str, width: int, advice: str) -> tuple[str, ...]:
    """The order of four columns without a header, by the shapes of the ids."""
    if width != len(_PLAIN):
        raise AmeirError(f"{path}, line 1: {width} columns, without a header; {','.join(_PLAIN)} was expected. If it "
                         f"is a table of ratings, {_OPTION} {advice}")
    names = ("first", "second", "third", "fourth")
    sample = next(chunks(path, separator, BadRows("skip", advice), names, separator == ",", _SAMPLE), None)
    if sample is not None:
        first, second = (sample[name].str.contains(_ASIN).sum() / max(len(sample), 1) for name in names[:2])
        if second >= 0.95 and first < 0.5:
            return _PLAIN
        if first >= 0.95 and second < 0.5:
            return ("item", "user", "rating", "timestamp")
    raise AmeirError(f"{path}: there is no header, and the ids do not tell which column is the user and which the item "
                     f"(an item of Amazon has ten characters of 0-9 and A-Z, a user more). {_OPTION} {advice}")
