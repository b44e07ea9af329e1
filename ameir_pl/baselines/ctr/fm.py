"""FM (Rendle, 2010): a weight for each id, and for each pair of fields the inner product of two embeddings."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ameir_pl.baselines.base import BASELINES, Baseline
from ameir_pl.baselines.parts import FirstOrder, bi_interaction, field_vectors
from ameir_pl.batch import Batch
from ameir_pl.nn.embedding import FieldEmbedding
from ameir_pl.schema import Schema


@BASELINES.register("fm")
class Fm(Baseline):
    """logit = <w, x> + sum over pairs i < j of <e_i, e_j> (Rendle 2010, Eq. 1), without w_0, which <w, x> can hold.

    A behavior field is one more field, whose vector is the sum over the history. A multivalent field's ids are not
    paired with each other. Dense values have first-order weights only.

    Args:
        schema: of a dataset of clicks with two fields or more.
        embedding_size: K.
        mlp: not used.
        dropout: not used.
    """

    needs = ("clicks", "fields")

    def __init__(self, schema: Schema, *, embedding_size: int, mlp: Sequence[int], dropout: float = 0.0) -> None:
        super().__init__()
        self.embedding = FieldEmbedding(schema, embedding_size)
        self.first_order = FirstOrder(schema, history=True)

    def forward(self, batch: Batch) -> Tensor:
        """Return logits (B,)."""
        return self.first_order(batch) + bi_interaction(field_vectors(self.embedding, batch)).sum(1)
