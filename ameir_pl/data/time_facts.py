"""What is seen of a column that may hold times, before it is known which column is the time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from ameir_pl.data.bad_rows import LINE
from ameir_pl.data.table_types import raw
from ameir_pl.data.time_profile import TimeProfile, place_of, without_missing

GAPS = 0.1
"""Up to this share of a column of times may be none that can be read; they are named when the table is encoded."""
TRIED = 200
"""Values that tell whether a column of text may be one of dates."""


def profile_times(values: pl.Series, kind: str, likely: bool) -> TimeProfile | None:
    """Return how the times of a column are written; None where it holds none.

    Args:
        values: (rows,), null where they are missing.
        kind: of the column, as its facts have it.
        likely: its name or its type says that it holds times; else the first values of a text tell.
    """
    if kind not in ("int", "float", "text", "date"):
        return None
    if not likely and kind == "text":
        tried = TimeProfile()
        tried.add(values.drop_nulls().head(TRIED).cast(pl.String))
        likely = tried["date"] >= tried["rows"] / 2
    if not likely:
        return None
    profile = TimeProfile()
    profile.add(values)
    return profile


def count_times(profile: TimeProfile, name: str, read: Sequence[tuple[Path, pl.DataFrame]], unit: str,
                missing: Sequence[str]) -> TimeProfile:
    """Return a column's profile with more rows; that of a sample is made anew, with the places of its rows.

    Args:
        profile: of the rows before.
        name: of the column.
        read: files with some of their rows.
        unit: what rows are numbered by.
        missing: words that stand for a missing value.
    """
    if not profile.placed:
        profile = TimeProfile(placed=True)
    for path, chunk in read:
        profile.add(without_missing(raw(chunk, name), missing), place_of(path, unit, chunk[LINE]))
    return profile


def are_dates(profile: TimeProfile, named: bool) -> bool:
    """Return whether nearly all values of a text are dates; ``named``: its name says that it holds times."""
    # 1.2.10 may be a version: years of two digits are dates under a name that says so.
    dates = profile["date"] - (0 if named else profile["short"])
    return dates > 0 and dates >= (1 - GAPS) * profile.present
