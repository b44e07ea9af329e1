"""OverfittingWatch: looks at children of a supernet on validation rows while it trains."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl

from ameir_pl.callbacks.phase import phase_of
from ameir_pl.progress import console

LOOKS = 5
"""How often it looks in a fit, at ends of epochs; the last is at the end of training."""
FALL = 0.01
"""A fall by this share of the best fitness is said."""


class OverfittingWatch(pl.Callback):
    """Logs the mean fitness of some children as ``PHASE/valid_NAME``, and says when it fell while training went on.

    The weights are not chosen by it: a supernet's rate decays to the end of its epochs. It draws no random number.

    Args:
        score: gives the fitness, with the weights as they are; NaN for none.
        name: of the fitness.

    Attributes:
        seen: fitness by number of epochs, of an interrupted fit too.
    """

    def __init__(self, score: Callable[[], float], name: str) -> None:
        self._score, self._name = score, name
        self.seen: dict[int, float] = {}

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look, when it is time."""
        epoch, epochs = trainer.current_epoch + 1, trainer.max_epochs or 0
        if epochs < 2 or epoch not in {math.ceil(epochs * i / LOOKS) for i in range(1, LOOKS + 1)}:
            return
        fitness = self._score()
        if math.isnan(fitness):
            return
        self.seen[epoch] = fitness
        for logger in trainer.loggers:
            logger.log_metrics({f"{phase_of(pl_module)}/valid_{self._name}": fitness},
                               step=max(trainer.global_step - 1, 0))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say when the last look was worse than an earlier one."""
        if len(self.seen) < 2:
            return
        last, final = max(self.seen), self.seen[max(self.seen)]
        best = max(self.seen, key=lambda epoch: (self.seen[epoch], -epoch))
        if final < (1 - FALL) * self.seen[best]:
            console().print(
                f"{phase_of(pl_module)}: on validation rows the {self._name} of its children fell from "
                f"{self.seen[best]:.4f} after epoch {best} to {final:.4f} after epoch {last}: the shared weights "
                "overfit the training rows. Fewer epochs of this step (budget.*_epochs), more dropout "
                "(dataset.model.*_dropout) or more dataset.train.weight_decay may rank better.")

    def state_dict(self) -> dict[str, Any]:
        """Return what was seen, for a checkpoint."""
        return {"seen": dict(self.seen)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take what an interrupted fit saw."""
        self.seen = {int(epoch): float(value) for epoch, value in state_dict["seen"].items()}
