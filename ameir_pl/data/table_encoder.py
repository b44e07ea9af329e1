"""Encoding a table of any size: read once in chunks, then column by column; memory does not grow with its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ameir_pl.data import histories, splits
from ameir_pl.data.column_encoder import ColumnEncoder
from ameir_pl.data.executors import WORKERS, Executor, Threads
from ameir_pl.data.histories import STARTS, TIME, USER, Histories
from ameir_pl.data.intake import Intake, Taken
from ameir_pl.data.spill import ColumnFile, Scratch, Spill
from ameir_pl.data.store import SCRATCH, SPLITS, Tables, Written
from ameir_pl.data.table_parts import Parts
from ameir_pl.data.table_plan import LABEL, LISTED, SPLIT, Plan
from ameir_pl.data.ties import CutTies, HistoryTies
from ameir_pl.errors import AmeirError
from ameir_pl.schema import OOV, Field, Schema

BATCH = 32_768
"""Rows that are put side by side at once: few enough to stay in the processor's cache."""
Events = Callable[[pl.DataFrame], Iterable[pl.DataFrame]]


def encode_table(plan: Plan, rows: Iterable[pl.DataFrame] | Parts, folder: Path, source: Path, advice: str,
                 events: Events | None = None, executor: Executor | None = None) -> Tables:
    """Encode a table of click-through rows.

    Args:
        plan: what its columns become.
        rows: tables, or files that can be read as such, with ``@label``, the plan's fields (any type; lists where a
            field is multivalent; null is "missing") and dense fields (Float64, null is missing), and as needed
            ``@time`` (whole numbers), ``@user`` (null is nobody, where there are no events) and ``@split``;
            ``@behavior/NAME`` list columns where behaviors are no events.
        folder: the unfinished folder; columns and ``vocabulary.parquet`` are written there.
        source: where the rows came from, for messages.
        advice: the sentence that ends a message.
        events: takes the users of the rows (``@user``, each once, sorted) and yields tables with ``@user``,
            ``@time`` and the behavior fields.
        executor: who reads parts and encodes columns; None: threads of this process. What comes out is the same.

    Raises:
        AmeirError: no rows, an empty split, or train rows of one label.
    """
    return _Encoder(plan, folder, source, advice, executor or Threads()).run(rows, events)


