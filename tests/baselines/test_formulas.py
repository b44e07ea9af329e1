"""Each baseline equals its formula, written out row by row and number by number in NumPy (float64)."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from ameir_pl.data.layouts import paper_schema
from ameir_pl.schema import Schema
from tests.baselines.reference import K, Reference, assert_equals
from tests.models.examples import ctr_schema, no_target_schema


def dnn(r: Reference, b: int) -> float:
    return r.relu_mlp(r.deep_input(b))


def deepfm(r: Reference, b: int) -> float:
    second_order = 0.0
    for e_i, e_j in combinations(r.fields(b), 2):
        for k in range(K):
            second_order += e_i[k] * e_j[k]
    return r.first_order(b) + second_order + dnn(r, b)


def din(r: Reference, b: int) -> float:
    target = r.target(b)
    interest = np.zeros_like(target)
    for h in r.history(b) or [r.weights["history.empty"]]:
        unit = r.linear("attention.hidden", np.concatenate([h, target, h - target, h * target]))
        unit = np.where(unit > 0, unit, r.weights["attention.activation.weight"] * unit)  # PReLU
        weight = r.linear("attention.output", unit)[0]
        interest = interest + weight * h
    return r.dice_mlp(np.concatenate([interest, *r.fields(b), r.dense(b)]))


FORMULAS = {"dnn": dnn, "deepfm": deepfm, "din": din}
CASES = [("dnn", ctr_schema()), ("dnn", no_target_schema()), ("dnn", paper_schema("criteo")),
         ("deepfm", ctr_schema()), ("deepfm", no_target_schema()), ("deepfm", paper_schema("criteo")),
         ("deepfm", paper_schema("avazu")), ("din", ctr_schema()), ("din", paper_schema("alimama"))]


@pytest.mark.parametrize(("name", "schema"), CASES, ids=lambda case: case if isinstance(case, str) else case.dataset)
def test_equals_its_formula(name: str, schema: Schema) -> None:
    assert_equals(name, schema, FORMULAS[name])
