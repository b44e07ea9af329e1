"""HistoryPooling: the last block's output to the row's behavior vector h_a."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ameir_pl.errors import AmeirError
from ameir_pl.nn.attention import LocalActivationUnit
from ameir_pl.nn.sequence import zero_padding


class HistoryPooling(nn.Module):
    """h_a = [sum over valid positions, state of the last valid one, target attention] (paper, Sec. 2.1 stage 1).

    The target attention is ``sum over i of a_i h_i`` with a_i from a :class:`LocalActivationUnit`.

    Args:
        width: D.
        has_target: whether there is a target, and so a third part.
    """

    def __init__(self, width: int, has_target: bool) -> None:
        super().__init__()
        self.width = width
        self.attention = LocalActivationUnit(width) if has_target else None

    @property
    def width_out(self) -> int:
        """Width of h_a: 3D with a target, else 2D."""
        return self.width * (2 if self.attention is None else 3)

    def forward(self, h: Tensor, mask: Tensor, target: Tensor | None) -> Tensor:
        """Return h_a (B, 2D or 3D).

        Args:
            h: (B, T, D); what stands at padding does not matter.
            mask: (B, T) bool, True on a prefix of every row. A row without any gives zeros.
            target: (B, D), or None without a target.

        Raises:
            AmeirError: the pooling was made for a target and gets none.
        """
        h = zero_padding(h, mask)
        last = mask & ~F.pad(mask[:, 1:], (0, 1))  # (B, T)
        weights = [mask, last]
        if self.attention is not None:
            if target is None:
                raise AmeirError("HistoryPooling(has_target=True) got no target; without one make it with "
                                 "has_target=False.")
            weights.append(self.attention(h, mask, target))
        # One product for all parts, so that one pass over (B, T, D) makes the gradient of h.
        parts = torch.stack([w.to(h.dtype) for w in weights], dim=1)  # (B, 2 or 3, T)
        if torch.is_autocast_enabled(h.device.type):
            with torch.autocast(h.device.type, enabled=False):  # the sum and the last state keep the precision of h
                return torch.bmm(parts, h).flatten(1)
        return torch.bmm(parts, h).flatten(1)
