"""The initializations the paper names: uniform ±0.05, He normal, orthogonal by gate; and scaled normal for heads."""

from __future__ import annotations

import math

from torch import Tensor, nn

EMBEDDING_BOUND = 0.05
"""Embeddings and self-attention start uniform within ± this bound (paper, Appendix D)."""


def embedding_uniform(weight: Tensor) -> None:
    """Fill ``weight`` in place, uniform within ±0.05."""
    nn.init.uniform_(weight, -EMBEDDING_BOUND, EMBEDDING_BOUND)


def he_normal(weight: Tensor) -> None:
    """Fill ``weight`` (out, in) in place: normal, standard deviation sqrt(2 / in) (He et al. 2015)."""
    nn.init.normal_(weight, std=math.sqrt(2.0 / weight.shape[1]))


def scaled_normal(weight: Tensor, fan_in: int) -> None:
    """Fill ``weight`` in place: normal, standard deviation sqrt(1 / fan_in), for outputs without a ReLU."""
    nn.init.normal_(weight, std=math.sqrt(1.0 / fan_in))


def orthogonal_gates(weight: Tensor, gates: int) -> None:
    """Fill ``weight`` (gates·H, in) in place with one (semi-)orthogonal (H, in) matrix for each gate."""
    for gate in weight.chunk(gates, dim=0):
        nn.init.orthogonal_(gate)
