"""BidirectionalGru: both directions of a GRU in one recurrence, with backpropagation through time written out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

_sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input  # g · y · (1 - y)
_tanh_backward = torch.ops.aten.tanh_backward.grad_input  # g · (1 - y²)


class BidirectionalGru(torch.autograd.Function):
    """What two ``nn.GRU`` give on x and on x reversed within each row's length, side by side.

    ``r, z = sigmoid(W_ih x + b_ih + W_hh h + b_hh)``, ``a = W_hn h + b_hn``, ``n = tanh(W_in x + b_in + r·a)``,
    ``h' = (1 - z)·n + z·h``. The time of small batches goes into starting kernels, not into arithmetic: so the
    directions share every kernel, a step has five of them forward and three backward, and all that does not wait
    for the step before is done for all steps at once. Gates are rows and the batch is the last dimension, so that
    few units still make long runs; the row blocks stand as [n, r, z, a]: x enters the first three, h the last three.

    Arguments of ``apply``: x (B, T, D); mask (B, T) bool, True on a prefix of every row; of both directions, stacked,
    weight_ih (2, 3H, D), weight_hh (2, 3H, H), bias_ih and bias_hh (2, 3H), gates in ``nn.GRU``'s order r, z, n.
    Returns (B, T, 2H). Differentiable once.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, mask: Tensor, weight_ih: Tensor, weight_hh: Tensor, bias_ih: Tensor,
                bias_hh: Tensor) -> Tensor:
        """See the class."""
        rows, length, width = x.shape
        size = weight_hh.shape[2]
        # A constant 1 under x makes the biases a column of W.
        inputs = x.new_ones(length, width + 1, rows)
        inputs[:, :width] = x.permute(1, 2, 0)
        in_order = [inputs, inputs.flip(0)]  # (T, D + 1, B) as each direction meets them
        bias = torch.cat([bias_ih[:, :2 * size] + bias_hh[:, :2 * size], bias_ih[:, 2 * size:]], dim=1)
        weight = torch.cat([weight_ih, bias.unsqueeze(-1)], dim=-1).roll(size, 1)  # (2, 3H, D + 1), rows [n, r, z]

        gates = x.new_empty(length, 2, 4 * size, rows)
        for direction, values in enumerate(in_order):
            torch.bmm(weight[direction].expand(length, -1, -1), values, out=gates[:, direction, :3 * size])
        n, r, z, a = _blocks(gates)  # (T, 2, H, B) each
        a.copy_(bias_hh[:, 2 * size:].unsqueeze(-1))
        # The backward direction meets padding first, and waits at h = 0: with z = 1, h' = h, and no gradient passes.
        z[:, 1].masked_fill_(~mask.T.flip(0).unsqueeze(1), float("inf"))

        states = x.new_zeros(length + 1, 2, size, rows)  # h before each step, and after the last
        steps = zip(states, states[1:], gates[:, :, size:], gates[:, :, size:3 * size], n, r, z, a, strict=False)
        for h, h_next, of_h, r_z, n_t, r_t, z_t, a_t in steps:
            of_h.baddbmm_(weight_hh, h)
            r_z.sigmoid_()
            n_t.addcmul_(r_t, a_t).tanh_()
            torch.lerp(n_t, h, z_t, out=h_next)
        ctx.save_for_backward(*in_order, weight, weight_hh, gates, states)
        out = x.new_empty(rows, length, 2 * size)
        out[:, :, :size] = states[1:, 0].permute(2, 0, 1)
        out[:, :, size:] = states[1:, 1].permute(2, 0, 1).flip(1)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of what :meth:`forward` took, from that of its result (B, T, 2H)."""
        *in_order, weight, weight_hh, gates, states = ctx.saved_tensors
        length, _, size, rows = states[1:].shape
        before = states[:-1]  # (T, 2, H, B)
        n, r, z, a = _blocks(gates)
        # d h' / d gates, before their nonlinearities: what a step multiplies with the gradient of its h'.
        deltas = torch.empty_like(gates)
        d_n, d_r, d_z, d_a = _blocks(deltas)
        _tanh_backward(torch.sub(1.0, z, out=d_n), n, grad_input=d_n)
        _sigmoid_backward(torch.mul(d_n, a, out=d_r), r, grad_input=d_r)
        _sigmoid_backward(torch.sub(before, n, out=d_z), z, grad_input=d_z)
        torch.mul(d_n, r, out=d_a)

        d_h = torch.empty_like(before)  # (T, 2, H, B), of each h'
        d_h[:, 0] = grad[:, :, :size].permute(1, 2, 0)
        d_h[:, 1] = grad[:, :, size:].flip(1).permute(1, 2, 0)
        transposed = weight_hh.mT
        steps = list(zip(d_h, d_h.unsqueeze(2), deltas.unflatten(2, (4, size)), deltas[:, :, size:], z, strict=True))
        for t in range(length - 1, -1, -1):
            d_h_t, d_h_of_each, delta, of_h, z_t = steps[t]
            delta.mul_(d_h_of_each)
            if t > 0:
                steps[t - 1][0].baddbmm_(transposed, of_h).addcmul_(d_h_t, z_t)

        of_x, of_h = deltas[:, :, :3 * size], deltas[:, :, size:]
        none = weight.new_zeros(())
        d_x, d_weight, d_weight_hh = [], [], []
        for direction, values in enumerate(in_order):
            of_inputs = weight[direction, :, :-1].mT.expand(length, -1, -1)  # (T, D, 3H)
            d_x.append(torch.bmm(of_inputs, of_x[:, direction]))  # (T, D, B)
            d_weight.append(torch.addbmm(none, of_x[:, direction], values.mT, beta=0))  # (3H, D + 1)
            d_weight_hh.append(torch.addbmm(none, of_h[:, direction], before[:, direction].mT, beta=0))  # (3H, H)
        of_weight = torch.stack(d_weight).roll(-size, 1)  # (2, 3H, D + 1), rows [r, z, n]
        d_bias_ih = of_weight[:, :, -1]
        d_bias_hh = torch.cat([d_bias_ih[:, :2 * size], d_a.sum(dim=3).sum(dim=0)], dim=1)
        return (d_x[0].add_(d_x[1].flip(0)).permute(2, 0, 1), None, of_weight[:, :, :-1], torch.stack(d_weight_hh),
                d_bias_ih, d_bias_hh)


def _blocks(gates: Tensor) -> tuple[Tensor, ...]:
    """Return the four blocks n, r, z, a (T, 2, H, B) of ``gates`` (T, 2, 4H, B)."""
    return gates.unflatten(2, (4, -1)).unbind(2)
