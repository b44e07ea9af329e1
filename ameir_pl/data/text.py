"""Reading text files, plain or packed, in blocks of whole lines: memory does not grow with the file."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np

from ameir_pl.data.packed import packing_of, unpacked
from ameir_pl.errors import AmeirError

T = TypeVar("T")
BLOCK = 32 * 2**20
"""Bytes of a block, decompressed."""
LONGEST = 64 * 2**20
"""Bytes that a line or a quotation may go on beyond a block."""
csv.field_size_limit(2**31 - 1)  # a long value is no mistake; blocks bound what is read
_MARK = b"\xef\xbb\xbf"


@contextmanager
def open_bytes(path: Path, advice: str) -> Iterator[BinaryIO]:
    """Open a file for reading, unpacked where it is packed (told by its first bytes, not by its name).

    Args:
        path: the file.
        advice: the sentence that ends every error: what the user can do.

    Raises:
        AmeirError: the file is missing or cannot be read; while it is being read, a packed file that is cut off
            or damaged.
    """
    if not path.is_file():
        raise AmeirError(f"{path}: {'a folder, not a file' if path.is_dir() else 'no such file'}. {advice}")
    try:
        with path.open("rb") as file:
            packing = packing_of(file.read(6))
            file.seek(0)
            if not packing:
                yield file
                return
            with unpacked(file, packing, path, advice) as stream:
                yield stream
    except OSError as error:
        raise AmeirError(f"{path}: cannot be read ({error.strerror or error}). {advice}") from error


def blocks(path: Path, advice: str, quotes: str = "", size: int = BLOCK) -> Iterator[tuple[int, bytes]]:
    """Yield (number of its first line, from 1; bytes) of blocks of whole lines.

    A byte order mark is dropped. The last line gets a line feed if it has none.

    Args:
        path: the file, plain or gzipped.
        advice: the sentence that ends every error.
        quotes: the separator of a file in which a line feed between double quotes ends no line; empty: every one does.
        size: bytes of a block; a longer line makes a longer block.

    Raises:
        AmeirError: the file is missing, empty, cut off, or ends inside a quotation.
    """
    line, empty = 1, True
    with open_bytes(path, advice) as file:
        while block := file.read(size):
            if not block.endswith(b"\n"):
                block += file.readline(LONGEST)
                if len(block) > size + LONGEST - 1 and not block.endswith(b"\n"):
                    at = line + block.count(b"\n")
                    raise AmeirError(f"{path}, line {at}: it does not end within {LONGEST:,} bytes. Is it text of "
                                     f"lines? {advice}")
            if line == 1:
                block = block.removeprefix(_MARK)
                if b"\r" in block and b"\n" not in block:
                    raise AmeirError(f"{path}: its lines end in a carriage return alone. Convert them: "
                                     f"tr '\\r' '\\n' < OLD > NEW. {advice}")
            if quotes:
                block = _closed(file, block, quotes, path, line, size + LONGEST, advice)
            if not block.endswith(b"\n"):
                block += b"\n"
            empty = empty and not block.strip()
            yield line, block
            line += count(block, b"\n")
    if empty:
        raise AmeirError(f"{path}: the file is empty. {advice}")


def _closed(file: BinaryIO, block: bytes, separator: str, path: Path, line: int, longest: int, advice: str) -> bytes:
    """Return a block with the lines behind it that end its last quotation."""
    # An even number of quotation marks closes them all; an odd one may be marks inside values that are not quoted.
    while count(block, b'"') % 2 and _ends_inside(block, separator):
        parts, length, odd = [block], len(block), False
        while not odd:
            more = file.readline(longest + 1)
            length += len(more)
            if not more or length > longest:
                opens = line + block.count(b"\n", 0, block.rfind(b'"'))
                raise AmeirError(f"{path}, line {opens}: a quotation opens here that the file never closes. {advice}")
            parts.append(more)
            odd = more.count(b'"') % 2 == 1
        block = b"".join(parts)
    return block


def _ends_inside(block: bytes, separator: str) -> bool:
    """Return whether a block ends inside a quotation."""
    reader = csv.reader(csv_lines(block.decode("utf-8", "replace")), delimiter=separator, strict=True)
    while True:
        try:
            if next(reader, None) is None:
                return False
        except csv.Error as error:
            if "end of data" in str(error):
                return True


def csv_lines(text: str) -> Iterator[str]:
    """Yield lines for the csv module, which would take a carriage return alone for the end of one."""
    return (line.removesuffix("\r").replace("\r", " ") + "\n" for line in text.removesuffix("\n").split("\n"))


def one_ahead(items: Iterable[T]) -> Iterator[T]:
    """Yield items while a thread makes the next one."""
    iterator, end = iter(items), object()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(next, iterator, end)
        while (item := waiting.result()) is not end:
            waiting = pool.submit(next, iterator, end)
            yield item  # type: ignore[misc]


def first_lines(path: Path, advice: str, size: int = 2**16) -> list[str]:
    """Return the whole lines among a file's first bytes, with what is not UTF-8 replaced."""
    with open_bytes(path, advice) as file:
        text = file.read(size).decode("utf-8", "replace")
    return text.split("\n")[:-1] or [text]


def count(block: bytes, byte: bytes) -> int:
    """Return how often a byte comes in a block (several times as fast as ``bytes.count`` where it is frequent)."""
    return int(np.count_nonzero(np.frombuffer(block, np.uint8) == byte[0]))


def text_line(path: Path, block: bytes, line: int, advice: str) -> AmeirError:
    """Return the error for a block that is not UTF-8: it names the line and the byte."""
    for i, part in enumerate(block.split(b"\n")):
        try:
            part.decode("utf-8")
        except UnicodeDecodeError as error:
            return AmeirError(f"{path}, line {line + i}: byte {error.start + 1} of the line is not UTF-8 "
                              f"(0x{part[error.start]:02x}). Write the file as UTF-8, from Latin-1: iconv -f "
                              f"latin1 -t utf-8 OLD > NEW. {advice}")
    return AmeirError(f"{path}: not UTF-8 text in the block that begins at line {line}. {advice}")
