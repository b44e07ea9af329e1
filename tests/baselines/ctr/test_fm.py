"""FM equals its formula, written out row by row in NumPy (float64)."""

from __future__ import annotations

from itertools import combinations

import pytest

from ameir_pl.data.layouts import paper_schema
from ameir_pl.schema import Schema
from tests.baselines.reference import Reference, assert_equals
from tests.models.examples import ctr_schema, no_target_schema


def fm(r: Reference, b: int) -> float:
    logit = r.first_order(b, history=True)
    for e_i, e_j in combinations(r.field_vectors(b), 2):
        logit += float(e_i @ e_j)
    return logit


@pytest.mark.parametrize("schema", [ctr_schema(), no_target_schema(), paper_schema("criteo"), paper_schema("avazu")])
def test_equals_its_formula(schema: Schema) -> None:
    assert_equals("fm", schema, fm)
