"""DCN (Wang et al., 2017): a cross network multiplies its input with itself, beside an MLP."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ameir_pl.baselines.base import BASELINES, Baseline
from ameir_pl.baselines.parts import PlainMlp, check_whole, deep_input, deep_width
from ameir_pl.batch import Batch
from ameir_pl.nn.embedding import FieldEmbedding
from ameir_pl.nn.heads import CtrHead
from ameir_pl.nn.initialization import scaled_normal
from ameir_pl.schema import Schema


class CrossVector(nn.Module):
    """``x_0 (w·x) + b + x`` (Wang et al. 2017, Eq. 3), w and b vectors; w normal with deviation 1/sqrt(d), b zero.

    Args:
        width: d.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(1, width))
        self.bias = nn.Parameter(torch.zeros(width))
        scaled_normal(self.weight, width)

    def forward(self, x0: Tensor, x: Tensor) -> Tensor:
        """Return (B, d) from the network's input ``x0`` and the layer's ``x``, both (B, d)."""
        return x0 * (x @ self.weight.T) + self.bias + x


@BASELINES.register("dcn")
class Dcn(Baseline):
    """logit = w·[cross(x_0), MLP(x_0)] with x_0 = [history sum, e, dense] (Wang et al. 2017, Eq. 2 to 5).

    Args:
        schema: of a dataset of clicks.
        embedding_size: K.
        mlp: units of the hidden layers, all ReLU.
        dropout: after each hidden layer.
        layers: of the cross network.
    """

    needs = ("clicks",)

    def __init__(self, schema: Schema, *, embedding_size: int, mlp: Sequence[int], dropout: float = 0.0,
                 layers: int = 3) -> None:
        super().__init__()
        check_whole("dcn", "layers", layers)
        width = deep_width(schema, embedding_size)
        self.embedding = FieldEmbedding(schema, embedding_size)
        self.cross = nn.ModuleList(CrossVector(width) for _ in range(layers))
        self.mlp = PlainMlp(width, mlp, dropout)
        self.head = CtrHead(width + self.mlp.out_features)

    def forward(self, batch: Batch) -> Tensor:
        """Return logits (B,)."""
        x0 = deep_input(self.embedding, batch, self.embedding.fields(batch.fields))  # (B, d)
        x = x0
        for layer in self.cross:
            x = layer(x0, x)
        return self.head(torch.cat([x, self.mlp(x0)], 1))
