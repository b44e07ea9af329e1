"""Click-through rate: binary log loss (paper, Eq. 6) and AUC."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ameir_pl.batch import Batch
from ameir_pl.errors import AmeirError


class Ctr:
    """Models give logits (B,)."""

    fitness = "auc"

    def loss(self, model: Any, output: Tensor, batch: Batch) -> Tensor:
        """Return the mean binary log loss."""
        return F.binary_cross_entropy_with_logits(output.float(), batch.label)

    def predictions(self, model: Any, output: Tensor, batch: Batch, full: bool = False) -> dict[str, Tensor]:
        """Return logits and labels, each (B,)."""
        return {"logit": output.detach().float(), "label": batch.label}

    def metrics(self, predictions: Sequence[dict[str, Tensor]]) -> dict[str, float]:
        """Return ``auc`` and ``logloss`` over all rows; raises ``AmeirError`` when only one class is there."""
        logit = torch.cat([p["logit"] for p in predictions]).double()
        label = torch.cat([p["label"] for p in predictions])
        clicks = int(label.sum())
        if clicks in (0, len(label)):
            raise AmeirError(f"All {len(label)} rows to evaluate have the label {int(clicks > 0)}; AUC needs both. "
                             "Use more rows, or another split.")
        return {"auc": auc(logit, label > 0),
                "logloss": F.binary_cross_entropy_with_logits(logit, label.double()).item()}


def auc(logit: Tensor, clicked: Tensor) -> float:
    """Return how often a clicked row is above one that is not, a tie counting half; NaN when a logit is NaN.

    By the sum of ranks (Mann and Whitney 1947) of the logits: a sigmoid saturates, even in float64 beyond 37, and its
    ties would move the AUC.

    Args:
        logit: (B,) in any order.
        clicked: (B,) bool with both values.
    """
    if logit.isnan().any():
        return math.nan
    _, place, counts = torch.unique(logit, return_inverse=True, return_counts=True)
    rank = counts.cumsum(0).double() - (counts.double() - 1) / 2  # from 1; equal logits share their mean rank
    clicks = int(clicked.sum())
    above = rank[place[clicked]].sum().item() - clicks * (clicks + 1) / 2
    return above / (clicks * (len(logit) - clicks))
