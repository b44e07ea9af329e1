"""AFM (Xiao et al., 2017): a factorization machine whose pairs count as much as an attention network says."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ameir_pl.baselines.base import BASELINES, Baseline
from ameir_pl.baselines.parts import FirstOrder, Pairs, check_whole, field_vectors
from ameir_pl.batch import Batch
from ameir_pl.nn.dropout import Dropout
from ameir_pl.nn.embedding import FieldEmbedding
from ameir_pl.nn.heads import CtrHead
from ameir_pl.nn.initialization import embedding_uniform, he_normal
from ameir_pl.schema import Schema


@BASELINES.register("afm")
class Afm(Baseline):
    """logit = <w, x> + p·(sum over pairs i < j of a_ij (e_i * e_j)) (Xiao et al. 2017, Eq. 4 to 6), without w_0.

    ``a = softmax over pairs of h·ReLU(W (e_i * e_j) + b)``. A behavior field is one more field, as in
    :class:`~ameir_pl.baselines.ctr.fm.Fm`; dense values have first-order weights only.

    Args:
        schema: of a dataset of clicks with two fields or more.
        embedding_size: K.
        mlp: not used.
        dropout: of the pooled pairs.
        attention_size: rows of W; None is K, as in the paper.
    """

    needs = ("clicks", "fields")

    def __init__(self, schema: Schema, *, embedding_size: int, mlp: Sequence[int], dropout: float = 0.0,
                 attention_size: int | None = None) -> None:
        super().__init__()
        if attention_size is not None:
            check_whole("afm", "attention_size", attention_size)
        units = attention_size or embedding_size
        self.embedding = FieldEmbedding(schema, embedding_size)
        self.first_order = FirstOrder(schema, history=True)
        self.pairs = Pairs(len(schema.fields) + len(schema.behaviors))
        self.attention = nn.Linear(embedding_size, units)  # W, b
        self.score = nn.Parameter(torch.empty(units))  # h
        self.dropout = Dropout(dropout)
        self.head = CtrHead(embedding_size)  # p
        he_normal(self.attention.weight)
        nn.init.zeros_(self.attention.bias)
        embedding_uniform(self.score)

    def forward(self, batch: Batch) -> Tensor:
        """Return logits (B,)."""
        products = self.pairs(field_vectors(self.embedding, batch))  # (B, P, K)
        weights = (torch.relu(self.attention(products)) @ self.score).softmax(1)  # (B, P)
        pooled = (weights.unsqueeze(1) @ products).squeeze(1)  # (B, K)
        return self.first_order(batch) + self.head(self.dropout(pooled))
