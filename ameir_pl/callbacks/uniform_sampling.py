"""UniformSampling: draws the children each batch trains."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl

from ameir_pl.batch import Batch
from ameir_pl.space.sampling import draw
from ameir_pl.tasks.supernet import SupernetTask


class UniformSampling(pl.Callback):
    """Puts the paths of the coming update into the batch (paper, Sec. 2.3: all candidates are uniformly sampled and
    activated per gradient update). They depend on the rounds' seed and the global step alone."""

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any,
                             batch_idx: int) -> None:
        """Draw the paths of this update."""
        if isinstance(pl_module, SupernetTask) and isinstance(batch, Batch):
            batch.paths = draw(pl_module.rounds, pl_module.fairness, trainer.global_step)
