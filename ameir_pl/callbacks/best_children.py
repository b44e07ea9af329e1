"""BestChildren: validates children of a supernet while it trains and keeps the weights with which they are best."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from ameir_pl.callbacks.phase import phase_of
from ameir_pl.progress import console

LOOKS = 10
"""How often it validates in a fit, at ends of epochs; the last is at the end of training."""
FALL = 0.01
"""A fall by this share of the best fitness is said."""


class BestChildren(pl.Callback):
    """Logs the mean fitness of some children as ``PHASE/valid_NAME`` and puts the weights of the best look back.

    The one-shot model is validated while it trains "to ensure adequate training while avoiding overfitting" (paper,
    Sec. 2.3). It draws no random number.

    Args:
        score: gives the fitness, with the weights as they are; NaN for none.
        name: of the fitness.

    Attributes:
        seen: fitness by number of epochs, of an interrupted fit too.
        epoch: the epoch whose weights are kept; 0 while there was none.
    """

    def __init__(self, score: Callable[[], float], name: str) -> None:
        self._score, self._name = score, name
        self.seen: dict[int, float] = {}
        self.epoch = 0
        self._kept: dict[str, Tensor] | None = None

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look, when it is time."""
        epoch, epochs = trainer.current_epoch + 1, trainer.max_epochs or 0
        if epochs < 2 or epoch not in {math.ceil(epochs * i / LOOKS) for i in range(1, LOOKS + 1)}:
            return
        fitness = self._score()
        if math.isnan(fitness):
            return
        if fitness > max(self.seen.values(), default=-math.inf):
            self.epoch = epoch
            self._kept = {name: t.detach().to("cpu", copy=True) for name, t in pl_module.state_dict().items()}
        self.seen[epoch] = fitness
        for logger in trainer.loggers:
            logger.log_metrics({f"{phase_of(pl_module)}/valid_{self._name}": fitness},
                               step=max(trainer.global_step - 1, 0))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the best weights back, and say when the last look was clearly worse."""
        if self._kept is None:
            return
        last = max(self.seen)
        best, final = self.seen[self.epoch], self.seen[last]
        if self.epoch < last:
            with torch.no_grad():
                for name, tensor in pl_module.state_dict().items():
                    tensor.copy_(self._kept[name])
        self._kept = None
        if final < best - FALL * abs(best):
            console().print(
                f"{phase_of(pl_module)}: on validation rows the {self._name} of its children fell from {best:.4f} "
                f"after epoch {self.epoch} to {final:.4f} after epoch {last}: the shared weights overfit the training "
                f"rows, and those of epoch {self.epoch} are kept. Fewer epochs of this step (budget.*_epochs) give the "
                "rate time to decay; more dropout (dataset.model.*_dropout) or dataset.train.weight_decay may help.")

    def state_dict(self) -> dict[str, Any]:
        """Return what was seen and kept, for a checkpoint."""
        return {"seen": dict(self.seen), "epoch": self.epoch, "kept": self._kept}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take what an interrupted fit saw and kept."""
        self.seen = {int(epoch): float(value) for epoch, value in state_dict["seen"].items()}
        self.epoch, self._kept = int(state_dict["epoch"]), state_dict["kept"]


class EpochScores(pl.Callback):
    """Scores the same candidates after every epoch of a supernet.

    Args:
        score: gives the scores with the weights as they are.

    Attributes:
        seen: scores by number of epochs, of an interrupted fit too.
    """

    def __init__(self, score: Callable[[], Sequence[float]]) -> None:
        self._score = score
        self.seen: dict[int, list[float]] = {}

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Score."""
        self.seen[trainer.current_epoch + 1] = [float(value) for value in self._score()]

    def state_dict(self) -> dict[str, Any]:
        """Return what was seen, for a checkpoint."""
        return {"seen": self.seen}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take what an interrupted fit saw."""
        self.seen = {int(epoch): list(scores) for epoch, scores in state_dict["seen"].items()}
