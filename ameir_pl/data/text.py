"""Reading text files, plain or gzipped, in blocks of whole lines: memory does not grow with the file."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ameir_pl.errors import AmeirError

BLOCK = 32 * 2**20
"""Bytes of a block, decompressed."""
LONGEST = 64 * 2**20
"""Bytes that a quotation may go on beyond a block."""
_GZIP = b"\x1f\x8b"
_MARK = b"\xef\xbb\xbf"


@contextmanager
def open_bytes(path: Path, advice: str) -> Iterator[BinaryIO]:
    """Open a file for reading, decompressed where it is gzipped (told by its first bytes, not by its name).

    Args:
        path: the file.
        advice: the sentence that ends every error: what the user can do.

    Raises:
        AmeirError: the file is missing or cannot be read; while it is being read, a gzip file that is cut off or
            damaged.
    """
    if not path.is_file():
        raise AmeirError(f"{path}: {'a folder, not a file' if path.is_dir() else 'no such file'}. {advice}")
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == _GZIP
            file.seek(0)
            if not zipped:
                yield file
                return
            with gzip.open(file, "rb") as stream:
                try:
                    yield stream  # type: ignore[misc]
                except EOFError as error:
                    raise AmeirError(f"{path}: the gzip file is cut off after {stream.tell():,} bytes of text: it "
                                     f"has no end. {advice}") from error
                except (gzip.BadGzipFile, zlib.error) as error:
                    raise AmeirError(f"{path}: the gzip file is damaged after {stream.tell():,} bytes of text "
                                     f"({error}). {advice}") from error
    except OSError as error:
        raise AmeirError(f"{path}: cannot be read ({error.strerror or error}). {advice}") from error


def blocks(path: Path, advice: str, quotes: bool = False, size: int = BLOCK) -> Iterator[tuple[int, bytes]]:
    """Yield (number of its first line, from 1; bytes) of blocks of whole lines.

    A byte order mark is dropped. The last line gets a line feed if it has none.

    Args:
        path: the file, plain or gzipped.
        advice: the sentence that ends every error.
        quotes: a line feed between double quotes ends no line.
        size: bytes of a block; a longer line makes a longer block.

    Raises:
        AmeirError: the file is missing, empty, cut off, or ends inside a quotation.
    """
    line, empty = 1, True
    with open_bytes(path, advice) as file:
        while block := file.read(size):
            if not block.endswith(b"\n"):
                block += file.readline()
            while quotes and block.count(b'"') % 2:
                more = file.readline()  # the line feed lies inside a quotation
                if not more or len(block) > size + LONGEST:
                    raise AmeirError(f"{path}, line {line + _odd_line(block)}: a quotation opens here that the file "
                                     f"never closes. {advice}")
                block += more
            if line == 1:
                block = block.removeprefix(_MARK)
            if not block.endswith(b"\n"):
                block += b"\n"
            empty = empty and not block.strip()
            yield line, block
            line += count(block, b"\n")
    if empty:
        raise AmeirError(f"{path}: the file is empty. {advice}")


def count(block: bytes, byte: bytes) -> int:
    """Return how often a byte comes in a block (several times as fast as ``bytes.count`` where it is frequent)."""
    return int(np.count_nonzero(np.frombuffer(block, np.uint8) == byte[0]))


def _odd_line(block: bytes) -> int:
    """Return the line, from 0, on which the last quotation opens."""
    return block.count(b"\n", 0, block.rfind(b'"'))


def text_line(path: Path, block: bytes, line: int, advice: str) -> AmeirError:
    """Return the error for a block that is not UTF-8: it names the line and the byte."""
    for i, part in enumerate(block.split(b"\n")):
        try:
            part.decode("utf-8")
        except UnicodeDecodeError as error:
            return AmeirError(f"{path}, line {line + i}: byte {error.start + 1} of the line is not UTF-8 "
                              f"(0x{part[error.start]:02x}). Write the file as UTF-8 (iconv -t utf-8). {advice}")
    return AmeirError(f"{path}: not UTF-8 text in the block that begins at line {line}. {advice}")
