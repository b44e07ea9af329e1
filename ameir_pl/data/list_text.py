"""Lists in brackets written as text, as JSON, Python, numpy and others write them: read whole, never cut at a comma."""

from __future__ import annotations

import ast
import json
from typing import Literal

import numpy as np
import polars as pl
import pyarrow as pa

Form = Literal["json", "python"]
FORMS: tuple[Form, ...] = ("json", "python")
"""What a description's ``splitter`` may say instead of a character."""
SAYS: dict[str, str] = {"json": "a list as JSON writes it", "python": "a list as Python writes it"}
DAMAGED = "damaged lists"
_DOUBLE, _SINGLE = r'"(?:[^"\\]|\\.)*"', r"'(?:[^'\\]|\\.)*'"
_NULL = "null|None|NaN|nan|NaT|<NA>"
_JSON = rf"(?:{_DOUBLE}|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null|NaN|-?Infinity)"
_NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_PLAIN = rf"(?:u?{_DOUBLE}|u?{_SINGLE}|{_NUMBER}|{_NULL}|[Tt]rue|[Ff]alse|[+-]?(?:inf|Infinity))"
# Since version 2 numpy writes its numbers as np.int64(5).
_PYTHON = rf"(?:(?:np|numpy)\.[a-z]+_?[0-9]*\([ ]*{_PLAIN}[ ]*\)|{_PLAIN})"
_WORD = rf"""(?:{_DOUBLE}|[^\s,\[\](){{}}"'](?:[^,\[\](){{}}"]*[^\s,\[\](){{}}"])?)"""
_WORD_NO_MAP = rf"""(?:{_DOUBLE}|[^\s,\[\](){{}}"':=](?:[^,\[\](){{}}":=]*[^\s,\[\](){{}}":=])?)"""


def _listed(element: str, between: str = r"\s*,\s*", end: str = r"\s*,?\s*") -> str:
    return rf"\s*(?:{element}(?:{between}{element})*{end})?"


def _bracketed(body: str) -> str:
    return rf"(?:\[{body}\]|\({body}\)|\{{{body}\}})"


_BLANKS, _MAYBE = r"\s+", r"\s*"
_CELLS = {
    "json": rf"(?s)^\s*\[{_listed(_JSON, end=_MAYBE)}\]\s*$",
    "python": rf"(?s)^\s*(?:{_bracketed(_listed(_PYTHON))}|\[{_listed(_PYTHON, _BLANKS, _MAYBE)}\])\s*$",
    "words": rf"(?s)^\s*(?:\[{_listed(_WORD)}\]|\(\s*{_WORD}(?:\s*,\s*{_WORD})+\s*\)|"
             rf"\{{{_listed(_WORD_NO_MAP)}\}})\s*$"}
_ELEMENTS = {"json": f"(?s){_JSON}", "python": f"(?s){_PYTHON}", "words": f"(?s){_WORD}"}
_WRAPPED = r"(?s)^\s*(?:(?:(?:np|numpy)\.)?array|set|frozenset|tuple|list)\(\s*(.*?)\s*(?:,\s*dtype=[^\[\]]*)?\)\s*$"
_ALONE = rf"""(?s)^\s*(?:{_PYTHON}|[^,\[\](){{}}"']+|\([^,\[\](){{}}"']+\))\s*$"""
_CUT_OFF = r"(?:^|[\s\[,])\.\.\.(?:$|[\s\],])"
_TWICE = r'(?s)^\s*"\s*[\[({].*[\])}]\s*"\s*$'
"""A list as a text inside of a text, as what is written as JSON twice."""
_OPEN = r"""(?s)^\s*\[[^\]]*[\s,"'][^\]]*$"""
"""A list whose end is not there."""
_NESTED = r"""^\s*[\[({]\s*[\[({]|^\s*\{\s*["']?[^,"']*["']?\s*[:=]"""


def bracketed(text: pl.Series) -> pl.Series:
    """Return which texts are lists in brackets, begin and end like one, or begin like one that has no end, (n,) bool;
    null where a text is."""
    whole = _unwrapped(text)
    parsed = whole.str.contains(_CELLS["python"]) | whole.str.contains(_CELLS["json"])
    ends = whole.str.contains(r"(?s)^\s*(?:\[.*\]|\{.*\})\s*$")
    ends &= whole.str.contains(r"""[\[{,\s"'].*[,\s"']""")
    return parsed | ends | whole.str.contains(_OPEN) | whole.str.contains(_TWICE)


def form_of(text: pl.Series) -> Form:
    """Return how most of the lists in a column are written."""
    present = text.drop_nulls()
    return "json" if len(present) and present.str.contains(_CELLS["json"]).sum() >= present.str.contains(
        r"^\s*[\[({a-z]").sum() else "python"


