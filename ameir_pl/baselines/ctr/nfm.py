"""NFM (He and Chua, 2017): the pooled products of all pairs of embeddings go through an MLP."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ameir_pl.baselines.base import BASELINES, Baseline
from ameir_pl.baselines.parts import FirstOrder, PlainMlp, bi_interaction, history_sum
from ameir_pl.batch import Batch
from ameir_pl.nn.dropout import Dropout
from ameir_pl.nn.embedding import FieldEmbedding
from ameir_pl.nn.heads import CtrHead
from ameir_pl.schema import Schema


@BASELINES.register("nfm")
class Nfm(Baseline):
    """logit = <w, x> + w·MLP([history sum, sum over pairs i < j of e_i * e_j, dense]) (He and Chua 2017, Eq. 3 and 7).

    The pairs are those of the N fields; the paper has neither history nor dense values in its MLP. Without its batch
    normalization, which is no part of the equations.

    Args:
        schema: of a dataset of clicks with two fields or more.
        embedding_size: K.
        mlp: units of the hidden layers, all ReLU.
        dropout: of the pooled pairs and after each hidden layer, as in the paper.
    """

    needs = ("clicks", "fields")

    def __init__(self, schema: Schema, *, embedding_size: int, mlp: Sequence[int], dropout: float = 0.0) -> None:
        super().__init__()
        self.embedding = FieldEmbedding(schema, embedding_size)
        self.first_order = FirstOrder(schema)
        self.dropout = Dropout(dropout)
        self.mlp = PlainMlp((len(schema.behaviors) + 1) * embedding_size + len(schema.dense), mlp, dropout)
        self.head = CtrHead(self.mlp.out_features)

    def forward(self, batch: Batch) -> Tensor:
        """Return logits (B,)."""
        pooled = self.dropout(bi_interaction(self.embedding.fields(batch.fields)))  # (B, K)
        x = torch.cat([history_sum(self.embedding, batch), pooled, batch.dense], 1)
        return self.first_order(batch) + self.head(self.mlp(x))
