"""Log loss and AUC against NumPy and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss, roc_auc_score
from torch import Tensor

from ameir_pl.batch import Batch
from ameir_pl.errors import AmeirError
from ameir_pl.objectives import Ctr, make_objective
from ameir_pl.objectives.ctr import auc
from tests.models.examples import ctr_schema


def metrics(logits: Tensor, labels: Tensor, parts: int = 1) -> dict[str, float]:
    objective = Ctr()
    found = [objective.predictions(None, a, Batch(label=b)) for a, b in
             zip(logits.tensor_split(parts), labels.tensor_split(parts), strict=True)]
    return objective.metrics(found)


def rows(number: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    logits = torch.randn(number, generator=rng)
    return logits, (torch.rand(number, generator=rng) < torch.sigmoid(logits - 1)).float()


@pytest.mark.parametrize("number", [11, 300, 20_000])
@pytest.mark.parametrize("levels", [None, 5])
def test_metrics_equal_scikit_learn(number: int, levels: int | None) -> None:
    logits, labels = rows(number, seed=number)
    if levels is not None:  # many ties
        logits = (logits * levels).round() / levels
    for parts in (1, 7):
        found = metrics(logits, labels, parts)
        assert found["auc"] == pytest.approx(roc_auc_score(labels, logits), abs=1e-12)
        assert found["logloss"] == pytest.approx(log_loss(labels, torch.sigmoid(logits.double())), abs=1e-9)


def test_auc_counts_pairs() -> None:
    logits, labels = rows(60)
    logits = (logits * 2).round()
    pairs = [(a > b) + 0.5 * (a == b) for a in logits[labels > 0].tolist() for b in logits[labels == 0].tolist()]
    assert auc(logits, labels > 0) == pytest.approx(np.mean(pairs), abs=1e-12)


def test_saturated_logits_stay_in_order() -> None:
    logits = torch.tensor([40.0, 50.0, 60.0, -1.0, 45.0, -800.0, 800.0, 900.0])
    labels = torch.tensor([0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    found = metrics(logits, labels)
    assert found["auc"] == roc_auc_score(labels, logits) == 13 / 15
    expected = np.mean([np.logaddexp(0, z) if y == 0 else np.logaddexp(0, -z)
                        for z, y in zip(logits.double().tolist(), labels.tolist(), strict=True)])
    assert found["logloss"] == pytest.approx(expected, rel=1e-12) and math.isfinite(found["logloss"])


def test_constant_and_broken_models() -> None:
    _, labels = rows(50)
    assert metrics(torch.zeros(50), labels)["auc"] == 0.5
    broken = metrics(torch.zeros(50).index_fill(0, torch.tensor([3]), math.nan), labels)
    assert math.isnan(broken["auc"]) and math.isnan(broken["logloss"])


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_one_class_is_an_error(label: float) -> None:
    with pytest.raises(AmeirError, match=f"All 4 rows .* label {int(label)}; AUC needs both"):
        metrics(torch.randn(4), torch.full((4,), label))


def test_loss_equals_numpy() -> None:
    logits, labels = rows(40)
    z, y = logits.double().numpy(), labels.double().numpy()
    p = 1 / (1 + np.exp(-z))
    expected = -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))
    objective = make_objective(ctr_schema(), "logloss")
    assert objective.fitness == "auc"
    assert objective.loss(None, logits, Batch(label=labels)).item() == pytest.approx(expected, rel=1e-6)
    half = objective.loss(None, logits.bfloat16(), Batch(label=labels))
    assert half.dtype == torch.float32


def test_predictions_keep_no_graph() -> None:
    logits = torch.randn(3, requires_grad=True)
    found = Ctr().predictions(None, logits, Batch(label=torch.ones(3)))
    assert not found["logit"].requires_grad
