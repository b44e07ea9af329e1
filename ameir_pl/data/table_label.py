"""The label of a described table: 0 and 1, a number from a threshold on, or the words that are a click."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from ameir_pl.data.bad_rows import BadRows
from ameir_pl.data.closed_yaml import Section
from ameir_pl.data.table_columns import MADE, Output
from ameir_pl.data.table_types import raw
from ameir_pl.data.table_values import scalars

LABEL_KEYS = ("threshold", "positive", "negative")
_SHOWN = 10


@dataclass(frozen=True)
class LabelRule:
    """What of a label's values is a click.

    Args:
        threshold: a number of at least as much is one; None where the label is no number.
        positive, negative: the values that are a click, and those that are none, as :func:`label_words` has them. Where
            one of them is empty, it is every other value that is there. Both empty: 0 and 1, false and true.
    """

    threshold: float | None = None
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()


def label_words(values: pl.Series) -> pl.Series:
    """Return a label's values as words that are compared: in lower case, ``1.0`` and ``+1`` as ``1``; null is empty."""
    words = scalars(values, "str").str.to_lowercase().str.replace(r"^\+(\d)", "$1")
    return words.fill_null("")


def read_label_rule(top: Section) -> LabelRule:
    """Return what a description says of the label; raises ``AmeirError`` where its keys do not fit together."""
    positive, negative = _words(top, "positive"), _words(top, "negative")
    threshold = top.number("threshold")
    if threshold is not None and (positive or negative):
        raise top.error("threshold", "is for a number, `positive` and `negative` are for words: take one of them.")
    both = sorted(set(positive) & set(negative))
    if both:
        raise top.error("negative", f"'{both[0]}' is in `positive` too.")
    return LabelRule(threshold, positive, negative)


def label_clicks(values: pl.Series, rule: LabelRule) -> pl.Series:
    """Return whether each value of a label is a click; null where it is no value of it."""
    if rule.threshold is not None:
        return scalars(values, "float") >= rule.threshold
    if not rule.positive and not rule.negative:
        words = values.str.strip_chars().str.to_lowercase().replace({"true": "1", "false": "0"}) \
            if values.dtype == pl.String else values
        numbers = scalars(words, "float")
        return (numbers == 1).set(~numbers.is_in([0.0, 1.0]).fill_null(False), None)
    words = label_words(values)
    clicks, others = words.is_in(list(rule.positive)), words.is_in(list(rule.negative))
    clicks = clicks if rule.positive else ~others & (words != "")
    known = clicks | others if rule.negative else clicks | (words != "")
    return clicks.set(~known, None)


def label_output(column: str, rule: LabelRule, name: str) -> Output:
    """Return the output of the label, 0 and 1."""
    if rule.threshold is not None:
        expected = "a number"
    elif rule.positive or rule.negative:
        expected = (_listed("a click", rule.positive) or "a value that is a click") + ", or " + (
            _listed("none", rule.negative) or "a value that is none")
    else:
        expected = ("0 or 1 (or a `threshold` in the description, from which on a number is a click, or `positive`, "
                    "the words that are one)")

    def turn(table: pl.DataFrame, bad: BadRows, path: Path) -> pl.DataFrame:
        clicks = label_clicks(raw(table, column), rule)
        made = clicks.cast(pl.UInt8).alias(MADE + name)
        return bad.drop(table.with_columns(made), clicks.is_null(), path, column, expected)

    return Output((name,), (column,), "label", turn)


def _listed(what: str, words: tuple[str, ...]) -> str:
    shown = ", ".join(word or "nothing" for word in words[:_SHOWN]) + (", …" if len(words) > _SHOWN else "")
    return f"{shown} ({what})" if words else ""


def _words(top: Section, key: str) -> tuple[str, ...]:
    """Values of a label: words, numbers, true and false, and the empty value."""
    if key not in top.values:
        return ()
    value = top.values[key]
    listed = value if isinstance(value, list) else [value]
    if not listed or any(isinstance(v, list | dict) for v in listed):
        raise top.error(key, "expected a value of the label, or a list of them.")
    text = ["" if v is None else str(v).lower() if isinstance(v, bool) else str(v) for v in listed]
    return tuple(dict.fromkeys(label_words(pl.Series(text, dtype=pl.String)).to_list()))
