"""Agreement of two scorings, against SciPy and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr

from ameir_pl.search.rank_agreement import agreement, interval, kendall_tau, regret, spearman_rho


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("ties", [False, True])
def test_they_equal_scipy(seed: int, ties: bool) -> None:
    draw = np.random.default_rng(seed)
    a, b = draw.normal(size=30), draw.normal(size=30)
    b += a
    if ties:
        a, b = a.round(), b.round()
    assert kendall_tau(a, b) == pytest.approx(kendalltau(a, b).statistic, abs=1e-12)
    assert spearman_rho(a, b) == pytest.approx(spearmanr(a, b).statistic, abs=1e-12)


def test_a_scoring_without_differences_says_nothing() -> None:
    assert math.isnan(kendall_tau([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]))
    assert math.isnan(spearman_rho([1.0, 2.0, 3.0], [2.0, 2.0, 2.0]))


def test_the_interval_covers_what_it_should() -> None:
    """Of samples from a known tau, about 95 % have it in their interval."""
    draw, hits = np.random.default_rng(0), 0
    correlation = 0.6
    truth = 2 / math.pi * math.asin(correlation)  # of a bivariate normal
    for seed in range(20):
        x = draw.normal(size=24)
        y = correlation * x + math.sqrt(1 - correlation ** 2) * draw.normal(size=24)
        low, high = interval(kendall_tau, x, y, seed)
        hits += low <= truth <= high
    assert 17 <= hits <= 20


def test_regret_is_what_the_choice_loses() -> None:
    truth, scores = [0.7, 0.9, 0.8], [3.0, 1.0, 2.0]
    assert regret(truth, scores, 1) == pytest.approx(0.2)
    assert regret(truth, scores, 2) == pytest.approx(0.1)
    assert regret(truth, scores, 3) == 0.0


def test_one_outlier_makes_no_agreement() -> None:
    truth, scores = [0.1, 0.70, 0.71, 0.72, 0.73, 0.74], [0.0, 5.0, 4.0, 3.0, 2.0, 1.0]
    found = agreement(truth, scores, seed=1)
    assert found["tau"] == pytest.approx(-1 / 3) and found["tau_without_worst"] == -1.0
    assert found["tau_interval"][0] <= found["tau"] <= found["tau_interval"][1]
