"""Tables on disk while a dataset is being encoded: written in parts, read back a column at a time."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
import polars as pl

SEGMENT = 1_000_000
"""Rows that are read back at once; a row of lists counts as many as its longest column has elements."""


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
        self._parts: list[tuple[Path, int, int]] = []  # file, rows, weight

    def add(self, table: pl.DataFrame) -> None:
        """Write a part; nothing is written for one without rows."""
        if table.is_empty():
            return
        weight = max([len(table), *(int(table[name].list.len().sum() or 0) for name, kind in table.schema.items()
                                    if isinstance(kind, pl.List))])
        if weight > self.segment and len(table) > 1:
            middle = len(table) // 2
            self.add(table[:middle])
            self.add(table[middle:])
            return
        self.schema = self.schema or dict(table.schema)
        # Numbers are written as they are in memory; text is compressed.
        plain = all(kind.is_numeric() or kind == pl.Boolean for kind in table.dtypes)
        path = self.folder / f"{len(self._parts):06d}.{'arrow' if plain else 'parquet'}"
        try:
            if plain:
                table.write_ipc(path)
            else:
                table.write_parquet(path, compression="lz4", statistics=False)
        except pl.exceptions.PolarsError as error:  # what Polars makes of a full disk
            raise OSError(errno.EIO, str(error)) from error
        self._parts.append((path, len(table), weight))
        self.rows += len(table)

    def extend(self, behind: Spill) -> None:
        """Put the rows of another spill behind these; its files stay where they are."""
        self.schema = self.schema or behind.schema
        self._parts += behind._parts
        self.rows += behind.rows

    def read(self, columns: Sequence[str]) -> Iterator[tuple[slice, pl.DataFrame]]:
        """Yield (its rows, table) of consecutive segments of some columns, in the order they were added."""
        start = 0
        for parts in self._segments():
            rows = sum(height for _, height, _ in parts)
            # No globs: brackets in the path are brackets.
            scans = [(pl.scan_ipc if path.suffix == ".arrow" else pl.scan_parquet)(path, glob=False).select(columns)
                     for path, _, _ in parts]
            tables = [scan.collect() for scan in scans]
            yield slice(start, start + rows), pl.concat(tables, how="vertical_relaxed")
            start += rows

    def _segments(self) -> Iterator[list[tuple[Path, int, int]]]:
        parts: list[tuple[Path, int, int]] = []
        for part in self._parts:
            if parts and sum(weight for _, _, weight in parts) + part[2] > self.segment:
                yield parts
                parts = []
            parts.append(part)
        if parts:
            yield parts


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
        """Finish writing; what is left is a path, which another process can read."""
        self._file.close()
        del self._file

    def read(self, rows: slice) -> np.ndarray:
        """Return rows (n, width)."""
        count = (rows.stop - rows.start) * self.width
        offset = rows.start * self.width * self.dtype.itemsize
        return np.fromfile(self.path, self.dtype, count, offset=offset).reshape(-1, self.width)
