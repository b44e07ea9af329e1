"""Guessing what of a label's values is a click, or asking for it where nothing tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from ameir_pl.data.column_facts import MISSING, Facts, Sample
from ameir_pl.data.column_rules import FEW, ITEM
from ameir_pl.data.table_label import LabelRule, label_words
from ameir_pl.data.table_types import raw
from ameir_pl.data.table_values import scalars
from ameir_pl.data.time_names import TIME
from ameir_pl.data.user_columns import user_column
from ameir_pl.errors import AmeirError, did_you_mean
from ameir_pl.pages import page

CLICKS = frozenset({
    "yes", "y", "true", "t", "on", "click", "clicked", "positive", "pos", "p", "+", "+1", "like", "liked", "buy",
    "bought", "purchase", "purchased", "converted", "conversion", "success", "install", "installed", "good", "high",
    "open", "opened", "up", "won", "ja", "j", "oui", "si", "sí", "да", "是"})
"""Words for a click."""
NONE = frozenset({
    "no", "n", "false", "f", "off", "negative", "neg", "-", "-1", "0", "dislike", "disliked", "fail", "failed",
    "failure", "bad", "low", "none", "nothing", "impression", "view", "viewed", "show", "shown", "ignore", "ignored",
    "skip", "skipped", "closed", "down", "lost", "nein", "non", "нет", "否"})
"""Words for none; so is a word behind *no*, *not*, *non* or *un*."""
RARE = 0.005
"""A threshold that leaves a smaller share of the rows on one side is none."""
_SHOWN = 8


def guess_label(sample: Sample, label: str | None, where: str, positive: Sequence[str] = ()) -> tuple[LabelRule, str]:
    """Return what of a label's values is a click, and why.

    Args:
        sample: of the table.
        label: the column.
        where: the file, for messages.
        positive: the values that the user calls a click.

    Raises:
        AmeirError: no label is named, with those there could be; the column cannot be one; or nothing tells what of its
            values is a click.
    """
    facts = sample.facts
    candidates = _candidates(facts)
    if label is None:
        timed = any(f.kind == "date" or f.words & TIME for f in facts.values())
        next_item = timed and user_column(facts.values()) and any(
            f.words & ITEM and f.kind in ("int", "text") for f in facts.values())
        without = " Without a label, users, items and times make a table for next-item models: write `task: " \
                  f"retrieval` as {page('your-own-data.md')} shows." if next_item else ""
        raise AmeirError(f"{where}: name the column with the label: label=COLUMN. {candidates}{without}")
    if label not in facts:
        raise AmeirError(f"{where}: there is no column '{label}'.{did_you_mean(label, facts)} {candidates}")
    f = facts[label]
    at = f"{where}, column '{label}'"
    if f.kind in ("empty", "nested", "bytes", "list"):
        raise AmeirError(f"{at}: {f.seen if f.kind == 'empty' else f.kind}; a label is 0 and 1, two words, or a number "
                         f"that is a click from a threshold on. {candidates}")
    given = raw(sample.table, label)
    words = label_words(given)
    spelled = _spelled(given, words, sample.labels)
    there = [word for word in spelled if word]
    if (again := _repeats_header(sample.table, words == label.lower())) >= 0:
        raise AmeirError(f"{at}: row {again + 1} repeats the header. Delete such lines. {candidates}")
    if len(there) > 1 or f.missing and positive:
        if positive:
            return _named(positive, spelled, at)
        if f.missing:
            raise AmeirError(f"{at}: {f.missing} of {f.rows} rows have no label. Fill them, or take another column. "
                             f"{candidates}")
    if len(there) == 1 and f.missing and there[0] not in NONE:
        word = there[0]
        share = f"{100 * f.missing / f.rows:.1f} % of the rows have no value: taken for no click"
        return LabelRule(None, (spelled[word],), ("",)), share
    if len(there) == 1 and f.missing:
        raise AmeirError(f"{at}: its only value is '{spelled[there[0]]}', and {f.missing} of {f.rows} rows have none; "
                         f"nothing tells which rows are a click. {candidates}")
    if len(there) < 2:
        raise AmeirError(f"{at}: every row has the label '{spelled[there[0]]}'; there is nothing to tell apart. "
                         f"{candidates}")
    if set(there) in ({"0", "1"}, {"true", "false"}):
        return LabelRule(), ""
    numbers = scalars(pl.Series(there), "float")
    if len(there) == 2:
        return _of_two(there, spelled, numbers, at, f)
    if numbers.null_count() or f.kind not in ("int", "float"):
        shown = ", ".join(spelled[word] for word in there[:_SHOWN]) + (", …" if len(there) > _SHOWN else "")
        raise AmeirError(f"{at}: {len(there)} values ({shown}), and nothing tells which are a click: say "
                         f"positive=VALUE or positive=[ONE,OTHER]. Of numbers alone a threshold is guessed. "
                         f"{candidates}")
    return _threshold(scalars(given, "float").drop_nulls(), f)


def _repeats_header(table: pl.DataFrame, suspects: pl.Series) -> int:
    """Return the first row that has the names of the columns as its values; -1 where there is none."""
    for row in suspects.arg_true().to_list()[:_SHOWN]:
        values = table.row(row, named=True)
        if len(values) > 1 and all(str(value).strip().split(":")[0] == name for name, value in values.items()):
            return int(row)
    return -1


def _candidates(facts: Mapping[str, Facts]) -> str:
    binary = [f.name for f in facts.values() if f.binary]
    graded = [f.name for f in facts.values() if not f.missing and f.kind in ("int", "float") and 2 < f.distinct <= FEW
              and f.high <= 100]
    two = [f.name for f in facts.values() if f.distinct == 2 and not f.missing and not f.binary
           and f.kind in ("int", "float", "text")]
    return (f"Columns of 0 and 1: {', '.join(binary)}." if binary else "No column holds only 0 and 1.") + (
        f" Columns of two other values: {', '.join(two)}." if two else "") + (
        f" Columns of few numbers, which can be one from a threshold on: {', '.join(graded)}." if graded else "")


def _spelled(given: pl.Series, words: pl.Series, later: Sequence[str]) -> dict[str, str]:
    """Each word of a label, as it is compared → as the table writes it first; also those of later rows."""
    text = given.cast(pl.String, strict=False).fill_null("").str.strip_chars()
    table = pl.DataFrame({"word": words, "text": text}).unique("word", keep="first", maintain_order=True)
    found = dict(table.iter_rows())
    for word in (word for word in later if word.strip() and word not in MISSING):
        found.setdefault(label_words(pl.Series([word], dtype=pl.String))[0], word.strip())
    return {word: word if word.lstrip("-").isdigit() else text for word, text in found.items()}


def _named(positive: Sequence[str], spelled: Mapping[str, str], at: str) -> tuple[LabelRule, str]:
    """The rule for the values that the user calls a click."""
    clicks = list(dict.fromkeys(label_words(pl.Series(list(positive), dtype=pl.String)).to_list()))
    unknown = [word for word in clicks if word not in spelled]
    if unknown:
        raise AmeirError(f"{at}: positive={unknown[0]} is none of its values."
                         f"{did_you_mean(unknown[0], [word for word in spelled if word])}")
    others = [word for word in spelled if word not in clicks]
    if not others:
        raise AmeirError(f"{at}: positive= names all of its values; there is nothing to tell apart.")
    rest = tuple(spelled[word] for word in others) if len(others) <= FEW or "" in others else ()
    return LabelRule(None, tuple(spelled[word] for word in clicks), rest), "as positive= says"


def _of_two(there: list[str], spelled: Mapping[str, str], numbers: pl.Series, at: str, f: Facts
            ) -> tuple[LabelRule, str]:
    clicks = [word for word in there if word in CLICKS]
    none = [word for word in there if word in NONE or _denied(word)]
    if not numbers.null_count():
        click = there[int(numbers.arg_max() or 0)]
        why = "the larger of two numbers"
    elif len(clicks) == 1 and clicks[0] not in none:
        click, why = clicks[0], "the word says so"
    elif len(none) == 1 and not clicks:
        click, why = next(word for word in there if word != none[0]), f"'{spelled[none[0]]}' says that it is none"
    else:
        first, second = (spelled[word] for word in there)
        raise AmeirError(f"{at}: '{first}' and '{second}', and nothing tells which is a click: positive={first} or "
                         f"positive={second}.")
    other = next(word for word in there if word != click)
    return LabelRule(None, (spelled[click],), (spelled[other],)), why


def _denied(word: str) -> bool:
    """Whether a word is *no click*, *not_clicked*, *unclicked* or the like."""
    plain = word.replace("_", " ").replace("-", " ").strip()
    return plain.startswith(("no ", "not ", "non ", "un", "nonclick", "noclick")) and len(plain) > 3


def _threshold(values: pl.Series, f: Facts) -> tuple[LabelRule, str]:
    """From which number on a label is a click: one that leaves rows on both sides."""
    top = f.low + 0.75 * (f.high - f.low)
    if f.kind == "float" and f.low >= 0 and f.high <= 1:
        top = 0.5
    top = float(int(top)) if f.kind == "int" else round(top, 6)
    if RARE <= float((values >= top).mean() or 0) <= 1 - RARE:  # type: ignore[arg-type]
        return LabelRule(top), ""
    # Of the values, the one that comes nearest to halves.
    shares = values.alias("value").to_frame().group_by("value").len().sort("value", descending=True).with_columns(
        (pl.col("len").cum_sum() / len(values)).alias("share")).filter(pl.col("share") < 1)
    best = shares.sort((pl.col("share") - 0.5).abs(), "value").row(0, named=True)
    return LabelRule(float(best["value"])), "it splits the rows best"
