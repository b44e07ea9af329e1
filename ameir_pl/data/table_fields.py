"""The fields of a described table: what the YAML may say of one, read and checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast, get_args

from ameir_pl.data.closed_yaml import Section
from ameir_pl.data.table_times import TIME_FORMATS, wrong_pattern
from ameir_pl.data.table_values import THOUSANDS
from ameir_pl.errors import AmeirError, did_you_mean
from ameir_pl.schema import Group

Kind = Literal["categorical", "multivalent", "dense"]
Dtype = Literal["str", "int", "float"]
Part = Literal["hour", "weekday"]
Order = Literal["latest_last", "latest_first"]
SYNONYMS = {"sequence": "multivalent", "numeric": "dense"}
"""FuxiCTR's words."""
FIELD_KEYS = ("name", "type", "dtype", "group", "from", "part", "splitter", "padding", "max_len", "min_categr_count",
              "share_embedding", "fill_na", "active", "order", "decimal", "thousands", "missing", "time_format")


@dataclass(frozen=True)
class FieldSpec:
    """One field as described.

    Args:
        name: of the field.
        kind: ``categorical``, ``multivalent`` or ``dense``.
        columns: where its values are; several are lists put one behind the other.
        dtype: in which type values are compared.
        group: ``user``, ``context`` or ``target``.
        vocabulary: whose embeddings it uses; empty for a dense field.
        place: where the description says so, for messages.
        splitter: between the elements of a list written as text.
        padding: the element that stands for none; None where lists have no padding.
        max_len: the most ids of a multivalent field; 0 for as many as the longest has.
        sequence: of a list longer than ``max_len`` the latest ids are kept, else the first.
        decimal, thousands: of numbers written as text: the sign before the fraction; what may stand between thousands.
        missing: words that stand for a missing value in its columns.
        order: whether the latest element of a list comes last or first in the table; encoded it comes last.
        min_count: how often a value must come among train rows to have an embedding of its own.
        fill_na: what a missing value becomes; None leaves it missing.
        part: of a time column.
        time_format: how the times of that column are written; empty where the values tell.
    """

    name: str
    kind: Kind
    columns: tuple[str, ...]
    dtype: Dtype | None
    group: Group
    vocabulary: str
    place: str
    splitter: str = ""
    padding: str | None = None
    max_len: int = 0
    min_count: int = 1
    fill_na: str | int | float | None = None
    part: Part | None = None
    sequence: bool = False
    order: Order = "latest_last"
    decimal: str = "."
    thousands: str = ""
    missing: tuple[str, ...] = ()
    time_format: str = ""


def reserved(name: str) -> bool:
    """Whether no field may have a name: those of made columns, and what polars takes for several columns."""
    return name.startswith("@") or name == "*" or (name.startswith("^") and name.endswith("$"))


def read_time_format(section: Section) -> str:
    """Return how times are written, one of ``TIME_FORMATS`` or a pattern of strptime; empty where nothing is said."""
    word = section.text("time_format")
    if "%" not in word:
        return section.text("time_format", "", TIME_FORMATS)
    if wrong := wrong_pattern(word):
        raise section.error("time_format", f"'{word}' is no pattern that reads dates ({wrong}).")
    return word


def read_field(section: Section, least: int) -> list[FieldSpec]:
    """Return the fields of one entry: one, or as many as it has names, or none when it is not active.

    Args:
        section: the entry.
        least: ``min_categr_count`` of the description.
    """
    names = section.words("name")
    if not names:
        raise section.error("name", "is missing.")
    word = section.text("type", "categorical", (*get_args(Kind), *SYNONYMS))
    kind = cast(Kind, SYNONYMS.get(word, word))
    dtype = section.text("dtype", "float" if kind == "dense" else "", get_args(Dtype))
    columns = section.words("from")
    part = section.text("part", "", get_args(Part))
    if columns and len(names) > 1:
        raise section.error("from", "one column for several names.")
    if part and (kind != "categorical" or len(columns) != 1):
        raise section.error("part", "needs type: categorical and `from`, the column with the time.")
    if part and dtype not in ("", "int"):
        raise section.error("dtype", f"'{dtype}' does not go with part: hours and weekdays are whole numbers.")
    if "time_format" in section and not part:
        raise section.error("time_format", "is for a field with part: hour or weekday.")
    if kind == "dense":
        for key in ("splitter", "padding", "max_len", "min_categr_count", "share_embedding", "order"):
            if key in section:
                raise section.error(key, "a dense field has no vocabulary and no list; make it categorical, or leave "
                                         "this out.")
        if dtype == "str":
            raise section.error("dtype", "a dense field is a number: float or int.")
    if "order" in section and kind != "multivalent":
        raise section.error("order", "is for lists (type: sequence); this field has none.")
    group = section.text("group", "context", get_args(Group))
    decimal, thousands = _written(section, dtype)
    shared = section.text("share_embedding")
    active = section.flag("active", True)
    fields = [FieldSpec(
        name, kind, columns or (name,), cast(Dtype | None, "int" if part else dtype or None), cast(Group, group),
        "" if kind == "dense" else shared or name, section.place.rstrip("."), section.text("splitter"),
        section.text("padding") if "padding" in section else None, section.whole("max_len", 0, 1),
        section.whole("min_categr_count", least, 1), _fill(section, kind, dtype), cast(Part, part) if part else None,
        word == "sequence", cast(Order, section.text("order", "latest_last", get_args(Order))),
        decimal, thousands, section.words("missing"), read_time_format(section))
        for name in names]
    return fields if active else []


