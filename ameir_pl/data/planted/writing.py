"""Writing generated files so that a folder gets all of them or none."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ameir_pl.atomic import SEAL, content_sum
from ameir_pl.errors import AmeirError

VERSION = 1
"""Counts changes of what the generators draw: files and truths of two versions do not belong together."""

TRUTH = "truth.json"
"""Name of the file that says what was planted."""


def check(dataset: str, rows: int, least: int, seed: int, noise: float) -> None:
    """Raise ``AmeirError`` unless the arguments of a generator make sense; ``least`` is the fewest rows that do."""
    if rows < least:
        raise AmeirError(f"Generating {dataset}: rows={rows} are too few to hold what is planted; "
                         f"at least {least} are needed.")
    if seed < 0:
        raise AmeirError(f"Generating {dataset}: seed={seed}; a seed is a whole number from 0 on.")
    if not 0 <= noise < 1:
        raise AmeirError(f"Generating {dataset}: noise={noise}; it must be at least 0 and below 1 "
                         f"(0: labels follow the click model, near 1: they hardly depend on it).")


@contextmanager
def planting(folder: Path, names: Sequence[str]) -> Iterator[Path]:
    """Give a temporary folder beside ``folder``; on success its files move to ``folder``, on an error they vanish.

    Args:
        folder: where the files go; made if missing. Other files in it stay.
        names: the raw files that will be written, without ``truth.json``, which moves last.

    Raises:
        AmeirError: ``folder`` is a file, or holds a file of one of the names.
    """
    names = [*names, TRUTH]
    if folder.exists() and not folder.is_dir():
        raise AmeirError(f"{folder} is a file; generated files need a folder. Choose another folder.")
    present = [name for name in names if (folder / name).exists()]
    if present:
        raise AmeirError(f"{folder} already holds {', '.join(present)}; generated files would replace "
                         f"{'it' if len(present) == 1 else 'them'}. Choose another folder, or delete "
                         f"{'the file' if len(present) == 1 else 'these files'} first.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".part"))
    try:
        yield temporary
        folder.mkdir(exist_ok=True)
        for name in names:
            os.replace(temporary / name, folder / name)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_truth(folder: Path, truth: dict[str, Any]) -> dict[str, Any]:
    """Write ``truth.json`` beside finished raw files, sorted, indented and sealed; return the truth as it reads from
    there.

    ``files`` is added to it: the size of each raw file in bytes, which tells later whether truth and files belong
    together.
    """
    sizes = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
    plain = json.loads(json.dumps({**truth, "files": sizes}, sort_keys=True, allow_nan=False))
    text = json.dumps({**plain, SEAL: content_sum(plain)}, indent=1)
    (folder / TRUTH).write_text(text + "\n", encoding="utf-8")
    return plain
