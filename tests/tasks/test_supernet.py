"""SupernetTask in a real Trainer: every scheme trains, reproducibly, under one cosine decay."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from ameir_pl.callbacks import ActivationCounts, UniformSampling
from ameir_pl.data import AmeirDataModule
from ameir_pl.models.ameir import Ameir
from ameir_pl.models.capacity import Capacity
from ameir_pl.models.splitting import predict_split
from ameir_pl.objectives import make_objective
from ameir_pl.space.sampling import FAIRNESS, InteractionRounds, draw
from ameir_pl.tasks.supernet import SupernetTask
from tests.models.examples import ctr_schema, interaction_candidates

from .fitting import BASE, COSINE, batches, predictions, same, supernet_task, trainer, weights

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.*", "ignore:.*in eval mode.*", "ignore:.*validation_step.*")


@pytest.mark.parametrize("fairness", FAIRNESS)
def test_the_loss_is_that_of_the_scheme(fairness: str) -> None:
    task = supernet_task(fairness)
    batch = next(iter(batches(1)))
    batch.paths = draw(task.rounds, fairness, 0)
    task.log = lambda *_, **__: None  # type: ignore[method-assign]
    loss = task.training_step(batch, 0)
    model, objective = task.model, task.objective
    if fairness == "split":
        expected = objective.loss(model, predict_split(model, model.embed(batch), batch.paths), batch)
    else:
        expected = torch.stack([objective.loss(model, model(batch, p), batch) for p in batch.paths]).mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6) and len(batch.paths) == (1 if fairness == "uniform"
                                                                                           else 5)


@pytest.mark.parametrize("fairness", FAIRNESS)
def test_the_same_seed_gives_the_same_weights(data: AmeirDataModule, fairness: str) -> None:
    results, counts = [], []
    for seed in (3, 3, 4):
        task, audit = supernet_task(fairness, seed, data.schema, dropout=0.2), ActivationCounts()
        trainer([UniformSampling(), audit], epochs=1).fit(task, datamodule=data)
        results.append(weights(task))
        counts.append(audit.counts())
    assert same(results[0], results[1]) and counts[0] == counts[1]
    assert not same(results[0], results[2])
    updates = len(data.train_dataloader())
    layers = counts[0]["block 1 layer"]
    assert sum(layers.values()) == updates * (1 if fairness == "uniform" else 5)
    if fairness != "uniform":
        assert set(layers.values()) == {updates}


def test_every_weight_moves_and_children_learn(data: AmeirDataModule) -> None:
    task = supernet_task("split", schema=data.schema)
    before = weights(task.model)
    child = draw(task.rounds, "uniform", 5)[0]

    def loss() -> float:
        with torch.no_grad():
            task.model.eval()
            parts = [task.objective.loss(task.model, task.model(b, child), b) for b in data.train_dataloader()]
        return torch.stack(parts).mean().item()

    start = loss()
    trainer([UniformSampling(), ActivationCounts()], epochs=4).fit(task, datamodule=data)
    assert loss() < start - 0.01
    for name, parameter in task.model.named_parameters():
        assert not torch.equal(parameter, before[name]), name


class Rates(pl.Callback):
    """Records the learning rate of every update."""

    def __init__(self) -> None:
        self.rates: list[float] = []

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any, **__: Any) -> None:
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])


@pytest.mark.parametrize("accumulate", [1, 2])
def test_one_cosine_decay_over_all_updates(accumulate: int) -> None:
    rates = Rates()
    run = trainer([UniformSampling(), rates], epochs=3, accumulate_grad_batches=accumulate)
    run.fit(supernet_task(), batches(6))
    assert run.global_step == 18 // accumulate
    assert rates.rates == sorted(rates.rates, reverse=True) and rates.rates[0] > 0.009
    assert rates.rates[-1] == pytest.approx(0.0, abs=1e-9)
    assert rates.rates[len(rates.rates) // 2 - 1] == pytest.approx(0.005, rel=0.2)


def test_groups_of_the_optimizer() -> None:
    run = trainer([UniformSampling()], epochs=1)
    run.fit(supernet_task(), batches(2))
    matrices, vectors = run.optimizers[0].param_groups
    assert matrices["weight_decay"] == pytest.approx(1e-4 / 5) and vectors["weight_decay"] == 0.0
    assert all(p.dim() > 1 for p in matrices["params"]) and all(p.dim() == 1 for p in vectors["params"])


def test_with_shared_l2_only_what_alternates_has_a_share_of_it() -> None:
    run, task = trainer([UniformSampling()], epochs=1), supernet_task()
    task._shared_l2 = True
    run.fit(task, batches(2))
    shared, vectors, chosen, chosen_vectors = groups = run.optimizers[0].param_groups
    assert shared["weight_decay"] == 1e-4 and vectors["weight_decay"] == chosen_vectors["weight_decay"] == 0.0
    assert chosen["weight_decay"] == pytest.approx(1e-4 / 5)  # one of five operations is active
    assert all((p.dim() > 1) == (g in (shared, chosen)) for g in groups for p in g["params"])
    in_blocks = {id(p) for p in task.model.blocks.parameters()}
    assert all((id(p) in in_blocks) == (g in (chosen, chosen_vectors)) for g in groups for p in g["params"])
    assert sum(len(g["params"]) for g in groups) == len(list(task.model.parameters()))


def test_the_columns_of_interactions_have_the_l2_of_the_rows_that_use_them() -> None:
    """With plain SGD an update subtracts rate x L2 x weight: the difference of a fit with L2 from one without."""
    schema, after = ctr_schema(), []
    candidates = interaction_candidates(schema)
    rounds = InteractionRounds(candidates, BASE, 0, most_paths=10)
    for l2 in (0.0, 0.5):
        torch.manual_seed(0)
        model = Ameir(schema, Capacity.of(BASE, behavior=False).with_interactions(candidates), embedding_size=4)
        weight, columns = model.interaction_columns()
        before = weight.detach().clone()
        task = SupernetTask(model, rounds, make_objective(schema, "logloss"), partial(torch.optim.SGD, lr=0.1), COSINE,
                            weight_decay=l2, fairness="split", phase="stage2/cycle1", shared_l2=True)
        trainer([UniformSampling()], epochs=1).fit(task, batches(1))
        after.append(weight.detach().clone())
    expected = torch.full_like(before, 0.1 * 0.5)
    expected[:, columns] /= 10
    assert torch.allclose(after[0] - after[1], expected * before, atol=1e-6)


def test_a_model_that_was_evaluated_is_trained_in_training_mode() -> None:
    results = []
    for mode in (True, False):
        task = supernet_task(dropout=0.5)
        task.model.train(mode)
        torch.manual_seed(0)
        trainer([UniformSampling()], epochs=1).fit(task, batches(3))
        results.append(weights(task))
    assert same(*results)


def test_unknown_scheme() -> None:
    with pytest.raises(ValueError, match="fairness fair is not one of"):
        supernet_task("fair")


def test_a_batch_without_paths_fails_loudly() -> None:
    with pytest.raises(RuntimeError, match="no paths; the UniformSampling callback is missing"):
        trainer().fit(supernet_task(), batches(2))


def test_the_supernet_predicts_after_training() -> None:
    task = supernet_task()
    trainer([UniformSampling()], epochs=1).fit(task, batches(3))
    path = draw(task.rounds, "uniform", 0)[0]
    logits, _ = predictions(Fixed(task.model, path), batches(2, first=50))
    assert logits.isfinite().all() and logits.std() > 0


class Fixed(torch.nn.Module):
    """A supernet that runs one architecture."""

    def __init__(self, model: torch.nn.Module, architecture: Any) -> None:
        super().__init__()
        self.model, self.architecture = model, architecture

    def forward(self, batch: Any) -> torch.Tensor:
        return self.model(batch, self.architecture)
