"""Tables written as JSON: one object a line, or an array of objects; read in chunks, values as they are written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from ameir_pl.data.bad_rows import LINE, BadRows
from ameir_pl.data.text import BLOCK, blocks, open_bytes
from ameir_pl.errors import AmeirError

ROWS = 65_536
"""Of a chunk."""
HEAD = 20_000
"""Objects whose keys make the columns."""
_PART = 2**22
_MARK = b"\xef\xbb\xbf"
# Numbers stay as they are written: 1.10 is another id than 1.1, and a float would round large ones.
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)


def json_columns(path: Path, advice: str) -> list[str]:
    """Return the keys of the first objects, in the order in which they are met.

    Raises:
        AmeirError: the file is missing, or holds no objects.
    """
    columns: dict[str, None] = {}
    for number, (_, row) in enumerate(_objects(path, BadRows("skip", advice))):
        if number == HEAD:
            break
        columns |= dict.fromkeys(row)
    if not columns:
        raise AmeirError(f"{path}: no object with a key, such as {{\"click\": 1, \"item\": 7}}. {advice}")
    return list(columns)


def json_tables(path: Path, needed: Sequence[str], bad: BadRows) -> Iterator[pl.DataFrame]:
    """Yield chunks with ``line`` and the columns of ``needed``: strings, or lists of strings; null where there is none.

    Args:
        path: one object a line, or an array of objects.
        needed: keys.
        bad: what happens to a line that is no object.

    Raises:
        AmeirError: the file is missing or damaged, or holds no object.
    """
    rows: list[tuple[int, dict[str, Any]]] = []
    lists: dict[str, bool] = {}
    any_row = False
    for found in _objects(path, bad):
        rows.append(found)
        if len(rows) == ROWS:
            yield _table(rows, needed, lists, path, bad)
            rows, any_row = [], True
    if rows:
        yield _table(rows, needed, lists, path, bad)
    elif not any_row and not bad.skipped:
        raise AmeirError(f"{path}: the file has no rows. {bad.advice}")


def _objects(path: Path, bad: BadRows) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line or place in the array, from 1; object)."""
    with open_bytes(path, bad.advice) as file:
        first = file.read(2**16).removeprefix(_MARK).lstrip()[:1]
    bad.unit = "element" if first == b"[" else "line"
    yield from _elements(path, bad) if first == b"[" else _lines(path, bad)


def _lines(path: Path, bad: BadRows) -> Iterator[tuple[int, dict[str, Any]]]:
    for first, block in blocks(path, bad.advice, size=BLOCK):
        for number, line in enumerate(block.split(b"\n"), first):
            if not line.strip():
                continue
            try:
                row = _DECODER.decode(line.decode("utf-8"))
            except UnicodeDecodeError:
                bad.add(f"{path}, line {number}: not UTF-8.")
                continue
            except (ValueError, RecursionError) as error:
                if number == 1:
                    raise AmeirError(f"{path}, line 1: no whole JSON object ({error}). Write one object a line (jq -c "
                                     f"'.[]' OLD > NEW) or an array of objects. {bad.advice}") from error
                bad.add(f"{path}, line {number}: no JSON object ({error}).")
                continue
            if not isinstance(row, dict):
                bad.add(f"{path}, line {number}: {_kind(row)} where an object such as {{\"click\": 1}} was expected.")
                continue
            if number == 1 and row and all(isinstance(value, dict) for value in row.values()):
                raise AmeirError(f"{path}, line 1: an object of columns, not of a row. Write one object a line (pandas "
                                 f"writes them with orient=\"records\", lines=True). {bad.advice}")
            yield number, row


