"""Reading a YAML file with a closed set of keys: every mistake is answered with the file and the key."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from ameir_pl.errors import AmeirError, did_you_mean

MOST_BYTES = 2**21
"""A description of ten thousand fields has less."""


class _Loader(yaml.SafeLoader):
    """YAML's safe loader where ``on``, ``off``, ``yes`` and ``no`` are words, and no key comes twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return a mapping; raises at a key that comes twice."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key '{key.value}' comes twice",
                                                        key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers
            if tag not in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(?:true|True|TRUE|false|False|FALSE)$"),
                              list("tTfF"))


def read_section(path: Path, keys: Sequence[str]) -> Section:
    """Return the mapping that a YAML file holds.

    Args:
        path: the file.
        keys: those it may have.

    Raises:
        AmeirError: the file is missing, is no YAML (with the line), or holds something else.
    """
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise AmeirError(f"{path}: not a plain file (a pipe or a device?). Name a YAML file.")  # it might never end
        if path.exists() and path.stat().st_size > MOST_BYTES:  # to read a table as YAML takes minutes
            raise AmeirError(f"{path}: {path.stat().st_size:,} bytes, too many for a description. Name the YAML file, "
                             "not the table itself.")
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise AmeirError(f"{path}: no such file. `ameir data infer input=TABLE label=COLUMN` writes one.") from error
    except UnicodeDecodeError as error:
        raise AmeirError(f"{path}: not UTF-8 text, so not a description of a table. Name the YAML file, not the "
                         "table itself.") from error
    except OSError as error:
        raise AmeirError(f"{path}: cannot be read ({error.strerror or error}). Name a YAML file.") from error
    try:
        loader = _Loader(text)
        try:
            values = loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.reader.ReaderError as error:
        raise AmeirError(f"{path}, line {text.count(chr(10), 0, error.position) + 1}: not YAML: the character "
                         f"{error.character:#06x} is not allowed. Delete it.") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:  # also brackets without end, and odd dates
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        tab = " YAML indents with blanks; there is a tab." if mark is not None and "\t" in (
            text.splitlines() or [""])[min(mark.line, len(text.splitlines()) - 1)] else ""
        raise AmeirError(f"{path}{where}: not YAML: {getattr(error, 'problem', None) or error}.{tab}") from error
    return Section(values, path, "", keys)


class Section:
    """A mapping with a closed set of keys.

    Args:
        values: what the file holds there.
        path: the file.
        place: where in the file, such as ``fields[2].``; empty at the top.
        keys: those it may have.

    Raises:
        AmeirError: it is no mapping, or has another key.
    """

    def __init__(self, values: Any, path: Path, place: str, keys: Sequence[str]) -> None:
        self.path, self.place = path, place
        if not isinstance(values, dict):
            what = place.rstrip(".") or "a description"
            table = "" if place else " If this is the table itself, `ameir data infer input=TABLE` writes one of it."
            raise AmeirError(f"{path}: {what} must be a mapping (key: value), found {_kind(values)}. Its keys: "
                             f"{', '.join(keys)}.{table}")
        for key in values:
            if key not in keys:
                raise AmeirError(f"{path}: {place}{key} is no key of a description.{did_you_mean(str(key), keys)}")
        self.values: dict[str, Any] = values

    def __contains__(self, key: str) -> bool:
        return self.values.get(key) is not None

    def error(self, key: str, what: str) -> AmeirError:
        """Return the error for a key."""
        return AmeirError(f"{self.path}: {self.place}{key}: {what}")

    def text(self, key: str, default: str = "", choices: Sequence[str] = ()) -> str:
        """Return a string; a number is taken as written."""
        if key not in self:
            return default
        value = self.values[key]
        if isinstance(value, bool | list | dict):
            raise self.error(key, f"expected a word, found {_kind(value)}.")
        if choices and str(value) not in choices:
            raise self.error(key, f"'{value}' is unknown.{did_you_mean(str(value), choices)}")
        return str(value)

    def needed(self, key: str, what: str) -> str:
        """Return a string that must be there; ``what`` says what it is."""
        if not self.text(key):
            raise self.error(key, f"is missing: {what}.")
        return self.text(key)

    def words(self, key: str) -> tuple[str, ...]:
        """Return strings, of which a single one may stand alone; empty where there is none."""
        value = self.values.get(key)
        if value is None:
            return ()
        listed = value if isinstance(value, list) else [value]
        if not listed or any(isinstance(v, bool | list | dict) or v is None for v in listed):
            raise self.error(key, f"expected a word or a list of words, found {_kind(value)}.")
        return tuple(map(str, listed))

    def whole(self, key: str, default: int, low: int) -> int:
        """Return a whole number of at least ``low``."""
        value = self.values.get(key)
        if value is None:
            return default
        if type(value) is not int or value < low:
            raise self.error(key, f"expected a whole number of at least {low}, found {_kind(value)}.")
        return value

    def number(self, key: str, default: float | None = None) -> float | None:
        """Return a number."""
        value = self.values.get(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self.error(key, f"expected a number, found {_kind(value)}.")
        return value

    def share(self, key: str, default: float) -> float:
        """Return a number above 0 and below 1."""
        value = self.number(key, default)
        if value is None or not 0 < value < 1:
            raise self.error(key, f"expected a share of the rows, above 0 and below 1, found {value}.")
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        """Return true or false."""
        value = self.values.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.error(key, f"expected true or false, found {_kind(value)}.")
        return value

    def section(self, key: str, keys: Sequence[str]) -> Section | None:
        """Return the mapping under a key, or None."""
        return Section(self.values[key], self.path, f"{self.place}{key}.", keys) if key in self else None

    def sections(self, key: str, keys: Sequence[str]) -> list[Section]:
        """Return the list of mappings under a key, empty where there is none."""
        value = self.values.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.error(key, f"expected a list (each entry on a line that begins with '- '), found "
                                  f"{_kind(value)}.")
        return [Section(entry, self.path, f"{self.place}{key}[{i + 1}].", keys) for i, entry in enumerate(value)]


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    return f"a list of {len(value)}" if isinstance(value, list) else f"'{str(value)[:60]}'"
