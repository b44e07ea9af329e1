"""Fields that give the label away: what one field alone tells of validation rows, before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ameir_pl.schema import PAD, Schema

LIMIT = 0.99
"""AUC of a single field from which on it is said to give the label away. Models of click logs, which see all fields,
end at .65 (Alimama) to .81 (Criteo); no field that is known before the click comes near."""
TRAIN_LIMIT = 0.97
"""The same of train rows, each scored by the others: both must agree, as few validation rows agree by chance."""
TRAIN_ROWS, VALID_ROWS = 200_000, 50_000
"""Rows that are looked at, at most, evenly spread."""
FEWEST = 5
"""Clicks, and rows without, from which on anything is said."""
BINS = 64
SUPPORT, CHANCE, MOST_CLICKS = 10, 1e-6, 0.8
"""A value that clicked rows alone have is said from so many rows on, where it would come by chance so rarely, and where
no more of all rows are clicked."""
FEW_VALUES = 50
_PRIOR = 1.0


@dataclass(frozen=True)
class Leak:
    """A field that gives the label away.

    Args:
        field: its name.
        auc: of the field alone, on validation rows; train rows, each scored by the others, where there are none.
        rows: rows of a value that clicked rows alone have; 0 where the whole field tells the label.
    """

    field: str
    auc: float
    rows: int = 0

    @property
    def reason(self) -> str:
        """What was found, in words that follow `it`."""
        if self.rows:
            return f"has a value that clicks alone have, in all of its {self.rows:,} rows"
        return f"gives the label away, alone with AUC {self.auc:.4f}"

    def __str__(self) -> str:
        what = f", and a value of it that clicks alone have, in all of its {self.rows:,} rows" if self.rows else ""
        return f"{self.field} (alone AUC {self.auc:.4f}{what})"


def leak_warnings(leaks: Sequence[Leak]) -> list[str]:
    """Return what to say of fields that give the label away; nothing where there are none."""
    if not leaks:
        return []
    several = len(leaks) > 1
    who, them = ("fields that give", "them") if several else ("a field that gives", "it")
    return [f"{who} the label away: {', '.join(map(str, leaks))}. What is known only after the click (a rating that "
            "the label was made from, a conversion, a purchase, a time of viewing) makes every model look perfect and "
            f"is missing when a click is to be predicted. Leave {them} out of `fields`, unless known before."]


def find_leaks(schema: Schema, columns: Mapping[str, np.ndarray], rows: Mapping[str, int]) -> list[Leak]:
    """Return the fields of encoded click data that give the label away, in the order of the schema.

    Args:
        schema: of the data.
        columns: as :class:`~ameir_pl.data.encoded.Encoded` has them.
        rows: of each split.
    """
    if schema.task != "ctr":
        return []
    train = _spread(0, rows["train"], TRAIN_ROWS)
    valid = _spread(rows["train"], rows["train"] + rows["valid"], VALID_ROWS)
    chosen = np.concatenate([train, valid])
    label = columns["label"][chosen] > 0
    return [leak for name, values in _columns(schema, columns, chosen)
            if (leak := leak_of(name, values, label, len(train))) is not None]


def leak_of(name: str, values: np.ndarray, label: np.ndarray, train: int) -> Leak | None:
    """Return how a field gives the label away; None where it does not.

    Args:
        name: of the field.
        values: (n,) of numbers with an order (floats) or of categories (whole numbers), or (n, width) categories with
            ``PAD`` for none.
        label: (n,) bool.
        train: how many rows, the first ones, rates of clicks are taken from; the others are scored. Where there are no
            others, or of one label, the train rows score themselves, each by the rates of the others.
    """
    ours = label[:train]
    if min(int(ours.sum()), int((~ours).sum())) < FEWEST:
        return None
    best, most = 0.0, 0.5
    rest = label[train:]
    for inside, outside in _scores(values, ours, train):
        own = auc(inside, ours)
        others = auc(outside, rest) if rest.any() and not rest.all() else own
        most = max(most, others)
        if own >= TRAIN_LIMIT and others >= LIMIT:
            best = max(best, others)
    if best:
        return Leak(name, best)
    pure = max((_pure(codes, label, train) for codes in _few(values)), default=0)
    return Leak(name, most, pure) if pure else None


def auc(score: np.ndarray, label: np.ndarray) -> float:
    """Return how often a clicked row scores above another, a tie counting half; 0.5 where all are of one label."""
    _, place = np.unique(score, return_inverse=True)
    clicks = np.bincount(place, label)
    others = np.bincount(place) - clicks
    pairs = clicks.sum() * others.sum()
    return float((clicks * (np.cumsum(others) - others / 2)).sum() / pairs) if pairs else 0.5


def _columns(schema: Schema, columns: Mapping[str, np.ndarray], chosen: np.ndarray
             ) -> Iterator[tuple[str, np.ndarray]]:
    fields = columns["fields"][chosen]
    slot = 0
    for f in schema.fields:
        yield f.name, fields[:, slot] if f.width == 1 else fields[:, slot:slot + f.width]
        slot += f.width
    dense = columns["dense"][chosen]
    for number, name in enumerate(schema.dense):
        yield name, dense[:, number]
    if schema.behaviors:
        begin, end = columns["begin"][chosen], columns["end"][chosen]
        yield "length of the history", np.minimum(end - begin, schema.max_len).astype(np.float32)


def _scores(values: np.ndarray, label: np.ndarray, train: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield scores of train rows and of the others: a field may tell clicks in several ways."""
    if values.ndim == 2:
        yield from _list_scores(values, label, train)
        return
    codes = values
    if values.dtype.kind == "f":
        sign = 1.0 if auc(values[:train], label) >= 0.5 else -1.0
        yield sign * values[:train], sign * values[train:]
        edges = np.unique(np.quantile(values[:train], np.linspace(0, 1, BINS + 1), method="nearest"))
        # A value that equals an edge, as the zero of most rows, is a bin of its own.
        codes = np.searchsorted(edges, values, "left") + np.searchsorted(edges, values, "right")
    known, place = np.unique(codes[:train], return_inverse=True)
    clicks, counts = np.bincount(place, label), np.bincount(place)
    mean = float(label.mean())
    own = (clicks[place] - label + _PRIOR * mean) / (counts[place] - 1 + _PRIOR)
    yield own, _rates(known, clicks, counts, mean, codes[train:])