def _written(section: Section, dtype: str) -> tuple[str, str]:
    """How numbers are written: the decimal sign, and what stands between thousands."""
    decimal, thousands = section.text("decimal", ".", (".", ",")), ""
    if "thousands" in section:
        thousands = section.text("thousands", "", tuple(THOUSANDS))
    for key in ("decimal", "thousands"):
        if key in section and dtype not in ("int", "float"):
            raise section.error(key, "is for numbers: `type: dense`, or `dtype: int` or `float`.")
    if decimal == thousands:
        raise section.error("thousands", f"'{thousands}' is the decimal sign.")
    return decimal, thousands


def _fill(section: Section, kind: Kind, dtype: str) -> Any:
    value = section.values.get("fill_na")
    if value is None or (value == "" and kind != "dense"):
        return None  # FuxiCTR's "", a category of its own: what a missing value is anyway
    if kind == "dense" or dtype == "float":
        number = section.number("fill_na")
        return None if number is None else float(number)
    if dtype == "int":
        if type(value) is not int:
            raise section.error("fill_na", f"'{value}' is not a whole number, which dtype: int needs.")
        if not -2**63 <= value < 2**63:
            raise section.error("fill_na", f"{value} has more than 64 bits; `dtype: str` takes ids of any kind.")
        return value
    return section.text("fill_na")


def check_fields(top: Section, fields: Sequence[FieldSpec], behaviors: Sequence[FieldSpec]
                 ) -> tuple[tuple[FieldSpec, ...], tuple[FieldSpec, ...]]:
    """Return fields and behavior fields with the vocabulary and the type that shared embeddings give them.

    A behavior field shares the embeddings of the field that it names, else of the one with its name.

    Raises:
        AmeirError: a name comes twice, or something is shared that cannot be.
    """
    for part in (fields, behaviors):
        names = [f.name for f in part]
        for f in part:
            if names.count(f.name) > 1:
                raise top.error(f.place, f"the name '{f.name}' comes twice.")
            if reserved(f.name):
                raise top.error(f.place, f"the name '{f.name}' is reserved, as are all that begin with @. Name it "
                                         "otherwise, with `from: COLUMN`.")
    for b in behaviors:
        if b.kind == "dense":
            raise top.error(b.place, f"'{b.name}': a behavior has no dense fields; make it categorical, or leave it "
                                     "out.")
    owners = {f.name: f for f in (*behaviors, *fields)}
    return (tuple(_placed(top, f, {f.name: f for f in fields}) for f in fields),
            tuple(_placed(top, b, owners) for b in behaviors))


def _placed(top: Section, f: FieldSpec, owners: dict[str, FieldSpec]) -> FieldSpec:
    if f.kind == "dense":
        return f
    owner = f
    for _ in range(len(owners) + 1):
        if owner.vocabulary == owner.name and owners.get(owner.name, owner).kind != "dense":
            return _same_type(top, f, owners.get(owner.name, owner))
        name = owner.vocabulary
        if name not in owners:
            raise _shared(top, owner, f"is no active field.{did_you_mean(name, set(owners) - {f.name})}")
        if owners[name].kind == "dense":
            if owner.vocabulary == owner.name:  # a behavior that is called as a dense field
                raise _shared(top, owner, "is dense as a field of the rows and categorical as a behavior. Give the "
                                          "behavior another name, with `from: COLUMN`.")
            raise _shared(top, owner, "is dense and has no embeddings to share.")
        owner = owners[name]
    raise _shared(top, f, "shares with this field again: a circle.")


def _same_type(top: Section, f: FieldSpec, owner: FieldSpec) -> FieldSpec:
    dtype = owner.dtype or "str"
    if (f.dtype or dtype) != dtype:
        raise top.error(f.place, f"'{f.name}' has dtype {f.dtype} and shares the embeddings of '{owner.name}', which "
                                 f"has {dtype}.")
    fill = None if f.fill_na is None else str(f.fill_na) if dtype == "str" else f.fill_na
    if fill is not None and dtype != "str" and isinstance(fill, str):
        raise top.error(f.place, f"fill_na '{fill}' is not of dtype {dtype}.")
    return replace(f, dtype=dtype, vocabulary=owner.name, min_count=owner.min_count, fill_na=fill)


def _shared(top: Section, f: FieldSpec, what: str) -> AmeirError:
    return top.error(f"{f.place}.share_embedding", f"'{f.vocabulary}' {what}")
