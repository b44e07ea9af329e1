"""The files of a described table, read in chunks: delimited text with a header, RecBole's typed text, or Parquet."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ameir_pl.data.bad_rows import LINE, BadRows
from ameir_pl.data.delimited import chunks, header, is_number, need_header
from ameir_pl.data.text import BLOCK
from ameir_pl.errors import AmeirError, did_you_mean

TEXT = (".csv", ".tsv", ".txt", ".inter", ".user", ".item")
PARQUET = (".parquet", ".pq")
ATOMIC = ("token", "token_seq", "float", "float_seq")
"""RecBole's types, behind a colon in a header."""
SEPARATORS = (",", "\t", ";", "|")
BATCH = 131_072


@dataclass(frozen=True)
class Source:
    """A table in one or more files of the same columns.

    Args:
        input: a file, a folder or a glob; relative to the folder of the description.
        description: the YAML file.
        place: the key that names the table, for messages.
        separator: of text; empty is guessed from the first line.
        columns: names of the columns of text without a header.
        quotes: values may be in double quotes; None: yes, but in RecBole's files.
    """

    input: str
    description: Path
    place: str = "input"
    separator: str = ""
    columns: tuple[str, ...] = ()
    quotes: bool | None = None

    @property
    def advice(self) -> str:
        """What a user can do about bad input."""
        return f"Correct it, or the description {self.description}."

    def paths(self) -> list[Path]:
        """Return the files, sorted by name; raises ``AmeirError`` when there are none."""
        named = Path(os.path.normpath(self.description.parent / self.input))
        if named.is_file():
            return [named]
        if named.is_dir():
            found = sorted(p for p in named.iterdir() if p.is_file() and not p.name.startswith((".", "_"))
                           and p.name.removesuffix(".gz").endswith((*TEXT, *PARQUET)))
            what = f"the folder {named} holds no {', '.join((*TEXT, *PARQUET))}"
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
            raise AmeirError(f"{self.description}: {self.place}: {what.rstrip('.')}. Paths are relative to "
                             f"{self.description.parent}.")
        return found

    def header(self, path: Path) -> dict[str, str]:
        """Return the columns of a file: name → RecBole's type, or an empty string.

        Raises:
            AmeirError: the file cannot be read, has no header, or a column twice.
        """
        if is_parquet(path):
            return dict.fromkeys(_open(path, self.advice).schema_arrow.names, "")
        if self.columns:
            return dict.fromkeys(self.columns, "")
        words = [word.strip() for word in header(path, self.separator_of(path), self.advice)]
        numbers = [word for word in words if is_number(word)]
        if numbers:
            raise AmeirError(f"{path}, line 1: '{numbers[0][:60]}' is a value, so the file has no header. Put one on "
                             f"top, or name its {len(words)} columns in {self.description}: `columns: [label, user, "
                             "…]`.")
        need_header(words, (), path, self.advice)
        if LINE in words:
            raise AmeirError(f"{path}, line 1: a column may not be called '{LINE}', which numbers the lines. Rename "
                             f"it. {self.advice}")
        parts = [word.rpartition(":") for word in words]
        if all(name and kind in ATOMIC for name, _, kind in parts):
            return {name: kind for name, _, kind in parts}
        return dict.fromkeys(words, "")

    def separator_of(self, path: Path) -> str:
        """Return the character between the columns of a text: the one that comes most often in its first line."""
        if self.separator:
            return self.separator
        if path.suffix in (".inter", ".user", ".item"):
            return "\t"
        first = header(path, "\x1f", self.advice)[0]  # the whole line: no header has that separator
        return max(SEPARATORS, key=first.count)

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
        if is_parquet(path):
            if LINE in needed:
                raise AmeirError(f"{path}: a column may not be called '{LINE}', which numbers the rows. {self.advice}")
            bad.unit = "row"
            yield from _batches(path, needed, self.advice)
            return
        bad.unit = "line"
        separator = self.separator_of(path)
        quotes = not any(kinds.values()) if self.quotes is None else self.quotes
        written = {name: f"{name}:{kind}" if kind else name for name, kind in kinds.items()}
        for table in chunks(path, separator, bad, self.columns or None, quotes, size):
            yield _chosen(table[LINE], table, {name: written[name] for name in needed})


def is_parquet(path: Path) -> bool:
    """Whether a file is Parquet, by its name or its first bytes."""
    if path.suffix in PARQUET:
        return True
    try:
        with path.open("rb") as file:
            return file.read(4) == b"PAR1"
    except OSError:
        return False


def stored_types(path: Path, advice: str) -> pa.Schema:
    """Return the types of a Parquet file's columns."""
    return _open(path, advice).schema_arrow


def _open(path: Path, advice: str) -> pq.ParquetFile:
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise AmeirError(f"{path}: cannot be read as Parquet ({_short(error)}). Is it cut off, or another kind of "
                         f"file? {advice}") from error
    if file.metadata.num_rows == 0:
        raise AmeirError(f"{path}: the file has no rows. {advice}")
    return file


def _batches(path: Path, needed: Sequence[str], advice: str) -> Iterator[pl.DataFrame]:
    """Yield the row groups of a Parquet file in parts."""
    row = 1
    file = _open(path, advice)
    wanted = list(dict.fromkeys(needed))
    try:
        for batch in file.iter_batches(BATCH, columns=wanted, use_threads=False):
            # Dotted names are nested values to Arrow: what was not asked for by its own name is left out.
            table = pl.from_arrow(pa.Table.from_batches([batch]))
            if not isinstance(table, pl.DataFrame):
                raise AmeirError(f"{path}: no table. {advice}")
            numbers = pl.int_range(row, row + len(table), dtype=pl.Int64, eager=True).alias(LINE)
            row += len(table)
            yield _chosen(numbers, table, {name: name for name in wanted})
    except (pa.ArrowException, OSError, pl.exceptions.PolarsError) as error:
        raise AmeirError(f"{path}: damaged near row {row} ({_short(error)}). {advice}") from error


def _chosen(numbers: pl.Series, table: pl.DataFrame, columns: Mapping[str, str]) -> pl.DataFrame:
    """Line numbers and columns, new name → name; by name alone, for a selection takes ``*`` for all columns."""
    return pl.DataFrame([numbers, *(table.get_column(name).alias(new) for new, name in columns.items())])


def _short(error: Exception) -> str:
    return str(error).splitlines()[0][:120].rstrip(".") if str(error) else type(error).__name__
