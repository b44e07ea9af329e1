"""Writing files so that a killed run leaves the old file or the new one, never half of one."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from ameir_pl.errors import AmeirError
from ameir_pl.ranks import writes

SEAL = "sha256"
"""The last entry of a sealed JSON object: the checksum of all the others."""


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Give a temporary path beside ``path``; on success it is renamed to ``path``, on an error removed."""
    path = Path(path)
    if not writes():  # another rank than the first: what it writes is the same, and is thrown away
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder) / path.name
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    mode = stat.S_IMODE(os.fstat(handle).st_mode)  # what the umask, or the folder's own rules, leave of it
    os.close(handle)
    try:
        yield temporary
        temporary.chmod(mode)  # some writers, as that of safetensors, put a file of their own mode in its place
        with temporary.open("rb") as file:
            os.fsync(file.fileno())  # a machine that loses power keeps the old file or the new one, too
        os.replace(temporary, path)
        _settle(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def telling(path: Path, then: str) -> Iterator[None]:
    """Say what a failed write means: a full disk, a folder that may not be written to.

    Args:
        path: what is being written.
        then: what is whole, and what to do.

    Raises:
        AmeirError: in place of the operating system's error.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        why = error.strerror or error if isinstance(error, OSError) else error
        raise AmeirError(f"{path} cannot be written ({why}). {then}") from error


def recover_folder(final: Path) -> None:
    """Put back what a process that was killed between the two renames of :func:`replacing_folder` had moved aside."""
    old = final.with_name(f".{final.name}.old")
    if old.exists() and not final.exists():
        old.rename(final)


@contextmanager
def replacing_folder(final: Path) -> Iterator[Path]:
    """Give an empty folder that becomes ``final`` when the block ends well; a failed one leaves what was there.

    What ``final`` was before is moved aside first and removed at the end.
    """
    if not writes():
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
        return
    part, old = (final.with_name(f".{final.name}.{kind}") for kind in ("part", "old"))
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        shutil.rmtree(old, ignore_errors=True)
        if final.exists():
            final.rename(old)
        mode = stat.S_IMODE(part.stat().st_mode) & 0o666  # as in :func:`replacing`
        for path in [*part.rglob("*"), part]:
            if path.is_file():
                path.chmod(mode)
            _settle(path)
        part.rename(final)
        _settle(final.parent)  # before the old one is gone for good
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _settle(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk; where folders cannot be opened (Windows) nothing is done."""
    with suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def sha256(path: Path) -> str:
    """Return the checksum of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_text(path: Path | str, text: str) -> None:
    """Write ``text`` to ``path`` in one step."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path | str, value: Any) -> None:
    """Write ``value`` as JSON to ``path`` in one step."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def write_sealed(path: Path | str, value: dict[str, Any]) -> None:
    """Write a JSON object in one step, with the checksum of its content as its last entry."""
    write_json(path, {**value, SEAL: content_sum(value)})


def unsealed(value: Any) -> dict[str, Any]:
    """Return what :func:`write_sealed` was given, from what was read.

    An object without a checksum is given back as it is: earlier versions wrote none.

    Raises:
        ValueError: it is no object, or its content is another than when it was written.
    """
    if not isinstance(value, dict):
        raise ValueError(f"expected an object, found {type(value).__name__}")
    last = next(reversed(value), "")
    if last == SEAL:
        plain = {key: part for key, part in value.items() if key != SEAL}
        if content_sum(plain) != value[SEAL]:
            raise ValueError("its checksum is another than when it was written")
        return plain
    # A flipped bit in the entry's name must not make a damaged file one of an earlier version.
    if isinstance(value.get(last), str) and len(value[last]) == hashlib.sha256().digest_size * 2:
        raise ValueError(f"'{last}' is no entry of it")
    return value


def content_sum(value: dict[str, Any]) -> str:
    """Return the checksum of plain values, which is the same before they are written as JSON and after."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
