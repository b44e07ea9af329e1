"""BestWeights: keeps the weights of the best validation and puts them back at the end."""

from __future__ import annotations

import math
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor


class BestWeights(pl.Callback):
    """Restores the best epoch's weights after fitting.

    Args:
        start: the fitness of the weights that training starts from; they win when no epoch is better (inherited
            weights may be the best ones). ``None`` when they are random.

    Attributes:
        best: the fitness of the kept weights.
        epoch: the epoch after which they were kept, from 1; 0 means those of the start.
    """

    def __init__(self, start: float | None = None) -> None:
        self.start = start
        self.best, self.epoch = -math.inf if start is None else start, 0
        self._kept: dict[str, Tensor] | None = None
        self._resumed = False

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the start's weights if they have a fitness; a resumed fit has kept them."""
        if self.start is not None and not self._resumed:
            self._kept = _copy(pl_module)

    def state_dict(self) -> dict[str, Any]:
        """Return what is kept, for a checkpoint."""
        return {"best": self.best, "epoch": self.epoch, "kept": self._kept}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take what an interrupted fit kept."""
        self.best, self.epoch, self._kept = state_dict["best"], state_dict["epoch"], state_dict["kept"]
        self._resumed = True

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the weights when they are the best so far; the earlier of two equals stays."""
        fitness = float(trainer.callback_metrics.get("fitness", -math.inf))
        if not trainer.sanity_checking and fitness > self.best:
            self.best, self.epoch, self._kept = fitness, trainer.current_epoch + 1, _copy(pl_module)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the best weights back."""
        if self._kept is not None:
            with torch.no_grad():
                for name, tensor in pl_module.state_dict().items():
                    tensor.copy_(self._kept[name])
            self._kept = None


def _copy(module: pl.LightningModule) -> dict[str, Tensor]:
    # In the processor's memory: a GPU's is for training.
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in module.state_dict().items()}