class _Encoder:
    def __init__(self, plan: Plan, folder: Path, source: Path, advice: str, executor: Executor) -> None:
        self.plan, self.folder, self.source, self.advice, self.executor = plan, folder, source, advice, executor
        self.scratch = folder / SCRATCH

    def run(self, rows: Iterable[pl.DataFrame] | Parts, events: Events | None) -> Tables:
        plan = self.plan
        taken = self._read(rows, events is not None)
        self.rows, widths = taken.spill, self._widths(taken.longest)
        label, times, given = (taken.column(name) for name in (LABEL, TIME, SPLIT))
        if label is None:
            raise ValueError("rows have no label")
        split = splits.assign(plan.split, label, times, given)
        counts = splits.check(split, label, self.source, plan.rule, self.advice)
        duplicates = taken.hashes.count(split)
        train = split == splits.TRAIN
        users, codes = self._users()
        history = self._histories(events, times, train, users, codes)
        fields = tuple(replace(f, width=widths[f.name]) for f in plan.fields)
        behaviors = self._behavior_widths(history)
        columns_of = ColumnEncoder(plan, self.scratch, self.rows, train, fields, behaviors,
                                   None if history is None else history.events)
        sizes, ids, shared = self._ids(columns_of)
        scaled = list(self.executor.map(columns_of.scale, plan.dense))
        knots, dense = dict(zip(plan.dense, (k for k, _ in scaled), strict=True)), [s for _, s in scaled]
        total = len(label)
        with ThreadPoolExecutor(WORKERS) as pool:
            by_field = [ids[f"fields/{f.name}"] for f in fields]
            side_by_side = {
                "fields": pool.submit(self._by_split, "fields", split, by_field, "int32", total),
                "dense": pool.submit(self._by_split, "dense", split, dense, "float32", total)}
        columns: dict[str, np.ndarray | Written] = {
            **{name: made.result() for name, made in side_by_side.items()},
            "label": self._sorted(split, label.astype(np.float32))}
        if codes is not None:
            columns["users"] = self._sorted(split, codes)
        notes: dict[str, Any] = {"clicks": f"{label.mean():.4f} of {total} rows", **duplicates.note(), **shared}
        ties: list[tuple[CutTies | HistoryTies, str]] = []
        if plan.timed and times is not None:
            ties.append((CutTies.count(split, times, SPLITS), plan.cut_advice))
        if history is not None and history.ties is not None:
            ties.append((history.ties, ""))
        warnings = duplicates.warnings(plan.split) + [
            words for found, advice in ties for words in found.warnings(advice + plan.tie_advice) if plan.tie_advice]
        sessions = history is not None and events is not None and plan.pause > 0
        if history is not None:
            columns["begin"], columns["end"] = (self._sorted(split, p) for p in (history.begin, history.end))
            columns["values"] = self._by_split("values", np.zeros(history.events.rows, np.uint8),
                                               [ids[f"behaviors/{b.name}"] for b in behaviors], "int32",
                                               history.events.rows)
            if sessions:
                columns["starts"] = self._flags("starts", history.events, STARTS)
            empty = int(np.count_nonzero(history.begin == history.end))
            notes |= {"events that some row sees": history.events.rows, "rows without a history": empty}
            if history.owned is not None:
                notes["rows whose user has events"] = f"{100 * history.owned / total:.3g} % of {total}"
                if empty == total:
                    notes["NO ROW HAS A HISTORY"] = "no event comes before a row of its user. Are the times the same?"
            if history.strays:
                notes["events of users without a row, left out"] = history.strays
            if history.unsorted:
                notes["users whose events were not in the order of time, sorted"] = history.unsorted
        for found, _ in ties:
            notes |= found.notes()
        schema = Schema(plan.dataset, "ctr", fields, behaviors, plan.dense, sizes, plan.max_len if behaviors else 0,
                        percentiles=knots, sessions=sessions)
        return Tables(schema, None, columns, counts, notes, warnings)

    def _read(self, rows: Iterable[pl.DataFrame] | Parts, has_events: bool) -> Taken:
        """Write the rows to the spill; keep what is small."""
        intake = Intake(self.plan, self.scratch / "rows", has_events)
        if isinstance(rows, Parts):
            shares = [rows.share(paths) for paths in self.executor.shares(rows.paths)]
            taken = Taken.joined(map(rows.told, self.executor.map(intake.read_parts, shares)))
        else:
            taken = intake.read(rows)
        if taken.spill.rows == 0:
            raise AmeirError(f"{self.source}: no row could be read. {self.advice}")
        return taken

    def _widths(self, longest: dict[str, int]) -> dict[str, int]:
        """Widths of the fields: multivalent ones are as wide as their longest list, within bounds."""
        return {f.name: f.width or min(longest[f.name], self.plan.widest.get(f.name, longest[f.name]))
                for f in self.plan.fields}

    def _users(self) -> tuple[pl.DataFrame, np.ndarray | None]:
        """The users of the rows, each once, and each row's place among them, (rows,) int32, -1 for a row without a
        user; None where rows have none."""
        if USER not in self.rows.schema:
            return pl.DataFrame(), None
        found = [part[USER].unique() for _, part in self.rows.read([USER])]
        users = pl.concat(found).drop_nulls().unique().sort().to_frame()
        numbered = users.with_row_index("@code")
        return users, np.concatenate([part.join(numbered, on=USER, how="left", maintain_order="left")["@code"]
                                      .cast(pl.Int32).fill_null(-1).to_numpy()
                                      for _, part in self.rows.read([USER])])

    def _histories(self, events: Events | None, times: np.ndarray | None, train: np.ndarray, users: pl.DataFrame,
                   codes: np.ndarray | None) -> Histories | None:
        plan = self.plan
        if not plan.behaviors:
            return None
        place = self.scratch / "histories"
        place.mkdir()
        if events is None:
            columns = {b.name: LISTED + b.name for b in plan.behaviors}
            return histories.from_lists(self.rows, columns, train, plan.max_len, place)
        if times is None or codes is None:
            raise ValueError("histories from events need the times and the users of rows")
        return histories.collect(events(users), users, codes, times, train, plan.max_len, place, plan.buckets,
                                 plan.pause, plan.least_session, plan.own_events)

    def _behavior_widths(self, history: Histories | None) -> tuple[Field, ...]:
        """Behavior fields with their widths: lists are as wide as the longest."""
        found = []
        for b in self.plan.behaviors:
            width = 1
            if history is not None and isinstance(history.events.schema.get(b.name), pl.List):
                width = max(int(part[b.name].list.len().max() or 1)  # type: ignore[arg-type]
                            for _, part in history.events.read([b.name]))
                width = min(width, self.plan.widest.get(b.name, width))
            found.append(replace(b, width=width))
        return tuple(found)

    def _ids(self, columns: ColumnEncoder) -> tuple[dict[str, int], dict[str, Scratch], dict[str, str]]:
        """Fit each vocabulary, write it, and write the ids of its columns; few vocabularies are in memory at a time.
        Return their sizes, the ids, and what columns that share one have in common."""
        sizes: dict[str, int] = {}
        notes: dict[str, str] = {}
        ids: dict[str, Scratch] = {}
        layout = pa.schema([("vocabulary", pa.string()), ("id", pa.int64()), ("value", pa.string())])
        with pq.ParquetWriter(self.folder / "vocabulary.parquet", layout, compression="zstd") as writer:
            for name, (vocabulary, mine, shared) in zip(self.plan.vocabularies,
                                                self.executor.map(columns.fit, self.plan.vocabularies), strict=True):
                for share in shared:
                    if share.apart:
                        raise AmeirError(f"{self.source}: {share.message()} {self.advice}")
                    notes |= [share.note] if share.total else []
                sizes[name] = vocabulary.size
                ids |= mine
                words = vocabulary.words(self.plan.hexadecimal).to_arrow().cast(pa.string())
                writer.write_table(pa.table({
                    "vocabulary": pa.array([name] * len(vocabulary), pa.string()),
                    "id": pa.array(np.arange(OOV + 1, vocabulary.size)), "value": words}, schema=layout))
        return sizes, ids, notes

    def _by_split(self, name: str, split: np.ndarray, parts: list[Scratch], dtype: str, total: int) -> Written:
        """Put columns side by side, rows in split order, through files."""
        shape = (total, sum(part.width for part in parts))
        if not parts or total == 0:
            return Written(shape, dtype)
        starts = np.concatenate([[0], np.cumsum(np.bincount(split, minlength=len(SPLITS)))])
        with ColumnFile(self.folder / f"{name}.npy", shape, dtype) as file:
            for rows in _slices(total):
                block = np.empty((rows.stop - rows.start, shape[1]), dtype)
                at = 0
                for part in parts:
                    block[:, at:at + part.width] = part.read(rows)
                    at += part.width
                for number in range(len(SPLITS)):
                    chosen = block[split[rows] == number]
                    file.write(int(starts[number]), chosen)
                    starts[number] += len(chosen)
        for part in parts:
            part.path.unlink()
        return Written(shape, dtype)

    def _flags(self, name: str, events: Spill, column: str) -> Written:
        """Write a column of yes and no, through a file."""
        if events.rows:
            with ColumnFile(self.folder / f"{name}.npy", (events.rows,), "bool") as file:
                for rows, table in events.read([column]):
                    file.write(rows.start, table[column].to_numpy())
        return Written((events.rows,), "bool")

    def _sorted(self, split: np.ndarray, values: np.ndarray) -> np.ndarray:
        return np.concatenate([values[split == number] for number in range(len(SPLITS))])


def _slices(total: int) -> Iterator[slice]:
    return (slice(i, min(i + BATCH, total)) for i in range(0, total, BATCH))