def trouble(text: pl.Series) -> str:
    """Return in words why texts in brackets are no lists of plain values, by the first that is none."""
    if text.str.contains(_CUT_OFF).any():
        return "lists that numpy has cut off (with ...)"
    if text.str.contains(_TWICE).any():
        return "lists written twice, as a text inside of a text: write them once"
    return "lists of nested values" if text.str.contains(_NESTED).any() else DAMAGED


def parse(text: pl.Series, form: Form) -> tuple[pl.Series, pl.Series]:
    """Read lists in brackets; a text without brackets is a list of one.

    Args:
        text: strings; null is no list.
        form: ``json`` takes JSON alone; ``python`` also Python's lists, tuples and sets, numpy's arrays, and words
            without quotes.

    Returns:
        Lists of strings, null where there is none; elements that say null, None or NaN are null. And which texts are
        no lists, (n,) bool.
    """
    whole = _unwrapped(text) if form == "python" else text
    rest = whole.is_not_null() & ~whole.str.contains(rf"^\s*(?:{_NULL})?\s*$")
    tokens: list[pl.Series] = []
    rows: list[np.ndarray] = []
    lengths = np.zeros(len(text), np.int64)
    known = ~rest.fill_null(False)
    lists = ~known
    for grammar in (("json",) if form == "json" else ("python", "words")) + ("alone",):
        fits = lists & whole.str.contains(_ALONE if grammar == "alone" else _CELLS[grammar]).fill_null(False)
        if grammar == "words":
            fits &= ~whole.str.contains(_CUT_OFF).fill_null(False)
        elif grammar == "alone":
            fits &= ~whole.str.contains(_TWICE).fill_null(False)
        if not fits.any():
            continue
        lists &= ~fits
        at = fits.arg_true().to_numpy()
        cells = whole.gather(at)
        if grammar == "alone":
            found = cells.str.strip_chars().reshape((-1, 1)).arr.to_list()
        else:
            found = cells.str.extract(r"(?s)^\s*.(.*).\s*$").str.extract_all(_ELEMENTS[grammar])
        counts = found.list.len().to_numpy().astype(np.int64)
        lengths[at] = counts
        tokens.append(_decoded(found.explode(empty_as_null=False), form))
        rows.append(np.repeat(at, counts))
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    flat = pl.concat(tokens) if tokens else pl.Series([], dtype=pl.String)
    order = np.argsort(np.concatenate(rows), kind="stable") if rows else np.zeros(0, np.int64)
    made = pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()),
                                         flat.gather(order).to_arrow().cast(pa.large_string()))
    result = pl.Series("lists", pl.from_arrow(made), dtype=pl.List(pl.String))
    return result.to_frame("l").select(pl.when(~(known | lists)).then("l")).to_series(), lists


def _unwrapped(text: pl.Series) -> pl.Series:
    """Texts without what stands around the brackets: array(…), set(…)."""
    if not text.str.contains(r"^\s*[a-z.]+\(").any():
        return text
    inside = text.str.extract(_WRAPPED)
    made = pl.when(inside == "").then(pl.lit("[]")).otherwise(inside)
    return text.to_frame("t").select(pl.coalesce(made, "t")).to_series()


def _decoded(tokens: pl.Series, form: Form) -> pl.Series:
    """What tokens stand for; null for null, None and NaN. An escape that cannot be read stays as it is."""
    words = tokens.alias("t").to_frame().select(
        pl.coalesce(pl.col("t").str.extract(r"(?s)^(?:np|numpy)\.[a-z]+_?[0-9]*\([ ]*(.*?)[ ]*\)$"), "t")
        .str.replace(r"""(?s)^u(["'].*)$""", "$1").alias("t"))
    escaped = words["t"].filter(words["t"].str.contains(r"""(?s)^["'].*\\""")).unique()
    plain = words.select(
        pl.when(pl.col("t").str.contains(r"""^["']""")).then(pl.col("t").str.slice(1, pl.col("t").str.len_chars() - 2))
        .when(pl.col("t").str.contains(f"^(?:{_NULL})$")).then(None)
        .otherwise(pl.col("t").replace({"True": "true", "False": "false"})).alias("t"))["t"]
    if len(escaped) == 0:
        return plain
    said = {token: _unescaped(token, form) for token in escaped.to_list()}
    return pl.DataFrame([words["t"], plain.alias("p")]).select(
        pl.when(pl.col("t").is_in(escaped.to_list())).then(
            pl.col("t").replace_strict(said, default=None, return_dtype=pl.String)).otherwise("p")).to_series()


def _unescaped(token: str, form: Form) -> str:
    try:
        said = str(json.loads(token) if form == "json" else ast.literal_eval(token))
        return said.encode("utf-16", "surrogatepass").decode("utf-16")  # two escapes may make one character
    except (ValueError, SyntaxError):
        return token[1:-1]
