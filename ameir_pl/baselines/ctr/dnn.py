"""YouTube DNN (Covington et al., 2016): sum pooling of the history, then an MLP on everything."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ameir_pl.baselines.base import BASELINES
from ameir_pl.batch import Batch
from ameir_pl.nn.elastic import ElasticMlp
from ameir_pl.nn.embedding import FieldEmbedding
from ameir_pl.nn.heads import CtrHead, RetrievalHead
from ameir_pl.schema import Schema


@BASELINES.register("dnn")
class Dnn(nn.Module):
    """h = MLP([sum of the history's embeddings, field embeddings, dense]), all hidden layers ReLU.

    Args:
        schema: of the dataset.
        embedding_size: K.
        mlp: units of the hidden layers; none for retrieval datasets without fields.
        dropout: after each hidden layer.
    """

    def __init__(self, schema: Schema, *, embedding_size: int, mlp: Sequence[int], dropout: float = 0.0) -> None:
        super().__init__()
        self.embedding = FieldEmbedding(schema, embedding_size)
        self.has_history = bool(schema.behaviors)
        width = (len(schema.fields) + len(schema.behaviors)) * embedding_size + len(schema.dense)
        self.layers = [(units, "relu") for units in mlp]
        self.mlp = ElasticMlp(width, mlp, [("relu",)] * len(mlp), dropout=dropout)
        last = mlp[-1] if mlp else width
        self.head: nn.Module = (CtrHead(last, 0) if schema.task == "ctr" else RetrievalHead(last, 0, embedding_size))

    def forward(self, batch: Batch) -> Tensor:
        """Return logits (B,) for CTR, query vectors (B, K) for retrieval."""
        parts = [self.embedding.fields(batch.fields).flatten(1), batch.dense]  # (B, N*K), (B, dense)
        if self.has_history:
            history = self.embedding.behaviors(batch.behaviors)  # (B, T, D)
            parts.insert(0, torch.where(batch.mask[..., None], history, 0.0).sum(1))  # (B, D)
        h_0 = torch.cat([p for p in parts if p.numel()], 1)
        return self.head(self.mlp(h_0, self.layers), None)
