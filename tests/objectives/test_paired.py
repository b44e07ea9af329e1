"""The standard error of the difference of two models on the same rows: by its definition, and against other rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from ameir_pl.objectives.ctr import Ctr, auc
from ameir_pl.objectives.paired import auc_difference, mean_difference
from ameir_pl.objectives.retrieval import Retrieval


def clicks(rows: int, seed: int, apart: float = 0.3) -> tuple[Tensor, Tensor, Tensor]:
    """Two models that see the same signal, each with a noise of its own, rounded so that there are ties."""
    generator = torch.Generator().manual_seed(seed)
    label = torch.rand(rows, generator=generator) < 0.2
    signal = label + torch.randn(rows, generator=generator)
    first, second = (torch.round(signal + apart * k * torch.randn(rows, generator=generator), decimals=1)
                     for k in (1, 2))
    return first, second, label


def by_definition(first: Tensor, second: Tensor, label: Tensor) -> tuple[float, float]:
    def kernel(logit: Tensor) -> Tensor:
        click, other = logit[label], logit[~label]
        return (click[:, None] > other).double() + 0.5 * (click[:, None] == other).double()

    difference = kernel(first) - kernel(second)  # (clicks, others)
    variance = difference.mean(1).var() / len(difference) + difference.mean(0).var() / difference.shape[1]
    return float(difference.mean()), math.sqrt(float(variance))


@pytest.mark.parametrize("seed", range(4))
def test_it_is_that_of_delong(seed: int) -> None:
    first, second, label = clicks(120, seed)
    found = auc_difference(first, second, label)
    assert found == pytest.approx(by_definition(first, second, label), abs=1e-12)
    assert found[0] == pytest.approx(auc(first, label) - auc(second, label), abs=1e-12)
    assert auc_difference(second, first, label) == pytest.approx((-found[0], found[1]), abs=1e-12)


def test_it_is_how_far_other_rows_would_move_the_difference() -> None:
    differences = [auc_difference(*clicks(400, seed))[0] for seed in range(300)]
    errors = [auc_difference(*clicks(400, seed))[1] for seed in range(40)]
    assert np.mean(errors) == pytest.approx(np.std(differences), rel=0.15)
    first, second, label = clicks(400, 1)
    alone = auc_difference(first, torch.randn(400, generator=torch.Generator().manual_seed(9)), label)[1]
    assert auc_difference(first, second, label)[1] < alone / 2, "models that agree are told apart more sharply"


def test_models_that_are_the_same_differ_by_nothing() -> None:
    first, _, label = clicks(50, 0)
    assert auc_difference(first, 2 * first - 3, label) == (0.0, 0.0)  # the order alone counts
    assert mean_difference(first, first) == (0.0, 0.0)


def test_one_row_of_a_class_tells_no_error() -> None:
    label = torch.tensor([True, False, False])
    difference, error = auc_difference(torch.tensor([3.0, 1, 2]), torch.tensor([1.0, 2, 3]), label)
    assert difference == 1.0 and math.isnan(error)
    assert math.isnan(mean_difference(torch.tensor([1.0]), torch.tensor([0.0]))[1])


def test_objectives_take_their_own_metric() -> None:
    first, second, label = clicks(200, 2)
    predictions = [{"logit": one, "label": label.float()} for one in (first, second)]
    ctr = Ctr()
    assert ctr.difference(*predictions) == auc_difference(first, second, label)
    assert ctr.difference(*predictions)[0] == pytest.approx(ctr.score(predictions[:1]) - ctr.score(predictions[1:]))

    ranks = [{"rank": torch.tensor([1.0, 2.5, 7, 3, 1, 90])}, {"rank": torch.tensor([2.0, 2.5, 4, 3, 6, 90])}]
    retrieval = Retrieval(item="item")
    gains = np.array([[1 / math.log2(r + 1) if r <= 5 else 0.0 for r in one["rank"].tolist()] for one in ranks])
    rows = gains[0] - gains[1]
    assert retrieval.difference(*ranks) == pytest.approx((rows.mean(), rows.std(ddof=1) / math.sqrt(6)))
    assert retrieval.difference(*ranks)[0] == pytest.approx(retrieval.score(ranks[:1]) - retrieval.score(ranks[1:]))
