"""POP: the items that come most often in the training sequences."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ameir_pl.baselines.base import BASELINES, Baseline
from ameir_pl.batch import Batch
from ameir_pl.nn.embedding import known_ids
from ameir_pl.schema import Schema


class Counts(nn.Module):
    """How often each item comes, in the place of its embedding: the score of an item is its count times 1.

    Args:
        items: V.
    """

    counts: Tensor

    def __init__(self, items: int) -> None:
        super().__init__()
        self.register_buffer("counts", torch.zeros(items))

    def rows(self, vocabulary: str, ids: Tensor) -> Tensor:
        """Return the counts (..., 1) of ids (...)."""
        return self.counts[known_ids(ids, len(self.counts))].unsqueeze(-1)

    def table(self, vocabulary: str) -> Tensor:
        """Return the counts (V, 1) of all ids."""
        return self.counts.unsqueeze(-1)


@BASELINES.register("pop")
class Pop(Baseline):
    """score_i = how often item i comes in the training sequences, for every user (AMEIR paper, Appendix C.2).

    It has nothing to train and reads nothing; ``embedding_size``, ``mlp`` and ``dropout`` are ignored.

    Args:
        schema: of a dataset of sequences.
        embedding_size: K; ignored.
        mlp: ignored.
        dropout: ignored.
    """

    needs = ("next item",)

    def __init__(self, schema: Schema, *, embedding_size: int, mlp: Sequence[int], dropout: float = 0.0) -> None:
        super().__init__()
        self.embedding = Counts(schema.vocabularies[schema.item])

    def set_counts(self, counts: Tensor) -> None:
        """Take the counts (V,) by item id."""
        self.embedding.counts.copy_(counts)

    def forward(self, batch: Batch) -> Tensor:
        """Return the query (B, 1), which is 1."""
        return self.embedding.counts.new_ones(len(batch), 1)
