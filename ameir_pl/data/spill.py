"""Tables on disk while a dataset is being encoded: written in parts, read back a column at a time."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
import polars as pl

SEGMENT = 2_000_000
"""Rows that are read back at once."""


class Spill:
    """A table that is written in parts and read back a few columns at a time, so that it need not fit into memory.

    Args:
        folder: where its parts go; made here.
        segment: rows that are read back at once, about.

    Attributes:
        rows: how many rows were added.
        schema: names and types of the first part's columns.
    """

    def __init__(self, folder: Path, segment: int = SEGMENT) -> None:
        folder.mkdir(parents=True)
        self.folder, self.segment, self.rows = folder, segment, 0
        self.schema: dict[str, pl.DataType] = {}
        self._parts: list[tuple[Path, int]] = []

    def add(self, table: pl.DataFrame) -> None:
        """Write a part; nothing is written for one without rows."""
        if table.is_empty():
            return
        self.schema = self.schema or dict(table.schema)
        path = self.folder / f"{len(self._parts):06d}.parquet"
        try:
            table.write_parquet(path, compression="lz4", statistics=False)
        except pl.exceptions.PolarsError as error:  # what Polars makes of a full disk
            raise OSError(errno.EIO, str(error)) from error
        self._parts.append((path, len(table)))
        self.rows += len(table)

    def read(self, columns: Sequence[str]) -> Iterator[tuple[slice, pl.DataFrame]]:
        """Yield (its rows, table) of consecutive segments of some columns, in the order they were added."""
        start, paths, rows = 0, [], 0
        for i, (path, height) in enumerate(self._parts):
            paths.append(path)
            rows += height
            full = rows >= self.segment or i + 1 == len(self._parts)
            if full or rows + self._parts[i + 1][1] > self.segment:
                parts = [pl.read_parquet(p, columns=list(columns), memory_map=False) for p in paths]
                yield slice(start, start + rows), pl.concat(parts, how="vertical_relaxed")
                start, paths, rows = start + rows, [], 0


class ColumnFile:
    """A ``.npy`` file that is written at any rows, through the file and not through memory.

    Args:
        path: the file; made here, as large as it will be.
        shape, dtype: of the array.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: str) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)
        self._width = int(np.prod(shape[1:], dtype=np.int64)) * self.dtype.itemsize
        self._file = path.open("wb")
        np.lib.format.write_array_header_1_0(self._file, {
            "descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": False, "shape": shape})
        self._start = self._file.tell()

    def write(self, row: int, values: np.ndarray) -> None:
        """Write rows from ``row`` on."""
        self._file.seek(self._start + row * self._width)
        self._file.write(np.ascontiguousarray(values, self.dtype).data)

    def __enter__(self) -> ColumnFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
                 ) -> None:
        self._file.close()


class Scratch:
    """A plain file of numbers, written from front to back and read back in slices.

    Args:
        path: the file.
        dtype: of the numbers.
        width: numbers a row.
    """

    def __init__(self, path: Path, dtype: str, width: int = 1) -> None:
        self.path, self.dtype, self.width = path, np.dtype(dtype), width
        self._file = path.open("wb")

    def append(self, values: np.ndarray) -> None:
        """Write (n,) or (n, width) numbers behind those that are there."""
        self._file.write(np.ascontiguousarray(values, self.dtype).data)

    def close(self) -> None:
        """Finish writing."""
        self._file.close()

    def read(self, rows: slice) -> np.ndarray:
        """Return rows (n, width)."""
        count = (rows.stop - rows.start) * self.width
        offset = rows.start * self.width * self.dtype.itemsize
        return np.fromfile(self.path, self.dtype, count, offset=offset).reshape(-1, self.width)
