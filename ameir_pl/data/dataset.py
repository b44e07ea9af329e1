"""Dataset: where raw files are, how they become encoded columns, and how the result is reused."""

from __future__ import annotations

import hashlib
import inspect
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from ameir_pl.atomic import unsealed
from ameir_pl.data.bad_rows import BadRows, Policy
from ameir_pl.data.encoded import Encoded
from ameir_pl.data.executors import Executor, Threads
from ameir_pl.data.label_leaks import find_leaks, leak_warnings
from ameir_pl.data.planted import GENERATORS
from ameir_pl.data.planted.writing import TRUTH
from ameir_pl.data.public_split import PublicSplit
from ameir_pl.data.store import MEMORY, SPLITS, Tables, remembered_sha256, store
from ameir_pl.errors import AmeirError
from ameir_pl.progress import console
from ameir_pl.registry import Registry

ENCODING_VERSION = 4
"""Counts changes of the folder format; data of another version are encoded again."""

FULL = 0.9
"""Share of the paper's rows from which on a dataset is taken for the full one, and compared with the paper's counts."""


class Dataset(ABC):
    """A source of encoded data. A dataset is one file: a subclass registered in ``DATASETS``.

    A subclass says which files it reads (:meth:`files`), which settings change its result (:meth:`settings`) and
    how files become columns (:meth:`encode`).

    Attributes:
        name: as registered; encoded folders start with it.
        version: raise it when :meth:`encode` changes its result, so that old folders are not reused.
        offered: where the publisher offers the files.
        terms: the publisher's terms, in a sentence.
        opens: the class that opens the encoded folder.
        chooses_rows: options that choose the test rows; what a generator says of those is true with their defaults.
        paper_rows: rows of the full dataset by split, as the paper's tables have them; empty where they have none.
        splits: presets that read the files of a public benchmark, already split.
        in_parts: whether :meth:`encode` uses ``executor``.
        executor: who reads parts and encodes columns; it changes nothing in the result.

    Args:
        raw: folder for fetched raw files, such as ``data/raw/movielens``.
        encoded: folder for encoded data, such as ``data/encoded``.
        source: a file or folder of the user's, taken instead of ``raw``.
        max_len: T, the most behaviors of a history.
        on_bad_row: ``fail``: a row that cannot be read stops the preparation; ``skip``: it is left out and counted.

    Raises:
        AmeirError: a setting is out of range.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    offered: ClassVar[str] = ""
    terms: ClassVar[str] = ""
    opens: ClassVar[type[Encoded]] = Encoded
    chooses_rows: ClassVar[tuple[str, ...]] = ()
    paper_rows: ClassVar[dict[str, int]] = {}
    splits: ClassVar[Mapping[str, PublicSplit]] = {}
    in_parts: ClassVar[bool] = False
    executor: Executor = Threads()

    def __init__(self, *, raw: Path | str, encoded: Path | str, source: Path | str | None = None,
                 max_len: int = 0, on_bad_row: Policy = "fail") -> None:
        self.raw, self.encoded = Path(raw), Path(encoded)
        self.source = None if source is None else Path(source)
        self.max_len, self.on_bad_row = max_len, on_bad_row
        BadRows(on_bad_row, "")  # an unknown policy is an error now, not when a row is bad

    @property
    @abstractmethod
    def protocol(self) -> str:
        """How the data are split and measured, in one line to print beside every number."""

    @property
    def stages(self) -> tuple[int, ...]:
        """The steps of the search that make sense here, for a configuration that leaves them open."""
        return (1, 2, 3)

    @abstractmethod
    def files(self) -> dict[str, Path]:
        """Return the source files by their part (``{"ratings": path}``).

        Raises:
            AmeirError: naming each missing file, where it is offered, and what to do.
        """

    @abstractmethod
    def encode(self, files: dict[str, Path], folder: Path) -> Tables:
        """Read the source files and return the encoded columns.

        Args:
            files: what :meth:`files` returned.
            folder: the unfinished folder, for columns that are too large for memory (see
                :func:`~ameir_pl.data.store.store`).

        Raises:
            AmeirError: for bad input.
        """

    def settings(self) -> dict[str, Any]:
        """Return the settings that change the encoded data, as plain values."""
        return {"max_len": self.max_len, "on_bad_row": self.on_bad_row}

    def missing(self, files: Sequence[Path | str]) -> AmeirError:
        """Return the error for files that are not there: where they are offered, where they go, what stands in."""
        folder = self.source if self.source is not None and self.source.is_dir() else self.raw
        stand_in = ""
        if self.name in GENERATORS.names():
            stand_in = (f" `ameir data generate dataset={self.name}` makes a stand-in of the same format, with a "
                        "known truth.")
        return AmeirError(f"{self.name}: {', '.join(map(str, files))} {'is' if len(files) == 1 else 'are'} missing. "
                          f"Offered at {self.offered}; terms: {self.terms} Put the files into {folder}, or name "
                          f"another place with dataset.source=PATH.{stand_in}")

    def against_paper(self, tables: Tables) -> dict[str, str]:
        """Return a note on how a full dataset's rows compare with the paper's; none for a part of it."""
        found = {"train and validation": tables.rows["train"] + tables.rows["valid"], "test": tables.rows["test"]}
        if sum(found.values()) < FULL * sum(self.paper_rows.values()) or not self.paper_rows:
            return {}
        wrong = [f"{split} {found[split]:,} where the paper has {rows:,}" for split, rows in self.paper_rows.items()
                 if found[split] != rows]
        return {"rows against the paper's table": "; ".join(wrong) or "equal"}

    def prepare(self) -> Encoded:
        """Encode the source files, or reuse what an earlier call made of the same files and settings.

        The result lies in ``encoded/<name>-<16 hex digits>``; the digits are a hash of the sources' contents, the
        settings and the version of the encoding. The folder appears whole or not at all.

        Raises:
            AmeirError: a source is missing or bad, or the encoded folder is damaged.
        """
        files = self.files()
        about: dict[str, Any] = {
            "version": [ENCODING_VERSION, self.version], "settings": self.settings(),
            "sources": {part: self._sum(path) for part, path in sorted(files.items())}}
        text = json.dumps({"dataset": self.name, **about}, sort_keys=True)
        fingerprint = hashlib.sha256(text.encode()).hexdigest()[:16]
        folder = self.encoded / f"{self.name}-{fingerprint}"
        if folder.exists():
            encoded = self.opens(folder)
            console().print(f"{self.name}: encoded data in {folder} are up to date", markup=False, emoji=False)
            self._warn(encoded)
            return encoded
        start = time.monotonic()
        names = ", ".join(sorted(str(path) for path in files.values()))
        console().print(f"{self.name}: encoding {names}", markup=False, emoji=False)
        planted = planted_truth(self.name, list(files.values()))
        defaults = inspect.signature(type(self)).parameters
        if planted and any(getattr(self, name) != defaults[name].default for name in self.chooses_rows):
            del planted["bayes"]  # it is of other test rows
        stamps = _stamps(files)

        def make(unfinished: Path) -> Tables:
            tables = self.encode(files, unfinished)
            changed = [str(files[part]) for part, stamp in _stamps(files).items() if stamp != stamps[part]]
            if changed:
                raise AmeirError(f"{self.name}: {', '.join(changed)} changed while being read. Run the command again "
                                 "when nothing writes there.")
            leaks = find_leaks(tables.schema, tables.arrays(unfinished), tables.rows)
            return replace(tables, warnings=[*leak_warnings(leaks), *tables.warnings])

        store(folder, make, {"fingerprint": fingerprint, **about, **({"planted": planted} if planted else {})})
        encoded = self.opens(folder)
        counts = ", ".join(f"{len(encoded.splits[split])} {split}" for split in SPLITS)
        console().print(f"{self.name}: {counts} rows ({self.protocol}) in {folder}, "
                        f"{time.monotonic() - start:.1f} s", markup=False, emoji=False)
        if planted:
            console().print(f"{self.name}: these are generated data with a planted truth, not the publisher's",
                            markup=False, emoji=False)
        for note, value in encoded.manifest.get("notes", {}).items():
            console().print(f"{self.name}: {note}: {value}", markup=False, emoji=False)
        self._warn(encoded)
        return encoded

    def _warn(self, encoded: Encoded) -> None:
        """Say what makes numbers look better than they are: found while encoding, said whenever the data are used."""
        warnings = encoded.manifest.get("warnings")
        if warnings is None:  # encoded by a version that did not look
            rows = {split: len(part) for split, part in encoded.splits.items()}
            warnings = leak_warnings(find_leaks(encoded.schema, encoded.columns, rows))
        for warning in warnings:
            console().print(f"{self.name}: warning: {warning}", markup=False, emoji=False)

    def _sum(self, path: Path) -> str:
        try:
            return remembered_sha256(path, self.encoded / MEMORY)
        except OSError as error:
            raise AmeirError(f"{path}: cannot be read ({error.strerror or error}). Give yourself the permission, or "
                             "name another file: dataset.source=PATH.") from error

    @classmethod
    def fetch(cls, raw: Path, source: Path | None = None) -> str:
        """Put the raw files into ``raw`` and return which source served.

        Args:
            raw: the folder to fill.
            source: a file or folder of the user's, asked first.

        Raises:
            AmeirError: no source served, or this dataset has to be got by hand.
        """
        raise AmeirError(f"{cls.name} cannot be fetched for you. It is offered at {cls.offered} ({cls.terms}) "
                         f"Get the file there and name it: dataset={cls.name} dataset.source=FILE.")


def _stamps(files: dict[str, Path]) -> dict[str, tuple[int, int]]:
    """Size and time of change of each file."""
    found = {part: path.stat() for part, path in files.items()}
    return {part: (status.st_size, status.st_mtime_ns) for part, status in found.items()}


def planted_truth(dataset: str, files: Sequence[Path]) -> dict[str, Any] | None:
    """Return ``interactions`` and ``bayes`` of the ``truth.json`` that generated files have beside them; None for files
    it does not name, or names with another size, or that are read as another dataset, whose test rows are others.

    Raises:
        AmeirError: a ``truth.json`` is damaged: generated data must not be taken for real ones.
    """
    for folder in {path.parent for path in files}:
        if not (folder / TRUTH).is_file():
            continue
        text = (folder / TRUTH).read_bytes()
        try:
            truth = unsealed(json.loads(text))
        except ValueError as error:
            raise AmeirError(f"{folder / TRUTH} is damaged: {error}. Generate the data again, or delete the file if "
                             "they are not generated.") from error
        try:
            made = truth["files"]
            whole = all((folder / name).stat().st_size == size for name, size in made.items())
            if truth["dataset"] == dataset and whole and any(path.name in made for path in files):
                return {"interactions": truth.get("interactions", []), "bayes": truth["bayes"]}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return None


DATASETS: Registry[type[Dataset]] = Registry("dataset")
