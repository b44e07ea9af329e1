"""WarmupCosine: the learning rate of finetuning inherited weights."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class WarmupCosine:
    """A rate that rises to a share of the optimizer's own and decays to zero along a cosine.

    Inherited weights have been trained, and Adam's averages have not: at the full constant rate its first steps undo
    what was inherited.

    Args:
        peak: the highest rate, as a share of the optimizer's.
        warmup: the share of the updates in which it rises.
    """

    peak: float = 1.0
    warmup: float = 0.0

    def share(self, update: int, updates: int) -> float:
        """Return the rate of an update, counted from 0, as a share of the optimizer's."""
        rising = max(round(self.warmup * updates), 1)
        if update < rising:
            return self.peak * (update + 1) / rising
        done = (update - rising) / max(updates - rising, 1)
        return self.peak * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))

    def __call__(self, optimizer: torch.optim.Optimizer, updates: int) -> WarmupCosineLR:
        """Return the scheduler of ``updates`` updates."""
        return WarmupCosineLR(optimizer, lambda update: self.share(update, updates))


class WarmupCosineLR(torch.optim.lr_scheduler.LambdaLR):
    """What :class:`WarmupCosine` makes; its name is what a run's metrics tell of the schedule."""
