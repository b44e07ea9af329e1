"""How well one scoring of candidates orders them as another does: Kendall's tau, Spearman's rho, regret."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
DRAWS = 2000
"""Resamples of a bootstrap interval."""


def kendall_tau(a: Sequence[float] | Floats, b: Sequence[float] | Floats) -> float:
    """Return Kendall's tau-b of two scorings of the same candidates; NaN where one of them is all ties.

    Args:
        a, b: scores (n,).
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    upper = np.triu_indices(len(first), 1)
    x, y = (np.sign(v[upper[0]] - v[upper[1]]) for v in (first, second))
    pairs = np.sqrt(np.abs(x).sum() * np.abs(y).sum())
    return float((x * y).sum() / pairs) if pairs else float("nan")


def spearman_rho(a: Sequence[float] | Floats, b: Sequence[float] | Floats) -> float:
    """Return Spearman's rho, ties at their mean rank; NaN where one scoring is all ties."""
    x, y = _ranks(np.asarray(a, dtype=np.float64)), _ranks(np.asarray(b, dtype=np.float64))
    if not x.std() or not y.std():
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])


def _ranks(values: Floats) -> Floats:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]


def interval(statistic: Callable[[Floats, Floats], float], a: Sequence[float], b: Sequence[float], seed: int,
             share: float = 0.95) -> tuple[float, float]:
    """Return the percentile bootstrap interval of a statistic of paired scores; NaN below four candidates.

    Candidates are drawn with replacement. Pairs of one candidate with itself are ties in both and count nothing.
    """
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if len(x) < 4:
        return float("nan"), float("nan")
    draw = np.random.default_rng(seed)
    picks = (draw.integers(0, len(x), len(x)) for _ in range(DRAWS))
    values = np.array([statistic(x[p], y[p]) for p in picks])
    low, high = np.nanquantile(values, [(1 - share) / 2, (1 + share) / 2])
    return float(low), float(high)


def regret(truth: Sequence[float], scores: Sequence[float], top: int) -> float:
    """Return what is lost when the best of the ``top`` highest scores is taken in place of the best of all."""
    best = np.asarray(truth)[np.argsort(-np.asarray(scores), kind="stable")[:top]]
    return float(np.max(truth) - best.max())


def agreement(truth: Sequence[float], scores: Sequence[float], seed: int) -> dict[str, Any]:
    """Return tau and rho with their 95 % intervals, the regret of the first and of the best of five, and tau without
    the candidate that is worst alone, which can make a tau by itself."""
    worst = int(np.argmin(truth))
    rest = [i for i in range(len(truth)) if i != worst]
    return {"tau": kendall_tau(truth, scores), "tau_interval": interval(kendall_tau, truth, scores, seed),
            "tau_without_worst": kendall_tau([truth[i] for i in rest], [scores[i] for i in rest]),
            "rho": spearman_rho(truth, scores), "rho_interval": interval(spearman_rho, truth, scores, seed),
            "regret_top1": regret(truth, scores, 1), "regret_top5": regret(truth, scores, 5),
            "mean": float(np.mean(scores))}
