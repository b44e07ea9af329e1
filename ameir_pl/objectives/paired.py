"""Two models on the same rows: the difference of their metric and its standard error, which is far below that of either
metric, as both find the same rows hard."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Values = NDArray[np.float64]


def auc_difference(first: Tensor, second: Tensor, clicked: Tensor) -> tuple[float, float]:
    """Return the first model's AUC minus the second's, and the standard error of that (DeLong, DeLong and
    Clarke-Pearson 1988), NaN where a class has less than two rows.

    Args:
        first, second: logits (B,) of the same rows.
        clicked: (B,) bool with both values.
    """
    click = clicked.cpu().numpy().astype(bool)
    clicks, others = (a - b for a, b in zip(_placements(first, click), _placements(second, click), strict=True))
    return float(clicks.mean()), math.sqrt(_variance(clicks) / len(clicks) + _variance(others) / len(others))


def mean_difference(first: Tensor, second: Tensor) -> tuple[float, float]:
    """Return the difference of the means of two models' values (B,) of the same rows, and its standard error, NaN with
    less than two rows."""
    values = first.detach().cpu().numpy().astype(np.float64) - second.detach().cpu().numpy().astype(np.float64)
    return float(values.mean()), math.sqrt(_variance(values) / len(values))


def _placements(logit: Tensor, click: NDArray[np.bool_]) -> tuple[Values, Values]:
    """For each clicked row the share of the others below it, for each other row the share of clicked rows above it; a
    tie counts half. The mean of either is the AUC."""
    values = logit.detach().cpu().numpy().astype(np.float64)
    clicks, others = np.sort(values[click]), np.sort(values[~click])
    below = np.searchsorted(others, values[click], "left") + np.searchsorted(others, values[click], "right")
    not_above = np.searchsorted(clicks, values[~click], "left") + np.searchsorted(clicks, values[~click], "right")
    return below / (2 * len(others)), 1 - not_above / (2 * len(clicks))


def _variance(values: Values) -> float:
    return float(values.var(ddof=1)) if len(values) > 1 else math.nan
