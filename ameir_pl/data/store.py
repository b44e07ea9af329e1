"""Writing an encoded dataset: columns, vocabularies, schema and a manifest, in one step."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import socket
import stat
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from ameir_pl.atomic import sha256, unsealed, write_json, write_sealed
from ameir_pl.errors import AmeirError
from ameir_pl.progress import console
from ameir_pl.schema import OOV, Schema

SPLITS = ("train", "valid", "test")
SCRATCH = "scratch"
"""A folder inside the unfinished one for what is needed on the way; it is removed."""
SMALL_FILE = 64 * 2**20
"""Files up to this many bytes are hashed whenever they are used; larger ones when something wrote to them."""
MEMORY = ".checksums.json"
"""Beside encoded folders: the checksums of large files, with the stamps they had."""
LONG_WAIT = 2**30
"""Hashing more bytes than this takes seconds, and is said."""


class Written(NamedTuple):
    """A column that is in the folder already, as ``<name>.npy``, because it is too large for memory.

    Args:
        shape, dtype: of the array.
    """

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Tables:
    """An encoded dataset: in memory, but for the columns that were written while they were made.

    Args:
        schema: its schema; vocabulary sizes count ``PAD`` and ``OOV``.
        vocabularies: the values of each vocabulary in the order of their ids, from id 2 on; None
            where ``vocabulary.parquet`` was written already.
        columns: arrays by name, rows in split order (see :class:`~ameir_pl.data.encoded.Encoded`).
        rows: how many rows each split has, in the order train, valid, test.
        notes: counts worth keeping (what was dropped, where the cut lies); plain values.
        warnings: what makes numbers look better than they are, a sentence each; said whenever the data are used.
    """

    schema: Schema
    vocabularies: dict[str, list[str]] | None
    columns: Mapping[str, np.ndarray | Written]
    rows: dict[str, int]
    notes: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def arrays(self, folder: Path) -> dict[str, np.ndarray]:
        """Return all columns, those that were written to ``folder`` as memory-mapped files."""
        return {name: column if isinstance(column, np.ndarray) else
                np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) if math.prod(column.shape) else
                np.zeros(column.shape, column.dtype) for name, column in self.columns.items()}


def remembered_sha256(path: Path, memory: Path, written: str | None = None) -> str:
    """Return the SHA-256 of a file; that of a large one is remembered in ``memory`` while its size and times of change
    stay the same, so that many gigabytes are read once. A ``memory`` that cannot be written remembers nothing.

    Args:
        path: the file.
        memory: beside which others are remembered.
        written: the checksum, from who has just written the file.
    """
    status = path.stat()
    if status.st_size <= SMALL_FILE:
        return written or sha256(path)
    try:
        known = unsealed(json.loads(memory.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        known = {}
    key = str(path.resolve())
    stamp = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
    entry = known.get(key)
    if isinstance(entry, list) and entry[:-1] == stamp:
        return str(entry[-1])
    if written is None and status.st_size > LONG_WAIT:
        console().print(f"Checking {path} ({status.st_size / 1e9:.1f} GB), once.", markup=False)
    known[key] = [*stamp, written or sha256(path)]
    with suppress(OSError):
        write_sealed(memory, known)
    return str(known[key][-1])


def store(folder: Path, make: Callable[[Path], Tables], about: dict[str, Any]) -> None:
    """Make an encoded dataset in ``folder``, which appears whole or not at all.

    Args:
        folder: the folder to make; nothing happens to one that another process finished first.
        make: takes the unfinished folder and returns the tables. It may write columns there, and use the folder
            :data:`SCRATCH` in it, which is removed.
        about: plain values for the manifest (fingerprint, settings, sources).

    Raises:
        AmeirError: the folder cannot be written, or ``make`` raises it.
    """
    temporary: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _sweep(folder.parent)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.{_process()}.", suffix=".part"))
        (temporary / SCRATCH).mkdir()
        mode = stat.S_IMODE((temporary / SCRATCH).stat().st_mode)  # what the umask leaves of it
        tables = make(temporary)
        shutil.rmtree(temporary / SCRATCH)
        written = _write(temporary, tables, about)
        temporary.chmod(mode)
        try:
            temporary.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was first, with the same contents
                raise
        else:
            for name, sum_ in written.items():
                remembered_sha256(folder / name, folder.parent / MEMORY, sum_)
    except OSError as error:
        raise AmeirError(f"{folder}: cannot be written ({error.strerror or error}). Make room or name another folder "
                         f"with paths.data=FOLDER.") from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _process() -> str:
    return f"{socket.gethostname().replace('.', '-')}.{os.getpid()}"


def _sweep(parent: Path) -> None:
    """Remove what killed processes of this machine left; those of other machines may be running."""
    for left in parent.glob(".*.part"):
        words = left.name.split(".")
        if len(words) < 5 or words[-4] != socket.gethostname().replace(".", "-") or not words[-3].isdigit():
            continue
        try:
            os.kill(int(words[-3]), 0)
        except ProcessLookupError:
            shutil.rmtree(left, ignore_errors=True)
        except OSError:
            pass  # somebody else's process: alive


def _write(folder: Path, tables: Tables, about: dict[str, Any]) -> dict[str, str]:
    """Write everything and return the checksums of the files."""
    columns = {}
    for name, array in tables.columns.items():
        columns[name] = {"shape": list(array.shape), "dtype": str(array.dtype)}
        # An empty array cannot be memory-mapped: its shape says all there is.
        if isinstance(array, np.ndarray) and array.size:
            np.save(folder / f"{name}.npy", np.ascontiguousarray(array), allow_pickle=False)
    if tables.vocabularies is not None:
        write_vocabularies(folder, tables.vocabularies)
    write_json(folder / "schema.json", tables.schema.to_dict())
    paths = sorted(folder.iterdir())
    with ThreadPoolExecutor(2) as pool:
        sums = pool.map(sha256, paths)
    files = {path.name: {"bytes": path.stat().st_size, "sha256": sum_} for path, sum_ in zip(paths, sums, strict=True)}
    write_sealed(folder / "manifest.json", {
        "dataset": tables.schema.dataset, **about, "rows": tables.rows, "columns": columns, "files": files,
        "notes": tables.notes, "warnings": tables.warnings})
    return {name: str(file["sha256"]) for name, file in files.items()}


def write_vocabularies(folder: Path, vocabularies: dict[str, list[str]]) -> None:
    """Write ``vocabulary.parquet``: ``vocabulary``, ``id`` and ``value``."""
    vocabulary = [pl.DataFrame({"vocabulary": [name] * len(values), "id": range(OOV + 1, OOV + 1 + len(values)),
                                "value": values},
                               schema={"vocabulary": pl.String, "id": pl.Int64, "value": pl.String})
                  for name, values in vocabularies.items()]
    try:
        pl.concat(vocabulary).write_parquet(folder / "vocabulary.parquet")
    except pl.exceptions.PolarsError as error:  # what Polars makes of a full disk
        raise OSError(errno.EIO, str(error)) from error
