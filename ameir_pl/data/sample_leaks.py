"""Columns of a sample that give the label away, before there is a description."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import polars as pl

from ameir_pl.data.column_facts import Facts, Sample
from ameir_pl.data.label_leaks import Leak, leak_of
from ameir_pl.data.table_label import LabelRule, label_clicks
from ameir_pl.data.table_types import raw, without
from ameir_pl.data.table_values import scalars

EACH = 5
"""Every so many-th row is scored by the rates of the others."""
LEAST = 100
"""Rows from which on a column is left out for what it tells; with fewer the encoding warns."""


def sample_leaks(sample: Sample, label: str, rule: LabelRule, columns: Iterable[Facts]) -> dict[str, Leak]:
    """Return the columns of a sample that give the label away, by name; none where the label has not two values.

    Args:
        sample: with the label.
        label: its column.
        rule: what of its values is a click.
        columns: those to look at.
    """
    clicked = label_clicks(raw(sample.table, label), rule)
    if len(clicked) < LEAST:
        return {}
    there = np.flatnonzero(clicked.is_not_null().to_numpy())
    scored = np.arange(len(there)) % EACH == EACH - 1
    order = np.concatenate([there[~scored], there[scored]])
    labels = clicked.fill_null(False).to_numpy()[order]
    found: dict[str, Leak] = {}
    for column in columns:
        if column.name not in sample.table.columns:
            continue
        leaks = [leak for values in _values(raw(sample.table, column.name), column)
                 if (leak := leak_of(column.name, values[order], labels, int((~scored).sum()))) is not None]
        if leaks:
            found[column.name] = max(leaks, key=lambda leak: leak.auc)
    return found


def _values(values: pl.Series, column: Facts) -> Iterator[np.ndarray]:
    """Yield a column as numbers, where it holds any, and as categories; of lists whether there are any."""
    if values.dtype.is_nested() or column.kind == "bytes":
        yield values.is_null().to_numpy().astype(np.int64)
        return
    if isinstance(values.dtype, pl.Duration):  # it has no text
        values = values.dt.total_microseconds()
    if column.kind in ("int", "float"):
        numbers = scalars(without(values, column.gaps), "float", column.decimal, column.thousands)
        yield numbers.fill_null((numbers.min() or 0.0) - 1).to_numpy()  # type: ignore[operator]
    yield scalars(values, "str").fill_null("").rank("dense").to_numpy().astype(np.int64)
