"""BestWeights: the weights of the best validation are the ones a fit leaves."""

from __future__ import annotations

import math
from typing import Any

import pytest
import pytorch_lightning as pl
from torch import Tensor

from ameir_pl.callbacks import BestWeights
from ameir_pl.objectives import Ctr
from ameir_pl.tasks.fit import FitTask
from tests.tasks.fitting import batches, fit_task, predictions, same, trainer, weights

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.*")
SCRIPT: list[float] = []


class Scripted(FitTask):
    """A task whose validations give the fitness of a script."""

    def on_validation_epoch_end(self) -> None:
        self._predictions = []
        value = -1.0 if self.trainer.sanity_checking else SCRIPT[self.current_epoch]
        self.log("fitness", 100.0 if self.trainer.sanity_checking else value, logger=False)


class Snapshots(pl.Callback):
    """Keeps the weights before the fit and after each epoch."""

    def __init__(self) -> None:
        self.kept: list[dict[str, Tensor]] = []

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.kept.append(weights(pl_module))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.kept.append(weights(pl_module))


@pytest.mark.parametrize(("script", "start", "epoch", "best"), [
    ([0.5, 0.7, 0.6], None, 2, 0.7),
    ([0.5, 0.7, 0.6], 0.65, 2, 0.7),
    ([0.5, 0.7, 0.6], 0.9, 0, 0.9),
    ([0.5, 0.7, 0.7], 0.7, 0, 0.7),
    ([0.5, 0.7, 0.7], None, 2, 0.7),
    ([0.5, 0.6, 0.7], None, 3, 0.7),
    ([math.nan, 0.4, math.nan], None, 2, 0.4),
    ([math.nan, math.nan, math.nan], 0.1, 0, 0.1),
    ([0.7, math.inf, 0.8], None, 2, math.inf),
])
@pytest.mark.parametrize("sanity", [0, 1])
def test_the_best_epoch_comes_back(script: list[float], start: float | None, epoch: int, best: float, sanity: int,
                                   monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.SCRIPT", script)
    task, keep, snapshots = fit_task(kind=Scripted), BestWeights(start), Snapshots()
    trainer([keep, snapshots], epochs=3, num_sanity_val_steps=sanity).fit(task, batches(3), batches(1, first=9))
    assert keep.epoch == epoch and keep.best == pytest.approx(best)
    assert len(snapshots.kept) == 4 and not same(snapshots.kept[0], snapshots.kept[1])
    assert same(weights(task), snapshots.kept[epoch])


def test_without_any_number_the_last_weights_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.SCRIPT", [math.nan, math.nan])
    task, keep, snapshots = fit_task(kind=Scripted), BestWeights(), Snapshots()
    trainer([keep, snapshots]).fit(task, batches(3), batches(1, first=9))
    assert keep.epoch == 0 and keep.best == -math.inf and same(weights(task), snapshots.kept[-1])


def test_the_real_fitness_is_that_of_the_weights() -> None:
    task, keep = fit_task(), BestWeights()
    valid = batches(3, first=20)
    trainer([keep], epochs=6).fit(task, batches(4), valid)
    logits, labels = predictions(task.model, valid)
    assert Ctr().metrics([{"logit": logits, "label": labels}])["auc"] == pytest.approx(keep.best, abs=1e-6)


def test_one_callback_serves_several_fits() -> None:
    keep = BestWeights()
    for _ in range(2):
        task: Any = fit_task()
        trainer([keep], epochs=2).fit(task, batches(3), batches(2, first=20))
    assert keep.epoch in (1, 2) and keep._kept is None
