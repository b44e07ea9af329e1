"""IPNN (Qu et al., 2016): the inner products of all pairs of embeddings are inputs of the MLP."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ameir_pl.baselines.base import BASELINES, Baseline
from ameir_pl.baselines.parts import Pairs, PlainMlp, deep_input, deep_width
from ameir_pl.batch import Batch
from ameir_pl.nn.embedding import FieldEmbedding
from ameir_pl.nn.heads import CtrHead
from ameir_pl.schema import Schema


@BASELINES.register("ipnn")
class Ipnn(Baseline):
    """logit = w·MLP([history sum, e, dense, <e_i, e_j> for all pairs i < j of fields]) (Qu et al. 2016, Sec. III).

    The products enter the MLP as they are: the paper's factorization of their first weights, which saves time for
    many fields, is not taken.

    Args:
        schema: of a dataset of clicks with two fields or more.
        embedding_size: K.
        mlp: units of the hidden layers, all ReLU.
        dropout: after each hidden layer.
    """

    needs = ("clicks", "fields")

    def __init__(self, schema: Schema, *, embedding_size: int, mlp: Sequence[int], dropout: float = 0.0) -> None:
        super().__init__()
        self.embedding = FieldEmbedding(schema, embedding_size)
        self.pairs = Pairs(len(schema.fields))
        self.mlp = PlainMlp(deep_width(schema, embedding_size) + len(self.pairs), mlp, dropout)
        self.head = CtrHead(self.mlp.out_features)

    def forward(self, batch: Batch) -> Tensor:
        """Return logits (B,)."""
        e = self.embedding.fields(batch.fields)  # (B, N, K)
        products = (e @ e.mT)[:, self.pairs.first, self.pairs.second]  # (B, P)
        return self.head(self.mlp(torch.cat([deep_input(self.embedding, batch, e), products], 1)))
