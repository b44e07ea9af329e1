"""Grouped AUC: how well the rows of one user are ordered, the mean over users."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat


class GroupedAUC(Metric):
    """The mean of each group's AUC, weighted by its rows (DIN, Zhou et al. 2018, Eq. 7; FuxiCTR's ``gAUC``).

    Groups whose rows all have one label are left out, and so are rows without a group. Logits, labels and groups of all
    ranks are gathered before anything is computed, as the AUC of a part of the rows is not a part of the AUC.

    Example:
        >>> metric = GroupedAUC()
        >>> metric.update(torch.tensor([1., 0., 2.]), torch.tensor([1, 0, 0]), torch.tensor([7, 7, 8]))
        >>> metric.compute()
        tensor(1., dtype=torch.float64)
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    logit: list[Tensor]
    label: list[Tensor]
    group: list[Tensor]

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        for name in ("logit", "label", "group"):
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, logit: Tensor, label: Tensor, group: Tensor) -> None:
        """Add rows: ``logit`` (B,) float, ``label`` (B,) 0 or 1, ``group`` (B,) whole numbers, below 0 for none."""
        self.logit.append(logit.detach().float())
        self.label.append(label.detach() > 0)
        self.group.append(group.detach())

    def compute(self) -> Tensor:
        """Return the metric, a float64 scalar; NaN where a logit is, or no group has both labels."""
        return torch.tensor(grouped_auc(dim_zero_cat(self.logit), dim_zero_cat(self.label), dim_zero_cat(self.group)),
                            dtype=torch.float64)


def grouped_auc(logit: Tensor, clicked: Tensor, group: Tensor) -> float:
    """Return the mean over groups of their AUC (Mann and Whitney 1947, ties counted half), weighted by their rows.

    One sort by group and logit; a click's rank is the middle of those of its ties, within its group.

    Args:
        logit: (B,) float32.
        clicked: (B,) bool.
        group: (B,) whole numbers; rows below 0 are left out.
    """
    values, clicks, groups = (t.detach().cpu().numpy() for t in (logit, clicked, group))
    if np.isnan(values).any():
        return math.nan
    there = groups >= 0
    values, clicks, groups = values[there], clicks[there].astype(np.int64), groups[there]
    order = np.lexsort((values, groups))
    values, clicks, groups = values[order], clicks[order], groups[order]
    if not len(values):
        return math.nan
    first = np.flatnonzero(np.diff(groups, prepend=groups[0] - 1))  # where a group begins
    size = np.diff(first, append=len(groups))
    tie = np.ones(len(values), bool)
    tie[1:] = (values[1:] != values[:-1]) | (groups[1:] != groups[:-1])
    begin = np.flatnonzero(tie)
    length = np.diff(begin, append=len(values))
    rank = np.repeat(begin + (length + 1) / 2, length) - np.repeat(first, size)
    positive = np.add.reduceat(clicks, first)
    negative = size - positive
    both = (positive > 0) & (negative > 0)
    if not both.any():
        return math.nan
    above = np.add.reduceat(rank * clicks, first) - positive * (positive + 1) / 2
    auc = above[both] / (positive[both] * negative[both])
    return float((auc * size[both]).sum() / size[both].sum())
