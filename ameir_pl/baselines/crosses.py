"""Crosses of columns: what AutoCross searches, and the search (Luo et al., 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ameir_pl.batch import Batch
from ameir_pl.nn.embedding import known_ids, of_slots
from ameir_pl.progress import Meter
from ameir_pl.schema import Schema

Cross = tuple[int, ...]
"""Places of the crossed columns, rising; one place alone is the column itself."""
MINIBATCH = 512
RATE = 0.1
"""Of AdaGrad, in which every row of a mini-batch counts as a gradient of its own: ids come seldom and often."""
_PRIME = 0x9E3779B97F4A7C15 - (1 << 64)
_MIX = 0x3F58476D1CE4E5B9


class Columns(nn.Module):
    """The columns of a dataset that can be crossed: univalent fields, and dense values divided into ranges.

    Dense values are stored by their percentile, so that ranges of equal width hold about as many rows each
    (AutoCross's multi-granularity discretization).

    Args:
        schema: of the dataset.
        granularities: into how many ranges; each dense field is one column for each of them.

    Attributes:
        names: a field's own name, or ``dense@ranges``.
    """

    ranges: Tensor
    sizes: Tensor

    def __init__(self, schema: Schema, granularities: Sequence[int]) -> None:
        super().__init__()
        starts = [sum(f.width for f in schema.fields[:i]) for i in range(len(schema.fields))]
        self._slots = [start for start, f in zip(starts, schema.fields, strict=True) if f.width == 1]
        univalent = [f for f in schema.fields if f.width == 1]
        self.register_buffer("sizes", of_slots(univalent, schema.vocabularies), persistent=False)
        self.register_buffer("ranges", torch.tensor(list(granularities)), persistent=False)
        self.fields = [f.name for f in schema.fields if f.width == 1]
        self.dense = list(schema.dense)
        self.names = self.fields + [f"{name}@{ranges}" for name in self.dense for ranges in granularities]

    def forward(self, batch: Batch) -> Tensor:
        """Return (B, columns) int64."""
        ids = batch.fields[:, self._slots]
        parts = [ids if self.training else known_ids(ids, self.sizes)]
        if self.dense:
            place = (batch.dense[:, :, None] + 1) / 2 * self.ranges  # (B, D, granularities)
            parts.append(torch.minimum(place.floor().clamp(min=0).long(), self.ranges - 1).flatten(1))
        return torch.cat(parts, 1)

    def granularities_of(self) -> list[list[int]]:
        """Return, for each dense field, the places of its columns."""
        each, first = len(self.ranges), len(self.fields)
        return [list(range(first + i * each, first + (i + 1) * each)) for i in range(len(self.dense))]


def index_of(crosses: Sequence[Cross]) -> Tensor:
    """Return crosses as (order, crosses): the first column of each, the second, ..., and -1 where there is none."""
    order = max(map(len, crosses))
    return torch.tensor([[*cross, *[-1] * (order - len(cross))] for cross in crosses]).T.contiguous()


def bucket(ids: Tensor, index: Tensor, buckets: int) -> Tensor:
    """Return in which of ``buckets`` each cross of each row is, (B, crosses), by hash.

    Args:
        ids: (B, columns).
        index: (order, crosses), of :func:`index_of`.
        buckets: of each cross.
    """
    code = torch.zeros(len(ids), index.shape[1], dtype=torch.int64, device=ids.device)
    for column in index:
        mixed = (code ^ (ids[:, column] + (column + 1) * _MIX)) * _PRIME
        code = torch.where(column >= 0, mixed ^ (mixed >> 29), code)
    return code.remainder(buckets)


class FieldwiseLr:
    """Logistic regressions side by side, one for each of C crosses, each on top of logits that stay as they are
    (Luo et al. 2019, Sec. 4.1): only the weights of its own cross are learned.

    Args:
        crosses: C of them.
        buckets: H, weights each.
    """

    def __init__(self, crosses: Sequence[Cross], buckets: int) -> None:
        self.crosses, self.buckets = list(crosses), buckets
        self._index = index_of(crosses)
        self.weights = torch.zeros(len(crosses), buckets)
        self._squares = torch.full_like(self.weights, 1e-6)

    def keep(self, places: Sequence[int]) -> None:
        """Go on with some of the crosses."""
        self.crosses = [self.crosses[i] for i in places]
        self._index = index_of(self.crosses)
        self.weights, self._squares = self.weights[places], self._squares[places]

    def logits(self, ids: Tensor) -> Tensor:
        """Return what each cross adds to the logit, (B, C)."""
        return self.weights.view(-1)[self._places(ids)]

    def learn(self, ids: Tensor, base: Tensor, labels: Tensor, *, together: bool = False) -> None:
        """Go once over rows in mini-batches: ids (B, columns), the logits ``base`` (B,), labels (B,); ``together`` adds
        the crosses up to one regression."""
        weights, squares = self.weights.view(-1), self._squares.view(-1)
        for rows in torch.arange(len(ids)).split(MINIBATCH):
            places = self._places(ids[rows])  # (b, C)
            own = weights[places]
            logit = base[rows, None] + (own.sum(1, keepdim=True) if together else own)
            error = (logit.sigmoid() - labels[rows, None]).expand_as(places).flatten()  # the gradient of each row
            places = places.flatten()
            squares.index_add_(0, places, error.square())
            weights.index_add_(0, places, error * squares[places].rsqrt(), alpha=-RATE)

    def losses(self, ids: Tensor, base: Tensor, labels: Tensor) -> Tensor:
        """Return the mean log loss of each regression, (C,)."""
        total = torch.zeros(len(self.crosses), dtype=torch.float64)
        for rows in torch.arange(len(ids)).split(4 * MINIBATCH):
            logit = base[rows, None] + self.logits(ids[rows])
            loss = F.binary_cross_entropy_with_logits(logit, labels[rows, None].expand_as(logit), reduction="none")
            total += loss.double().sum(0)
        return total / len(ids)

    def _places(self, ids: Tensor) -> Tensor:
        return bucket(ids, self._index, self.buckets) + torch.arange(len(self.crosses)) * self.buckets


@dataclass
class Rows:
    """Rows of columns: ids (n, columns), labels (n,), and the logits (n,) of what is found so far."""

    ids: Tensor
    labels: Tensor
    logits: Tensor

    @classmethod
    def of(cls, batches: Sequence[Batch], columns: Columns) -> Rows:
        """Return the rows of ``batches`` in an order of their own, always the same."""
        ids, labels = torch.cat([columns(b) for b in batches]), torch.cat([b.label for b in batches])
        order = torch.randperm(len(ids), generator=torch.Generator().manual_seed(0))
        return cls(ids[order], labels[order], torch.zeros(len(ids)))

    def add(self, model: FieldwiseLr) -> None:
        """Add what the crosses of a model say."""
        for rows in torch.arange(len(self.ids)).split(4 * MINIBATCH):
            self.logits[rows] += model.logits(self.ids[rows]).sum(1)

    def halves(self) -> tuple[Rows, Rows]:
        """Return the first half and the second."""
        middle = len(self.ids) // 2
        (ids, logits, labels), (other_ids, other_logits, other_labels) = self[:middle], self[middle:]
        return Rows(ids, labels, logits.clone()), Rows(other_ids, other_labels, other_logits.clone())

    def __getitem__(self, rows: slice) -> tuple[Tensor, Tensor, Tensor]:
        return self.ids[rows], self.logits[rows], self.labels[rows]


def best_by_halving(crosses: Sequence[Cross], train: Rows, valid: Rows, *, buckets: int, first: int) -> Cross:
    """Return the cross that lowers the validation log loss most, by successive mini-batch gradient descent (Luo et al.
    2019, Algorithm 2): all crosses learn from ``first`` rows, the better half goes on with twice as many new ones, and
    so on until one is left or the rows are used up."""
    model, start, count = FieldwiseLr(crosses, buckets), 0, first
    while True:
        model.learn(*train[start:start + count])
        order = model.losses(*valid[:]).argsort(stable=True).tolist()
        start, count = start + count, 2 * count
        if len(order) <= 2 or start >= len(train.ids):
            return model.crosses[order[0]]
        model.keep(sorted(order[:-(-len(order) // 2)]))


def find_crosses(columns: Columns, train: Rows, valid: Rows, *, number: int, buckets: int, first: int) -> list[Cross]:
    """Search crosses by beam search (Luo et al. 2019, Algorithm 1): what is found so far is joined by the best cross of
    two of its members, until there are ``number`` or the best one does not help.

    One half of ``valid`` compares candidates; whether the best of them lowers the log loss is asked of the other half,
    to which it is not the luckiest of hundreds. The logits of all rows become those of all that is found.
    """
    valid, judge = valid.halves()
    chosen: list[Cross] = [(i,) for i in range(len(columns.fields))]
    for granularities in columns.granularities_of():
        several = FieldwiseLr([(i,) for i in granularities], buckets)
        several.learn(*train[:])
        chosen.append(several.crosses[int(several.losses(*valid[:]).argmin())])
    if len(chosen) < 2:  # all fields have several ids a row
        return []
    model = FieldwiseLr(chosen, buckets)
    model.learn(*train[:], together=True)
    for rows in (train, valid, judge):
        rows.add(model)
    found: list[Cross] = []
    with Meter("autocross: crosses", number, "crosses") as meter:
        while len(found) < number:
            members = [*chosen, *found]
            candidates = sorted({tuple(sorted({*a, *b})) for a, b in combinations(members, 2)} - set(members))
            if not candidates:
                break
            best = best_by_halving(candidates, train, valid, buckets=buckets, first=first)
            before = F.binary_cross_entropy_with_logits(judge.logits, judge.labels).item()
            model = FieldwiseLr([best], buckets)
            model.learn(*train[:])
            if not model.losses(*judge[:]).item() < before:
                break
            for rows in (train, valid, judge):
                rows.add(model)
            found.append(best)
            meter.advance()
    return found

