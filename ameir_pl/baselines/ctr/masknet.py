"""MaskNet (Wang, She and Zhang, 2021): blocks multiply the embeddings by masks made from all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ameir_pl.baselines.base import BASELINES, Baseline
from ameir_pl.baselines.parts import PlainMlp, check_whole, deep_input, deep_width
from ameir_pl.batch import Batch
from ameir_pl.errors import AmeirError
from ameir_pl.nn.elastic import ElasticLinear
from ameir_pl.nn.embedding import FieldEmbedding
from ameir_pl.nn.heads import CtrHead
from ameir_pl.nn.initialization import he_normal
from ameir_pl.schema import Schema


class FieldNorm(nn.Module):
    """Layer norm of each K-vector of [history sum, e], with gains and shifts of its own; dense values stay.

    Args:
        vectors: N_a + N.
        size: K.
    """

    def __init__(self, vectors: int, size: int) -> None:
        super().__init__()
        self.vectors, self.size = vectors, size
        # Of one axis, as all gains and shifts: L2 leaves them out.
        self.gain = nn.Parameter(torch.ones(vectors * size))
        self.shift = nn.Parameter(torch.zeros(vectors * size))

    def forward(self, x: Tensor) -> Tensor:
        """Return the same shape as ``x`` (B, (N_a + N)·K + D)."""
        vectors = x[:, :self.vectors * self.size]
        normed = F.layer_norm(vectors.unflatten(1, (self.vectors, self.size)), (self.size,)).flatten(1)
        return torch.cat([normed * self.gain + self.shift, x[:, self.vectors * self.size:]], 1)


class MaskBlock(nn.Module):
    """``ReLU(LN(W (mask * normed)))`` with ``mask = W_2 ReLU(W_1 x + b_1) + b_2`` (Wang et al. 2021, "MaskBlock").

    Args:
        width: of the input.
        units: of the output.
        reduction: the mask's hidden layer is so many times as wide as the input.
    """

    def __init__(self, width: int, units: int, reduction: float) -> None:
        super().__init__()
        hidden = max(1, round(reduction * width))
        self.mask = PlainMlp(width, [hidden])
        self.mask_output = ElasticLinear(hidden, width)
        self.linear = nn.Linear(width, units, bias=False)
        self.norm = nn.LayerNorm(units)
        he_normal(self.linear.weight)

    def forward(self, x: Tensor, normed: Tensor) -> Tensor:
        """Return (B, units) from the input ``x`` and its norm, both (B, width)."""
        return torch.relu(self.norm(self.linear(self.mask_output(self.mask(x)) * normed)))


@BASELINES.register("masknet")
class MaskNet(Baseline):
    """logit = w·MLP([all blocks of x]) with x = [history sum, e, dense] (Wang et al. 2021, "parallel MaskNet").

    Args:
        schema: of a dataset of clicks.
        embedding_size: K.
        mlp: units of the hidden layers after the blocks, all ReLU.
        dropout: after each hidden layer.
        blocks: side by side.
        block_units: of each block's output.
        reduction: the masks' hidden layers are so many times as wide as x.
    """

    needs = ("clicks",)

    def __init__(self, schema: Schema, *, embedding_size: int, mlp: Sequence[int], dropout: float = 0.0,
                 blocks: int = 3, block_units: int = 64, reduction: float = 2.0) -> None:
        super().__init__()
        check_whole("masknet", "blocks", blocks)
        check_whole("masknet", "block_units", block_units, 2)  # of one unit a layer norm leaves nothing
        if not 0 < reduction < math.inf:
            raise AmeirError(f"model=masknet: model.options.reduction must be a number above 0, found {reduction!r}.")
        width = deep_width(schema, embedding_size)
        self.embedding = FieldEmbedding(schema, embedding_size)
        self.norm = FieldNorm(len(schema.behaviors) + len(schema.fields), embedding_size)
        self.blocks = nn.ModuleList(MaskBlock(width, block_units, reduction) for _ in range(blocks))
        self.mlp = PlainMlp(blocks * block_units, mlp, dropout)
        self.head = CtrHead(self.mlp.out_features)

    def forward(self, batch: Batch) -> Tensor:
        """Return logits (B,)."""
        x = deep_input(self.embedding, batch, self.embedding.fields(batch.fields))  # (B, width)
        normed = self.norm(x)
        return self.head(self.mlp(torch.cat([block(x, normed) for block in self.blocks], 1)))
