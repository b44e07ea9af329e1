"""What the behavior layers share: zeroed padding, shifted copies, reversal within each row's length."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def zero_padding(x: Tensor, mask: Tensor) -> Tensor:
    """Return ``x`` (B, T, D) with zeros wherever ``mask`` (B, T) is False.

    It selects and does not multiply, so NaN and infinity at padding vanish too, forward and backward.
    """
    return torch.where(mask.unsqueeze(-1), x, 0.0)


def shifted_copies(x: Tensor, size: int, dilation: int = 1, fill: float = 0.0) -> list[Tensor]:
    """Return the ``size`` shifted copies of ``x`` (B, T, D) that a centred window of odd ``size`` sees.

    Copy ``j`` holds at position t the value of position ``t + (j - size // 2) * dilation``, and ``fill`` where
    that lies outside the sequence (stride 1, SAME padding).
    """
    if size == 1:
        return [x]
    length = x.shape[1]
    reach = (size // 2) * dilation
    padded = F.pad(x, (0, 0, reach, reach), value=fill)  # (B, T + 2·reach, D)
    return [padded[:, j * dilation:j * dilation + length] for j in range(size)]


def reversal(mask: Tensor) -> Tensor:
    """Return (B, T) positions that reverse each row within its own length and leave the padding in place.

    Applied twice they give back the original order. ``mask`` (B, T) is True on a prefix of every row.
    """
    positions = torch.arange(mask.shape[1], device=mask.device)  # (T,)
    lengths = mask.sum(dim=1, keepdim=True)  # (B, 1)
    return torch.where(mask, lengths - 1 - positions, positions)


def take(x: Tensor, positions: Tensor) -> Tensor:
    """Return ``x`` (B, T, D) at ``positions`` (B, T'), row by row: (B, T', D)."""
    return x.gather(1, positions.unsqueeze(-1).expand(-1, -1, x.shape[2]))
