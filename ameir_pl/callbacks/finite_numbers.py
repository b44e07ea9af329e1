"""FiniteNumbers: ends a fit whose loss is no number any more, and warns of gradients that explode."""

from __future__ import annotations

import math
from statistics import median
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from ameir_pl.callbacks.phase import phase_of
from ameir_pl.errors import NotFinite
from ameir_pl.progress import console

EVERY = 50
"""Updates between two looks: each waits for the device."""
EXPLODED = 1000.0
"""A gradient so many times as large as the median of those before is said."""


class FiniteNumbers(pl.Callback):
    """Raises ``NotFinite`` naming the first batch whose loss was NaN or infinite, before anything of it is saved.

    (It comes before the callback that saves, which has it look first.)
    """

    def __init__(self) -> None:
        self._first: Tensor | None = None  # the first bad update, -1 for none
        self._norms: list[float] = []

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin anew."""
        self._first, self._norms = None, []

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule,
                                 optimizer: torch.optim.Optimizer) -> None:
        """Measure the gradient now and then."""
        if trainer.global_step % EVERY:
            return
        norms = [p.grad.norm() for p in pl_module.parameters() if p.grad is not None]
        norm = float(torch.stack(norms).norm()) if norms else 0.0
        usual = median(self._norms) if self._norms else norm
        if math.isfinite(norm) and norm > EXPLODED * usual > 0:
            console().print(f"{phase_of(pl_module)}: the gradient at update {trainer.global_step} has norm {norm:.3g}, "
                            f"usually {usual:.3g}. If the loss follows, lower dataset.train.learning_rate or set "
                            "trainer.gradient_clip_val=1.")
        self._norms = [*self._norms[-19:], norm]

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any,
                           batch_idx: int) -> None:
        """Note the first bad loss, and look at it now and then."""
        loss = (outputs["loss"] if isinstance(outputs, dict) else outputs).detach()
        if self._first is None:
            self._first = torch.full((), -1, device=loss.device)
        update = trainer.global_step - 1
        bad = (self._first < 0) & ~torch.isfinite(loss).all()
        self._first = torch.where(bad, torch.full_like(self._first, update), self._first)
        if not waits(loss.device) or update % EVERY == 0 or batch_idx + 1 >= trainer.num_training_batches:
            self.look(trainer, pl_module)

    def look(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Raise ``NotFinite`` when a loss so far was no number."""
        first = -1 if self._first is None else int(self._first)
        if first < 0:
            return
        batches = max(int(trainer.num_training_batches), 1)
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        raise NotFinite(
            f"{phase_of(module)}: the loss was NaN or infinite at update {first} (epoch {first // batches + 1}, batch "
            f"{first % batches + 1}, learning rate {rate:.3g}). What was saved before is kept, and the same command "
            "goes on from there. Lower dataset.train.learning_rate, set trainer.gradient_clip_val=1 or "
            "trainer.precision=32-true; detect_anomaly=true names the operation.")


def waits(device: torch.device) -> bool:
    """Return whether reading a number has the program wait for the device."""
    return device.type != "cpu"
