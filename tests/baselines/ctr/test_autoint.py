"""AutoInt+ equals its formula, written out row by row in NumPy (float64)."""

from __future__ import annotations

import numpy as np
import pytest

from ameir_pl.data.layouts import paper_schema
from ameir_pl.errors import AmeirError
from ameir_pl.schema import Schema
from tests.baselines.reference import Reference, assert_equals, softmax
from tests.models.examples import ctr_schema, no_target_schema

LAYERS, HEADS, SIZE = 2, 3, 5


def interacting(r: Reference, e: list[np.ndarray], layer: int) -> list[np.ndarray]:
    query, key, value = np.split(r.weights[f"interacting.{layer}.attention.weight"], 3)
    found = [r.weights[f"interacting.{layer}.residual.weight"] @ e_m for e_m in e]
    for head in range(HEADS):
        own = slice(head * SIZE, (head + 1) * SIZE)
        keys, values = [key[own] @ e_k for e_k in e], [value[own] @ e_k for e_k in e]
        for m, e_m in enumerate(e):
            of_m = query[own] @ e_m
            weights = softmax(np.array([of_m @ of_k for of_k in keys]))
            found[m][own] += sum(a * v for a, v in zip(weights, values, strict=True))
    return [np.maximum(f, 0.0) for f in found]


def autoint(r: Reference, b: int) -> float:
    e = r.fields(b)
    for layer in range(LAYERS):
        e = interacting(r, e, layer)
    return r.head(np.concatenate(e), "interacting_head") + r.relu_mlp(r.deep_input(b))


@pytest.mark.parametrize("schema", [ctr_schema(), no_target_schema(), paper_schema("criteo")])
def test_equals_its_formula(schema: Schema) -> None:
    assert_equals("autoint", schema, autoint, layers=LAYERS, heads=HEADS, attention_size=SIZE)


@pytest.mark.parametrize("option", ["layers", "heads", "attention_size"])
def test_options_out_of_range(option: str) -> None:
    with pytest.raises(AmeirError, match=f"model=autoint: model.options.{option} must be a whole number of at least 1, "
                                         "found 0"):
        assert_equals("autoint", ctr_schema(), lambda r, b: 0.0, **{option: 0})
