"""What can be seen of a table's columns: a sample of its first rows, and facts about each column."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import polars as pl

from ameir_pl.data.bad_rows import LINE, BadRows
from ameir_pl.data.table_lists import vector
from ameir_pl.data.table_sources import Source
from ameir_pl.data.table_types import plain, raw, unfit
from ameir_pl.data.table_values import scalars
from ameir_pl.data.text_facts import VECTOR, TextFacts, number_kind, text_facts
from ameir_pl.data.time_facts import are_dates, count_times, profile_times
from ameir_pl.data.time_names import is_named_like_time
from ameir_pl.data.time_profile import TimeProfile
from ameir_pl.errors import AmeirError

SAMPLE = 100_000
"""Rows that are looked at closely."""
WHOLE = 2**31
"""Bytes of files up to which the other rows are looked at for numbers that are none."""
MISSING = ("\\N", "NULL", "null", "NaN", "nan", "<NA>", "#N/A")
"""Words that stand for a missing value wherever they are met."""
LABELS = 1000
"""Different values of a label that are kept."""
UNREADABLE = 0.1
"""Where a larger share of the lines cannot be read, the file is not what it is taken for."""
Kind = Literal["int", "float", "text", "date", "list", "nested", "bytes", "empty"]
_ID = re.compile(r"^(.{3,})ids?$")


@dataclass(frozen=True)
class Facts:
    """What a column holds.

    Args:
        name, kind: of the column; ``text`` may be a list written as text, then ``splitter`` is set.
        rows, distinct, missing: numbers of the sample.
        example: a value, as text.
        low, high: of numbers and dates.
        binary: nothing but 0 and 1 (false and true), and both.
        splitter: between the elements of text that looks like lists.
        typed: RecBole's type.
        words: of its name, in lower case: ``hist_itemId`` has hist, item, id.
        mean_length: characters of a text value.
        variety: of a RecBole list, distinct elements for each element.
        decimal, thousands: of numbers written as text.
        gaps: words among its numbers that stand for a missing value.
        left: why it can be no field, whatever its name; empty where it can.
        note: what else is worth knowing.
        counts: whole numbers that grow from row to row, but for a hundredth of the rows, or are all different.
        times: how the times are written, of a column that looks or is named like one.
    """

    name: str
    kind: Kind
    rows: int
    distinct: int
    missing: int
    example: str = ""
    low: float = 0.0
    high: float = 0.0
    binary: bool = False
    splitter: str = ""
    typed: str = ""
    words: frozenset[str] = frozenset()
    mean_length: float = 0.0
    variety: float = 0.0
    decimal: str = "."
    thousands: str = ""
    gaps: tuple[str, ...] = ()
    left: str = ""
    note: str = ""
    counts: bool = False
    times: TimeProfile | None = None

    @property
    def seen(self) -> str:
        """The facts in words."""
        gaps = f", {100 * self.missing / max(self.rows, 1):.2g} % missing" if self.missing else ""
        example = "".join(" " if ord(c) < 32 else c for c in self.example)[:30]
        return f"{self.distinct:,} distinct{gaps}, e.g. {example}" if self.kind != "empty" else "no value"


@dataclass
class Sample:
    """The first rows of a table.

    Args:
        table: of text as strings, of Parquet as stored; missing values are null.
        facts: of each column.
        missing: the words for missing values that were met.
        rows: how many rows the whole table has; 0 where it was not read to its end.
        labels: values of the label, the first of them.
        bad, unread: the first lines that could not be read, in words, and how many there are.
    """

    table: pl.DataFrame
    facts: dict[str, Facts]
    missing: list[str] = field(default_factory=list)
    rows: int = 0
    labels: tuple[str, ...] = ()
    bad: list[str] = field(default_factory=list)
    unread: int = 0


def look(source: Source, limit: int = SAMPLE, *, label: str | None = None, times: Sequence[str] = ()) -> Sample:
    """Return what the first rows of a table show; raises ``AmeirError`` when it cannot be read.

    Args:
        source: the table.
        limit: rows that are looked at closely.
        label: a column whose values are kept, the first of them, also those of later rows.
        times: columns that hold times, whatever they look like.
    """
    paths = source.paths()
    types = source.header(paths[0])
    parts: list[pl.DataFrame] = []
    rows, whole = 0, sum(path.stat().st_size for path in paths) <= WHOLE
    table = pl.DataFrame()
    facts: dict[str, Facts] = {}
    missing: list[str] = []
    numbers: list[str] = []
    read: list[tuple[Path, pl.DataFrame]] = []
    labels: dict[str, None] = {}
    bad = BadRows("skip", source.advice)
    for path, chunk in source.tables(list(types), bad):
        rows += len(chunk)
        if label in types and len(labels) < LABELS:
            labels |= dict.fromkeys(raw(chunk, str(label)).unique(maintain_order=True).cast(pl.String, strict=False)
                                    .drop_nulls().head(LABELS).to_list())
        if facts:
            read = [(path, chunk)]
        else:
            parts.append(chunk.drop(LINE))
            read.append((path, chunk))
            if rows < limit:
                continue
            table, missing = _tidy(pl.concat(parts, how="vertical_relaxed").head(limit))
            facts = {name: column_facts(table[name], types[name], name in times) for name in types}
            numbers = [n for n, f in facts.items() if f.kind in ("int", "float") and table[n].dtype == pl.String]
            _add_times(facts, read, bad.unit, missing)
            chunk = pl.concat(parts, how="vertical_relaxed")
            read = []
        if not whole:
            rows = 0
            break
        for name in numbers:
            facts[name] = _confirmed(facts[name], raw(chunk, name), missing)
        _add_times(facts, read, bad.unit, missing)
    if not facts and parts:
        table, missing = _tidy(pl.concat(parts, how="vertical_relaxed"))
        facts = {name: column_facts(table[name], types[name], name in times) for name in types}
        _add_times(facts, read, bad.unit, missing)
    facts = {name: _dates(f) for name, f in facts.items()}
    if bad.skipped > UNREADABLE * (rows + bad.skipped):
        raise AmeirError(f"{bad.first[0]} {source.advice}")
    if table.is_empty():
        raise AmeirError(f"{paths[0]}: the table has no rows.")
    return Sample(table, facts, missing, rows, tuple(labels), list(bad.first), bad.skipped)


def _add_times(facts: dict[str, Facts], read: list[tuple[Path, pl.DataFrame]], unit: str, missing: list[str]) -> None:
    """Count the values of columns that may hold times."""
    for name, f in facts.items():
        if f.times is not None:
            facts[name] = replace(f, times=count_times(f.times, name, read, unit, missing))


def _dates(f: Facts) -> Facts:
    """The facts of a column of text as those of dates, where nearly all its values are dates."""
    if f.times is None or f.times.stored or f.kind not in ("text", "date"):
        return f
    dates = are_dates(f.times, is_named_like_time(f.name, f.words))
    return replace(f, kind="date", splitter="") if dates else replace(f, kind="text")


def _confirmed(facts: Facts, values: pl.Series, missing: list[str]) -> Facts:
    """The facts of a column of numbers in the light of later rows: another that is no number makes it text."""
    if facts.kind not in ("int", "float"):
        return facts
    values = plain(values)
    if values.dtype != pl.String:
        return replace(facts, kind="bytes", binary=False)
    none = [*missing, *facts.gaps, ""]
    numbers = values.set(values.str.strip_chars().is_in(none).fill_null(False), None).drop_nulls()
    kind = number_kind(numbers, facts.decimal, facts.thousands)
    if kind == facts.kind or kind == "empty" or (facts.kind == "float" and kind == "int"):
        return facts
    if kind in ("int", "float"):
        return replace(facts, kind=kind, binary=False)  # type: ignore[arg-type]
    return replace(facts, kind="text", binary=False, decimal=".", thousands="", gaps=(), note="")


def _tidy(table: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """Missing values as null, and the words that stood for them."""
    found: set[str] = set()
    columns = []
    for column in table:
        name, column = column.name, plain(column.alias("raw"))
        if column.dtype == pl.String:
            words = column.filter(column.is_in(list(MISSING)).fill_null(False)).unique().to_list()
            found |= set(words)
            column = column.set(column.is_in(["", *words]).fill_null(False), None)
        elif column.dtype.is_float() and column.is_nan().any():
            found.add("nan")
            column = column.fill_nan(None)
        columns.append(column.alias(name))
    return pl.DataFrame(columns), sorted(found)


def column_facts(values: pl.Series, typed: str = "", timed: bool = False) -> Facts:
    """Return the facts of a column without words for missing values; ``timed``: it holds times, by the user's word."""
    name, rows, values = values.name, len(values), values.alias("raw")
    words = name_words(name)
    missing = values.null_count()
    present = values.drop_nulls()
    if present.is_empty():
        return Facts(name, "empty", rows, 0, missing, typed=typed, words=words)
    example = "" if present.dtype.is_nested() else str(present[0])
    if wrong := unfit(values.dtype, lists=True):
        return Facts(name, "bytes" if "bytes" in wrong else "nested", rows, 0, missing, typed=typed, words=words)
    kind: Kind
    if isinstance(values.dtype, pl.List):
        shown = " ".join(map(str, present[0].head(5).to_list()))
        elements = present.explode().drop_nulls()
        elements = elements.drop_nans() if elements.dtype.is_float() else elements
        return Facts(name, "list", rows, elements.n_unique(), missing, shown, typed=typed, words=words,
                     left=VECTOR if vector(elements) else "")
    note, gaps = "", tuple[str, ...]()
    if isinstance(values.dtype, pl.Duration):
        values, note = scalars(values, "float"), "a duration, in seconds"
        present = values.drop_nulls()
    if values.dtype.is_float() and present.is_infinite().any():
        endless = {float("inf"): "inf", float("-inf"): "-inf"}
        gaps = tuple(word for number, word in endless.items() if (present == number).any())
        note = f"{', '.join(gaps)} taken for missing"
        present = present.filter(present.is_finite())
        missing = rows - len(present)
        if present.is_empty():
            return Facts(name, "empty", rows, 0, missing, typed=typed, words=words)
    about = TextFacts()
    distinct = present.n_unique()
    if values.dtype == pl.String:
        about = text_facts(present, words)
        kind = about.kind  # type: ignore[assignment]
        note, gaps, distinct = about.note, about.gaps, about.distinct or distinct
        if gaps:
            present = present.filter(~present.str.strip_chars().is_in(list(gaps)))
            missing, distinct = rows - len(present), present.n_unique()
    elif values.dtype.is_temporal():
        kind = "date"
    elif values.dtype.is_float():
        kind = "int" if (present == present.round()).all() and (present.abs() <= 2**53).all() else "float"
    else:
        kind = "int" if present.cast(pl.Int64, strict=False).null_count() == 0 else "text"
    splitter, length, low, high, variety = "", 0.0, 0.0, 0.0, 0.0
    if typed == "token_seq":
        elements = present.cast(pl.String).str.split(" ").explode()
        variety = elements.n_unique() / len(elements)
    if kind == "text":
        text = present.cast(pl.String)
        length = float(text.str.len_chars().mean() or 0)  # type: ignore[arg-type]
        splitter = about.splitter
    elif kind in ("int", "float"):
        floats = scalars(present, "float", about.decimal, about.thousands)
        low, high = float(floats.min() or 0), float(floats.max() or 0)  # type: ignore[arg-type]
    counts = kind == "int" and missing == 0 and _counts(values)
    written = present if not values.dtype.is_temporal() else present.head(0)  # a duration has no text
    flags = set(written.unique().head(3).cast(pl.String).str.to_lowercase().str.replace(r"\.0*$", "").to_list())
    binary = missing == 0 and flags in ({"0", "1"}, {"true", "false"})
    facts = Facts(name, kind, rows, distinct, missing, example, low, high, binary, splitter, typed, words, length,
                  variety, about.decimal, about.thousands, gaps, about.left, note, counts)
    likely = timed or kind == "date" or is_named_like_time(name, words)
    return _dates(replace(facts, times=profile_times(values, kind, likely)))


def _counts(values: pl.Series) -> bool:
    whole = (values.str.strip_chars() if values.dtype == pl.String else values).cast(pl.Float64, strict=False)
    steps = whole.diff().drop_nulls()
    return len(steps) > 0 and (whole.n_unique() == len(whole) or float((steps > 0).mean() or 0) >= 0.99)  # type: ignore[arg-type]


def name_words(name: str) -> frozenset[str]:
    """Return the words of a column's name; an ``id`` at the end of a word is a word of its own."""
    words: set[str] = set()
    for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name):
        match = _ID.match(word.lower())
        words |= {match.group(1), "id"} if match else {word.lower()}
    return frozenset("id" if word == "ids" else word for word in words)
