"""What the behavior layers share: zeroed padding, packing, shifted copies, reversal within each row's length."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


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


def windows(x: Tensor, size: int, dilation: int = 1) -> Tensor:
    """Return the :func:`shifted_copies` of ``x`` (B, T, D) side by side, (B, T, size·D)."""
    if size == 1:
        return x
    if torch.compiler.is_compiling():
        return torch.cat(shifted_copies(x, size, dilation), dim=-1)
    return _Windows.apply(x, size, dilation)


class _Windows(torch.autograd.Function):
    """:func:`windows` as one copy, and its gradient added up in one place; autograd would pad one for each copy."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, size: int, dilation: int) -> Tensor:
        ctx.size, ctx.dilation = size, dilation
        rows, length, width = x.shape
        reach = (size // 2) * dilation
        padded = F.pad(x, (0, 0, reach, reach))  # (B, T + 2·reach, D)
        step, of_row = padded.stride(1), padded.stride(0)
        seen = padded.as_strided((rows, length, size, width), (of_row, step, dilation * step, 1))
        return seen.reshape(rows, length, size * width)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        copies = grad.chunk(ctx.size, dim=-1)  # (B, T, D) each
        length = grad.shape[1]
        d_x = copies[ctx.size // 2].clone(memory_format=torch.contiguous_format)
        for j, copy in enumerate(copies):
            shift = (j - ctx.size // 2) * ctx.dilation  # copy j holds at t what x has at t + shift
            if 0 < shift < length:
                d_x[:, shift:] += copy[:, :-shift]
            elif 0 < -shift < length:
                d_x[:, :shift] += copy[:, -shift:]
        return d_x, None, None


def reversal(mask: Tensor) -> Tensor:
    """Return (B, T) positions that reverse each row within its own length and leave the padding in place.

    Applied twice they give back the original order. ``mask`` (B, T) is True on a prefix of every row.
    """
    positions = torch.arange(mask.shape[1], device=mask.device)  # (T,)
    lengths = mask.sum(dim=1, keepdim=True)  # (B, 1)
    return torch.where(mask, lengths - 1 - positions, positions)


def packed(x: Tensor, mask: Tensor) -> Tensor:
    """Return the ``mask.sum()`` vectors of ``x`` (B, T, D) where ``mask`` (B, T) is True, (P, D), row after row.

    What looks at each position alone need not run on the padding, which is most of a batch of short histories.
    """
    return x.flatten(0, 1).index_select(0, mask.flatten().nonzero().squeeze(1))


def unpacked(x: Tensor, mask: Tensor) -> Tensor:
    """Return :func:`packed` vectors (P, D) at their places, (B, T, D), zero wherever ``mask`` (B, T) is False."""
    places = mask.flatten().nonzero().squeeze(1)
    return x.new_zeros(mask.numel(), x.shape[1]).index_copy(0, places, x).unflatten(0, mask.shape)


def take(x: Tensor, positions: Tensor) -> Tensor:
    """Return ``x`` (B, T, D) at ``positions`` (B, T'), row by row: (B, T', D)."""
    return x.gather(1, positions.unsqueeze(-1).expand(-1, -1, x.shape[2]))
