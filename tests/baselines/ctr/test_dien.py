"""DIEN: its logit and its auxiliary loss as the paper writes them, and which negatives it draws."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ameir_pl.baselines import build_baseline
from ameir_pl.baselines.base import OwnLoss
from ameir_pl.baselines.ctr.dien import Dien
from ameir_pl.batch import Batch
from ameir_pl.data.layouts import paper_schema
from ameir_pl.errors import AmeirError
from ameir_pl.schema import PAD, Schema
from tests.baselines.reference import MLP, K, Reference, assert_equals, sigmoid, softmax
from tests.models.examples import ctr_schema, make_batch, randomized


def interests(r: Reference, b: int) -> list[np.ndarray]:
    """States of the GRU as torch.nn.GRU has its gates: r, z, n, z keeping the state."""
    w_x, w_h, b_x, b_h = (r.weights[f"extractor.{name}_l0"] for name in ("weight_ih", "weight_hh", "bias_ih",
                                                                         "bias_hh"))
    d = w_h.shape[1]
    h, states = np.zeros(d), []
    for x in r.history(b) or [r.weights["history.empty"]]:
        of_x, of_h = w_x @ x + b_x, w_h @ h + b_h
        reset, keep = sigmoid(of_x[:d] + of_h[:d]), sigmoid(of_x[d:2 * d] + of_h[d:2 * d])
        n = np.tanh(of_x[2 * d:] + reset * of_h[2 * d:])
        h = (1 - keep) * n + keep * h
        states.append(h)
    return states


def dien(r: Reference, b: int) -> float:
    states, target = interests(r, b), r.target(b)
    attention = softmax(np.array([h @ r.weights["attention.weight"] @ target for h in states]))  # Eq. 8
    w_x, b_x, w_h = (r.weights[f"evolution.{name}"] for name in ("input.weight", "input.bias", "state.weight"))
    d = len(target)
    evolved = np.zeros(d)
    for a, x in zip(attention, states, strict=True):
        reset = sigmoid(w_x[:d] @ x + w_h[:d] @ evolved + b_x[:d])
        update = a * sigmoid(w_x[d:2 * d] @ x + w_h[d:2 * d] @ evolved + b_x[d:2 * d])  # Eq. 11
        candidate = np.tanh(w_x[2 * d:] @ x + reset * (w_h[2 * d:] @ evolved) + b_x[2 * d:])
        evolved = (1 - update) * evolved + update * candidate  # Eq. 12
    return r.dice_mlp(np.concatenate([evolved, *r.fields(b), r.dense(b)]))


@pytest.mark.parametrize("schema", [ctr_schema(), paper_schema("alimama")], ids=lambda s: s.dataset)
def test_equals_its_formula(schema: Schema) -> None:
    assert_equals("dien", schema, dien)


def build(schema: Schema, auxiliary: float = 1.0) -> Dien:
    model = build_baseline("dien", schema, embedding_size=K, mlp=MLP, dropout=0.0, options={"auxiliary": auxiliary})
    assert isinstance(model, Dien) and isinstance(model, OwnLoss)
    return randomized(model).eval()


def log_loss(batch: Batch, logits: torch.Tensor) -> torch.Tensor:
    return F.binary_cross_entropy_with_logits(logits, batch.label)


def auxiliary_loss(model: Dien, schema: Schema, batch: Batch, drawn: np.ndarray) -> float:
    """Eq. 6 in loops; ``drawn`` (B, T - 1, S_a) in [0, 1) chooses among the other ids in their order."""
    r = Reference(model, schema, batch)
    vocabularies = [schema.vocabularies[f.vocabulary] for f in schema.behaviors for _ in range(f.width)]
    total = 0.0
    for b in range(len(batch)):
        states, history, losses = interests(r, b), r.history(b), []
        for t in range(len(history) - 1):
            ids = batch.behaviors[b, t + 1].tolist()
            negative = [PAD if i == PAD else [j for j in range(1, size) if j != i][int(u * (size - 2))]
                        for i, size, u in zip(ids, vocabularies, drawn[b, t], strict=True)]
            other = np.concatenate(r.embed(schema.behaviors, np.array(negative)))
            losses.append(-np.log(sigmoid(states[t] @ history[t + 1])) - np.log(1 - sigmoid(states[t] @ other)))
        total += sum(losses) / max(len(losses), 1)
    return total / len(batch)


@torch.no_grad()
def test_the_auxiliary_loss_equals_its_formula() -> None:
    schema = ctr_schema()
    batch = make_batch(schema)
    plain = log_loss(batch, build(schema)(batch)).item()
    model, half = build(schema), build(schema, 0.5)
    for _ in range(2):  # other negatives at each update
        noise = copy.deepcopy(model.noise)
        noise.step()
        shape = batch.behaviors[:, 1:].shape
        drawn = noise(torch.cat([batch.fields, batch.behaviors.flatten(1)], 1), shape[1] * shape[2]).view(shape)
        expected = auxiliary_loss(model, schema, batch, drawn.numpy())
        assert expected > 0.5
        for made, weight in ((model, 1.0), (half, 0.5)):
            found = made.training_loss(batch, lambda logits: log_loss(batch, logits)).item() - plain
            assert found == pytest.approx(weight * expected, rel=1e-5)
    without = build(schema, 0.0).training_loss(batch, lambda logits: log_loss(batch, logits))
    assert without.item() == pytest.approx(plain)
    short = make_batch(schema, (0, 1, 1, 0))
    assert model.training_loss(short, lambda logits: log_loss(short, logits)).item() == pytest.approx(
        log_loss(short, model(short)).item()), "a history of one behavior has no next one"


def test_negatives_are_all_other_ids_alike() -> None:
    schema = replace(ctr_schema(), vocabularies={**ctr_schema().vocabularies, "rating": 2})
    batch = make_batch(schema, (6,) * 64)
    batch.behaviors[..., 4] = 1  # the only id that is not padding
    batch.behaviors[:, 5, 0] = 3
    model, seen = build(schema), []
    for _ in range(30):
        other = model._others(batch)
        true = batch.behaviors[:, 1:]
        assert torch.equal(other == PAD, true == PAD) and (other[..., 4] == 1).all()
        assert (other != true)[..., :4][true[..., :4] != PAD].all()
        assert (other[..., :4] < torch.tensor([9, 5, 5, 5])).all()
        seen.append(other[:, 4, 0])
    counts = torch.bincount(torch.cat(seen), minlength=9)
    assert counts[[0, 3]].sum() == 0 and counts[[1, 2, 4, 5, 6, 7, 8]].min() > 0.8 * 30 * 64 / 7
    assert not torch.equal(seen[0], seen[1])


def test_the_forward_pass_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    schema = ctr_schema()
    batch, model, calls = make_batch(schema), build(schema), []
    for module in (model.extractor, model.evolution, model.mlp):
        module.register_forward_hook(lambda *_: calls.append(1))
    model.training_loss(batch, lambda logits: log_loss(batch, logits))
    assert len(calls) == 3


@pytest.mark.parametrize("auxiliary", [-1.0, float("nan"), float("inf")])
def test_a_weight_of_a_loss(auxiliary: float) -> None:
    with pytest.raises(AmeirError, match=f"auxiliary={auxiliary}; it is the weight of a loss, 0 or above"):
        build(ctr_schema(), auxiliary)
