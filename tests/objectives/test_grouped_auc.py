"""Grouped AUC against a plain loop over users, and on two ranks."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from ameir_pl.batch import Batch
from ameir_pl.errors import AmeirError
from ameir_pl.objectives import Ctr, GroupedAUC, make_objective
from ameir_pl.objectives.grouped_auc import grouped_auc
from tests.models.examples import ctr_schema, retrieval_schema
from tests.two_ranks import on_two_ranks


def slow(logit: Tensor, label: Tensor, group: Tensor) -> float:
    """FuxiCTR's gAUC, user by user."""
    total, rows = 0.0, 0
    for one in sorted(set(group.tolist()) - {-1}):
        mine = group == one
        if 0 < label[mine].sum() < mine.sum():
            total += float(roc_auc_score(label[mine], logit[mine])) * int(mine.sum())
            rows += int(mine.sum())
    return total / rows


def rows(number: int, users: int, levels: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    rng = torch.Generator().manual_seed(number + users)
    logit = torch.randn(number, generator=rng)
    if levels:
        logit = (logit * levels).round() / levels
    label = (torch.rand(number, generator=rng) < torch.sigmoid(logit - 1)).float()
    return logit, label, torch.randint(-1, users, (number,), generator=rng)


@pytest.mark.parametrize(("number", "users", "levels"), [(40, 3, 0), (500, 60, 2), (5000, 900, 3), (5000, 2, 0)])
def test_it_is_the_mean_of_each_user_s_auc_by_rows(number: int, users: int, levels: int) -> None:
    logit, label, group = rows(number, users, levels)
    expected = pytest.approx(slow(logit, label, group), abs=1e-12)
    assert grouped_auc(logit, label > 0, group) == expected
    order = torch.randperm(number, generator=torch.Generator().manual_seed(1))
    metric = GroupedAUC()
    for part in order.tensor_split(7):
        metric.update(logit[part], label[part], group[part])
    assert metric.compute().item() == expected
    metric.reset()
    metric.update(logit[:400], label[:400], group[:400])
    assert metric.compute().item() == pytest.approx(slow(logit[:400], label[:400], group[:400]), abs=1e-12)
    found = Ctr(["gauc"])
    batches = [found.predictions(None, logit[p], Batch(label=label[p], users=group[p])) for p in order.tensor_split(3)]
    assert found.metrics(batches)["gauc"] == expected
    assert set(Ctr().metrics([{k: v for k, v in b.items() if k != "user"} for b in batches])) == {"auc", "logloss"}


def share() -> float:
    """What a rank computes that has every third row, or the others."""
    logit, label, group = rows(900, 80, 2)
    mine = (torch.arange(900) % 3 == 0) == (torch.distributed.get_rank() == 0)
    metric = GroupedAUC()
    metric.update(logit[mine], label[mine], group[mine])
    return metric.compute().item()


def test_two_ranks_have_that_of_all_rows(tmp_path: Path) -> None:
    assert on_two_ranks(tmp_path, share) == [pytest.approx(slow(*rows(900, 80, 2)), abs=1e-12)] * 2


def test_by_hand() -> None:
    """User 0 has 1 of 2 pairs, user 1 is perfect with 3 rows, user 2 has one label, the last row has no user."""
    logit = torch.tensor([1.0, 2.0, 1.0, 5.0, 4.0, 3.0, 9.0, 9.0, -9.0])
    label = torch.tensor([1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0])
    group = torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, -1])
    assert grouped_auc(logit, label > 0, group) == pytest.approx((3 * 0.25 + 3 * 1.0) / 6)


def test_what_cannot_be_said_is_no_number() -> None:
    one = torch.tensor([1.0, 2.0])
    assert math.isnan(grouped_auc(one, torch.tensor([True, True]), torch.tensor([0, 0])))
    assert math.isnan(grouped_auc(one, torch.tensor([True, False]), torch.tensor([0, 1])))
    assert math.isnan(grouped_auc(one, torch.tensor([True, False]), torch.tensor([-1, -1])))
    assert math.isnan(grouped_auc(torch.tensor([1.0, math.nan]), torch.tensor([True, False]), torch.tensor([0, 0])))
    saturated = torch.tensor([800.0, 900.0])
    assert grouped_auc(saturated, torch.tensor([False, True]), torch.tensor([3, 3])) == 1.0
    assert grouped_auc(torch.tensor([0.0, -0.0]), torch.tensor([False, True]), torch.tensor([3, 3])) == 0.5


@pytest.mark.bad_input
def test_only_clicks_have_it() -> None:
    assert make_objective(ctr_schema(), "logloss", ["gauc"]).fitness == "auc"
    with pytest.raises(AmeirError, match=r"metrics=\[gaucc\].*Did you mean 'gauc'"):
        make_objective(ctr_schema(), "logloss", ["gaucc"])
    with pytest.raises(AmeirError, match=r"metrics=\[gauc\] is not one of .*There are none to ask for"):
        make_objective(retrieval_schema(), "sampled_bce", ["gauc"])
