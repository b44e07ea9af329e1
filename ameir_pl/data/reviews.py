"""Reading reviews, one record a line: JSON objects, or Python dicts (McAuley's files of 2014 and of Steam)."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from ameir_pl.data.bad_rows import LINE, BadRows
from ameir_pl.data.text import blocks, text_line
from ameir_pl.errors import AmeirError

_UNREADABLE = (ValueError, SyntaxError, TypeError, MemoryError, RecursionError)
_NEAR = 60
_BLOCK = 8 * 2**20  # a line is held several times over while it is taken apart
_TEXT, _VALUE = "@text", "@value"
_STRING = r"""'[^'\\]*(?:\\.[^'\\]*)*'|"[^"\\]*(?:\\.[^"\\]*)*\""""
# A flat dict as `repr` writes it, after every string was replaced by two quotes.
_FLAT = r"""^\{(?:u?"": (?:u?""|-?\d[\d.e+-]*|True|False|None)(?:, |\}$))+$"""


class Keys(NamedTuple):
    """The keys of a record that are read.

    Args:
        user, item, time: their names.
        dated: the time is a date, ``YYYY-MM-DD``; else seconds.
    """

    user: str
    item: str
    time: str
    dated: bool


KEYS = (Keys("reviewerID", "asin", "unixReviewTime", False), Keys("username", "product_id", "date", True))
"""Amazon's reviews and Steam's."""
Parse = Callable[[str], dict[str, Any]]


def told(path: Path, first: str, line: int, advice: str) -> tuple[Keys, Parse]:
    """Return which keys the records of a file have and how a line is read, by its first line.

    Args:
        path, first, line: the file, its first line and that line's number.
        advice: the sentence that ends every error.

    Raises:
        AmeirError: the line is no record of a review; it says what it is instead.
    """
    parse: Parse = json.loads
    try:
        record = parse(first)
    except _UNREADABLE:
        parse = ast.literal_eval
        try:
            record = parse(first)
        except _UNREADABLE as error:
            raise AmeirError(f"{path}, line {line}: '{first[:_NEAR]}' is neither a JSON object nor a Python dict. Is "
                             f"it a record over several lines, or cut off? {advice}") from error
    if not isinstance(record, dict):
        raise AmeirError(f"{path}, line {line}: a {type(record).__name__} where a record was expected. {advice}")
    for keys in KEYS:
        if all(name in record for name in keys[:3]):
            return keys, parse
    found = ", ".join(map(str, record))[:_NEAR]
    if isinstance(record.get("reviews"), list):
        raise AmeirError(f"{path}, line {line}: the reviews of a user are nested in a list (as in Steam's "
                         f"australian_user_reviews.json.gz), and their dates are partly words: take "
                         f"steam_reviews.json.gz, which has one review a line. {advice}")
    wanted = " or ".join(", ".join(keys[:3]) for keys in KEYS)
    raise AmeirError(f"{path}, line {line}: no review, which has {wanted}; this record has {len(record)} keys: "
                     f"{found}. {advice}")


def read_reviews(path: Path, keys: Keys, parse: Parse, bad: BadRows) -> pl.DataFrame:
    """Read the records of a file, a block at a time; only user, item and time are kept.

    Returns:
        ``user``, ``item`` (strings) and ``time`` (days for a date, else seconds), in the order of the file.

    Raises:
        AmeirError: the file is cut off or not UTF-8; with file and line, a record that cannot be read, lacks a key or
            has a value of another kind, unless such lines are skipped.
    """
    tables = []
    for first, block in blocks(path, bad.advice, size=_BLOCK):
        try:
            text = block.decode("utf-8")
        except UnicodeDecodeError as error:
            raise text_line(path, block, first, bad.advice) from error
        lines = pl.DataFrame({_TEXT: text.split("\n")[:-1]}, schema={_TEXT: pl.String})
        lines = lines.select(pl.int_range(first, first + pl.len(), dtype=pl.UInt32).alias(LINE),
                             pl.col(_TEXT).str.strip_chars()).filter(pl.col(_TEXT) != "")
        known = pl.DataFrame(schema=dict.fromkeys(keys[:3], pl.String))
        if parse is ast.literal_eval:
            known = _flat(lines, keys)
            lines = lines.join(known, on=LINE, how="anti", maintain_order="left")
        table = _records(lines, path, keys, parse, bad)
        table = pl.concat([known, table]).sort(LINE) if len(known) else table
        tables.append(_numbers(table, path, keys, bad))
    return pl.concat(tables)


def _flat(lines: pl.DataFrame, keys: Keys) -> pl.DataFrame:
    """The three values of the lines that are flat dicts as ``repr`` writes them; other lines are left out.

    The strings of a line are found from left to right, as Python finds them, and what is left between them must be
    that of a flat dict; so a key inside a review's text is never taken for one. A line is left out too where a key
    comes twice or a value is no string.
    """
    flat = lines.filter(pl.col(_TEXT).str.replace_all(_STRING, '""').str.contains(_FLAT))
    # A string that is a key comes with the colon behind it.
    strings = flat.select(LINE, pl.col(_TEXT).str.extract_all(f"(?:{_STRING})(?:: )?")).explode(_TEXT)
    strings = strings.with_columns(pl.col(_TEXT).shift(-1).alias(_VALUE))
    known = flat.select(LINE)
    for name in keys[:3]:
        found = strings.filter(pl.col(_TEXT) == f"'{name}': ").filter(pl.col(LINE).is_unique())
        found = found.filter(~pl.col(_VALUE).str.ends_with(": "))
        escaped = pl.col(_VALUE).str.contains("\\", literal=True)
        plain = found.filter(~escaped).select(LINE, pl.col(_VALUE).str.slice(1, pl.col(_VALUE).str.len_chars() - 2))
        found = pl.concat([plain, _unescaped(found.filter(escaped).select(LINE, _VALUE))]).rename({_VALUE: name})
        known = known.join(found, on=LINE, how="inner", maintain_order="left")
    return known


def _unescaped(strings: pl.DataFrame) -> pl.DataFrame:
    rows = []
    for line, text in strings.iter_rows():
        with suppress(*_UNREADABLE):
            rows.append((line, _whole(ast.literal_eval(text))))
    return pl.DataFrame(rows, schema=strings.schema, orient="row")


def _records(lines: pl.DataFrame, path: Path, keys: Keys, parse: Parse, bad: BadRows) -> pl.DataFrame:
    """The same of any lines, one by one."""
    user, item, time, _ = keys
    rows: list[tuple[int, Any, Any, Any]] = []
    for line, text in lines.iter_rows():
        try:
            record = parse(text)
            rows.append((line, _whole(record[user]), _whole(record[item]), _whole(record[time])))
        except KeyError as error:
            found = ", ".join(map(str, record))[:_NEAR]
            bad.add(f"{path}, line {line}: the record has no key {error}; it has {found}.")
        except _UNREADABLE as error:
            reason = error.args[0] if error.args else type(error).__name__
            reason = "half a character: a surrogate alone" if isinstance(error, UnicodeEncodeError) else reason
            bad.add(f"{path}, line {line}: '{text[:_NEAR]}' is no record of a review ({str(reason)[:_NEAR]}).")
    columns = list(zip(*rows, strict=True)) or [()] * 4
    strings = ([value if type(value) is str else _text(value) for value in column] for column in columns[1:])
    return pl.DataFrame([pl.Series(LINE, columns[0], pl.UInt32),
                         *(pl.Series(name, column, pl.String) for name, column in zip(keys[:3], strings, strict=True))])


def _whole(value: Any) -> Any:
    """The value; raises ``UnicodeEncodeError`` for a string that is no text, as an escape such as ``\\ud800`` makes."""
    if type(value) is str and not value.isascii():
        value.encode()
    return value


def _text(value: Any) -> str | None:
    """A number as text; what is neither text nor a number is nothing."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _numbers(table: pl.DataFrame, path: Path, keys: Keys, bad: BadRows) -> pl.DataFrame:
    for name in (keys.user, keys.item):
        table = bad.drop(table, table[name].str.strip_chars() == "", path, name, "an id")
    if keys.dated:
        days = table[keys.time].str.to_date("%Y-%m-%d", strict=False)
        table = bad.drop(table, days.is_null(), path, keys.time, "a date as 2017-12-31")
        time = table[keys.time].str.to_date("%Y-%m-%d").cast(pl.Int32).cast(pl.Int64)
    else:
        table = bad.number(table, keys.time, path)
        time = table[keys.time]
    return table.select(pl.col(keys.user).alias("user"), pl.col(keys.item).alias("item"), time.alias("time"))
