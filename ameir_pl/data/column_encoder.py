"""ColumnEncoder: each vocabulary and each dense column fitted on train rows and applied to all, through files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from ameir_pl.data import percentiles
from ameir_pl.data.histories import TRAIN
from ameir_pl.data.shared_values import Shared
from ameir_pl.data.spill import Scratch, Spill
from ameir_pl.data.table_plan import Plan
from ameir_pl.data.vocabulary import Counter, Vocabulary, common_type
from ameir_pl.schema import Field


@dataclass(frozen=True)
class ColumnEncoder:
    """What the columns of a table need to be encoded, each by itself. It can be sent to another process.

    Args:
        plan: what columns become.
        scratch: folder for the files that are written.
        rows: all rows.
        train: (rows,) bool.
        fields: the fields, with their widths.
        behaviors: the behavior fields, with their widths; none without ``events``.
        events: the behaviors, with ``@train``.
    """

    plan: Plan
    scratch: Path
    rows: Spill
    train: np.ndarray
    fields: Sequence[Field]
    behaviors: Sequence[Field] = ()
    events: Spill | None = None

    def fit(self, name: str) -> tuple[Vocabulary, dict[str, Scratch], list[Shared]]:
        """Return a vocabulary of train rows, the ids of its columns by ``fields/NAME`` or ``behaviors/NAME``, and how
        much the columns that share it have in common."""
        mine = self._columns_of(name)
        kind = common_type(s.schema[f.name] for _, f, s in mine.values() if f.name in s.schema)
        counters: dict[int, Counter] = {}
        for column, (part, f, spill) in mine.items():
            counter = counters[column] = Counter()
            flags = [TRAIN] if part == "behaviors" else []
            for rows, table in spill.read([f.name, *flags]):
                inside = table[TRAIN] if flags else pl.Series(self.train[rows])
                values = _cast(table[f.name].filter(inside), kind)
                counter.add(values if self.plan.gaps else values.drop_nulls())
        first = next((n for n, (_, f, _) in mine.items() if f.name == name), next(iter(mine)))
        shared = [Shared.of(f.name, part == "behaviors", mine[first][1].name, counters[n], counters[first])
                  for n, (part, f, _) in mine.items() if n != first]
        counter = counters.pop(first)
        while counters:
            counter.merge(counters.popitem()[1])
        vocabulary = counter.vocabulary(self.plan.min_count.get(name, 1))
        return vocabulary, {f"{part}/{f.name}": self._column(f"{part}-{number}", f, spill, vocabulary, kind)
                            for number, (part, f, spill) in mine.items()}, shared

    def scale(self, name: str) -> tuple[list[float], Scratch]:
        """Return a dense column's percentiles of train rows, and its values in [-1, 1]."""
        sample = percentiles.Thinning(int(self.train.sum()))
        for rows, table in self.rows.read([name]):
            sample.add(table[name].filter(pl.Series(self.train[rows])).drop_nulls().to_numpy())
        knots = percentiles.fit(sample.values())
        scratch = Scratch(self.scratch / f"dense-{self.plan.dense.index(name)}", "float32")
        for _, table in self.rows.read([name]):
            scratch.append(percentiles.apply(table[name].fill_null(float("nan")).to_numpy(), knots))
        scratch.close()
        return knots, scratch

    def _columns_of(self, vocabulary: str) -> dict[int, tuple[Literal["fields", "behaviors"], Field, Spill]]:
        """The columns that use a vocabulary, by their number among all."""
        columns: list[tuple[Literal["fields", "behaviors"], Field, Spill]] = [
            ("fields", f, self.rows) for f in self.fields]
        if self.events is not None:
            columns += [("behaviors", b, self.events) for b in self.behaviors]
        return {number: column for number, column in enumerate(columns) if column[1].vocabulary == vocabulary}

    def _column(self, name: str, f: Field, spill: Spill, vocabulary: Vocabulary, kind: pl.DataType) -> Scratch:
        scratch = Scratch(self.scratch / name, "int32", f.width)
        for _, table in spill.read([f.name]):
            values = _cast(table[f.name], kind)
            scratch.append(vocabulary.encode_lists(values, f.width, f.name in self.plan.latest)
                           if isinstance(values.dtype, pl.List) else vocabulary.encode(values))
        scratch.close()
        return scratch


def _cast(values: pl.Series, kind: pl.DataType) -> pl.Series:
    """Return scalars or lists in the type of their vocabulary."""
    wanted = pl.List(kind) if isinstance(values.dtype, pl.List) else kind
    return values if values.dtype == wanted else values.cast(wanted)
