"""What a column of text looks like: numbers and how they are written, or lists and how they are written."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from ameir_pl.data.list_text import DAMAGED, bracketed, form_of, parse, trouble
from ameir_pl.data.table_lists import vector
from ameir_pl.data.table_values import scalars

SPLITTERS = ("|", ";", ",", "^", " ")
PROSE = 50
"""Text of more characters on average is prose, unless it is a list of numbers."""
IDS = 0.9
"""The share of elements that are words with a digit, such as it12, from which on they are no sentence."""
GAPS = ("NA", "N/A", "n/a", "na", "None", "none", "NONE", "Null", "NIL", "nil", "-", "--", "?", ".", "inf", "-inf",
        "+inf", "Inf", "-Inf", "Infinity", "-Infinity")
"""Words that stand for a missing value in a column whose other values are numbers."""
VECTOR = "numbers with a fraction in lists, a vector (an embedding): no categories. As dense fields each needs a column"
_ID = r"^[^\s\d]*\d[^\s]*$"
_LISTED = frozenset({"hist", "history", "seq", "sequence", "list", "past", "previous", "prev", "recent", "clicked",
                     "behavior", "behaviors", "sess", "session", "tags", "genres", "categories", "ids", "items",
                     "keywords"})
_SIGNS = (",", ""), (",", "."), (",", " "), (",", "'"), (".", ","), (".", "'"), (".", ""), (".", " ")
_MONEY = "$\u20ac\u00a3\u00a5\u20b9"
_BESIDE = rf"^[+-]?(?:[{_MONEY}]|[A-Z]{{3}} )\s*[\d.,' ]+$|^[+-]?[\d.,' ]+\s*(?:[%\u2030{_MONEY}]| ?[A-Z]{{3}})$"


@dataclass(frozen=True)
class TextFacts:
    """What text looks like.

    Args:
        kind: ``int`` or ``float`` for numbers, else ``text``.
        decimal, thousands: of the numbers.
        gaps: words among the numbers that stand for a missing value.
        splitter: between the elements of lists, or the form of lists in brackets.
        distinct: different elements of lists in brackets.
        left: why the column can be no field; empty where it can.
        note: what is worth knowing.
    """

    kind: str = "text"
    decimal: str = "."
    thousands: str = ""
    gaps: tuple[str, ...] = ()
    splitter: str = ""
    distinct: int = 0
    left: str = ""
    note: str = ""


def text_facts(text: pl.Series, words: frozenset[str]) -> TextFacts:
    """Return what text without missing values looks like; ``words`` are those of its name."""
    brackets = bracketed(text)
    if float(brackets.mean() or 0) >= 0.5:  # type: ignore[arg-type]
        return _in_brackets(text, text.filter(brackets))
    return _numbers(text, words) or _plain_lists(text, words)


def number_kind(text: pl.Series, decimal: str = ".", thousands: str = "") -> str:
    """Whether all of some strings are whole numbers of 64 bits (``int``), numbers (``float``), or neither (``text``);
    leading zeros make text. ``empty`` without strings."""
    if text.is_empty():
        return "empty"
    stripped = text.str.strip_chars()
    if stripped.str.contains(r"^[+-]?0\d").any():
        return "text"
    if decimal != "." or thousands:
        numbers = scalars(stripped, "float", decimal, thousands)
        if numbers.null_count():
            return "text"
        return "int" if not stripped.str.contains(decimal, literal=True).any() and scalars(
            stripped, "int", decimal, thousands).null_count() == 0 else "float"
    if stripped.str.contains(r"^[+-]?\d+(?:\.0*)?$").all():
        digits = stripped.str.replace(r"\.0*$", "")
        return "int" if digits.cast(pl.Int64, strict=False).null_count() == 0 else "text"
    floats = stripped.cast(pl.Float64, strict=False)
    return "float" if floats.is_finite().fill_null(False).all() else "text"


def _numbers(text: pl.Series, words: frozenset[str]) -> TextFacts | None:
    """The facts of numbers; None where the text is none."""
    stripped = text.str.strip_chars()
    is_gap = stripped.is_in(list(GAPS))
    gaps = tuple(sorted(stripped.filter(is_gap).unique()))
    if is_gap.mean() > 0.5:  # type: ignore[operator]
        return None
    numbers = stripped.filter(~is_gap)
    note = ", ".join(f"'{word}'" for word in gaps) + " taken for missing" if gaps else ""
    if (kind := number_kind(numbers)) != "text":
        return TextFacts(kind, gaps=gaps, note=note)
    if numbers.str.contains(_BESIDE).all():
        return TextFacts(note="a sign or a unit beside numbers makes them words: take it off for a dense field")
    if not numbers.str.contains(r"^[+-]?[\d., '\u00a0\u202f\u2019]*\d(?:[eE][+-]?\d+)?$").all() or not \
            numbers.str.contains(r"[, '\u00a0\u202f\u2019]|\..*\.").any():
        return None
    fits = [(d, t) for d, t in _SIGNS if number_kind(numbers, d, t) != "text" and (not t or _has_groups(numbers, t))]
    if not fits or words & _LISTED:
        return None
    decimal, thousands = fits[0]
    if numbers.str.contains(r"^[+-]?\d{1,3} \d{3}(?: \d{3})*$").any() and (".", " ") in fits:
        return TextFacts(left="'1 234' can be 1234 or a list of two: say `type: dense, thousands: ' '`, or `type: "
                              "multivalent, splitter: ' '`")
    if {(",", ""), (".", ",")} <= set(fits) and not numbers.str.contains(r"^[+-]?0,").any():
        return TextFacts(left="'1,234' can be 1.234 or 1234: say `type: dense, decimal: ','` or `type: dense, "
                              "thousands: ','`")
    kind = number_kind(numbers, decimal, thousands)
    how = f"decimal '{decimal}'" + (f", thousands '{thousands}'" if thousands else "")
    return TextFacts(kind, decimal, thousands, gaps, note=f"{how}{'; ' + note if note else ''}")


def _has_groups(numbers: pl.Series, thousands: str) -> bool:
    gap = {" ": "[ \u00a0\u202f]", ".": r"\.", "'": "['\u2019]"}.get(thousands, thousands)
    return bool(numbers.str.contains(rf"\d{gap}\d{{3}}").any())


def _in_brackets(text: pl.Series, held: pl.Series) -> TextFacts:
    form = form_of(held)
    lists, wrong = parse(text, form)
    odd = text.filter(wrong)
    if len(odd) > 0.5 * len(text) or trouble(odd) != DAMAGED:
        return TextFacts(left=f"{trouble(odd)} in brackets")
    elements = lists.explode().drop_nulls()
    damaged = f"{len(odd):,} of {len(text):,} are damaged, e.g. {odd[0]}" if len(odd) else ""
    if vector(elements, text=False):
        return TextFacts(left=VECTOR)
    return TextFacts(splitter=form, distinct=elements.n_unique(), note=damaged)


def _plain_lists(text: pl.Series, words: frozenset[str]) -> TextFacts:
    """What stands between the elements of most values, where the elements are short and come again; else nothing. Long
    text, and text with blanks, is prose, but for numbers and for ids under the name of a list."""
    prose = float(text.str.len_chars().mean() or 0) > PROSE  # type: ignore[arg-type]
    for splitter in SPLITTERS:
        has = text.str.strip_chars().str.contains(splitter, literal=True)
        if float(has.mean() or 0) < 0.5:  # type: ignore[arg-type]
            continue
        elements = text.str.split(splitter).explode().str.strip_chars()
        elements = elements.filter(elements != "")
        if vector(elements):
            return TextFacts(left=VECTOR)
        if (splitter == " " or prose) and not elements.str.contains(r"^-?\d+$").all() and not (
                words & _LISTED and float(elements.str.contains(_ID).mean() or 0) >= IDS):  # type: ignore[arg-type]
            continue  # words of a sentence
        length = float(elements.str.len_chars().mean() or 99)  # type: ignore[arg-type]
        if length <= 20 and elements.n_unique() <= 0.5 * len(elements):
            return TextFacts(splitter=splitter)
    return TextFacts()
