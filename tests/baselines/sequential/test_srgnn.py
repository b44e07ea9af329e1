"""SR-GNN equals its formula, written on the graph of distinct items."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ameir_pl.batch import Batch
from ameir_pl.schema import Schema
from tests.baselines.next_items import SCHEMAS, assert_refuses
from tests.baselines.reference import K, Reference, assert_equals, sigmoid
from tests.models.examples import make_batch


def repeated(schema: Schema) -> Batch:
    """Histories of few items: edges that come twice, loops, rows of one item; and one row without any."""
    batch = make_batch(schema)
    rng = torch.Generator().manual_seed(1)
    few = torch.stack([torch.randint(2, 4, batch.mask.shape, generator=rng) for _ in range(schema.behavior_slots)], -1)
    few[2] = torch.tensor([2, 3, 2, 3, 3, 2])[:, None]
    few[4] = 5
    batch.behaviors = few * batch.mask[..., None]
    return batch


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("rows", [make_batch, repeated])
@SCHEMAS
def test_equals_its_formula(schema: Schema, rows, steps: int) -> None:  # type: ignore[no-untyped-def]
    def formula(r: Reference, b: int) -> np.ndarray:
        x, session = r.vectors(b), [tuple(ids) for ids in r.batch.behaviors[b][r.batch.mask[b]].tolist()] or [(0,)]
        nodes = list(dict.fromkeys(session))
        places = [nodes.index(s) for s in session]
        n = len(nodes)
        count = np.zeros((n, n))
        for i, j in zip(places, places[1:], strict=False):
            count[i, j] += 1
        outgoing = count / np.maximum(count.sum(1, keepdims=True), 1)
        incoming = count.T / np.maximum(count.T.sum(1, keepdims=True), 1)
        v = np.stack([x[places.index(i)] for i in range(n)])
        w_z, w_r, w_o = np.split(r.weights["step.of_edges.weight"], 3)
        u_z, u_r = np.split(r.weights["step.of_gates.weight"], 2)
        for _ in range(steps):
            moved = []
            for i in range(n):
                a = np.concatenate([r.weights["step.incoming.weight"] @ (incoming[i] @ v),
                                    r.weights["step.outgoing.weight"] @ (outgoing[i] @ v)]) + r.weights["step.bias"]
                z, reset = sigmoid(w_z @ a + u_z @ v[i]), sigmoid(w_r @ a + u_r @ v[i])
                new = np.tanh(w_o @ a + r.weights["step.of_node.weight"] @ (reset * v[i]))
                moved.append((1 - z) * v[i] + z * new)
            v = np.stack(moved)
        final, overall = v[places[-1]], np.zeros(K)
        for i in places:
            inner = sigmoid(r.linear("of_last", final) + r.linear("of_each", v[i]))
            overall = overall + (r.weights["weight.weight"][0] @ inner) * v[i]
        return r.weights["output.weight"] @ np.concatenate([final, overall])

    assert_equals("srgnn", schema, formula, rows(schema), steps=steps)


def test_options() -> None:
    assert_refuses("srgnn", steps=0)
