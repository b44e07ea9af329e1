"""STAMP equals its formula."""

from __future__ import annotations

import numpy as np

from ameir_pl.schema import Schema
from tests.baselines.next_items import SCHEMAS
from tests.baselines.reference import K, Reference, assert_equals, sigmoid


def formula(r: Reference, b: int) -> np.ndarray:
    x = r.vectors(b)
    mean, memory = sum(x) / len(x), np.zeros(K)
    for x_i in x:
        inner = sigmoid(r.linear("of_each", x_i) + r.linear("of_last", x[-1]) + r.linear("of_mean", mean))
        memory = memory + (r.weights["weight.weight"][0] @ inner) * x_i
    return np.tanh(r.linear("general", memory)) * np.tanh(r.linear("current", x[-1]))


@SCHEMAS
def test_equals_its_formula(schema: Schema) -> None:
    assert_equals("stamp", schema, formula)
