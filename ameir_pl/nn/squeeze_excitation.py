"""SqueezeExcitation: the shortcut that weighs fields and interactions and adds them up."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ameir_pl.nn.initialization import he_normal, scaled_normal


class SqueezeExcitation(nn.Module):
    """``a = sigmoid(W2 ReLU(W1 (Q v)))``, ``h_se = sum over i of a_i q_i`` (paper, Eq. 5; Hu et al. 2018).

    Expansion ratio 1.0: W1 and W2 are (R, R), without biases. He normal; v normal with deviation 1/sqrt(K).

    Args:
        features: R, rows of Q: fields and interactions.
        size: K.
    """

    def __init__(self, features: int, size: int) -> None:
        super().__init__()
        self.squeeze = nn.Parameter(torch.empty(size))  # v
        self.reduce = nn.Linear(features, features, bias=False)  # W1
        self.expand = nn.Linear(features, features, bias=False)  # W2
        scaled_normal(self.squeeze, fan_in=size)
        he_normal(self.reduce.weight)
        he_normal(self.expand.weight)

    def forward(self, q: Tensor) -> Tensor:
        """Return h_se (B, K) from ``q`` (B, R, K)."""
        return torch.einsum("br,brk->bk", self.weights(q), q)

    def weights(self, q: Tensor) -> Tensor:
        """Return the weights a (B, R) in (0, 1) of ``q`` (B, R, K)."""
        squeezed = q @ self.squeeze  # (B, R)
        return torch.sigmoid(self.expand(torch.relu(self.reduce(squeezed))))
