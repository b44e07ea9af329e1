"""AutoInt+ (Song et al., 2019): fields attend to each other, beside an MLP."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ameir_pl.baselines.base import BASELINES, Baseline
from ameir_pl.baselines.parts import PlainMlp, check_whole, deep_input, deep_width
from ameir_pl.batch import Batch
from ameir_pl.nn.embedding import FieldEmbedding
from ameir_pl.nn.heads import CtrHead
from ameir_pl.nn.initialization import embedding_uniform, he_normal
from ameir_pl.schema import Schema


class InteractingLayer(nn.Module):
    """``ReLU([heads side by side] + W_res e)``, a head being ``softmax(Q K^T) V`` (Song et al. 2019, Eq. 5 to 8).

    Inner products are not divided by a root, and no linear has a bias, as in the paper. The attention's weights are
    uniform ±0.05, those of the residual He normal.

    Args:
        in_features: width of a field.
        heads: H.
        size: d' of each head.
    """

    def __init__(self, in_features: int, heads: int, size: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention = nn.Linear(in_features, 3 * heads * size, bias=False)  # W_Q, W_K, W_V
        self.residual = nn.Linear(in_features, heads * size, bias=False)  # W_res
        embedding_uniform(self.attention.weight)
        he_normal(self.residual.weight)

    def forward(self, e: Tensor) -> Tensor:
        """Return (B, N, H·d') from ``e`` (B, N, in_features)."""
        # (3, B, H, N, d')
        query, key, value = self.attention(e).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind()
        found = (query @ key.mT).softmax(-1) @ value  # (B, H, N, d')
        return torch.relu(found.transpose(1, 2).flatten(2) + self.residual(e))


@BASELINES.register("autoint")
class AutoInt(Baseline):
    """logit = w·interacting layers(e) + w·MLP([history sum, e, dense]) (Song et al. 2019, Eq. 9, "AutoInt+").

    The N fields attend to each other. The paper also gives each dense value a vector; here they, as the history, go
    to the MLP only.

    Args:
        schema: of a dataset of clicks with two fields or more.
        embedding_size: K.
        mlp: units of the hidden layers, all ReLU.
        dropout: after each hidden layer.
        layers: interacting ones.
        heads: of each.
        attention_size: d' of each head.
    """

    needs = ("clicks", "fields")

    def __init__(self, schema: Schema, *, embedding_size: int, mlp: Sequence[int], dropout: float = 0.0,
                 layers: int = 3, heads: int = 2, attention_size: int = 32) -> None:
        super().__init__()
        for option, value in (("layers", layers), ("heads", heads), ("attention_size", attention_size)):
            check_whole("autoint", option, value)
        width = heads * attention_size
        self.embedding = FieldEmbedding(schema, embedding_size)
        self.interacting = nn.Sequential(*(InteractingLayer(width if i else embedding_size, heads, attention_size)
                                           for i in range(layers)))
        self.interacting_head = CtrHead(len(schema.fields) * width)
        self.mlp = PlainMlp(deep_width(schema, embedding_size), mlp, dropout)
        self.head = CtrHead(self.mlp.out_features)

    def forward(self, batch: Batch) -> Tensor:
        """Return logits (B,)."""
        e = self.embedding.fields(batch.fields)  # (B, N, K)
        deep = self.head(self.mlp(deep_input(self.embedding, batch, e)))
        return self.interacting_head(self.interacting(e).flatten(1)) + deep
