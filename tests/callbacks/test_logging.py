"""MetricsCsv and TrainingProgress."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from ameir_pl.batch import Batch
from ameir_pl.callbacks import ActivationCounts, TrainingProgress, UniformSampling, progress
from ameir_pl.callbacks.metrics_csv import MetricsCsv
from ameir_pl.tasks.fit import FitTask
from tests.tasks.fitting import batches, fit_task, supernet_task, trainer

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.*", "ignore:.*validation_step.*")


def rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_several_fits_append_to_one_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "metrics.csv"
    trainer([UniformSampling(), ActivationCounts()], epochs=2, logger=MetricsCsv(path)).fit(supernet_task(), batches(3))
    header, *lines = rows(path)
    assert header == ["step", "name", "value"]
    assert [(s, n) for s, n, _ in lines] == [("2", "stage1/supernet/train_loss"), ("5", "stage1/supernet/train_loss")]
    # A later command has a logger of its own.
    trainer(epochs=1, logger=[MetricsCsv(path)]).fit(fit_task(), batches(3), batches(2, first=9))
    again = rows(path)
    assert again[:3] == [header, *lines] and [r for r in again if r == header] == [header]
    names = [n for _, n, _ in again[3:]]
    assert sorted(names) == [f"finetune/AMEIR-C/{n}" for n in ("train_loss", "valid_auc", "valid_logloss")]
    assert all(0 < float(value) < 3 for _, _, value in again[1:])


def test_nothing_is_written_without_numbers(tmp_path: Path) -> None:
    logger = MetricsCsv(tmp_path / "new" / "metrics.csv")
    logger.log_metrics({"epoch": 3.0}, 4)
    logger.log_hyperparams({"lr": 0.1})
    assert not (tmp_path / "new").exists() and (logger.name, logger.version) == ("csv", "")


class FakeMeter:
    """Records what a meter is told."""

    made: list[FakeMeter] = []

    def __init__(self, description: str, total: int, unit: str) -> None:
        self.description, self.total, self.unit, self.note = description, total, unit, ""
        self.done, self.closed = 0, []  # type: ignore[var-annotated]
        self.made.append(self)

    def __enter__(self) -> FakeMeter:
        return self

    def __exit__(self, *exception: object) -> None:
        self.closed.append(exception[0])

    def advance(self) -> None:
        self.done += 1


@pytest.fixture
def meters(monkeypatch: pytest.MonkeyPatch) -> list[FakeMeter]:
    monkeypatch.setattr(FakeMeter, "made", [])
    monkeypatch.setattr(progress, "Meter", FakeMeter)
    return FakeMeter.made


def test_progress_of_a_fit(meters: list[FakeMeter]) -> None:
    trainer([TrainingProgress()], epochs=2).fit(fit_task(), batches(3), batches(2, first=9))
    (meter,) = meters
    assert (meter.description, meter.unit, meter.total, meter.done) == ("finetune/AMEIR-C", "batches", 6, 6)
    assert meter.closed == [None] and meter.note.startswith("fitness 0.")


class Failing(FitTask):
    """Fails in the second step."""

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        if batch_idx:
            raise ZeroDivisionError
        return super().training_step(batch, batch_idx)


def test_progress_of_a_fit_that_fails(meters: list[FakeMeter]) -> None:
    with pytest.raises(ZeroDivisionError):
        trainer([TrainingProgress()]).fit(fit_task(kind=Failing), batches(3))
    (meter,) = meters
    assert meter.done == 1 and meter.closed == [ZeroDivisionError]


def test_progress_is_quiet_when_a_fit_never_begins(meters: list[FakeMeter], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    task = fit_task()
    monkeypatch.setattr(task, "configure_optimizers", fail)
    with pytest.raises(ZeroDivisionError):
        trainer([TrainingProgress()]).fit(task, batches(2))
    assert meters == []
