"""RowNoise: random numbers that depend on a row and the update, not on the rank or the rows beside it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_MULTIPLIERS = (-0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15)  # of splitmix64 (Steele et al. 2014), as signed numbers
_GOLDEN = -0x61C8864680B583EB


class RowNoise(nn.Module):
    """Uniform numbers for what a model draws itself while it trains (masks, negatives), equal on one rank and several.

    Numbers come from a hash of the update, the row's own ids and the position, so that the same row has others at the
    next update, and the same ones whichever rank has it. Rows that hold the same ids have the same numbers.

    Attributes:
        update: counts the updates that drew, kept in checkpoints.
    """

    update: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("update", torch.zeros((), dtype=torch.int64))

    def step(self) -> None:
        """Begin an update: its draws are new ones."""
        self.update += 1

    def forward(self, ids: Tensor, count: int, stream: int = 0) -> Tensor:
        """Return (B, count) float64 in [0, 1).

        Args:
            ids: (B, n) integers that tell the rows apart; zeros count for nothing, so padding does not matter.
            count: numbers a row.
            stream: another whole number gives other numbers of the same rows.
        """
        positions = torch.arange(1, ids.shape[1] + 1, device=ids.device)
        key = torch.where(ids == 0, 0, _mixed(ids + _GOLDEN * positions)).sum(1)  # (B,)
        key = _mixed(key + _mixed(self.update + _GOLDEN * torch.tensor(stream + 1, device=ids.device)))
        columns = _GOLDEN * torch.arange(1, count + 1, device=ids.device)
        bits = _mixed(key[:, None] + columns)  # (B, count)
        return _shifted(bits, 11).double() * 2.0**-53


def _shifted(x: Tensor, by: int) -> Tensor:
    """Shift as unsigned numbers: torch keeps the sign."""
    return (x >> by) & ((1 << (64 - by)) - 1)


def _mixed(x: Tensor) -> Tensor:
    """Return splitmix64's scrambling of int64 ``x``; products wrap around."""
    x = (x ^ _shifted(x, 30)) * _MULTIPLIERS[0]
    x = (x ^ _shifted(x, 27)) * _MULTIPLIERS[1]
    return x ^ _shifted(x, 31)
