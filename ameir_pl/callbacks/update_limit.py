"""UpdateLimit: ends a fit after so many updates, with a last validation and the end of its epoch."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl


class UpdateLimit(pl.Callback):
    """Stops after ``updates`` updates of the weights. (Lightning's own ``max_steps`` ends within an epoch without the
    validation that early stopping asks for, and goes on from a checkpoint in another way.)

    Args:
        updates: the most of a fit.
    """

    def __init__(self, updates: int) -> None:
        self.updates = updates

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any,
                           batch_idx: int) -> None:
        """Ask the loop to stop; it validates first."""
        if trainer.global_step >= self.updates:
            trainer.should_stop = True
