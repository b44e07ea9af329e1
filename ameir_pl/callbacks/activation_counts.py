"""ActivationCounts: audits every update of a supernet and fails when a fair scheme is not exactly fair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl

from ameir_pl.batch import Batch
from ameir_pl.space.architecture import Architecture
from ameir_pl.space.fairness import Tally, tallies
from ameir_pl.space.sampling import draw
from ameir_pl.tasks.supernet import SupernetTask


class ActivationCounts(pl.Callback):
    """Counts what each update activated; raises ``UnfairError`` at the first update that breaks fairness."""

    def __init__(self) -> None:
        self.tallies: list[Tally] = []
        self._step = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin counting for the rounds of this supernet."""
        self.tallies = []
        if isinstance(pl_module, SupernetTask):
            self.tallies = tallies(pl_module.rounds, pl_module.fairness != "uniform")  # type: ignore[arg-type]
            # A resumed fit goes on in the middle of a deck: count what it did before.
            for step in range(trainer.global_step):
                self._count(draw(pl_module.rounds, pl_module.fairness, step))
        self._step = trainer.global_step

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any,
                           batch_idx: int) -> None:
        """Count one update."""
        # Batches whose gradients accumulate to one update have the same paths, which count once.
        if isinstance(batch, Batch) and trainer.global_step > self._step:
            self._step = trainer.global_step
            self._count(batch.paths)

    def _count(self, paths: Sequence[Architecture]) -> None:
        for tally in self.tallies:
            tally.add(paths)

    def counts(self) -> dict[str, dict[str, int]]:
        """Return how often each choice of each decision was activated."""
        return {t.name: {str(c): t.totals[c] for c in t.choices} for t in self.tallies}
