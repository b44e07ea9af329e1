"""What stands between the columns of text: one character, several (``::``), or any number of blanks."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence

BLANKS = r"\s+"
"""Columns are separated by any number of blanks or tabs; blanks at the ends of a line mean nothing."""
UNIT = "\x1f"
"""Stands for a separator of several characters while it is parsed: ASCII's own separator, which no text has."""
NAMES = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "bar": "|", "blank": " ", "space": " ",
         "blanks": BLANKS, "whitespace": BLANKS, "\\x01": "\x01", "\\u0001": "\x01", "^A": "\x01", "\\001": "\x01"}
"""What a description may call a separator."""
SURE = ("\t", "\x01", "::", "||", ";", ",", "|", "^")
"""Characters that separate columns, in the order in which they are believed."""
LINES = 100
"""Lines that are looked at."""
_CONSISTENT = 0.9


def separator_error(separator: str) -> str:
    """Return what is wrong with a separator that a user named, or nothing."""
    if separator in ("", BLANKS):
        return ""
    if len(separator) > 8 or any(c.isalnum() or c in "\"\r\n" or ord(c) > 127 for c in separator):
        return (f"expected what stands between columns, such as \",\", \";\", \"::\", tab, blank or blanks (any number "
                f"of them), found '{separator}'.")
    return ""


def named(separator: str) -> str:
    """Return how a description names a separator."""
    return {"\t": "tab", " ": "blank", BLANKS: "blanks", "\x01": "\\x01"}.get(separator, separator)


def single(separator: str) -> bool:
    """Whether a separator is one character, as parsers take it."""
    return len(separator) == 1


def unified(text: str, separator: str, quotes: bool) -> str:
    """Return text of lines in which :data:`UNIT` stands for a separator that is not one character."""
    if single(separator):
        return text
    if separator == BLANKS:
        text = "\n".join(line.strip(" \t\r") for line in text.split("\n"))
        pattern = r"[ \t]+"
    else:
        pattern = re.escape(separator)
    if quotes and '"' in text:
        return re.sub(rf'("(?:[^"\n]|"")*")|{pattern}', lambda match: match[1] or UNIT, text)
    return re.sub(pattern, UNIT, text) if separator == BLANKS else text.replace(separator, UNIT)


def split_line(line: str, separator: str, quotes: bool = True) -> list[str]:
    """Return the values of a line; without ``quotes``, a quotation mark is a character like others.

    Raises:
        csv.Error: the quotation marks do not fit.
    """
    text = unified(line, separator, quotes)
    delimiter = separator if single(separator) else UNIT
    if not quotes:
        return text.split(delimiter)
    return next(csv.reader([text], delimiter=delimiter), [])


def guess_separator(lines: Sequence[str]) -> str:
    """Return the separator of a text by its first lines, of which the very first is mostly a header.

    It is the one that cuts all lines into equally many columns: a comma inside quotation marks or in a number such as
    0,05 does not. Blanks are believed last, for they are met inside values.
    """
    lines = [line.rstrip("\r") for line in lines[:LINES] if line.strip()]
    if not lines:
        return ","
    sure = [found for candidate in SURE if (found := _fit(lines, candidate))]
    whole = [found for found in sure if found[0] == 1.0]
    best = max(whole or [found for found in sure if found[0] >= _CONSISTENT], key=lambda f: (f[1], f[2]), default=None)
    if best:
        return best[3]
    blank = [found for candidate in (" ", BLANKS) if (found := _fit(lines, candidate)) and found[0] >= _CONSISTENT]
    # Of lines that are not of equal length under any separator, the first line decides.
    counts = {candidate: lines[0].count(candidate) for candidate in SURE}
    most = max(SURE, key=lambda candidate: (counts[candidate], -SURE.index(candidate)))
    if blank and (not counts[most] or len(lines) > 1):
        return max(blank, key=lambda f: (f[0], f[1], f[2]))[3]
    return most if counts[most] else ","


def _fit(lines: Sequence[str], separator: str) -> tuple[float, int, int, str] | None:
    """Share of lines as wide as the first, its width, how far in front the separator stands, and the separator."""
    if separator not in lines[0] and separator != BLANKS:
        return None
    if separator == " " and "  " in lines[0]:
        return None  # a header has no empty words
    if separator == "||" and any(line.replace("||", "").count("|") for line in lines):
        return None
    if separator == "|" and all(line.count("||") * 2 == line.count("|") for line in lines):
        return None  # of several characters
    try:
        widths = [len(split_line(line, separator)) for line in lines]
    except csv.Error:
        return None
    if widths[0] < 2:
        return None
    rank = SURE.index(separator) if separator in SURE else 0
    return sum(width == widths[0] for width in widths) / len(widths), widths[0], -rank, separator
