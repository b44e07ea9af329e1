"""The files of a described table, read in chunks: delimited text, RecBole's typed text, JSON, Parquet, or Arrow."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa

from ameir_pl.data.arrow_tables import arrow_schema, arrow_tables, chosen
from ameir_pl.data.bad_rows import LINE, BadRows
from ameir_pl.data.delimited import chunks, header, is_number, need_header
from ameir_pl.data.file_kinds import ARROW, JSON, PARQUET, TEXT, FileKind, kind_of
from ameir_pl.data.json_rows import json_columns, json_tables
from ameir_pl.data.packed import SUFFIXES
from ameir_pl.data.separators import BLANKS, guess_separator
from ameir_pl.data.text import BLOCK, first_lines
from ameir_pl.errors import AmeirError, did_you_mean

ATOMIC = ("token", "token_seq", "float", "float_seq")
"""RecBole's types, behind a colon in a header."""
NAME_ANOTHER = "Correct it, or name another table."
"""What can be done about bad input where there is no description yet."""
RECBOLE = (".inter", ".user", ".item")
_LITERAL = ("\x01", "::", "||", " ", BLANKS)
"""Separators of files in which a quotation mark is a character like others."""


@dataclass(frozen=True)
class Source:
    """A table in one or more files of the same columns.

    Args:
        input: a file, a folder or a glob; relative to the folder of the description.
        description: the YAML file.
        place: the key that names the table, for messages.
        separator: of text; empty is guessed from the first lines.
        columns: names of the columns of text without a header.
        quotes: values may be in double quotes; None: yes, but in RecBole's files and with separators such as ``::``.
        format: what kind of file it is; empty is told by its first bytes.
    """

    input: str
    description: Path
    place: str = "input"
    separator: str = ""
    columns: tuple[str, ...] = ()
    quotes: bool | None = None
    format: str = ""

    @property
    def advice(self) -> str:
        """What a user can do about bad input."""
        if not self.description.exists():  # it is being guessed
            return NAME_ANOTHER
        return f"Correct it, or the description {self.description}."

    def paths(self) -> list[Path]:
        """Return the files, sorted by name; raises ``AmeirError`` when there are none."""
        named = Path(os.path.normpath(self.description.parent / self.input))
        if named.is_file():
            return [named]
        if named.is_dir():
            inside = sorted(p for p in named.iterdir() if p.is_file() and not p.name.startswith((".", "_")))
            # Text and Parquet before JSON, which may be notes about them.
            found = next((some for suffixes in ((*TEXT, *PARQUET), JSON, ARROW)
                          if (some := [p for p in inside if _unpacked_name(p).endswith(suffixes)])), [])
            what = f"the folder {named} holds no {', '.join((*TEXT, *PARQUET, *JSON, *ARROW))}"
        elif named.is_symlink() and not named.exists():
            found, what = [], f"{named} is a link to {os.readlink(named)}, which is not there"
        elif named.exists():
            found, what = [], f"{named} is not a plain file (a pipe or a device?); write the table to a file"
        else:
            # The folder of the description may have brackets in its name.
            pattern = os.path.normpath(os.path.join(glob.escape(str(self.description.parent)), self.input))
            found = sorted(p for p in map(Path, glob.glob(pattern)) if p.is_file())
            what = f"no file {named}"
            if not found and named.parent.is_dir():
                what += "." + did_you_mean(named.name, [p.name for p in named.parent.iterdir()][:20])
        if not found:
            what += "" if what.endswith((".", "?")) else "."
            if not self.description.exists():
                raise AmeirError(f"{self.place}={self.input}: {what}")
            raise AmeirError(f"{self.description}: {self.place}: {what} Paths are relative to "
                             f"{self.description.parent}.")
        return found

    def kind(self, path: Path) -> FileKind:
        """Return the kind of a file; raises ``AmeirError`` for one that is not read, by name."""
        return kind_of(path, self.advice, self.format)

    def header(self, path: Path) -> dict[str, str]:
        """Return the columns of a file: name → RecBole's type, or an empty string.

        A column without a name is called ``column_N`` by its place, from 1.

        Raises:
            AmeirError: the file cannot be read, has no header, or a column twice.
        """
        kind = self.kind(path)
        if kind in ("parquet", "arrow"):
            return self._named(path, arrow_schema(path, kind, self.advice).names)
        if kind == "json":
            return self._named(path, json_columns(path, self.advice))
        if self.columns:
            return dict.fromkeys(self.columns, "")
        words = header(path, self.separator_of(path), self.advice)
        words = [word.strip().strip("\ufeff").strip() for word in words]
        numbers = [word for word in words if is_number(word)]
        if numbers:
            raise AmeirError(f"{path}, line 1: '{numbers[0][:60]}' is a value, so the file has no header. Put one on "
                             f"top, or name its {len(words)} columns in {self.description}: `columns: [label, user, "
                             "…]` (`ameir data infer` takes columns=[label,user,…]).")
        need_header([word for word in words if word], (), path, self.advice)
        parts = [word.rpartition(":") for word in words]
        typed = [bool(name) and kind in ATOMIC for name, _, kind in parts]
        if all(typed) or sum(typed) >= (1 if path.suffix in RECBOLE else 2) and 2 * sum(typed) >= len(typed):
            words = [name if is_typed else word for (name, _, _), word, is_typed in zip(parts, words, typed,
                                                                                       strict=True)]
            kinds = [kind if is_typed else "" for (_, _, kind), is_typed in zip(parts, typed, strict=True)]
            return dict(zip(self._named(path, words), kinds, strict=True))
        return self._named(path, words)

    def _named(self, path: Path, stored: Sequence[str]) -> dict[str, str]:
        """Names for columns, in their order: their own, or ``column_N`` where they have none."""
        taken = set(stored)
        names = []
        for number, name in enumerate(stored, 1):
            made = f"column_{number}"
            while not name.strip() and made in taken:
                made += "_"
            names.append(name if name.strip() else made)
        twice = [name for name, times in Counter(names).items() if times > 1]
        if twice:
            raise AmeirError(f"{path}: the column '{twice[0]}' is there twice. Rename one of them. {self.advice}")
        if LINE in names:
            raise AmeirError(f"{path}: a column may not be called '{LINE}', which numbers the rows. Rename it. "
                             f"{self.advice}")
        return dict.fromkeys(names, "")

    def separator_of(self, path: Path) -> str:
        """Return what stands between the columns of a text, told by its first lines."""
        if self.separator:
            return self.separator
        first = header(path, "\x1f", self.advice)[0]  # the whole line: no header has that separator
        found = guess_separator([first, *first_lines(path, self.advice)[1:]])
        return "\t" if path.suffix in RECBOLE and found not in first and found != BLANKS else found

    def tables(self, needed: Sequence[str], bad: BadRows, size: int = BLOCK) -> Iterator[tuple[Path, pl.DataFrame]]:
        """Yield (file, chunk) with ``line`` and the columns of ``needed``, as the file has them.

        Args:
            needed: names of columns.
            bad: what happens to rows that cannot be read; it is told what rows are numbered by.
            size: bytes of a chunk of text.

        Raises:
            AmeirError: a file is missing, cannot be read, has no rows, or lacks a column.
        """
        for path in self.paths():
            yield from ((path, table) for table in self.part(path, needed, bad, size))

    def part(self, path: Path, needed: Sequence[str], bad: BadRows, size: int = BLOCK) -> Iterator[pl.DataFrame]:
        """Yield the chunks of one of the files; as :meth:`tables`."""
        kinds = self.header(path)
        missing = [name for name in needed if name not in kinds]
        if missing:
            raise AmeirError(f"{path}: there is no column '{missing[0]}'.{did_you_mean(missing[0], kinds)} "
                             f"{self.advice}")
        kind = self.kind(path)
        if kind in ("parquet", "arrow"):
            bad.unit = "row"
            stored = dict(zip(kinds, arrow_schema(path, kind, self.advice).names, strict=True))
            yield from arrow_tables(path, kind, {name: stored[name] for name in needed}, self.advice)
            return
        if kind == "json":
            stored = dict(zip(kinds, json_columns(path, self.advice), strict=True))
            for table in json_tables(path, [stored[name] for name in needed], bad):
                yield chosen(table[LINE], table, {name: stored[name] for name in needed})
            return
        bad.unit = "line"
        separator = self.separator_of(path)
        quotes = not any(kinds.values()) and separator not in _LITERAL if self.quotes is None else self.quotes
        for table in chunks(path, separator, bad, self.columns or None, quotes, size, renamed=list(kinds)):
            yield chosen(table[LINE], table, {name: name for name in needed})


def stored_types(path: Path, advice: str) -> pa.Schema:
    """Return the types of the columns of a Parquet or an Arrow file."""
    return arrow_schema(path, kind_of(path, advice), advice)


def _unpacked_name(path: Path) -> str:
    return path.stem if path.suffix in SUFFIXES else path.name
