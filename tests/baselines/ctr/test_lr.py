"""Logistic regression equals its formula, written out row by row in NumPy (float64)."""

from __future__ import annotations

import pytest

from ameir_pl.data.layouts import paper_schema
from ameir_pl.schema import Schema
from tests.baselines.reference import Reference, assert_equals
from tests.models.examples import ctr_schema, no_target_schema


def lr(r: Reference, b: int) -> float:
    logit = sum(float(w[0]) for w in r.fields(b)) + sum(float(w) for h in r.history(b) for w in h)
    for i, value in enumerate(r.dense(b)):
        logit += r.weights["dense.weight_mlp"][0, i] * value
    return logit


@pytest.mark.parametrize("schema", [ctr_schema(), no_target_schema(), paper_schema("criteo"), paper_schema("avazu")])
def test_equals_its_formula(schema: Schema) -> None:
    assert_equals("lr", schema, lr)
