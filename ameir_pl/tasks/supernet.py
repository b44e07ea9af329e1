"""SupernetTask: fair one-shot training. The callback draws a batch's paths, this module sums their losses."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn

from ameir_pl.batch import Batch
from ameir_pl.models.ameir import Ameir
from ameir_pl.models.splitting import predict_split
from ameir_pl.objectives.base import Objective
from ameir_pl.space.sampling import FAIRNESS, InteractionRounds, Rounds
from ameir_pl.tasks.epoch_loss import EpochLoss
from ameir_pl.tasks.fit import OptimizerFactory, SchedulerFactory, decayed


def decayed_fairly(model: nn.Module, weight_decay: float, rounds: Rounds, shared_l2: bool) -> list[dict[str, Any]]:
    """Return optimizer groups of a supernet: those of :func:`decayed`, but a weight that is a choice has the L2 of the
    rows in which it is active, so that its gradient and its L2 are balanced as they are in the derived model. With
    ``shared_l2`` what all paths share has all of it, without it as much as a choice."""
    if not shared_l2:
        return decayed(model, weight_decay * rounds.active_share)
    chosen = [p for name, p in model.named_parameters() if rounds.alternating and name.startswith(rounds.alternating)]
    shared = decayed(model, weight_decay, chosen)
    return [*shared, *decayed(nn.ParameterList(chosen), weight_decay * rounds.active_share)] if chosen else shared


class SupernetTask(pl.LightningModule):
    """Trains the shared weights of a supernet.

    Args:
        model: the supernet.
        rounds: what the ``UniformSampling`` callback draws from.
        objective: loss and metrics.
        optimizer: given the parameters.
        scheduler: given the optimizer and ``T_max``, the number of updates (one cosine decay).
        weight_decay: L2 on weights and embeddings.
        fairness: ``split``, ``full`` or ``uniform``.
        phase: prefix of what is logged.
        most_updates: where training ends after so many; the rate has decayed by then.
        shared_l2: what all paths share has all of the L2; without it everything has that of a choice.
    """

    def __init__(self, model: Ameir, rounds: Rounds, objective: Objective, optimizer: OptimizerFactory,
                 scheduler: SchedulerFactory, *, weight_decay: float, fairness: str, phase: str,
                 most_updates: int | None = None, shared_l2: bool = False) -> None:
        super().__init__()
        if fairness not in FAIRNESS:
            raise ValueError(f"fairness {fairness} is not one of {FAIRNESS}")
        self.model, self.objective, self.rounds = model, objective, rounds
        self.fairness, self.phase, self._most_updates, self._shared_l2 = fairness, phase, most_updates, shared_l2
        self._optimizer, self._scheduler, self._weight_decay = optimizer, scheduler, weight_decay
        self._epoch_loss = EpochLoss()

    def setup(self, stage: str) -> None:
        """Begin the epoch's loss anew; an interrupted one comes with its checkpoint, later."""
        self._epoch_loss = EpochLoss()

    def on_train_start(self) -> None:
        """Train with dropout and Dice's batch statistics, in whatever mode the model came (Lightning keeps it)."""
        self.train()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the loss of the epoch so far."""
        checkpoint["epoch_loss"] = self._epoch_loss.state(self.trainer.strategy)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on in the middle of an epoch's loss."""
        self._epoch_loss.load(checkpoint["epoch_loss"], self.trainer.global_rank)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return one loss for all paths of the batch, so that one backward sums their gradients."""
        if not batch.paths:
            raise RuntimeError("This batch has no paths; the UniformSampling callback is missing.")
        x = self.model.embed(batch)
        if self.fairness == "split":
            loss = self.objective.loss(self.model, predict_split(self.model, x, batch.paths), batch)
        else:
            losses = [self.objective.loss(self.model, self.model.predict(x, p), batch) for p in batch.paths]
            # The mean, so that the learning rate and L2 mean the same under every scheme.
            loss = torch.stack(losses).mean()
        self._epoch_loss.add(loss, len(batch))
        return loss

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Take back of the L2 of step 2's columns, which are part of a matrix that all paths use, what is beyond the
        share of rows in which one is active: the optimizer adds ``weight_decay`` times the weight to the gradient."""
        if not self._shared_l2 or not isinstance(self.rounds, InteractionRounds) or not self._weight_decay:
            return
        weight, columns = self.model.interaction_columns()
        if weight.grad is not None:
            surplus = self._weight_decay * (1 - self.rounds.active_share)
            weight.grad[:, columns] -= surplus * weight.detach()[:, columns]

    def on_train_epoch_end(self) -> None:
        """Log the epoch's loss, the mean of all rows of all ranks."""
        self._epoch_loss.log(self, f"{self.phase}/train_loss")

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return the optimizer and one cosine decay over all updates."""
        optimizer = self._optimizer(decayed_fairly(self.model, self._weight_decay, self.rounds, self._shared_l2))  # type: ignore[arg-type]
        updates = int(self.trainer.estimated_stepping_batches)
        if self._most_updates is not None:
            updates = min(updates, self._most_updates)
        return {"optimizer": optimizer,
                "lr_scheduler": {"scheduler": self._scheduler(optimizer, T_max=max(updates, 1)), "interval": "step"}}
