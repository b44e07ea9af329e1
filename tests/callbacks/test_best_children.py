"""A supernet keeps the weights with which its children validate best, says that it overfits, and looking is free."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

from ameir_pl.callbacks import UniformSampling
from ameir_pl.callbacks.best_children import BestChildren
from ameir_pl.callbacks.metrics_csv import MetricsCsv
from ameir_pl.search.evaluator import CandidateScorer
from tests.tasks.fitting import batches, same, supernet_task, trainer, weights


def train(watch: BestChildren | None, epochs: int, path: Path | None = None) -> dict[str, torch.Tensor]:
    task = supernet_task(dropout=0.2)
    callbacks = [UniformSampling(), *([watch] if watch else [])]
    trainer(callbacks, epochs=epochs, logger=[MetricsCsv(path)] if path else False).fit(task, batches())
    return weights(task)


def given(values: list[float]) -> BestChildren:
    left = iter(values)
    return BestChildren(lambda: next(left), "auc")


@pytest.mark.parametrize(("epochs", "looks"), [(1, []), (2, [1, 2]), (5, [1, 2, 3, 4, 5]),
                                               (12, [2, 3, 4, 5, 6, 8, 9, 10, 11, 12])])
def test_it_looks_ten_times_at_most(epochs: int, looks: list[int]) -> None:
    watch = given([0.5] * 12)
    train(watch, epochs)
    assert list(watch.seen) == looks


def test_a_fall_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    train(given([0.60, 0.71, 0.70, 0.69, 0.68]), 5)
    said = " ".join(capsys.readouterr().err.split())
    assert "stage1/supernet: on validation rows the auc of its children fell from 0.7100 after epoch 2 to 0.6800 " \
           "after epoch 5" in said


@pytest.mark.parametrize("values", [[0.60, 0.65, 0.70, 0.71, 0.72], [0.7, 0.72, 0.71, 0.715, 0.714], [math.nan] * 5])
def test_noise_and_gain_are_not(values: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    train(given(values), 5)
    assert "overfit" not in capsys.readouterr().err


def test_it_is_logged_once_a_look(tmp_path: Path) -> None:
    train(given([0.6, math.nan, 0.7]), 3, tmp_path / "metrics.csv")
    rows = [(row["name"], float(row["value"])) for row in csv.DictReader((tmp_path / "metrics.csv").open())
            if "valid" in row["name"]]
    assert rows == [("stage1/supernet/valid_auc", 0.6), ("stage1/supernet/valid_auc", 0.7)]


def test_the_best_looks_weights_are_kept() -> None:
    watch = given([0.60, 0.71, 0.70, 0.69])
    kept = train(watch, 4)
    assert watch.epoch == 2 and not same(kept, train(None, 4))

    class Second(pl.Callback):
        """Takes a copy after the second epoch."""

        def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            if trainer.current_epoch == 1:
                self.weights = weights(pl_module)

    task, second = supernet_task(dropout=0.2), Second()
    trainer([UniformSampling(), second], epochs=4).fit(task, batches())
    assert same(kept, second.weights)


def test_looking_changes_no_weight() -> None:
    rows = list(batches(2, first=50))  # a DataLoader draws from the generator that dropout draws from
    task = supernet_task(dropout=0.2)
    scorer = CandidateScorer(task.model, task.objective, rows)
    scores: list[float] = []

    def score() -> float:
        scores.append(scorer.score(task.rounds.fair(0)[0]))
        return float(len(scores))  # the last is the best

    watch = BestChildren(score, "auc")
    trainer([UniformSampling(), watch], epochs=3).fit(task, batches())
    assert len(watch.seen) == 3 and len(set(scores)) == 3
    assert same(weights(task), train(None, 3))


def test_what_an_interrupted_fit_saw_counts(capsys: pytest.CaptureFixture[str]) -> None:
    before, after = given([]), given([])
    task, other = supernet_task(seed=5), supernet_task(seed=6)
    before.seen, before.epoch, before._kept = {1: 0.6, 2: 0.7}, 2, weights(task)
    after.load_state_dict(before.state_dict())
    after.seen[3] = 0.5
    after.on_train_end(trainer(), other)
    assert same(weights(other), weights(task))
    assert "fell from 0.7000 after epoch 2 to 0.5000 after epoch 3" in " ".join(capsys.readouterr().err.split())
