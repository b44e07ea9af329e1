"""Opening packed files: gzip, bzip2, xz, zstd, and a zip of one file; told by their first bytes, not by their names."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa

from ameir_pl.errors import AmeirError

SUFFIXES = (".gz", ".bz2", ".xz", ".zst", ".zip")
"""Of packed files."""
_KINDS = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd",
          b"PK\x03\x04": "zip"}
_WORKBOOK = ("xl/", "content.xml", "Index/")
_SHOWN = 5


def packing_of(head: bytes) -> str:
    """Return how a file is packed, told by its first six bytes; empty where it is not."""
    return next((kind for first, kind in _KINDS.items() if head.startswith(first)), "")


@contextmanager
def unpacked(file: BinaryIO, kind: str, path: Path, advice: str) -> Iterator[BinaryIO]:
    """Yield what a packed file holds, unpacked while it is read.

    Args:
        file: at its beginning.
        kind: what :func:`packing_of` says.
        path, advice: for messages.

    Raises:
        AmeirError: it is damaged or cut off, a workbook, or a zip of several files.
    """
    stream: BinaryIO | None = None
    try:
        stream = _stream(file, kind, path, advice)
        yield stream
    except EOFError as error:
        raise AmeirError(f"{path}: the {kind} file is cut off after {_read(stream)} of text: it has no end. "
                         f"{advice}") from error
    except (gzip.BadGzipFile, zlib.error, lzma.LZMAError, zipfile.BadZipFile, pa.ArrowException) as error:
        raise AmeirError(f"{path}: the {kind} file is damaged after {_read(stream)} of text ({error}). "
                         f"{advice}") from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise AmeirError(f"{path}: the {kind} file is damaged after {_read(stream)} of text ({error}). "
                         f"{advice}") from error
    finally:
        if stream is not None:
            stream.close()


def _stream(file: BinaryIO, kind: str, path: Path, advice: str) -> BinaryIO:
    if kind == "gzip":
        return cast(BinaryIO, gzip.open(file, "rb"))
    if kind == "bzip2":
        return cast(BinaryIO, bz2.open(file, "rb"))
    if kind == "xz":
        return cast(BinaryIO, lzma.open(file, "rb"))
    if kind == "zstd":
        return cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, pa.CompressedInputStream(pa.PythonFile(file, "r"),
                                                                                           "zstd"))))
    archive = zipfile.ZipFile(file)
    names = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")]
    if any(name.startswith(_WORKBOOK) for name in names):
        raise AmeirError(f"{path}: a workbook of a spreadsheet. Save its sheet as CSV (UTF-8) or as Parquet. {advice}")
    if names and all(name.endswith(".npy") for name in names):
        raise AmeirError(f"{path}: NumPy arrays. Write them as a table, Parquet or CSV. {advice}")
    if len(names) != 1:
        shown = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
        raise AmeirError(f"{path}: a zip archive of {len(names)} files{f' ({shown})' if names else ''}. Unpack it, and "
                         f"name one of them. {advice}")
    if archive.getinfo(names[0]).flag_bits & 1:
        raise AmeirError(f"{path}: a zip archive with a password. Unpack it. {advice}")
    return cast(BinaryIO, archive.open(names[0]))


def _read(stream: BinaryIO | None) -> str:
    try:
        return f"{0 if stream is None else stream.tell():,} bytes"
    except (OSError, ValueError):
        return "some bytes"
