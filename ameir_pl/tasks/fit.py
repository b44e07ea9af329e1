"""FitTask: trains any model that maps a Batch to an output, and validates on all rows at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn

from ameir_pl import ranks
from ameir_pl.baselines.base import OwnLoss, OwnOptimizers
from ameir_pl.batch import Batch
from ameir_pl.objectives.base import Objective
from ameir_pl.tasks.epoch_loss import EpochLoss
from ameir_pl.tasks.joint_optimizer import JointOptimizer
from ameir_pl.tasks.schedule import WarmupCosine

OptimizerFactory = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
SchedulerFactory = Callable[..., torch.optim.lr_scheduler.LRScheduler]


def decayed(model: nn.Module, weight_decay: float, without: Iterable[nn.Parameter] = ()) -> list[dict[str, Any]]:
    """Return optimizer groups with L2 on weights and embeddings and none on biases, norms and gates of one axis;
    those in ``without`` are left out."""
    groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    left_out = {id(parameter) for parameter in without}
    for parameter in model.parameters():
        if id(parameter) not in left_out:
            groups[parameter.dim() > 1].append(parameter)
    return [{"params": groups[True], "weight_decay": weight_decay}, {"params": groups[False], "weight_decay": 0.0}]


class FitTask(pl.LightningModule):
    """Trains ``model`` on an objective.

    Args:
        model: ``model(batch)`` gives what the objective takes.
        objective: loss and metrics.
        optimizer: given the parameters.
        weight_decay: L2 on weights and embeddings.
        phase: prefix of what is logged, e.g. ``finetune/AMEIR-C``.
        schedule: of the rate; None keeps it constant. A model's own optimizers keep theirs.
        most_updates: where training ends after so many; the rate has decayed by then.
    """

    def __init__(self, model: nn.Module, objective: Objective, optimizer: OptimizerFactory, *, weight_decay: float,
                 phase: str, schedule: WarmupCosine | None = None, most_updates: int | None = None) -> None:
        super().__init__()
        self._schedule, self._most_updates = schedule, most_updates
        self.model, self.objective, self.phase = model, objective, phase
        self._optimizer, self._weight_decay = optimizer, weight_decay
        self._epoch_loss = EpochLoss()
        self._predictions: list[dict[str, Tensor]] = []

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
        """Return the batch's mean loss: the objective's, or the model's own where it has one."""
        def given(output: Tensor) -> Tensor:
            return self.objective.loss(self.model, output, batch)

        loss = self.model.training_loss(batch, given) if isinstance(self.model, OwnLoss) else given(self.model(batch))
        self._epoch_loss.add(loss, len(batch))
        return loss

    def on_train_epoch_end(self) -> None:
        """Log the epoch's loss, the mean of all rows of all ranks."""
        self._epoch_loss.log(self, f"{self.phase}/train_loss")

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect what the metrics need; they are computed once on all rows, of which each rank runs its share."""
        part = batch[ranks.own_rows(len(batch))]
        own = self.objective.predictions(self.model, self.model(part), part)
        self._predictions.append(ranks.shared_rows(own, len(batch)))

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of the whole validation set, ``fitness`` among them for early stopping."""
        metrics = self.objective.metrics(self._predictions)
        self._predictions = []
        self.log_dict({f"{self.phase}/valid_{name}": value for name, value in metrics.items()})
        self.log("fitness", metrics[self.objective.fitness], logger=False)

    def configure_optimizers(self) -> torch.optim.Optimizer | OptimizerLRSchedulerConfig:
        """Return the optimizer, with its schedule if it has one, beside those that the model has for some of its
        weights."""
        own = self.model.own_optimizers() if isinstance(self.model, OwnOptimizers) else []
        taken = [parameter for part in own for group in part.param_groups for parameter in group["params"]]
        common = self._optimizer(decayed(self.model, self._weight_decay, taken))  # type: ignore[arg-type]
        if self._schedule is None or own:
            return JointOptimizer([common, *own]) if own else common
        updates = int(self.trainer.estimated_stepping_batches)
        if self._most_updates is not None:
            updates = min(updates, self._most_updates)
        scheduler = self._schedule(common, max(updates, 1))
        return {"optimizer": common, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