def _elements(path: Path, bad: BadRows) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of an array, decoded one after the other: the array is never whole in memory."""
    with open_bytes(path, bad.advice) as file:
        decoder = _Text(file, path, bad.advice)
        decoder.skip("[")
        number = 0
        while decoder.peek() != "]":
            number += 1
            row = decoder.value(number)
            if isinstance(row, dict):
                yield number, row
            elif isinstance(row, list):
                raise AmeirError(f"{path}: an array of arrays where an array of objects was expected. Write one object "
                                 f"a row, such as {{\"click\": 1, \"item\": 7}}. {bad.advice}")
            else:
                bad.add(f"{path}, element {number}: {_kind(row)} where an object was expected.")
            if decoder.peek() == ",":
                decoder.skip(",")
        decoder.skip("]")


class _Text:
    """The text of a JSON array, read piece by piece."""

    def __init__(self, file: Any, path: Path, advice: str) -> None:
        self.file, self.path, self.advice = file, path, advice
        self.text, self.at, self.rest = "", 0, b""
        self._more()
        self.text = self.text.removeprefix("\ufeff")

    def _more(self) -> bool:
        block = self.file.read(_PART)
        if not block:
            return False
        data = self.rest + block
        end = len(data)
        while end and end > len(data) - 4:  # a character may be cut in two
            try:
                piece = data[:end].decode("utf-8")
                break
            except UnicodeDecodeError:
                end -= 1
        else:
            raise AmeirError(f"{self.path}: not UTF-8 text. Write it as UTF-8 (iconv -t utf-8). {self.advice}")
        self.text, self.at, self.rest = self.text[self.at:] + piece, 0, data[end:]
        return True

    def peek(self) -> str:
        """Return the next character that is no blank."""
        while True:
            while self.at < len(self.text) and self.text[self.at].isspace():
                self.at += 1
            if self.at < len(self.text):
                return self.text[self.at]
            if not self._more():
                raise AmeirError(f"{self.path}: the array has no end: the file is cut off. {self.advice}")

    def skip(self, character: str) -> None:
        """Go past a character."""
        found = self.peek()
        if found != character:
            raise AmeirError(f"{self.path}: '{found}' where '{character}' was expected: no JSON. {self.advice}")
        self.at += 1

    def value(self, number: int) -> Any:
        """Return the next value."""
        self.peek()
        while True:
            try:
                found, end = _DECODER.raw_decode(self.text, self.at)
                if end < len(self.text):  # a number at the very end may go on
                    self.at = end
                    return found
            except RecursionError as error:
                raise AmeirError(f"{self.path}, element {number}: nested too deeply. {self.advice}") from error
            except ValueError as error:
                if len(self.text) - self.at > 2 * BLOCK:
                    raise AmeirError(f"{self.path}, element {number}: no JSON ({error}). {self.advice}") from error
            if not self._more():
                raise AmeirError(f"{self.path}, element {number}: no whole JSON value. Is it cut off or damaged? "
                                 f"{self.advice}")


def _table(rows: list[tuple[int, dict[str, Any]]], needed: Sequence[str], lists: dict[str, bool], path: Path,
           bad: BadRows) -> pl.DataFrame:
    columns = [pl.Series(LINE, [number for number, _ in rows], pl.Int64)]
    for name in dict.fromkeys(needed):
        values = [row.get(name) for _, row in rows]
        listed = lists.get(name, False) or any(isinstance(value, list) for value in values)
        if any(isinstance(value, dict) for value in values):
            columns.append(pl.Series(name, [{"value": str(value)} for value in values]))
            continue
        lists[name] = listed
        if not listed:
            columns.append(pl.Series(name, [_word(value) for value in values], pl.String))
            continue
        for (number, _), value in zip(rows, values, strict=True):
            if value is not None and not isinstance(value, list):
                raise AmeirError(f"{path}, {bad.unit} {number}, column '{name}': {_kind(value)} where other rows have "
                                 f"a list. Write a list of one. {bad.advice}")
        if any(isinstance(v, list | dict) for value in values if value for v in value):
            columns.append(pl.Series(name, [[{"value": str(v)} for v in value or ()] for value in values]))
            continue
        columns.append(pl.Series(name, [None if value is None else [_word(v) for v in value] for value in values],
                                 pl.List(pl.String)))
    return pl.DataFrame(columns)


def _word(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else "true" if value is True else "false"


def _kind(value: Any) -> str:
    words = {dict: "an object", list: "an array", type(None): "null", bool: "true or false"}
    return words.get(type(value), f"'{str(value)[:60]}'")
