"""Pooling over the valid positions of a window of three: avg_pool3, max_pool3."""

from __future__ import annotations

import torch
from torch import Tensor

from ameir_pl.nn.operations.base import OPERATIONS, Operation
from ameir_pl.nn.sequence import shifted_copies, zero_padding


@OPERATIONS.register("avg_pool3")
class AveragePool3(Operation):
    """Average over the valid ones of positions t-1, t, t+1 (paper, Sec. 2.2)."""

    def forward(self, x: Tensor, mask: Tensor, target: Tensor | None) -> Tensor:
        """See :class:`Operation`."""
        valid = mask.unsqueeze(-1).to(x.dtype)  # (B, T, 1)
        before, here, after = shifted_copies(x, 3)
        n_before, n_here, n_after = shifted_copies(valid, 3)
        count = (n_before + n_here + n_after).clamp(min=1.0)  # no valid position at all: only at padding
        return (before + here + after) / count


@OPERATIONS.register("max_pool3")
class MaxPool3(Operation):
    """Maximum over the valid ones of positions t-1, t, t+1 (paper, Sec. 2.2)."""

    def forward(self, x: Tensor, mask: Tensor, target: Tensor | None) -> Tensor:
        """See :class:`Operation`."""
        lowest = float("-inf")
        x = torch.where(mask.unsqueeze(-1), x, lowest)
        before, here, after = shifted_copies(x, 3, fill=lowest)
        # A window of padding alone is -inf: what comes after this layer must see finite numbers.
        return zero_padding(torch.maximum(torch.maximum(before, here), after), mask)
