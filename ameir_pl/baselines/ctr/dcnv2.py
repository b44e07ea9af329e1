"""DCN-V2 (Wang et al., 2021): a cross network with a matrix for each layer, beside an MLP."""

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


class CrossMatrix(nn.Module):
    """``x_0 * (W x + b) + x`` (Wang et al. 2021, Eq. 1), or with ``W = U V`` (Eq. 2); normal, deviation 1/sqrt(inputs).

    Args:
        width: d.
        rank: rows of V (rank, d) and columns of U (d, rank); None for a whole W (d, d).
    """

    def __init__(self, width: int, rank: int | None) -> None:
        super().__init__()
        self.down = None if rank is None else nn.Linear(width, rank, bias=False)  # V
        self.up = nn.Linear(width if rank is None else rank, width)  # W or U, and b
        for linear in (self.up,) if self.down is None else (self.down, self.up):
            scaled_normal(linear.weight, linear.in_features)
        nn.init.zeros_(self.up.bias)

    def forward(self, x0: Tensor, x: Tensor) -> Tensor:
        """Return (B, d) from the network's input ``x0`` and the layer's ``x``, both (B, d)."""
        return x0 * self.up(x if self.down is None else self.down(x)) + x


@BASELINES.register("dcnv2")
class DcnV2(Baseline):
    """logit = w·[cross(x_0), MLP(x_0)] with x_0 = [history sum, e, dense] (Wang et al. 2021, Fig. 1b, "parallel").

    Args:
        schema: of a dataset of clicks.
        embedding_size: K.
        mlp: units of the hidden layers, all ReLU.
        dropout: after each hidden layer.
        layers: of the cross network.
        rank: of its matrices; None for whole ones.
    """

    needs = ("clicks",)

    def __init__(self, schema: Schema, *, embedding_size: int, mlp: Sequence[int], dropout: float = 0.0,
                 layers: int = 3, rank: int | None = None) -> None:
        super().__init__()
        check_whole("dcnv2", "layers", layers)
        if rank is not None:
            check_whole("dcnv2", "rank", rank)
        width = deep_width(schema, embedding_size)
        self.embedding = FieldEmbedding(schema, embedding_size)
        self.cross = nn.ModuleList(CrossMatrix(width, rank) for _ in range(layers))
        self.mlp = PlainMlp(width, mlp, dropout)
        self.head = CtrHead(width + self.mlp.out_features)

    def forward(self, batch: Batch) -> Tensor:
        """Return logits (B,)."""
        x0 = deep_input(self.embedding, batch, self.embedding.fields(batch.fields))  # (B, d)
        x = x0
        for layer in self.cross:
            x = layer(x0, x)
        return self.head(torch.cat([x, self.mlp(x0)], 1))
