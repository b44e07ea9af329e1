"""Dice: an activation that switches at each unit's mean (DIN)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ameir_pl.errors import AmeirError
from ameir_pl.ranks import total, world

EPSILON = 1e-8
"""DIN's value (Zhou et al. 2018, Eq. 3). It is safe in float32, below which Dice never computes: a unit that is
constant in a batch gives 0 / 1e-4 and so p = 1/2. The 1e-3 of batch normalization would flatten the switch of every
unit whose spread is below 0.03, which small embeddings (±0.05) make common early in training."""
MOMENTUM = 0.1
"""Share of the newest batch in the running statistics."""

Statistics = tuple[Tensor, Tensor]
"""Mean and variance of each unit, (u,) each."""


def batch_statistics(x: Tensor) -> Statistics:
    """Return the mean and the biased variance of each unit of ``x`` (B, u), (u,) each, in float32 or wider."""
    variance, mean = torch.var_mean(_at_least_float32(x), dim=0, correction=0)
    return mean, variance


def shared_statistics(x: Tensor) -> Statistics:
    """Return those of the rows of all ranks, through which gradients go back to all of them."""
    if world() == 1:
        return batch_statistics(x)
    x = _at_least_float32(x)
    sums = total(torch.cat([x.sum(0), x.new_tensor([float(len(x))])]))
    rows = sums[-1].clamp(min=1)
    mean = sums[:-1] / rows
    return mean, total((x - mean).square().sum(0)) / rows


def _at_least_float32(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


class Dice(nn.Module):
    """``y = p·x + (1 - p)·alpha·x``, ``p = sigmoid((x - mean) / sqrt(var + 1e-8))`` (Zhou et al. 2018, Eq. 3).

    Training uses the batch's mean and biased variance and moves the running ones towards them; evaluation uses the
    running ones. Elastic: an input of u <= units columns uses, and updates, the first u entries only.

    Args:
        units: the most columns an input has.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, units: int) -> None:
        super().__init__()
        self.units = units
        self.alpha = nn.Parameter(torch.zeros(units))
        self.register_buffer("mean", torch.zeros(units))
        self.register_buffer("variance", torch.ones(units))

    def forward(self, x: Tensor, statistics: Statistics | None = None) -> Tensor:
        """Return (B, u) from ``x`` (B, u).

        Args:
            x: (B, u), u <= units.
            statistics: mean and variance to use in place of the batch's or the running ones, (u,) each: a child of
                a supernet is scored with its own (see :func:`batch_statistics`). Nothing is updated then.

        Raises:
            AmeirError: ``x`` has more than ``units`` columns.
        """
        width = x.shape[-1]
        if width > self.units:
            raise AmeirError(f"Dice holds {self.units} units and got {width}.")
        if statistics is not None:
            mean, variance = statistics
        elif self.training and (x.shape[0] > 0 or world() > 1):  # without rows the running ones are kept and used
            mean, variance = shared_statistics(x)
            with torch.no_grad():
                self.mean[:width].lerp_(mean, MOMENTUM)
                self.variance[:width].lerp_(variance, MOMENTUM)
        else:
            mean, variance = self.mean[:width], self.variance[:width]
        p = torch.sigmoid((_at_least_float32(x) - mean) * torch.rsqrt(variance + EPSILON))  # (B, u)
        alpha = self.alpha[:width]
        return (x * (alpha + (1.0 - alpha) * p)).to(x.dtype)
