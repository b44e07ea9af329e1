"""FiniteNumbers: a loss that is no number ends the fit, says where, and is never saved."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from ameir_pl.callbacks.finite_numbers import FiniteNumbers
from ameir_pl.errors import AmeirError
from ameir_pl.tasks.fit import FitTask
from tests.tasks.fitting import batches, fit_task, supernet_task, trainer

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.*", "ignore:.*val_dataloader.*",
                                        "ignore:.*validation_step.*", "ignore:.*num_workers.*")


class Breaks(FitTask):
    """Its loss is NaN from update 9 on, its gradients are huge at the first of the second epoch."""

    at, factor = 9, 1.0

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = super().training_step(batch, batch_idx)
        return loss * (float("nan") if self.trainer.global_step == self.at else self.factor)


def test_it_names_update_epoch_batch_and_rate(tmp_path: Path) -> None:
    task = fit_task(kind=Breaks)
    with pytest.raises(AmeirError, match=re.escape("finetune/AMEIR-C: the loss was NaN or infinite at update 9 "
                                                   "(epoch 2, batch 3, learning rate 0.01)")) as found:
        trainer([FiniteNumbers()], epochs=5).fit(task, batches(7), batches(2))
    assert "detect_anomaly=true" in str(found.value)
    assert task.trainer.global_step == 10, "it is seen at once"


@pytest.mark.parametrize(("at", "seen"), [(9, 14), (13, 14), (50, 51), (57, 63)])
def test_a_device_is_not_waited_for_at_every_update(at: int, seen: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU: it is seen at every 50th update and at the end of an epoch of 7, and the first one is named."""
    monkeypatch.setattr("ameir_pl.callbacks.finite_numbers.waits", lambda device: True)
    task = fit_task(kind=Breaks)
    task.at = at  # type: ignore[attr-defined]
    with pytest.raises(AmeirError, match=re.escape(f"at update {at} (epoch {at // 7 + 1}, batch {at % 7 + 1},")):
        trainer([FiniteNumbers()], epochs=20).fit(task, batches(7), batches(2))
    assert task.trainer.global_step == seen


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_any_kind_and_a_supernet_too(value: float) -> None:
    task = supernet_task()
    with torch.no_grad():
        for parameter in task.model.head.parameters():
            parameter.fill_(value)

    class Paths(pl.Callback):
        def on_train_batch_start(self, trainer: pl.Trainer, module: Any, batch: Any, batch_idx: int) -> None:
            batch.paths = module.rounds.fair(0)

    with pytest.raises(AmeirError, match="stage1/supernet: the loss was NaN or infinite at update 0"):
        trainer([FiniteNumbers(), Paths()]).fit(task, batches(3))


def test_exploding_gradients_are_said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ameir_pl.callbacks.finite_numbers.EVERY", 1)

    class Grows(Breaks):
        at = -1

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            loss = FitTask.training_step(self, batch, batch_idx)
            return loss * (1e5 if self.trainer.global_step == 4 else 1.0)

    trainer([FiniteNumbers()], epochs=1).fit(fit_task(kind=Grows), batches(7), batches(2))
    said = capsys.readouterr().err
    assert said.count("the gradient at update") == 1 and "the gradient at update 4 has norm" in said
