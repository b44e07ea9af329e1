"""Click-through rate: binary log loss (paper, Eq. 6) and AUC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional.classification import binary_auroc

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
        # float64: a float32 sigmoid saturates, and ties that are none would move the AUC.
        logit = torch.cat([p["logit"] for p in predictions]).double()
        label = torch.cat([p["label"] for p in predictions])
        clicks = int(label.sum())
        if clicks in (0, len(label)):
            raise AmeirError(f"All {len(label)} rows to evaluate have the label {int(clicks > 0)}; AUC needs both. "
                             "Use more rows, or another split.")
        return {"auc": binary_auroc(torch.sigmoid(logit), label.long(), validate_args=False).item(),
                "logloss": F.binary_cross_entropy_with_logits(logit, label.double()).item()}
