"""FitTask in a real Trainer: metrics on all rows at once, L2 groups, the same seed gives the same weights."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import log_loss, roc_auc_score

from ameir_pl.baselines import BASELINES, build_baseline
from ameir_pl.baselines.base import lacking
from ameir_pl.data import AmeirDataModule
from ameir_pl.models.ameir import Derived
from ameir_pl.objectives import make_objective
from ameir_pl.space.architecture import Architecture, Block, MlpLayer
from ameir_pl.tasks.fit import FitTask, decayed
from tests.models.examples import retrieval_schema

from .fitting import ADAM, ARCHITECTURE, batches, ctr_schema, fit_task, predictions, same, trainer, weights

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.*", "ignore:.*in eval mode.*", "ignore:.*val_dataloader.*")

MOVIELENS = Architecture((Block("bigru", "swish", "layer_norm"),), (("movie_id", "user_id"),), (MlpLayer(16, "dice"),))


def test_metrics_are_those_of_all_rows_at_once(data: AmeirDataModule) -> None:
    task = fit_task(schema=data.schema, architecture=MOVIELENS)
    run = trainer(epochs=1)
    run.fit(task, datamodule=data)
    logits, labels = predictions(task.model, data.val_dataloader())
    assert len(labels) == data.rows["valid"] and len(labels) % 37 > 0, "a last batch that is not full"
    logged = run.callback_metrics
    assert logged["finetune/AMEIR-C/valid_auc"].item() == pytest.approx(roc_auc_score(labels, logits), abs=1e-6)
    assert logged["fitness"] == logged["finetune/AMEIR-C/valid_auc"]
    assert logged["finetune/AMEIR-C/valid_logloss"].item() == pytest.approx(
        log_loss(labels, torch.sigmoid(logits.double())), abs=1e-6)
    assert 0.0 < logged["finetune/AMEIR-C/train_loss"].item() < 2.0


def test_predictions_of_one_validation_do_not_reach_the_next(data: AmeirDataModule) -> None:
    task = fit_task(schema=data.schema, architecture=MOVIELENS)
    run = trainer(epochs=2)
    run.fit(task, datamodule=data)
    first = run.callback_metrics["fitness"].item()
    (again,) = run.validate(task, datamodule=data, verbose=False)
    assert again["finetune/AMEIR-C/valid_auc"] == pytest.approx(first, abs=1e-7)


def test_the_same_seed_gives_the_same_weights(data: AmeirDataModule) -> None:
    results = []
    for seed in (3, 3, 4):
        task = fit_task(seed, data.schema, MOVIELENS, dropout=0.3)
        trainer(epochs=2).fit(task, datamodule=data)
        results.append(weights(task))
    assert same(results[0], results[1]), "bit for bit"
    assert not same(results[0], results[2])


def test_fitting_learns(data: AmeirDataModule) -> None:
    task = fit_task(schema=data.schema, architecture=MOVIELENS)
    logits, labels = predictions(task.model, data.train_dataloader())
    before = log_loss(labels, torch.sigmoid(logits.double()))
    trainer(epochs=4).fit(task, datamodule=data)
    logits, labels = predictions(task.model, data.train_dataloader())
    assert log_loss(labels, torch.sigmoid(logits.double())) < before - 0.05


def test_a_model_that_was_evaluated_is_trained_in_training_mode() -> None:
    results = []
    for mode in (True, False):
        task = fit_task(dropout=0.5)
        task.model.train(mode)
        torch.manual_seed(0)
        trainer(epochs=1).fit(task, batches(3))
        results.append(weights(task))
    assert same(*results), "dropout and Dice's batch statistics in both"


@pytest.mark.parametrize("name", ["ameir", *BASELINES.names()])
def test_weight_decay_is_for_matrices(name: str) -> None:
    schema = ctr_schema() if name == "ameir" or not lacking(name, ctr_schema()) else retrieval_schema()
    model = (Derived(schema, ARCHITECTURE, embedding_size=4) if name == "ameir" else
             build_baseline(name, schema, embedding_size=4, mlp=[8, 5], dropout=0.0))
    objective = make_objective(schema, "logloss" if schema.task == "ctr" else "sampled_bce")
    task = FitTask(model, objective, ADAM, weight_decay=0.25, phase="x")
    matrices, vectors, *own = task.configure_optimizers().param_groups
    assert (matrices["weight_decay"], vectors["weight_decay"]) == (0.25, 0.0)
    names = {id(p): n for n, p in model.named_parameters()}
    decays, spared = ({names[id(p)] for p in group["params"]} for group in (matrices, vectors))
    others = {names[id(p)] for group in own for p in group["params"]}  # with an optimizer of their own
    assert sorted([*decays, *spared, *others]) == sorted(names.values())
    assert ("embedding.weight" in decays) == ("embedding.weight" in names.values())
    assert {n for n in names.values() if n.endswith("linears.0.weight")} <= decays
    assert not any("bias" in n or "norm" in n or "alpha" in n for n in decays)
    if name == "ameir":
        assert {"blocks.0.norms.layer_norm.weight", "blocks.0.layers.conv3.bias", "mlp.dices.0.alpha"} <= spared


def test_weight_decay_shrinks_only_what_it_should() -> None:
    model = fit_task().model
    before = weights(model)
    optimizer = torch.optim.SGD(decayed(model, 0.5), lr=0.1)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in model.named_parameters():
        expected = before[name] * (0.95 if parameter.dim() > 1 else 1.0)
        torch.testing.assert_close(parameter.detach(), expected, msg=name)