def _list_scores(values: np.ndarray, label: np.ndarray, train: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Scores of lists by the rates of their elements: the highest, the lowest and the mean. An empty list is an
    element."""
    there = values != PAD
    there[~there.any(1), 0] = True
    rows, slots = np.nonzero(there[:train])
    known, place = np.unique(values[rows, slots], return_inverse=True)
    clicks, counts = np.bincount(place, label[rows]), np.bincount(place)
    mean = float(label.mean())
    own = np.full((train, values.shape[1]), np.nan)
    own[rows, slots] = (clicks[place] - label[rows] + _PRIOR * mean) / (counts[place] - 1 + _PRIOR)
    others = np.where(there[train:], _rates(known, clicks, counts, mean, values[train:]), np.nan)
    for score in (np.nanmax, np.nanmin, np.nanmean):
        yield score(own, axis=1), score(others, axis=1) if len(others) else np.zeros(0)


def _rates(known: np.ndarray, clicks: np.ndarray, counts: np.ndarray, mean: float, codes: np.ndarray) -> np.ndarray:
    """Rates of clicks of categories, smoothed; of one that train rows do not have the mean."""
    at = np.minimum(np.searchsorted(known, codes), len(known) - 1)
    return np.where(known[at] == codes, (clicks[at] + _PRIOR * mean) / (counts[at] + _PRIOR), mean)


def _few(values: np.ndarray) -> Iterator[np.ndarray]:
    """Yield categories, few of them, that a field's values make: the values themselves, and whether a value is another
    than the most frequent one."""
    if values.ndim == 2:
        values = np.where((values != PAD).any(1), 1, 0)
    distinct, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    if len(distinct) <= FEW_VALUES:
        yield place
    usual = int(np.argmax(counts))
    if len(distinct) > 2 and counts[usual] >= 0.2 * len(values):
        yield (place != usual).astype(np.int64)


def _pure(codes: np.ndarray, label: np.ndarray, train: int) -> int:
    """Return the most rows of a category that is clicked in all of them; 0 where that may be chance."""
    share = float(label[:train].mean())
    if share > MOST_CLICKS:
        return 0
    rows, clicks = np.bincount(codes), np.bincount(codes, label)
    # Of several categories one is likelier to be pure than of one.
    enough = (rows >= SUPPORT) & (share ** rows * len(rows) < CHANCE)
    return int(rows[enough & (rows == clicks)].max(initial=0))


def _spread(start: int, stop: int, most: int) -> np.ndarray:
    """Return at most that many row numbers, evenly spread."""
    return np.unique(np.linspace(start, max(stop - 1, start), min(most, stop - start)).astype(np.int64)) \
        if stop > start else np.zeros(0, np.int64)
