"""EpochLoss: the mean loss of an epoch, logged once; to log every step costs a good part of a small model's step."""

from __future__ import annotations

import torch
from pytorch_lightning.strategies import Strategy
from torch import Tensor


class EpochLoss:
    """Adds up the losses of an epoch on their device, without waiting for it."""

    def __init__(self) -> None:
        self._sum: Tensor | None = None
        self._rows = 0

    def add(self, loss: Tensor, rows: int) -> None:
        """Count the mean loss of a batch of ``rows`` rows."""
        weighted = loss.detach() * rows
        self._sum = weighted if self._sum is None else self._sum + weighted
        self._rows += rows

    def mean(self, strategy: Strategy) -> Tensor:
        """Return the mean loss of the rows that all ranks counted, and begin anew."""
        total = torch.zeros((), device=strategy.root_device) if self._sum is None else self._sum
        rows = total.new_tensor(self._rows)
        self._sum, self._rows = None, 0
        return strategy.reduce(total, reduce_op="sum") / strategy.reduce(rows, reduce_op="sum")
