"""Checkpoints: saves a fit as it goes and when it is asked to stop, so that it goes on to the same numbers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from torch import Tensor

from ameir_pl import ranks, stopping
from ameir_pl.callbacks.finite_numbers import FiniteNumbers
from ameir_pl.errors import Stopped
from ameir_pl.search.journal import Phase

BATCHES_BETWEEN = 8
"""Batches after which several ranks agree whether to save or to stop."""


class Checkpoints(Checkpoint):
    """Saves after every so many updates or minutes, at the end of an epoch, and when a signal asks to stop.

    A checkpoint holds the weights, the optimizer, the scheduler, the scaler, the position in the data, the callbacks,
    and the generator that dropout draws from. (It comes last among the callbacks, so that the others have seen the
    batch or the epoch.)

    Args:
        phase: keeps the files.
        every_steps: updates between two.
        every_minutes: minutes between two.
    """

    def __init__(self, phase: Phase, *, every_steps: int, every_minutes: float) -> None:
        self._phase, self._every_steps, self._every_seconds = phase, every_steps, 60 * every_minutes
        self._before, self._began = 0.0, time.monotonic()
        self.validation_seconds, self._validating = 0.0, 0.0
        self._generators: list[dict[str, Tensor]] | None = None  # of an interrupted fit, until its first batch
        self._all_generators: list[dict[str, Tensor]] = []

    @property
    def seconds(self) -> float:
        """Seconds of this fit, those before an interruption among them."""
        return self._before + time.monotonic() - self._began

    @property
    def train_seconds(self) -> float:
        """Those of them without validation."""
        return self.seconds - self.validation_seconds

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note when validation begins."""
        self._validating = time.monotonic()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add what it took."""
        self.validation_seconds += time.monotonic() - self._validating

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._began = self._saved_at = time.monotonic()
        self._saved_step = trainer.global_step

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listen to SIGTERM in place of Lightning, which would end without saving."""
        stopping.take_back()

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
                             ) -> None:
        """Put the generator of a resumed fit back where it was: what came before the first batch drew from it."""
        if self._generators is not None:
            own, device = self._generators[ranks.rank() % len(self._generators)], trainer.strategy.root_device
            torch.set_rng_state(own["cpu"])
            if device.type == "cuda":
                torch.cuda.set_rng_state(own["cuda"], device)
            self._generators = None

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any,
                           batch_idx: int) -> None:
        """Save when it is time or a signal came; the last batch of an epoch is saved with its validation."""
        last = batch_idx + 1 >= trainer.num_training_batches or trainer.should_stop
        # Ranks agree on it, which has each wait for the others: not after every batch.
        several = trainer.world_size > 1 and batch_idx % BATCHES_BETWEEN != BATCHES_BETWEEN - 1
        # In the middle of an update there are gradients, which a checkpoint does not hold.
        if last or several or (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        stop, due = self._wanted(trainer)
        if stop or due:
            self._save(trainer)
        if stop:
            raise Stopped(stop)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save when another epoch follows."""
        if not trainer.should_stop and trainer.current_epoch + 1 < (trainer.max_epochs or 0) and any(
                self._wanted(trainer)):
            self._save(trainer)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop between two epochs when a signal came: the end of the last one is saved and logged."""
        stop, _ = self._wanted(trainer)
        if stop:
            raise Stopped(stop)

    def state_dict(self) -> dict[str, Any]:
        """Return what Lightning does not keep."""
        return {"seconds": self.seconds, "validation_seconds": self.validation_seconds,
                "generators": self._all_generators}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the state of the interrupted fit."""
        self._before, self._generators = float(state_dict["seconds"]), list(state_dict["generators"])
        self.validation_seconds = float(state_dict.get("validation_seconds", 0.0))

    def _save(self, trainer: pl.Trainer) -> None:
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, FiniteNumbers):
                callback.look(trainer, trainer.lightning_module)
        own, device = {"cpu": torch.get_rng_state()}, trainer.strategy.root_device
        if device.type == "cuda":
            own["cuda"] = torch.cuda.get_rng_state(device)
        self._all_generators = [one for (one,) in ranks.gather_lists([own])]

        def write(path: Path) -> None:
            trainer.save_checkpoint(path)

        self._phase.save(write, trainer.global_step)
        self._saved_step, self._saved_at = trainer.global_step, time.monotonic()

    def _wanted(self, trainer: pl.Trainer) -> tuple[int, bool]:
        """Return the signal that any rank got, 0 for none, and whether it is time to save by any rank's clock."""
        due = (trainer.global_step - self._saved_step >= self._every_steps
               or time.monotonic() - self._saved_at >= self._every_seconds)
        own = (stopping.requested() or 0, int(due))
        signal, any_due = (max(both) for both in zip(*ranks.gather_lists(own), strict=True))
        return signal, bool(any_due)
