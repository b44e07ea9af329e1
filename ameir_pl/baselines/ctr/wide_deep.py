"""Wide & Deep (Cheng et al., 2016): a linear model and an MLP, added."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ameir_pl.baselines.base import BASELINES, Baseline
from ameir_pl.baselines.parts import FirstOrder, PlainMlp, deep_input, deep_width
from ameir_pl.batch import Batch
from ameir_pl.nn.embedding import FieldEmbedding
from ameir_pl.nn.heads import CtrHead
from ameir_pl.schema import Schema


@BASELINES.register("wide_deep")
class WideDeep(Baseline):
    """logit = <w, x> + w·MLP([history sum, e, dense]) (Cheng et al. 2016, Eq. 3), without products of ids in x.

    The wide part is a linear regression on what is not the history, as AMEIR's Appendix C has it.

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
        return self.first_order(batch) + self.head(self.mlp(deep_input(self.embedding, batch, e)))
