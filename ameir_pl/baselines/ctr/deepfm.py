"""DeepFM (Guo et al., 2017): a factorization machine and an MLP on the same embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from ameir_pl.baselines.base import BASELINES
from ameir_pl.batch import Batch
from ameir_pl.errors import AmeirError
from ameir_pl.nn.elastic import ElasticMlp
from ameir_pl.nn.embedding import FieldEmbedding
from ameir_pl.nn.heads import CtrHead
from ameir_pl.nn.sequence import zero_padding
from ameir_pl.schema import Schema


def pair_products(e: Tensor) -> Tensor:
    """Return the sum over all pairs i < j of <e_i, e_j>, (B,) from ``e`` (B, N, K) (Rendle 2010, Lemma 3.1)."""
    total = e.sum(1)  # (B, K)
    return 0.5 * (total * total - (e * e).sum(1)).sum(1)


@BASELINES.register("deepfm")
class DeepFm(nn.Module):
    """logit = <w, x> + sum over pairs <e_i, e_j> + w·MLP([history sum, e, dense]) (Guo et al. 2017, Eq. 1-4).

    ``<w, x>`` has one weight for each id of each field and one for each dense value; the pairs are those of the N
    fields. The paper has no history: its sum goes to the MLP only, and a dataset without behaviors has none.

    Args:
        schema: of a dataset of clicks.
        embedding_size: K.
        mlp: units of the hidden layers, all ReLU.
        dropout: after each hidden layer.

    Raises:
        AmeirError: the dataset is one of retrieval, whose items have no fields to combine.
    """

    def __init__(self, schema: Schema, *, embedding_size: int, mlp: Sequence[int], dropout: float = 0.0) -> None:
        super().__init__()
        if schema.task != "ctr":
            raise AmeirError(f"model=deepfm predicts clicks from pairs of fields, and {schema.dataset} is a dataset of "
                             f"{schema.task} without them. Use model=dnn, or a dataset with labels.")
        self.embedding = FieldEmbedding(schema, embedding_size)
        used = {f.vocabulary for f in schema.fields}
        self.first_order = FieldEmbedding(
            replace(schema, behaviors=(), max_len=0,
                    vocabularies={name: size for name, size in schema.vocabularies.items() if name in used}), 1)
        self.dense = CtrHead(len(schema.dense)) if schema.dense else None  # <w, dense>
        self.has_history = bool(schema.behaviors)
        width = (len(schema.fields) + len(schema.behaviors)) * embedding_size + len(schema.dense)
        self.layers = [(units, "relu") for units in mlp]
        self.mlp = ElasticMlp(width, mlp, [("relu",)] * len(mlp), dropout=dropout)
        self.head = CtrHead(mlp[-1] if mlp else width)

    def forward(self, batch: Batch) -> Tensor:
        """Return logits (B,)."""
        e = self.embedding.fields(batch.fields)  # (B, N, K)
        linear = self.first_order.fields(batch.fields).sum((1, 2))  # (B,)
        if self.dense is not None:
            linear = linear + self.dense(batch.dense)
        parts = [e.flatten(1), batch.dense]  # (B, N*K), (B, D)
        if self.has_history:
            history = self.embedding.behaviors(batch.behaviors)  # (B, T, N_a*K)
            parts.insert(0, zero_padding(history, batch.mask).sum(1))
        deep = self.head(self.mlp(torch.cat(parts, 1), self.layers))
        return linear + pair_products(e) + deep
