"""BERT4Rec equals its formula, and so does its loss; what is masked is a matter of the row."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch

from ameir_pl.baselines import build_baseline
from ameir_pl.nn.row_noise import RowNoise
from ameir_pl.schema import Schema
from tests.baselines.next_items import SCHEMAS, assert_refuses
from tests.baselines.reference import K, Reference, assert_equals
from tests.models.examples import LENGTH, make_batch, randomized, retrieval_schema


def gelu(x: np.ndarray) -> np.ndarray:
    return x * 0.5 * (1.0 + np.array([math.erf(v / math.sqrt(2.0)) for v in x]))


def queries(r: Reference, h: list[np.ndarray], layers: int, heads: int) -> list[np.ndarray]:
    """The output at each position of a sequence of vectors."""
    h = [x + r.weights["positions.weight"][len(h) - 1 - t] for t, x in enumerate(h)]
    for i in range(layers):
        mixed = [r.linear(f"layers.{i}.mixed", m)
                 for m in r.attention(f"layers.{i}.attention", h, heads, causal=False)]
        h = [r.layer_norm(f"layers.{i}.attention_norm", x + m) for x, m in zip(h, mixed, strict=True)]
        inner = [r.linear(f"layers.{i}.ffn.2", gelu(r.linear(f"layers.{i}.ffn.0", x))) for x in h]
        h = [r.layer_norm(f"layers.{i}.ffn_norm", x + y) for x, y in zip(h, inner, strict=True)]
    return [gelu(r.linear("output", x)) for x in h]


def behaviors(r: Reference, ids: np.ndarray) -> np.ndarray:
    h = np.concatenate(r.embed(r.schema.behaviors, ids))
    return r.linear("project", h) if "project.weight" in r.weights else h


@pytest.mark.parametrize(("layers", "heads"), [(2, 4), (1, 1)])
@SCHEMAS
def test_equals_its_formula(schema: Schema, layers: int, heads: int) -> None:
    def formula(r: Reference, b: int) -> np.ndarray:
        h = [behaviors(r, ids.numpy()) for ids in r.batch.behaviors[b][r.batch.mask[b]]]
        return queries(r, [*h, r.weights["masked"]], layers, heads)[-1]

    assert_equals("bert4rec", schema, formula, layers=layers, heads=heads)


@pytest.mark.parametrize("one", [False, True], ids=["five positives", "one"])
@SCHEMAS
@torch.no_grad()
def test_loss(schema: Schema, one: bool) -> None:
    batch = make_batch(schema)
    batch.positives[::3, 2:] = 0
    if one:
        batch.positives, batch.negatives = batch.positives[:, :1], batch.negatives[:0, :0]
        batch.shared_negatives = torch.tensor([2, 3])
    model = randomized(build_baseline("bert4rec", schema, embedding_size=K, mlp=[], dropout=0.0, options={"mask": 0.4}))
    r, rows, hidden = Reference(model, schema, batch), [], 0
    noise, column = RowNoise(), schema.behavior_slots - 1
    noise.step()
    for b in range(len(batch)):
        past = batch.behaviors[b][batch.mask[b]]
        of_row = [batch.positives[b], *([] if one else [batch.negatives[b]]), past.flatten()]
        clip = [*past.numpy()]
        for item in batch.positives[b].tolist():
            clip += [np.array([0] * column + [item])] if item else []
        clip = clip[-(LENGTH + 1):]
        drawn = noise(torch.cat(of_row)[None], len(clip))[0].tolist()
        masked = [t for t, number in enumerate(drawn)
                  if t == len(clip) - 1 or number < 0.4 and clip[t][column] >= 2]
        h = [r.weights["masked"] if t in masked else behaviors(r, ids) for t, ids in enumerate(clip)]
        found, catalogue = queries(r, h, 2, 4), np.stack([r.item(i) for i in range(2, 20)])
        scores = {t: catalogue @ found[t] for t in masked}
        rows.append(np.mean([np.log(np.exp(s).sum()) - s[clip[t][column] - 2] for t, s in scores.items()]))
        hidden += len(masked) - 1
    assert hidden > 10
    assert model.training_loss(batch, None).item() == pytest.approx(np.mean(rows), rel=1e-5)  # type: ignore[operator]


@SCHEMAS
@torch.no_grad()
def test_rows_are_masked_alike_whatever_is_beside_them(schema: Schema) -> None:
    batch = make_batch(schema)
    model = randomized(build_baseline("bert4rec", schema, embedding_size=K, mlp=[], dropout=0.0))
    whole = copy.deepcopy(model).training_loss(batch, None)  # type: ignore[operator]
    parts = []
    for lengths in (batch.mask.sum(1) < 3, batch.mask.sum(1) >= 3):
        part = batch[lengths.nonzero().squeeze(1)]
        longest = int(part.mask.sum(1).max())
        part.behaviors, part.mask = part.behaviors[:, :longest], part.mask[:, :longest]
        parts.append(copy.deepcopy(model).training_loss(part, None) * len(part))  # type: ignore[operator]
    torch.testing.assert_close(sum(parts) / len(batch), whole)


def test_tells_items_by_what_is_around_them() -> None:
    schema, batch = retrieval_schema(), make_batch(retrieval_schema(), (5, 4, 6, 3))
    torch.manual_seed(0)
    model = build_baseline("bert4rec", schema, embedding_size=16, mlp=[], dropout=0.0)
    optimizer, losses = torch.optim.Adam(model.parameters(), lr=0.01), []
    for _ in range(80):
        optimizer.zero_grad()
        losses.append(model.training_loss(batch, None))  # type: ignore[operator]
        losses[-1].backward()
        optimizer.step()
    assert losses[0] > 2.0 and sum(losses[-10:]) / 10 < 0.9  # other items are masked each time


def test_options() -> None:
    assert_refuses("bert4rec", layers=0)
    assert_refuses("bert4rec", heads=0)
    assert_refuses("bert4rec", heads=3)
    assert_refuses("bert4rec", mask=1.1)
    assert_refuses("bert4rec", mask=-0.1)
    assert_refuses("bert4rec", sublayer_dropout=1.0)


def test_two_dropouts() -> None:
    model = build_baseline("bert4rec", retrieval_schema(), embedding_size=K, mlp=[], dropout=0.5,
                           options={"sublayer_dropout": 0.2})
    assert model.dropout.p == 0.5 and [layer.dropout.p for layer in model.layers] == [0.2, 0.2]
