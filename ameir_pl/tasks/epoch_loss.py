"""EpochLoss: the mean loss of an epoch, logged once; to log every step costs a good part of a small model's step."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
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
        self._sum = weighted if self._sum is None else self._sum.to(weighted.device) + weighted
        self._rows += rows

    def log(self, task: pl.LightningModule, name: str) -> None:
        """Log the mean and begin anew.

        The loggers get it at once: Lightning would log it after the end of the epoch was saved.
        """
        value = float(self.mean(task.trainer.strategy))
        task.log(name, value, batch_size=1, logger=False)
        for logger in task.trainer.loggers:
            logger.log_metrics({name: value}, step=max(task.trainer.global_step - 1, 0))

    def state(self, strategy: Strategy) -> dict[str, Any]:
        """Return what all ranks counted so far, for a checkpoint."""
        total, rows = self._totals(strategy)
        return {"sum": total.cpu(), "rows": int(rows)}

    def load(self, state: dict[str, Any], rank: int) -> None:
        """Go on from there; what all ranks counted is one of them's."""
        if rank == 0:
            self._sum, self._rows = state["sum"], int(state["rows"])

    def _totals(self, strategy: Strategy) -> tuple[Tensor, Tensor]:
        device = strategy.root_device
        total = torch.zeros((), device=device) if self._sum is None else self._sum.to(device)
        rows = torch.tensor(self._rows, device=device)
        return strategy.reduce(total.clone(), reduce_op="sum"), strategy.reduce(rows, reduce_op="sum")

    def mean(self, strategy: Strategy) -> Tensor:
        """Return the mean loss of the rows that all ranks counted, and begin anew."""
        total, rows = self._totals(strategy)
        self._sum, self._rows = None, 0
        return total / rows
