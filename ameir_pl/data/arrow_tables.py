"""Tables that Parquet or Arrow store with their types, read in parts: memory does not grow with the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ameir_pl.data.arrow_types import known_types
from ameir_pl.data.bad_rows import LINE
from ameir_pl.data.file_kinds import STREAM, FileKind
from ameir_pl.errors import AmeirError

BATCH = 131_072
"""Rows that are read at once."""
_UNNAMED = "@no name"


def arrow_schema(path: Path, kind: FileKind, advice: str) -> pa.Schema:
    """Return the names and types of a file's columns; raises ``AmeirError`` where it is damaged or has no rows."""
    if kind == "parquet":
        return _open(path, advice).schema_arrow
    with _readable(path, "Arrow", advice), pa.memory_map(str(path)) as file:
        return _reader(file).schema


def arrow_tables(path: Path, kind: FileKind, columns: Mapping[str, str], advice: str) -> Iterator[pl.DataFrame]:
    """Yield chunks with ``line`` and columns.

    Args:
        path, kind: the file.
        columns: new name → name in the file.
        advice: the sentence that ends every error.

    Raises:
        AmeirError: the file is damaged or has no rows.
    """
    row = 1
    batches = _parquet(path, list(dict.fromkeys(columns.values())), advice) if kind == "parquet" else \
        _arrow(path, list(dict.fromkeys(columns.values())))
    try:
        for batch in batches:
            # Dotted names are nested values to Arrow: what was not asked for by its own name is left out.
            named = [name or _UNNAMED for name in batch.schema.names]  # Polars would call it otherwise
            table = pl.from_arrow(known_types(pa.Table.from_batches([batch]).rename_columns(named)))
            if not isinstance(table, pl.DataFrame):
                raise AmeirError(f"{path}: no table. {advice}")
            numbers = pl.int_range(row, row + len(batch), dtype=pl.Int64, eager=True).alias(LINE)
            row += len(batch)
            yield chosen(numbers, table, {new: name or _UNNAMED for new, name in columns.items()})
    except (pa.ArrowException, OSError, pl.exceptions.PolarsError) as error:
        raise AmeirError(f"{path}: damaged near row {row} ({_short(error)}). {advice}") from error
    if row == 1:
        raise AmeirError(f"{path}: the file has no rows. {advice}")


def chosen(numbers: pl.Series, table: pl.DataFrame, columns: Mapping[str, str]) -> pl.DataFrame:
    """Line numbers and columns, new name → name; by name alone, for a selection takes ``*`` for all columns."""
    return pl.DataFrame([numbers, *(table.get_column(name).alias(new) for new, name in columns.items())])


def _parquet(path: Path, wanted: list[str], advice: str) -> Iterator[pa.RecordBatch]:
    yield from _open(path, advice).iter_batches(BATCH, columns=wanted, use_threads=False)


def _arrow(path: Path, wanted: list[str]) -> Iterator[pa.RecordBatch]:
    """The batches of Arrow's file format (Feather) or its stream format, of the columns that are wanted."""
    with pa.memory_map(str(path)) as file:
        reader = _reader(file)
        batches = map(reader.get_batch, range(reader.num_record_batches)) \
            if isinstance(reader, pa.ipc.RecordBatchFileReader) else reader
        for batch in batches:
            kept = batch.select(wanted)
            for start in range(0, len(kept), BATCH):
                yield kept.slice(start, BATCH)


def _reader(file: pa.MemoryMappedFile) -> pa.ipc.RecordBatchFileReader | pa.ipc.RecordBatchStreamReader:
    first = file.read(len(STREAM))
    file.seek(0)
    return pa.ipc.open_stream(file) if first == STREAM else pa.ipc.open_file(file)


def _open(path: Path, advice: str) -> pq.ParquetFile:
    with _readable(path, "Parquet", advice):
        file = pq.ParquetFile(path)
    if file.metadata.num_rows == 0:
        raise AmeirError(f"{path}: the file has no rows. {advice}")
    return file


@contextmanager
def _readable(path: Path, what: str, advice: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as error:
        raise AmeirError(f"{path}: cannot be read as {what} ({_short(error)}). Is it cut off, or another kind of "
                         f"file? {advice}") from error


def _short(error: Exception) -> str:
    return str(error).splitlines()[0][:120].rstrip(".") if str(error) else type(error).__name__
