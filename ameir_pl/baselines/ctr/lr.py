"""Logistic regression (Richardson et al., 2007): one weight for each id and each dense value."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ameir_pl.baselines.base import BASELINES, Baseline
from ameir_pl.baselines.parts import history_sum
from ameir_pl.batch import Batch
from ameir_pl.nn.embedding import FieldEmbedding
from ameir_pl.nn.heads import CtrHead
from ameir_pl.schema import Schema


@BASELINES.register("lr")
class Lr(Baseline):
    """logit = <w, x>, with x counting the ids of the fields and of all behaviors, and holding the dense values.

    Ids of one vocabulary have one weight, whether in a field or in the history. There is no bias: each field always
    has an id, whose weights can hold it.

    Args:
        schema: of a dataset of clicks.
        embedding_size: not used; a weight is an embedding of size 1.
        mlp: not used.
        dropout: not used.
    """

    needs = ("clicks",)

    def __init__(self, schema: Schema, *, embedding_size: int, mlp: Sequence[int], dropout: float = 0.0) -> None:
        super().__init__()
        self.embedding = FieldEmbedding(schema, 1)
        self.dense = CtrHead(len(schema.dense)) if schema.dense else None

    def forward(self, batch: Batch) -> Tensor:
        """Return logits (B,)."""
        logit = self.embedding.fields(batch.fields).sum((1, 2)) + history_sum(self.embedding, batch).sum(1)
        return logit if self.dense is None else logit + self.dense(batch.dense)
