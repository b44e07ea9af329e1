"""Pooling over the valid positions of a window of three: avg_pool3, max_pool3."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

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
        if not torch.compiler.is_compiling():
            return _MaxOfThree.apply(x, mask)
        return _max_of_three(x, mask)[0]


def _max_of_three(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the maximum (B, T, D), zero at padding; ``x`` with the lowest number at padding; max(x_{t-1}, x_t)."""
    # A number, not -inf: a window of padding alone stays finite, and differences stay numbers.
    x = torch.where(mask.unsqueeze(-1), x, torch.finfo(x.dtype).min)
    pair = torch.cat([x[:, :1], torch.maximum(x[:, :-1], x[:, 1:])], dim=1)
    triple = torch.cat([torch.maximum(pair[:, :-1], x[:, 1:]), pair[:, -1:]], dim=1)
    return zero_padding(triple, mask), x, pair


class _MaxOfThree(torch.autograd.Function):
    """:func:`_max_of_three` with ``torch.maximum``'s gradient, which halves at a tie, at a fifth of its time."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, mask: Tensor) -> Tensor:
        out, x, pair = _max_of_three(x, mask)
        ctx.save_for_backward(x, mask, pair)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        x, mask, pair = ctx.saved_tensors
        grad = zero_padding(grad, mask)
        after = _share(x[:, 1:], pair[:, :-1]).mul_(grad[:, :-1])  # of the window at t, to x_{t+1}
        grad[:, :-1] -= after
        before = _share(x[:, :-1], x[:, 1:]).mul_(grad[:, 1:])  # of what is left, from the window at t, to x_{t-1}
        grad[:, 1:] -= before
        grad[:, :-1] += before
        grad[:, 1:] += after
        return grad, None


def _share(x: Tensor, other: Tensor) -> Tensor:
    """Return the share of the gradient that ``x`` gets in maximum(x, other): 1, 0, or 1/2 at a tie."""
    return torch.sub(x, other).sign_().add_(1.0).mul_(0.5)
