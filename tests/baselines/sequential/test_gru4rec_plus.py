"""GRU4Rec+ equals its formula, and so does its loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ameir_pl.baselines import build_baseline
from ameir_pl.schema import Schema
from tests.baselines.next_items import SCHEMAS, assert_refuses
from tests.baselines.reference import K, Reference, assert_equals, sigmoid
from tests.models.examples import make_batch, randomized, retrieval_schema


def formula(r: Reference, b: int) -> np.ndarray:
    return r.linear("output", r.gru("gru", r.vectors(b))[-1])


@SCHEMAS
def test_equals_its_formula(schema: Schema) -> None:
    assert_equals("gru4rec_plus", schema, formula, units=7)


@pytest.mark.parametrize("shared", [False, True])
@torch.no_grad()
def test_loss(shared: bool) -> None:
    schema, batch = retrieval_schema(), make_batch(retrieval_schema())
    batch.positives[::3, 2:] = 0
    samples = batch.negatives.flatten().tolist()
    if shared:
        samples = [3, 7, 7, 12, 19]
        batch.positives, batch.negatives = batch.positives[:, :1], batch.negatives[:0, :0]
        batch.shared_negatives = torch.tensor(samples)
        batch.positives[1] = 7  # among the shared ones
    model = randomized(build_baseline("gru4rec_plus", schema, embedding_size=K, mlp=[], dropout=0.0,
                                      options={"bpreg": 0.7}))
    r, rows = Reference(model, schema, batch), []
    for b in range(len(batch)):
        query, positives = formula(r, b), [i for i in batch.positives[b].tolist() if i]
        scores = np.array([query @ r.item(j) for j in samples if j not in positives])
        weights = np.exp(scores) / np.exp(scores).sum()
        rows.append(np.mean([-np.log((weights * sigmoid(query @ r.item(i) - scores)).sum())
                             + 0.7 * (weights * scores ** 2).sum() for i in positives]))
    assert model.training_loss(batch, None).item() == pytest.approx(np.mean(rows), rel=1e-5)  # type: ignore[operator]


def test_a_row_whose_positives_are_all_the_samples() -> None:
    schema, batch = retrieval_schema(), make_batch(retrieval_schema(), (2, 1))
    batch.positives, batch.negatives = batch.positives[:, :1], batch.negatives[:0, :0]
    batch.shared_negatives = batch.positives[0]
    model = randomized(build_baseline("gru4rec_plus", schema, embedding_size=K, mlp=[], dropout=0.0))
    model.training_loss(batch, None).backward()  # type: ignore[operator]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_options() -> None:
    assert_refuses("gru4rec_plus", units=0)
    assert_refuses("gru4rec_plus", bpreg=-0.1)
