"""The loss of an epoch: the mean of its rows, logged once, of all ranks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from ameir_pl.batch import Batch
from ameir_pl.callbacks import UniformSampling
from ameir_pl.callbacks.metrics_csv import MetricsCsv
from ameir_pl.tasks.epoch_loss import EpochLoss
from tests.models.examples import LENGTHS, ctr_schema, make_batch

from .fitting import batches, fit_task, supernet_task, trainer

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.*", "ignore:.*val_dataloader.*",
                                         "ignore:.*validation_step.*")


def uneven() -> DataLoader[Batch]:
    """Batches of 8, 5 and 6 rows: at least one for each of a supernet's five paths."""
    whole = [make_batch(ctr_schema(), LENGTHS * 2, seed=i) for i in range(3)]
    parts = [batch[:rows] for batch, rows in zip(whole, (8, 5, 6), strict=True)]
    return DataLoader(parts, batch_size=None, shuffle=False)  # type: ignore[arg-type]


class Losses(pl.Callback):
    """Notes rows and loss of each batch, an epoch a list."""

    def __init__(self) -> None:
        self.epochs: list[list[tuple[int, float]]] = []

    def on_train_epoch_start(self, *_: Any) -> None:
        self.epochs.append([])

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Batch,
                           index: int) -> None:
        assert len(self.epochs) > 1 or not trainer.callback_metrics, "nothing is logged before the epoch's end"
        self.epochs[-1].append((len(batch), float(outputs["loss"])))


@pytest.mark.parametrize("kind", ["fit", "split", "full", "uniform"])
def test_once_an_epoch_the_mean_of_its_rows(kind: str, tmp_path: Path) -> None:
    task = fit_task() if kind == "fit" else supernet_task(kind)
    losses, logger = Losses(), MetricsCsv(tmp_path / "metrics.csv")
    trainer([UniformSampling(), losses], epochs=3, logger=logger, log_every_n_steps=1).fit(task, uneven())
    expected = [sum(rows * loss for rows, loss in epoch) / sum(rows for rows, _ in epoch) for epoch in losses.epochs]
    lines = [line.split(",") for line in (tmp_path / "metrics.csv").read_text().splitlines()[1:]]
    assert [(int(step), name) for step, name, _ in lines] == [(s, f"{task.phase}/train_loss") for s in (2, 5, 8)]
    assert [float(value) for *_, value in lines] == pytest.approx(expected, abs=1e-6)
    assert len(set(expected)) == 3


def test_an_interrupted_epoch_is_not_counted_in_the_next_fit() -> None:
    class Stop(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
            raise ValueError("stopped")

    results = []
    for interrupted in (False, True):
        task = fit_task()
        start = {name: tensor.clone() for name, tensor in task.state_dict().items()}
        if interrupted:
            with pytest.raises(ValueError, match="stopped"):
                trainer([Stop()], epochs=1).fit(task, batches(3, first=20))
            task.load_state_dict(start)
        run = trainer(epochs=1)
        run.fit(task, uneven())
        results.append(run.callback_metrics[f"{task.phase}/train_loss"].item())
    assert results[0] == results[1]


class TwoRanks:
    """Stands for a strategy: another rank counted ``other``, its sum and its rows."""

    root_device = torch.device("cpu")

    def __init__(self, *other: float) -> None:
        self.other = list(other)

    def reduce(self, tensor: Tensor, reduce_op: str) -> Tensor:
        assert reduce_op == "sum"
        return tensor + self.other.pop(0)


def test_the_mean_is_that_of_all_ranks() -> None:
    loss = EpochLoss()
    loss.add(torch.tensor(0.5, requires_grad=True), 4)
    loss.add(torch.tensor(1.0), 2)
    mean = loss.mean(TwoRanks(6.0, 4.0))  # type: ignore[arg-type]
    assert mean.item() == pytest.approx((4.0 + 6.0) / (6 + 4)) and not mean.requires_grad
    loss.add(torch.tensor(2.0), 3)
    assert loss.mean(TwoRanks(0.0, 0.0)).item() == 2.0, "it began anew"  # type: ignore[arg-type]


def test_a_broken_loss_shows() -> None:
    loss = EpochLoss()
    loss.add(torch.tensor(0.5), 4)
    loss.add(torch.tensor(float("nan")), 4)
    assert loss.mean(TwoRanks(0.0, 0.0)).isnan()  # type: ignore[arg-type]
