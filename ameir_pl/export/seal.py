"""The checksum that an ONNX file carries in its own metadata, so that one file is enough to know that it is whole."""

from __future__ import annotations

import hashlib
import mmap
from pathlib import Path

from ameir_pl.errors import AmeirError

KEY, ZEROS = "sha256", "0" * 64
"""The entry of the metadata, and what stands there while the checksum is made."""
# The entry as protobuf writes it: key of 6 bytes, value of 64.
_ENTRY = b"\x0a\x06sha256\x12\x40"
_AGAIN = "Export it again: ameir export"


def seal(path: Path, weights: Path) -> None:
    """Put the checksum of a file into its metadata, where :data:`ZEROS` keep its place.

    Args:
        path: the ONNX file.
        weights: a file beside it that holds the weights, where it is too large for one; it need not be there.
    """
    at, digest, _ = _looked_at(path, weights)
    with path.open("r+b") as file:
        file.seek(at)
        file.write(digest.encode())


def check_seal(path: Path, weights: Path) -> None:
    """Raise ``AmeirError`` for a file that is not what :func:`seal` left."""
    try:
        at, digest, stated = _looked_at(path, weights)
    except (OSError, ValueError) as error:  # an empty file cannot be mapped
        raise AmeirError(f"{path} cannot be read as an ONNX model ({error}). {_AGAIN}") from error
    if at < len(_ENTRY):
        raise AmeirError(f"{path} cannot be read as an ONNX model of ours: it has no checksum, so it is damaged, of an "
                         f"earlier version, or another program's. {_AGAIN}")
    if digest.encode() != stated:
        raise AmeirError(f"{path} is damaged: its checksum is another than when it was written. {_AGAIN}")


def _looked_at(path: Path, weights: Path) -> tuple[int, str, bytes]:
    """Return where the checksum stands, what it should be, and what it is."""
    digest = hashlib.sha256()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        at = content.rfind(_ENTRY) + len(_ENTRY)
        stated = content[at:at + len(ZEROS)]
        with memoryview(content) as view:
            for part in (view[:at], ZEROS.encode(), view[at + len(ZEROS):]):
                digest.update(part)
                if isinstance(part, memoryview):
                    part.release()
    if weights.is_file():
        with weights.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return at, digest.hexdigest(), stated
