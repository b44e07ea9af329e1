"""YouTube DNN (Covington et al., 2016): sum pooling of the history, then an MLP on everything."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ameir_pl.baselines.base import BASELINES, Baseline
from ameir_pl.baselines.parts import PlainMlp, deep_input, deep_width
from ameir_pl.batch import Batch
from ameir_pl.nn.embedding import FieldEmbedding
from ameir_pl.nn.heads import CtrHead, RetrievalHead
from ameir_pl.schema import Schema


@BASELINES.register("dnn")
class Dnn(Baseline):
    """h = MLP([sum of the history's embeddings, field embeddings, dense]), all hidden layers ReLU.

    Args:
        schema: of the dataset.
        embedding_size: K.
        mlp: units of the hidden layers; none for retrieval datasets without fields.
        dropout: after each hidden layer.
    """

    needs = ()

    def __init__(self, schema: Schema, *, embedding_size: int, mlp: Sequence[int], dropout: float = 0.0) -> None:
        super().__init__()
        self.embedding = FieldEmbedding(schema, embedding_size)
        self.mlp = PlainMlp(deep_width(schema, embedding_size), mlp, dropout)
        last = self.mlp.out_features
        self.head = CtrHead(last) if schema.task == "ctr" else RetrievalHead(last, 0, embedding_size)
        if isinstance(self.head, RetrievalHead) and not mlp and schema.item_place is not None:
            self.head.start_as_items({schema.item_place * embedding_size: 1.0})

    def forward(self, batch: Batch) -> Tensor:
        """Return logits (B,) for CTR, query vectors (B, K) for retrieval."""
        e = self.embedding.fields(batch.fields)  # (B, N, K)
        return self.head(self.mlp(deep_input(self.embedding, batch, e)))
