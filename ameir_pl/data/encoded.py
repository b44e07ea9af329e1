"""Encoded: an encoded dataset on disk, opened as memory-mapped columns and gathered into batches."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from ameir_pl.atomic import sha256, unsealed
from ameir_pl.batch import Batch
from ameir_pl.data.store import MEMORY, SMALL_FILE, SPLITS, remembered_sha256
from ameir_pl.errors import AmeirError
from ameir_pl.schema import Schema


class Encoded:
    """An encoded dataset: one row is one example, rows lie in split order (train, valid, test).

    Histories are stored once per user: ``values`` (events, S_a) holds each user's events in time order, and a row
    points at its history with ``begin`` and ``end``. The history of row i is
    ``values[max(begin[i], end[i] - T) : end[i]]``, T being ``schema.max_len``.

    Attributes:
        folder: where it lies.
        schema: its :class:`~ameir_pl.schema.Schema`.
        manifest: what was written about it: fingerprint, settings, sources, notes.
        splits: the rows of ``train``, ``valid`` and ``test``.
        columns: ``fields`` (rows, S) int32, ``dense`` (rows, D) float32, ``label`` (rows,) float32, and where
            there are behaviors ``values`` (events, S_a) int32, ``begin`` and ``end`` (rows,) int64; where their
            times are known ``starts`` (events,) bool, whether an event begins a session: whether it is its user's first
            or comes more than half an hour after the one before. Where rows have users, ``users`` (rows,) int32, their
            numbers from 0, -1 for none.

    Raises:
        AmeirError: a file is missing, cut off or changed; the message names it.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        try:
            self.manifest = unsealed(self._json("manifest.json"))
        except ValueError as error:
            raise self._damaged("manifest.json", str(error)) from error
        try:
            self._check_files(self.manifest["files"])
            rows = {split: int(self.manifest["rows"][split]) for split in SPLITS}
            layout = {name: (tuple(column["shape"]), str(column["dtype"]))
                      for name, column in self.manifest["columns"].items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._damaged("manifest.json", f"unexpected contents ({error!r})") from error
        self.schema = Schema.from_dict(self._json("schema.json"), str(self.folder / "schema.json"))
        starts = np.cumsum([0, *rows.values()])
        self.splits = {split: range(int(starts[i]), int(starts[i + 1])) for i, split in enumerate(SPLITS)}
        wanted = self._layout(sum(rows.values()))
        if "users" in layout:
            wanted["users"] = (sum(rows.values()),), "int32"
        self.columns = {name: self._column(name, layout, *expected) for name, expected in wanted.items()}

    def __reduce__(self) -> tuple[Any, ...]:
        # A worker that is not forked opens the folder again instead of receiving a copy of all columns.
        return type(self), (self.folder,)

    def __len__(self) -> int:
        return self.splits["test"].stop

    @property
    def fingerprint(self) -> str:
        """16 hex digits that change with the sources, the settings and the way of encoding."""
        return str(self.manifest["fingerprint"])

    def vocabulary(self, name: str) -> dict[str, int]:
        """Return value → id of one vocabulary, without ``PAD`` and ``OOV``; raises ``AmeirError`` if unknown."""
        if name not in self.schema.vocabularies:
            raise AmeirError(f"{self.folder}: no vocabulary '{name}'. Known: {', '.join(self.schema.vocabularies)}.")
        table = pl.read_parquet(self.folder / "vocabulary.parquet").filter(pl.col("vocabulary") == name)
        return dict(zip(table["value"].to_list(), table["id"].to_list(), strict=True))

    def verify(self) -> None:
        """Read every byte; raises ``AmeirError`` naming a file that is not what was written.

        Opening takes a large file that nothing has written to since it was last read for whole; a disk that loses bits
        by itself is noticed here alone.
        """
        for name, stated in self.manifest["files"].items():
            if sha256(self.folder / name) != stated["sha256"]:
                raise self._damaged(name, "its checksum differs from the manifest's")

    def gather(self, rows: np.ndarray) -> Batch:
        """Return the given rows as a batch: whole-column gathers, nothing per row.

        Args:
            rows: (B,) row numbers.

        Returns:
            ``fields`` (B, S), ``dense`` (B, D), ``label`` (B,), ``behaviors`` (B, T, S_a), ``mask`` (B, T) and, with
            sessions, ``starts`` (B, T), where T is the longest history of these rows, at least 1 where the schema has
            behaviors.
        """
        rows = np.asarray(rows, dtype=np.int64)
        columns = self.columns
        # `take` copies whole rows: several times faster than indexing.
        fields = np.take(columns["fields"], rows, axis=0).astype(np.int64)
        batch = Batch(fields=torch.from_numpy(fields),
                      dense=torch.from_numpy(np.take(columns["dense"], rows, axis=0)),
                      label=torch.from_numpy(columns["label"][rows]))
        if "users" in columns:
            batch.users = torch.from_numpy(columns["users"][rows].astype(np.int64))
        if self.schema.behaviors:
            batch.behaviors, batch.mask = self.window(columns["begin"][rows], columns["end"][rows],
                                                      self.schema.max_len)
            if self.schema.sessions:
                batch.starts = self._session_starts(columns["end"][rows], batch.mask)
        else:
            batch.behaviors = torch.zeros(len(rows), 0, 0, dtype=torch.int64)
            batch.mask = torch.zeros(len(rows), 0, dtype=torch.bool)
        return batch

    def window(self, begin: np.ndarray, end: np.ndarray, limit: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the last ``limit`` events of ``values[begin:end]``, right-padded with ``PAD``.

        Args:
            begin, end: (B,) positions in ``values``.
            limit: the most events of a row.

        Returns:
            ids (B, T, S_a) int64 and mask (B, T) bool, T = the most events any row has, at least 1.
        """
        values = self.columns["values"]
        begin = np.maximum(begin, end - limit)
        lengths = end - begin
        longest = max(int(lengths.max(initial=0)), 1)
        steps = np.arange(longest)
        mask = steps < lengths[:, None]
        ids = np.zeros((*mask.shape, values.shape[1]), dtype=np.int64)
        if len(values):
            # Behind a row's end the first event is taken, and made PAD, which is 0: faster than leaving it out.
            events = np.take(values, (begin[:, None] + steps) * mask, axis=0)
            for slot in range(values.shape[1]):
                np.multiply(events[..., slot], mask, out=ids[..., slot])
        return torch.from_numpy(ids), torch.from_numpy(mask)

    def _session_starts(self, end: np.ndarray, mask: torch.Tensor) -> torch.Tensor:
        """Return which behaviors of windows with the given ``end`` (B,) and ``mask`` (B, T) begin a session, (B, T)."""
        there = mask.numpy()
        starts = there.copy()
        if len(self.columns["starts"]):
            first = end - there.sum(1)
            starts &= np.take(self.columns["starts"], (first[:, None] + np.arange(there.shape[1])) * there)
        starts[:, 0] = there[:, 0]  # what is left of a session that began before the window
        return torch.from_numpy(starts)

    def _layout(self, rows: int) -> dict[str, tuple[tuple[int | None, ...], str]]:
        """Shape and type of each column for this schema; None stands for any size."""
        schema = self.schema
        layout: dict[str, tuple[tuple[int | None, ...], str]] = {
            "fields": ((rows, schema.slots), "int32"), "dense": ((rows, len(schema.dense)), "float32"),
            "label": ((rows,), "float32")}
        if schema.behaviors:
            layout |= {"values": ((None, schema.behavior_slots), "int32"), "begin": ((rows,), "int64"),
                       "end": ((rows,), "int64")}
            if schema.sessions:
                layout["starts"] = ((None,), "bool")
        return layout

    def _column(self, name: str, layout: dict[str, tuple[tuple[int, ...], str]],
                shape: tuple[int | None, ...], dtype: str) -> np.ndarray:
        stated, stated_dtype = layout.get(name, ((), ""))
        fits = len(stated) == len(shape) and all(b is None or a == b for a, b in zip(stated, shape, strict=True))
        if not fits or stated_dtype != dtype:
            raise self._damaged("manifest.json", f"column '{name}' is {stated_dtype} {stated}, which does not fit "
                                                 f"the schema ({dtype} {shape})")
        if math.prod(stated) == 0:
            return np.zeros(stated, dtype)
        try:
            # A plain view of the mapped file: indexing it gives plain arrays.
            array = np.asarray(np.load(self.folder / f"{name}.npy", mmap_mode="r", allow_pickle=False))
        except (OSError, ValueError, EOFError) as error:
            raise self._damaged(f"{name}.npy", str(error)) from error
        if array.shape != stated or array.dtype != np.dtype(dtype):
            raise self._damaged(f"{name}.npy", f"{array.dtype} {array.shape} where the manifest says "
                                               f"{dtype} {stated}")
        return array

    def _check_files(self, files: dict[str, dict[str, Any]]) -> None:
        for name, stated in files.items():
            path = self.folder / name
            if not path.is_file():
                raise self._damaged(name, "the file is missing")
            size = path.stat().st_size
            if size != stated["bytes"]:
                raise self._damaged(name, f"{size} bytes where the manifest says {stated['bytes']}")
            # A large file is read when something wrote to it, so that opening stays instant; where that cannot be
            # remembered it is taken by its size.
            memory = self.folder.parent / MEMORY
            if size > SMALL_FILE and not os.access(memory.parent, os.W_OK):
                continue
            if remembered_sha256(path, memory) != stated["sha256"]:
                raise self._damaged(name, "its checksum differs from the manifest's")

    def _json(self, name: str) -> dict[str, Any]:
        try:
            value = json.loads((self.folder / name).read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise self._damaged(name, "the file is missing") from error
        except (OSError, ValueError) as error:
            raise self._damaged(name, f"not readable as JSON ({error})") from error
        if not isinstance(value, dict):
            raise self._damaged(name, "not a JSON object")
        return value

    def _damaged(self, name: str, what: str) -> AmeirError:
        dataset = self.folder.name.rsplit("-", 1)[0]
        return AmeirError(f"{self.folder / name}: {what}. These encoded data are damaged: delete the folder "
                          f"{self.folder} and run `ameir data prepare dataset={dataset}` again.")
