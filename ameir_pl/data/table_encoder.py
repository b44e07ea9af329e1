"""Encoding a table of any size: read once in chunks, then column by column; memory does not grow with its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ameir_pl.data import histories, percentiles, splits
from ameir_pl.data.histories import TIME, TRAIN, USER, Histories
from ameir_pl.data.spill import ColumnFile, Scratch, Spill
from ameir_pl.data.splits import GivenSplit, Split, TimeSplit
from ameir_pl.data.store import SCRATCH, SPLITS, Tables, Written
from ameir_pl.data.text import one_ahead
from ameir_pl.data.vocabulary import Counter, Vocabulary, common_type
from ameir_pl.errors import AmeirError
from ameir_pl.schema import OOV, Field, Schema

LABEL, SPLIT = "@label", "@split"
"""Reserved names of columns: 0 or 1 (UInt8); where a row belongs (UInt8, see :mod:`ameir_pl.data.splits`)."""
LISTED = "@behavior/"
"""What the name of a list column of behaviors begins with; the field's name follows."""
BATCH = 32_768
"""Rows that are put side by side at once: few enough to stay in the processor's cache."""
WORKERS = 2
"""Columns that are encoded at a time: much of that is work for one core, and memory is that of so many columns."""
T = TypeVar("T")
Events = Callable[[pl.DataFrame], Iterable[pl.DataFrame]]


@dataclass(frozen=True)
class Plan:
    """What the columns of a table become.

    Args:
        dataset: name of the schema.
        fields: the N fields. One of width 0 is multivalent: as wide as its longest list, at most ``widest``.
        behaviors: the N_a fields of one behavior element.
        dense: the D dense fields.
        max_len: T; 0 without behaviors.
        split: which rows train, validate and test.
        rule: the split in words, for messages.
        min_count: how often a vocabulary's value must come among train rows to have an id of its own; 1 where none
            is given.
        widest: the most ids of a multivalent field, by field.
        buckets: ranges of users that events are sorted in.
        hexadecimal: values are UInt32 that stand for eight hexadecimal digits each.
    """

    dataset: str
    fields: tuple[Field, ...]
    split: Split
    rule: str
    behaviors: tuple[Field, ...] = ()
    dense: tuple[str, ...] = ()
    max_len: int = 0
    min_count: Mapping[str, int] = field(default_factory=dict)
    widest: Mapping[str, int] = field(default_factory=dict)
    buckets: int = 1
    hexadecimal: bool = False

    @property
    def vocabularies(self) -> tuple[str, ...]:
        """Names of the vocabularies, in the order of the fields that use them."""
        return tuple(dict.fromkeys(f.vocabulary for f in (*self.fields, *self.behaviors)))


def encode_table(plan: Plan, chunks: Iterable[pl.DataFrame], folder: Path, source: Path, advice: str,
                 events: Events | None = None) -> Tables:
    """Encode a table of click-through rows.

    Args:
        plan: what its columns become.
        chunks: tables with ``@label``, the plan's fields (any type; lists where a field is multivalent; null is
            "missing") and dense fields (Float64, null is missing), and as needed ``@time`` (whole numbers), ``@user``
            and ``@split``; ``@behavior/NAME`` list columns where behaviors are no events.
        folder: the unfinished folder; columns and ``vocabulary.parquet`` are written there.
        source: where the rows came from, for messages.
        advice: the sentence that ends a message.
        events: takes the users of the rows (``@user``, each once, sorted) and yields tables with ``@user``,
            ``@time`` and the behavior fields.

    Raises:
        AmeirError: no rows, an empty split, or train rows of one label.
    """
    return _Encoder(plan, folder, source, advice).run(chunks, events)


