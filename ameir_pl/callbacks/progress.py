"""TrainingProgress: one meter for a whole fit, with rate, time left and the latest loss or fitness."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl

from ameir_pl.callbacks.phase import phase_of
from ameir_pl.callbacks.update_limit import UpdateLimit
from ameir_pl.progress import Meter


class TrainingProgress(pl.Callback):
    """Shows the batches done of all epochs (a bar on a terminal, plain lines elsewhere)."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the meter."""
        self._meter = None
        if trainer.is_global_zero:
            total = int(trainer.num_training_batches) * (trainer.max_epochs or 1)
            for limit in (c for c in trainer.callbacks if isinstance(c, UpdateLimit)):  # type: ignore[attr-defined]
                total = min(total, limit.updates * trainer.accumulate_grad_batches)
            self._meter = Meter(phase_of(pl_module), total, "batches")
            self._meter.__enter__()
            if trainer.global_step:  # of a resumed fit
                self._meter.skip(trainer.global_step * trainer.accumulate_grad_batches)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any,
                           batch_idx: int) -> None:
        """Count a batch."""
        if self._meter is not None:
            self._meter.advance()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the latest fitness beside the rate."""
        fitness = trainer.callback_metrics.get("fitness")
        if getattr(self, "_meter", None) is not None and fitness is not None:
            self._meter.note = f"fitness {float(fitness):.4f}"  # type: ignore[union-attr]

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the meter."""
        if self._meter is not None:
            self._meter.__exit__(None, None, None)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Close the meter without claiming the fit was done."""
        if getattr(self, "_meter", None) is not None:
            self._meter.__exit__(type(exception), exception, None)  # type: ignore[union-attr]
