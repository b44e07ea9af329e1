"""Click-through rate: binary log loss (paper, Eq. 6) and AUC."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ameir_pl.batch import Batch
from ameir_pl.errors import AmeirError
from ameir_pl.objectives.grouped_auc import GroupedAUC
from ameir_pl.objectives.paired import auc_difference


class Ctr:
    """Models give logits (B,).

    Args:
        metrics: those beside AUC and log loss: ``gauc``, which needs the users of rows.
    """

    fitness = "auc"
    temperature: float | None = None

    def __init__(self, metrics: Sequence[str] = ()) -> None:
        self.grouped = "gauc" in metrics

    def loss(self, model: Any, output: Tensor, batch: Batch) -> Tensor:
        """Return the mean binary log loss."""
        return F.binary_cross_entropy_with_logits(output.float(), batch.label)

    def predictions(self, model: Any, output: Tensor, batch: Batch, full: bool = False) -> dict[str, Tensor]:
        """Return logits and labels, and users where a metric goes by them, each (B,)."""
        users = {"user": batch.users} if self.grouped else {}
        return {"logit": output.detach().float(), "label": batch.label, **users}

    def metrics(self, predictions: Sequence[dict[str, Tensor]]) -> dict[str, float]:
        """Return ``auc``, ``logloss`` and, where asked for, ``gauc`` over all rows; raises ``AmeirError`` when only one
        class is there."""
        logit, label = _joined(predictions)
        found = {"auc": auc(logit, label > 0),
                 "logloss": F.binary_cross_entropy_with_logits(logit.double(), label.double()).item()}
        if self.grouped:
            metric = GroupedAUC(sync_on_compute=False)  # every rank has the predictions of all
            for p in predictions:
                metric.update(p["logit"], p["label"], p["user"])
            found["gauc"] = metric.compute().item()
        return found

    def score(self, predictions: Sequence[dict[str, Tensor]]) -> float:
        """Return the AUC alone."""
        logit, label = _joined(predictions)
        return auc(logit, label > 0)

    def difference(self, first: dict[str, Tensor], second: dict[str, Tensor]) -> tuple[float, float]:
        """Return how much higher the first model's AUC is than the second's, and the standard error of that."""
        logit, label = _joined([first])
        return auc_difference(logit, second["logit"], label > 0)


def _joined(predictions: Sequence[dict[str, Tensor]]) -> tuple[Tensor, Tensor]:
    logit = torch.cat([p["logit"] for p in predictions])
    label = torch.cat([p["label"] for p in predictions])
    clicks = int(label.sum())
    if clicks in (0, len(label)):
        raise AmeirError(f"All {len(label)} rows to evaluate have the label {int(clicks > 0)}; AUC needs both. "
                         "Use more rows, or another split.")
    return logit, label


_SIGN = np.uint32(1 << 31)


def auc(logit: Tensor, clicked: Tensor) -> float:
    """Return how often a clicked row is above one that is not, a tie counting half; NaN when a logit is NaN.

    By counting pairs (Mann and Whitney 1947) of the logits: a sigmoid saturates, even in float64 beyond 37, and its
    ties would move the AUC. One sort of whole numbers, several times as fast as one that also returns an order: the
    bits of a float32, its sign turned, are in the order of its values, and the click is put below them as the last bit.

    Args:
        logit: (B,) float32, in any order.
        clicked: (B,) bool with both values.
    """
    values = np.ascontiguousarray(logit.detach().cpu().numpy(), dtype=np.float32)
    if np.isnan(values).any():
        return math.nan
    bits = (values + np.float32(0)).view(np.uint32)  # + 0: a negative zero equals the positive one
    keys = np.where(bits & _SIGN, ~bits, bits | _SIGN).astype(np.uint64) << np.uint64(1)
    keys |= clicked.cpu().numpy().astype(np.uint64)
    keys.sort()
    click = (keys & np.uint64(1)).astype(np.int64)
    below = np.cumsum(1 - click)  # rows without a click up to here; of equal logits they come first
    pairs = 2 * int(below[click > 0].sum())
    start = np.flatnonzero(np.diff(keys >> np.uint64(1), prepend=~keys[:1]))
    if len(start) < len(keys):  # within a tie each pair counts half
        ties, size = np.add.reduceat(click, start), np.diff(start, append=len(keys))
        pairs -= int((ties * (size - ties)).sum())
    clicks = int(click.sum())
    return pairs / (2 * clicks * (len(keys) - clicks))
