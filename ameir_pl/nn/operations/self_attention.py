"""Multi-head self-attention: self_attention2, self_attention4."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ameir_pl.errors import AmeirError
from ameir_pl.nn.initialization import embedding_uniform
from ameir_pl.nn.operations.base import OPERATIONS, Operation


class SelfAttention(Operation):
    """Bidirectional ``softmax(Q Kᵀ / sqrt(D / heads)) V`` per head, then a projection (Vaswani et al. 2017).

    Every position attends to every valid one. Uniform ±0.05, biases zero.

    Raises:
        AmeirError: ``width`` is not a multiple of the number of heads.
    """

    heads = 1

    def __init__(self, width: int) -> None:
        super().__init__(width)
        if width % self.heads:
            raise AmeirError(f"self_attention{self.heads} splits the width into {self.heads} heads, but the width "
                             f"{width} (behavior fields x embedding size) is not a multiple of {self.heads}. An "
                             f"embedding size that is a multiple of {self.heads} always fits; or leave "
                             f"self_attention{self.heads} out of the space.")
        self.query_key_value = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)
        for linear in (self.query_key_value, self.output):
            embedding_uniform(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, x: Tensor, mask: Tensor, target: Tensor | None) -> Tensor:
        """See :class:`Operation`."""
        split = self.query_key_value(x).unflatten(-1, (3, self.heads, self.width // self.heads))  # (B, T, 3, H, D/H)
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)  # (B, H, T, D/H) each
        valid = mask[:, None, None, :]  # (B, 1, 1, T): which keys may be looked at
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=valid)  # (B, H, T, D/H)
        return self.output(mixed.transpose(1, 2).flatten(-2))


@OPERATIONS.register("self_attention2")
class SelfAttention2(SelfAttention):
    """Two heads."""

    heads = 2


@OPERATIONS.register("self_attention4")
class SelfAttention4(SelfAttention):
    """Four heads."""

    heads = 4
