"""The description of a user's own table: the YAML file and what it may say. docs/your-own-data.md tells it in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast, get_args

from ameir_pl.data.closed_yaml import Section, read_section
from ameir_pl.data.file_kinds import FORMATS
from ameir_pl.data.separators import NAMES, separator_error
from ameir_pl.data.splits import GivenSplit, RandomSplit, Split, TimeSplit
from ameir_pl.data.table_fields import FIELD_KEYS, FieldSpec, Order, check_fields, read_field, read_time_format
from ameir_pl.data.table_label import LABEL_KEYS, LabelRule, read_label_rule
from ameir_pl.data.table_sources import Source

SOURCE_KEYS = ("input", "format", "separator", "columns", "quotes")
KEYS = (*SOURCE_KEYS, "missing", "task", "label", *LABEL_KEYS, "split", "min_categr_count", "user", "time",
        "time_format", "item", "core", "join", "fields", "behaviors")
JOIN_KEYS = (*SOURCE_KEYS, "on", "key")
BEHAVIOR_KEYS = (*SOURCE_KEYS, "max_len", "order", "user", "time", "time_format", "join", "fields")
SPLIT_KEYS = {"time": ("type", "column", "valid", "test", "ties"),
              "random": ("type", "valid", "test", "seed", "stratified"), "column": ("type", "column")}
SHARE = 0.1
"""Of all rows, for validation and for test, where the description does not say."""


@dataclass(frozen=True)
class Join:
    """A side table.

    Args:
        source: its files.
        on: column of the rows.
        key: column of the side table.
        place: where the description says so, for messages.
    """

    source: Source
    on: str
    key: str
    place: str


@dataclass(frozen=True)
class Behaviors:
    """Where histories come from.

    Args:
        max_len: T.
        fields: of one behavior; none for retrieval.
        source: the event table; None where the fields are list columns of the rows.
        joins: side tables of the events.
        user, time: columns of the event table.
        time_format: how its times are written; empty where the values tell.
    """

    max_len: int
    fields: tuple[FieldSpec, ...] = ()
    source: Source | None = None
    joins: tuple[Join, ...] = ()
    user: str = ""
    time: str = ""
    time_format: str = ""


@dataclass(frozen=True)
class Description:
    """A table of a user, described.

    Args:
        path: the YAML file.
        task: ``ctr`` or ``retrieval``.
        source: the files with the rows.
        joins: side tables of the rows.
        fields: categorical, multivalent and dense.
        label, label_rule: its column, and what of its values is a click.
        split, split_column, rule: which rows train, validate and test; the column that says so; in words.
        behaviors: None without histories.
        missing: words that stand for a missing value, beside the empty one.
        user, time, item: columns; empty where they are not needed.
        core: retrieval: users and items with fewer interactions are dropped.
        time_format: how the times are written; empty where the values tell.
        split_is_default: rows are split at random because nothing is said of a split or a time.
    """

    path: Path
    task: Literal["ctr", "retrieval"]
    source: Source
    joins: tuple[Join, ...] = ()
    fields: tuple[FieldSpec, ...] = ()
    label: str = ""
    label_rule: LabelRule = LabelRule()
    split: Split = RandomSplit(SHARE, SHARE)
    split_column: str = ""
    rule: str = ""
    behaviors: Behaviors | None = None
    missing: tuple[str, ...] = ()
    user: str = ""
    time: str = ""
    item: str = ""
    core: int = 1
    time_format: str = ""
    split_is_default: bool = False

    @property
    def stages(self) -> tuple[int, ...]:
        """The steps of the search that make sense: 1 with behaviors, 2 and 3 with two fields or more."""
        crossed = sum(f.kind != "dense" for f in self.fields) > 1
        return ((1,) if self.behaviors is not None else ()) + ((2, 3) if crossed else ())


def read_description(path: Path) -> Description:
    """Read a description; raises ``AmeirError`` with the file and the key at the first mistake."""
    top = read_section(path, KEYS)
    task = top.text("task", "ctr", ("ctr", "retrieval"))
    top.needed("input", "the table: a file, a folder or a glob, relative to this file")
    if task == "retrieval":
        return _retrieval(top)
    label = top.needed("label", "the column with 0 and 1, or with numbers and `threshold` (or say task: retrieval)")
    for key in ("item", "core"):
        if key in top:
            raise top.error(key, "is for task: retrieval.")
    least = top.whole("min_categr_count", 1, 1)
    fields = [f for section in top.sections("fields", FIELD_KEYS) for f in read_field(section, least)]
    behaviors = _behaviors(top, least)
    split, column, rule = _split(top, label)
    if isinstance(split, TimeSplit) and behaviors is not None and behaviors.source is not None:
        time = top.text("time", column)
        if time != column:
            raise top.error("split.column", f"'{column}' is not `time` ('{time}'): with an event table the split and "
                                            "the histories go by one time.")
    placed, nested = check_fields(top, fields, behaviors.fields if behaviors else ())
    for f in placed:
        if label in f.columns:
            raise top.error(f.place, f"reads '{label}', the label: a model would see what it has to predict.")
    if behaviors is not None:
        behaviors = Behaviors(behaviors.max_len, nested, behaviors.source, behaviors.joins, behaviors.user,
                              behaviors.time, behaviors.time_format)
    crossed = [f for f in placed if f.kind != "dense"]
    if not crossed or (len(crossed) == 1 and behaviors is None):
        raise top.error("fields", f"{len(crossed)} categorical or multivalent fields; two are needed to search "
                                  "interactions, or one and `behaviors`.")
    user = top.text("user", behaviors.user if behaviors else "")
    time = top.text("time", column if isinstance(split, TimeSplit) else behaviors.time if behaviors else "")
    return Description(path, "ctr", _source(top), _joins(top), placed, label, read_label_rule(top), split, column,
                       rule, behaviors, top.words("missing"), user, time, time_format=read_time_format(top),
                       split_is_default="split" not in top and isinstance(split, RandomSplit))


def _retrieval(top: Section) -> Description:
    """One line a user and an item; leave one out."""
    for key in ("label", *LABEL_KEYS, "split", "fields", "join", "min_categr_count"):
        if key in top:
            raise top.error(key, "is for task: ctr; retrieval takes user, item, time, core and behaviors.max_len.")
    section = top.section("behaviors", ("max_len",))
    if section is None:
        raise top.error("behaviors", "is missing: retrieval needs `behaviors: {max_len: 50}`, the items of a history.")
    user, item, time = (top.needed(key, f"the column with the {key}") for key in ("user", "item", "time"))
    return Description(top.path, "retrieval", _source(top), missing=top.words("missing"),
                       behaviors=Behaviors(section.whole("max_len", 50, 1)), core=top.whole("core", 1, 1), user=user,
                       item=item, time=time, time_format=read_time_format(top))


def _source(section: Section) -> Source:
    separator = NAMES.get(section.text("separator"), section.text("separator"))
    if wrong := separator_error(separator):
        raise section.error("separator", wrong)
    columns = section.words("columns")
    twice = sorted({c for c in columns if columns.count(c) > 1})
    if twice:
        raise section.error("columns", f"names {', '.join(twice)} twice.")
    quotes = section.flag("quotes", True) if "quotes" in section else None
    return Source(section.needed("input", "the table"), section.path, f"{section.place}input", separator, columns,
                  quotes, section.text("format", "", tuple(FORMATS)))


def _joins(section: Section) -> tuple[Join, ...]:
    found = []
    for join in section.sections("join", JOIN_KEYS):
        on = join.needed("on", "the column of the rows that names a row of the side table")
        found.append(Join(_source(join), on, join.text("key", on), join.place))
    return tuple(found)


def _behaviors(top: Section, least: int) -> Behaviors | None:
    section = top.section("behaviors", BEHAVIOR_KEYS)
    if section is None:
        return None
    fields = tuple(f for s in section.sections("fields", FIELD_KEYS) for f in read_field(s, least))
    if not fields:
        raise section.error("fields", "is missing: what a model sees of a behavior, such as the item.")
    max_len = section.whole("max_len", 50, 1)
    if "input" not in section:
        for key in ("user", "time", "time_format", "join", *SOURCE_KEYS[1:]):
            if key in section:
                raise section.error(key, "is for an event table (behaviors.input); here the fields are list columns.")
        for f in fields:
            if f.max_len:
                raise section.error("max_len", f"is of all behaviors ({max_len}): {f.place} has none of its own.")
        order = section.text("order", "", get_args(Order))
        return Behaviors(max_len, tuple(replace(f, order=cast(Order, order)) if order else f for f in fields))
    if "order" in section:
        raise section.error("order", "is for lists in the rows; events of a table go by their time.")
    user = section.text("user", top.text("user"))
    time = section.text("time", top.text("time", _time_column(top)))
    if not user:
        raise section.error("user", "is missing: the column of the event table with the user.")
    if not time:
        raise section.error("time", "is missing: the column of the event table with the time.")
    same = section.text("input") == top.text("input") and time == top.text("time", _time_column(top))
    form = read_time_format(section if "time_format" in section or not same else top)
    return Behaviors(max_len, fields, _source(section), _joins(section), user, time, form)


def _time_column(top: Section) -> str:
    value = top.values.get("split")
    column = value.get("column") if isinstance(value, dict) and value.get("type", "time") == "time" else None
    return str(column) if isinstance(column, str | int) else ""


def _split(top: Section, label: str) -> tuple[Split, str, str]:
    """The split, its column, and what it is in words."""
    value = top.values.get("split")
    known: Sequence[str] = sorted({key for keys in SPLIT_KEYS.values() for key in keys})
    loose = top.section("split", known) if value is not None else Section({}, top.path, "split.", known)
    kind = (loose or top).text("type", "time" if "time" in top else "random", tuple(SPLIT_KEYS))
    section = Section(loose.values if loose else {}, top.path, "split.", SPLIT_KEYS[kind])
    if kind == "column":
        column = section.needed("column", "the column with the words train, valid and test")
        return GivenSplit(), column, f"split by column '{column}'"
    valid, test = section.share("valid", SHARE), section.share("test", SHARE)
    if valid + test >= 1:
        raise section.error("valid", f"{valid} and test {test} leave nothing to train on.")
    parts = "/".join(f"{round(100 * part, 2):g}" for part in (1 - valid - test, valid, test))
    if kind == "time":
        column = section.text("column", top.text("time"))
        if not column:
            raise section.error("column", "is missing: the column with the time.")
        if column == label:
            raise section.error("column", f"'{column}' is the label.")
        together = section.text("ties", "lines", ("lines", "together")) == "together"
        return TimeSplit(test, valid, together), column, f"time split {parts}{', whole times' if together else ''}"
    stratified = section.flag("stratified", True)
    return (RandomSplit(test, valid / (1 - test), section.whole("seed", 1, 0), stratified), "",
            f"random split{', stratified' if stratified else ''}, {parts}")
