"""LocalActivationUnit: how much one behavior matters for the target (DIN)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

from ameir_pl.nn.initialization import he_normal

_threshold_backward = torch.ops.aten.threshold_backward.grad_input  # g where x > threshold, else 0


class LocalActivationUnit(nn.Module):
    """Weigh each behavior by the target (Zhou et al. 2018, "Deep Interest Network", Sec. 4.3 and Fig. 2).

    ``a_i = w·PReLU(W [h_i, t, h_i - t, h_i * t] + b) + c``, without a softmax: the strength of an interest is kept.
    He normal, biases zero.

    Args:
        width: D.
        hidden: units of the hidden layer.
    """

    def __init__(self, width: int, hidden: int = 36) -> None:
        super().__init__()
        self.hidden = nn.Linear(4 * width, hidden)
        self.activation = nn.PReLU()
        self.output = nn.Linear(hidden, 1)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the linear layers anew; PReLU's slope starts at 0.25."""
        for linear in (self.hidden, self.output):
            he_normal(linear.weight)
            nn.init.zeros_(linear.bias)
        nn.init.constant_(self.activation.weight, 0.25)

    def forward(self, h: Tensor, mask: Tensor, target: Tensor) -> Tensor:
        """Return weights (B, T), zero at padding.

        Args:
            h: (B, T, D), finite at padding.
            mask: (B, T) bool.
            target: (B, D).
        """
        # W [h, t, h - t, h*t] = (W_h + W_d) h + W_p (h*t) + (W_t - W_d) t: half the products, and t's once a row.
        w_h, w_t, w_d, w_p = self.hidden.weight.chunk(4, dim=1)  # (hidden, D) each
        pairs = torch.cat([h, h * target.unsqueeze(1)], dim=-1)  # (B, T, 2D)
        of_target = F.linear(target, w_t - w_d, self.hidden.bias).unsqueeze(1)  # (B, 1, hidden)
        hidden = F.linear(pairs, torch.cat([w_h + w_d, w_p], dim=1)).add_(of_target)  # (B, T, hidden)
        if _eager(hidden):
            weights = _PReluThenLinear.apply(hidden, self.activation.weight, self.output.weight) + self.output.bias
        else:
            weights = self.output(self.activation(hidden)).squeeze(-1)  # (B, T)
        return torch.where(mask, weights, 0.0)


def _eager(x: Tensor) -> bool:
    """Whether kernels run one by one in the tensors' own precision: no graph is traced, no autocast is on."""
    return not torch.compiler.is_compiling() and not torch.is_autocast_enabled(x.device.type)


class _PReluThenLinear(torch.autograd.Function):
    """``w·PReLU(z)`` (...) of z (..., n), slope a (1,) and w (1, n), without the slow gradient of PReLU's slope.

    PReLU's own backward pass writes the slope's gradient for every element and then sums it up. Instead, with
    PReLU(z) = z - (1 - a)·min(z, 0): of the gradient g, ``p = sum of g·z`` and ``q = sum of g·min(z, 0)`` give
    ``d_w = p - (1 - a)·q`` and ``d_a = w·q``; and ``d_z = (1 - a)·g·w·[z > 0] + a·g·w``.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, z: Tensor, slope: Tensor, w: Tensor) -> Tensor:
        ctx.save_for_backward(z, slope, w)
        return F.linear(F.prelu(z, slope), w).squeeze(-1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        z, slope, w = ctx.saved_tensors
        g, rows = grad.reshape(1, -1), z.flatten(0, -2)  # (1, N), (N, n)
        p, q = g @ rows, g @ rows.clamp(max=0.0)  # (1, n) each
        d_z = ((1.0 - slope) * g).mT @ w  # (N, n), and all in its place: fresh memory of this size costs the most
        _threshold_backward(d_z, rows, 0.0, grad_input=d_z)
        d_z.addmm_((slope * g).mT, w)
        return d_z.view_as(z), (w * q).sum().reshape(1), p - (1.0 - slope) * q
