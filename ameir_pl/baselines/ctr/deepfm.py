"""DeepFM (Guo et al., 2017): a factorization machine and an MLP on the same embeddings."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ameir_pl.baselines.base import BASELINES, Baseline
from ameir_pl.baselines.parts import FirstOrder, PlainMlp, bi_interaction, deep_input, deep_width
from ameir_pl.batch import Batch
from ameir_pl.nn.embedding import FieldEmbedding
from ameir_pl.nn.heads import CtrHead
from ameir_pl.schema import Schema


@BASELINES.register("deepfm")
class DeepFm(Baseline):
    """logit = <w, x> + sum over pairs <e_i, e_j> + w·MLP([history sum, e, dense]) (Guo et al. 2017, Eq. 1-4).

    ``<w, x>`` has one weight for each id of each field and one for each dense value; the pairs are those of the N
    fields. The paper has no history: its sum goes to the MLP only.

    Args:
        schema: of a dataset of clicks.
        embedding_size: K.
        mlp: units of the hidden layers, all ReLU.
        dropout: after each hidden layer.
    """

    needs = ("clicks",)

    def __init__(self, schema: Schema, *, embedding_size: int, mlp: Sequence[int], dropout: float = 0.0) -> None:
        super().__init__()
        self.embedding = FieldEmbedding(schema, embedding_size)
        self.first_order = FirstOrder(schema)
        self.mlp = PlainMlp(deep_width(schema, embedding_size), mlp, dropout)
        self.head = CtrHead(self.mlp.out_features)

    def forward(self, batch: Batch) -> Tensor:
        """Return logits (B,)."""
        e = self.embedding.fields(batch.fields)  # (B, N, K)
        deep = self.head(self.mlp(deep_input(self.embedding, batch, e)))
        return self.first_order(batch) + bi_interaction(e).sum(1) + deep
