"""Wide & Deep equals its formula, written out row by row in NumPy (float64)."""

from __future__ import annotations

import pytest

from ameir_pl.data.layouts import paper_schema
from ameir_pl.schema import Schema
from tests.baselines.reference import Reference, assert_equals
from tests.models.examples import ctr_schema, no_target_schema


def wide_deep(r: Reference, b: int) -> float:
    return r.first_order(b) + r.relu_mlp(r.deep_input(b))


@pytest.mark.parametrize("schema", [ctr_schema(), no_target_schema(), paper_schema("criteo")])
def test_equals_its_formula(schema: Schema) -> None:
    assert_equals("wide_deep", schema, wide_deep)