class _Encoder:
    def __init__(self, plan: Plan, folder: Path, source: Path, advice: str) -> None:
        self.plan, self.folder, self.source, self.advice = plan, folder, source, advice
        self.scratch = folder / SCRATCH
        self.rows = Spill(self.scratch / "rows")
        self.widths = {f.name: f.width for f in plan.fields if f.width}
        self.needs_time = isinstance(plan.split, TimeSplit)

    def run(self, chunks: Iterable[pl.DataFrame], events: Events | None) -> Tables:
        plan = self.plan
        label, times, given = self._read(chunks, events is not None)
        split = splits.assign(plan.split, label, times, given)
        counts = splits.check(split, label, self.source, plan.rule, self.advice)
        train = split == splits.TRAIN
        history = self._histories(events, times, train)
        fields = tuple(replace(f, width=self.widths[f.name]) for f in plan.fields)
        behaviors = self._behavior_widths(history)
        sizes, ids = self._ids(fields, behaviors, train, history)
        knots, dense = self._dense(train)
        total = len(label)
        with ThreadPoolExecutor(WORKERS) as pool:
            by_field = [ids[f"fields/{f.name}"] for f in fields]
            side_by_side = {
                "fields": pool.submit(self._by_split, "fields", split, by_field, "int32", total),
                "dense": pool.submit(self._by_split, "dense", split, dense, "float32", total)}
        columns: dict[str, np.ndarray | Written] = {
            **{name: made.result() for name, made in side_by_side.items()},
            "label": self._sorted(split, label.astype(np.float32))}
        notes: dict[str, Any] = {"clicks": f"{label.mean():.4f} of {total} rows"}
        if history is not None:
            columns["begin"], columns["end"] = (self._sorted(split, p) for p in (history.begin, history.end))
            columns["values"] = self._by_split("values", np.zeros(history.events.rows, np.uint8),
                                               [ids[f"behaviors/{b.name}"] for b in behaviors], "int32",
                                               history.events.rows)
            empty = int(np.count_nonzero(history.begin == history.end))
            notes |= {"events that some row sees": history.events.rows, "rows without a history": empty}
            if history.strays:
                notes["events of users without a row, left out"] = history.strays
            if history.unsorted:
                notes["users whose events were not in the order of time, sorted"] = history.unsorted
        schema = Schema(plan.dataset, "ctr", fields, behaviors, plan.dense, sizes, plan.max_len if behaviors else 0,
                        percentiles=knots)
        return Tables(schema, None, columns, counts, notes)

    def _read(self, chunks: Iterable[pl.DataFrame], has_events: bool
              ) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """Write the rows to the spill; keep what is small."""
        plan = self.plan
        kept: dict[str, list[np.ndarray]] = {LABEL: [], TIME: [], SPLIT: []}
        lists = [f.name for f in plan.fields if f.width == 0]
        longest = dict.fromkeys(lists, 1)
        timed = has_events or self.needs_time
        for chunk in one_ahead(chunks):
            kept[LABEL].append(chunk[LABEL].to_numpy())
            if timed:
                kept[TIME].append(chunk[TIME].cast(pl.Int64).to_numpy())
            if isinstance(plan.split, GivenSplit):
                kept[SPLIT].append(chunk[SPLIT].to_numpy())
            for name in lists:
                longest[name] = max(longest[name], int(chunk[name].list.len().max() or 0))  # type: ignore[arg-type]
            names = [*(f.name for f in plan.fields), *plan.dense, *([USER] if has_events else ()),
                     *(c for c in chunk.columns if c.startswith(LISTED))]
            self.rows.add(chunk.select(names))
        if self.rows.rows == 0:
            raise AmeirError(f"{self.source}: no row could be read. {self.advice}")
        self.widths |= {name: min(longest[name], plan.widest.get(name, longest[name])) for name in lists}
        joined = {name: np.concatenate(parts) if parts else None for name, parts in kept.items()}
        label = joined[LABEL]
        return (label if label is not None else np.zeros(0)), joined[TIME], joined[SPLIT]

    def _histories(self, events: Events | None, times: np.ndarray | None, train: np.ndarray) -> Histories | None:
        plan = self.plan
        if not plan.behaviors:
            return None
        place = self.scratch / "histories"
        place.mkdir()
        if events is None:
            columns = {b.name: LISTED + b.name for b in plan.behaviors}
            return histories.from_lists(self.rows, columns, train, plan.max_len, place)
        if times is None:
            raise ValueError("histories from events need the times of rows")
        found = [part[USER].unique() for _, part in self.rows.read([USER])]
        users = pl.concat(found).unique().sort().to_frame()
        numbered = users.with_row_index("@code")
        codes = np.concatenate([part.join(numbered, on=USER, how="left", maintain_order="left")["@code"].to_numpy()
                                for _, part in self.rows.read([USER])]).astype(np.int32)
        return histories.collect(events(users), users, codes, times, train, plan.max_len, place, plan.buckets)

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

    def _ids(self, fields: tuple[Field, ...], behaviors: tuple[Field, ...], train: np.ndarray,
             history: Histories | None) -> tuple[dict[str, int], dict[str, Scratch]]:
        """Fit each vocabulary, write it, and write the ids of its columns; few vocabularies are in memory at a time."""
        sizes: dict[str, int] = {}
        ids: dict[str, Scratch] = {}
        columns = [("fields", f, self.rows) for f in fields]
        if history is not None:
            columns += [("behaviors", b, history.events) for b in behaviors]

        def fit(name: str) -> tuple[Vocabulary, dict[str, Scratch]]:
            mine = [(part, f, spill) for part, f, spill in columns if f.vocabulary == name]
            kind = common_type(s.schema[f.name] for _, f, s in mine if f.name in s.schema)
            counter = Counter()
            for part, f, spill in mine:
                flags = [TRAIN] if part == "behaviors" else []
                for rows, table in spill.read([f.name, *flags]):
                    inside = table[TRAIN] if flags else pl.Series(train[rows])
                    counter.add(_cast(table[f.name].filter(inside), kind))
            vocabulary = counter.vocabulary(self.plan.min_count.get(name, 1))
            return vocabulary, {f"{part}/{f.name}": self._column(f"{part}-{columns.index((part, f, spill))}", f, spill,
                                                                 vocabulary, kind) for part, f, spill in mine}

        layout = pa.schema([("vocabulary", pa.string()), ("id", pa.int64()), ("value", pa.string())])
        with pq.ParquetWriter(self.folder / "vocabulary.parquet", layout, compression="zstd") as writer:
            for name, (vocabulary, mine) in zip(self.plan.vocabularies, _ahead(fit, self.plan.vocabularies),
                                                strict=True):
                sizes[name] = vocabulary.size
                ids |= mine
                words = vocabulary.words(self.plan.hexadecimal).to_arrow().cast(pa.string())
                writer.write_table(pa.table({
                    "vocabulary": pa.array([name] * len(vocabulary), pa.string()),
                    "id": pa.array(np.arange(OOV + 1, vocabulary.size)), "value": words}, schema=layout))
        return sizes, ids

    def _column(self, name: str, f: Field, spill: Spill, vocabulary: Vocabulary, kind: pl.DataType) -> Scratch:
        scratch = Scratch(self.scratch / name, "int32", f.width)
        for _, table in spill.read([f.name]):
            values = _cast(table[f.name], kind)
            scratch.append(vocabulary.encode_lists(values, f.width) if isinstance(values.dtype, pl.List)
                           else vocabulary.encode(values))
        scratch.close()
        return scratch

    def _dense(self, train: np.ndarray) -> tuple[dict[str, list[float]], list[Scratch]]:
        """Percentiles of train rows, and each dense column in [-1, 1]."""
        trains = int(train.sum())

        def scale(name: str) -> tuple[list[float], Scratch]:
            sample = percentiles.Thinning(trains)
            for rows, table in self.rows.read([name]):
                sample.add(table[name].filter(pl.Series(train[rows])).drop_nulls().to_numpy())
            knots = percentiles.fit(sample.values())
            scratch = Scratch(self.scratch / f"dense-{self.plan.dense.index(name)}", "float32")
            for _, table in self.rows.read([name]):
                scratch.append(percentiles.apply(table[name].fill_null(float("nan")).to_numpy(), knots))
            scratch.close()
            return knots, scratch

        scaled = list(_ahead(scale, self.plan.dense))
        return dict(zip(self.plan.dense, (k for k, _ in scaled), strict=True)), [s for _, s in scaled]

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

    def _sorted(self, split: np.ndarray, values: np.ndarray) -> np.ndarray:
        return np.concatenate([values[split == number] for number in range(len(SPLITS))])


def _ahead(function: Callable[[str], T], names: Sequence[str]) -> Iterator[T]:
    """Yield ``function(name)`` of each name in order; a few are computed at a time, in threads."""
    with ThreadPoolExecutor(WORKERS) as pool:
        for i in range(0, len(names), WORKERS):
            yield from pool.map(function, names[i:i + WORKERS])


def _slices(total: int) -> Iterator[slice]:
    return (slice(i, min(i + BATCH, total)) for i in range(0, total, BATCH))


def _cast(values: pl.Series, kind: pl.DataType) -> pl.Series:
    """Return scalars or lists in the type of their vocabulary."""
    wanted = pl.List(kind) if isinstance(values.dtype, pl.List) else kind
    return values if values.dtype == wanted else values.cast(wanted)
