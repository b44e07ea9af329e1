"""The zero operation, which drops its block."""

from __future__ import annotations

import torch
from torch import Tensor

from ameir_pl.nn.operations.base import OPERATIONS, Operation


@OPERATIONS.register("zero")
class Zero(Operation):
    """Zeros: the residual connection alone remains (paper, Sec. 2.2)."""

    def forward(self, x: Tensor, mask: Tensor, target: Tensor | None) -> Tensor:
        """See :class:`Operation`."""
        return torch.zeros_like(x)
