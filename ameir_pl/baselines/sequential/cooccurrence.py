"""Co-occurrence: the items that come soonest after, or before, those of the history; it counts and trains nothing."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ameir_pl.baselines.base import BASELINES, Baseline
from ameir_pl.baselines.next_item import at_least, from_end
from ameir_pl.batch import Batch
from ameir_pl.errors import AmeirError
from ameir_pl.nn.embedding import known_ids
from ameir_pl.schema import OOV, Schema


class Neighbours(nn.Module):
    """A sparse matrix of items by items, in the place of an embedding.

    Attributes:
        first: (V + 1,) where each item's neighbours begin.
        items: (n,) the neighbours.
        weights: (n,) float32, theirs.
        popularity: (V,) what items have that are no neighbours: by popularity, less than the least that any has.
    """

    first: Tensor
    items: Tensor
    weights: Tensor
    popularity: Tensor

    def __init__(self, items: int) -> None:
        super().__init__()
        self.set(torch.zeros(0, dtype=torch.int64), torch.zeros(0), torch.zeros(items))

    def set(self, keys: Tensor, weights: Tensor, popularity: Tensor) -> None:
        """Take the weights (n,) of the pairs ``item * V + neighbour`` (n,), sorted, and the popularity (V,)."""
        count = len(popularity)
        first = torch.searchsorted(keys, torch.arange(count + 1, device=keys.device) * count)
        for name, value in (("first", first), ("items", keys % count), ("weights", weights.float()),
                            ("popularity", popularity.float())):
            self.register_buffer(name, value, persistent=False)


@BASELINES.register("cooccurrence")
class Cooccurrence(Baseline):
    """score_j = sum over the history's items i of C_ij / k_i, k_i being 1 for the latest, 2 for the one before, ...

    C_ij adds up 1 / d over the training sequences for every j that comes d <= ``window`` places behind i, and
    ``backward`` / d for every one that comes d places before it (sequential rules: Ludewig and Jannach 2018, "SR", with
    the same decay). What never came near the history is ordered by popularity. Held-out items are not counted.

    It has nothing to train; ``embedding_size``, ``mlp`` and ``dropout`` are ignored. Its output is the score of every
    item.

    Args:
        schema: of a dataset of sequences.
        embedding_size: K; ignored.
        mlp: ignored.
        dropout: ignored.
        window: the longest distance at which two items came together.
        backward: how much an item counts that came before, where one that came after counts 1.

    Raises:
        AmeirError: an option is out of range.
    """

    needs = ("next item",)
    scores_items = True

    def __init__(self, schema: Schema, *, embedding_size: int, mlp: Sequence[int], dropout: float = 0.0,
                 window: int = 10, backward: float = 0.5) -> None:
        super().__init__()
        at_least("cooccurrence", "window", window)
        if not 0 <= backward <= 1:
            raise AmeirError("model=cooccurrence takes `backward` from 0 to 1; found "
                             f"model.options.backward={backward}.")
        self.window, self.backward, self.longest = window, backward, schema.max_len
        slots = [field.vocabulary for field in schema.behaviors for _ in range(field.width)]
        self.slot = slots.index(schema.item)
        self.embedding = Neighbours(schema.vocabularies[schema.item])

    def set_sequences(self, items: Tensor, users: Tensor) -> None:
        """Count the training sequences: ``items`` (n,), user after user, and whose each is, ``users`` (n,)."""
        count = len(self.embedding.popularity)
        popularity = torch.bincount(items, minlength=count).double()
        pairs, weights = [], []
        for distance in range(1, self.window + 1):
            one = users[:-distance] == users[distance:]
            before, after = items[:-distance][one], items[distance:][one]
            for key, share in ((before * count + after, 1.0), (after * count + before, self.backward)):
                if share and len(key):
                    key, times = key.unique(return_counts=True)
                    pairs.append(key)
                    weights.append(times.double() * (share / distance))
        if not pairs:
            self.embedding.set(items[:0], popularity[:0], popularity)
            return
        keys, place = torch.cat(pairs).unique(return_inverse=True)
        summed = torch.zeros(len(keys), dtype=torch.float64).index_add_(0, place, torch.cat(weights))
        least = float(summed.min()) / max(self.longest, 1)
        self.embedding.set(keys, summed, popularity / popularity.sum() * least / 2)

    def forward(self, batch: Batch) -> Tensor:
        """Return the scores (B, V) of all items."""
        near, count = self.embedding, len(self.embedding.popularity)
        scores = near.popularity.repeat(len(batch), 1)
        rows, places = batch.mask.nonzero(as_tuple=True)  # (P,) each
        items = known_ids(batch.behaviors[rows, places, self.slot], count)
        share = 1.0 / (from_end(batch.mask)[rows, places] + 1)
        begin, sizes = near.first[items], near.first[items + 1] - near.first[items]
        sizes = torch.where(items > OOV, sizes, 0)
        event = torch.repeat_interleave(sizes)  # (n,) which of the P each neighbour belongs to
        inside = torch.arange(len(event), device=items.device) - (sizes.cumsum(0) - sizes)[event]
        where = begin[event] + inside
        scores.view(-1).index_add_(0, rows[event] * count + near.items[where], share[event] * near.weights[where])
        return scores
