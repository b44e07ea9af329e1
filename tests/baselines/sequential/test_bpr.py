"""BPR equals its formula, and so does its loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ameir_pl.baselines import build_baseline
from tests.baselines.reference import K, Reference, assert_equals, sigmoid
from tests.models.examples import make_batch, randomized, retrieval_schema


def test_equals_its_formula() -> None:
    assert_equals("bpr", retrieval_schema(), lambda r, b: r.weights["users"][int(r.batch.users[b])])


@pytest.mark.parametrize("shared", [False, True])
@torch.no_grad()
def test_loss(shared: bool) -> None:
    schema, batch = retrieval_schema(), make_batch(retrieval_schema())
    batch.positives[::3, 2:] = 0
    if shared:
        batch.positives, batch.negatives = batch.positives[:, :1], batch.negatives[:0, :0]
        batch.shared_negatives = torch.tensor([3, 7, 7, 12, 19])
        batch.positives[1] = 7  # among the shared ones
    model = randomized(build_baseline("bpr", schema, embedding_size=K, mlp=[], dropout=0.0))
    r, rows = Reference(model, schema, batch), []
    for b in range(len(batch)):
        user = r.weights["users"][int(batch.users[b])]
        positives = [i for i in batch.positives[b].tolist() if i]
        negatives = batch.shared_negatives.tolist() if shared else batch.negatives[b].tolist()
        rows.append(np.mean([-np.log(sigmoid(user @ r.item(i) - user @ r.item(j)))
                             for i in positives for j in negatives if not (shared and j in positives)]))
    assert model.training_loss(batch, None).item() == pytest.approx(np.mean(rows), rel=1e-5)  # type: ignore[operator]
