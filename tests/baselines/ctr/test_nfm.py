"""NFM equals its formula, written out row by row in NumPy (float64)."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from ameir_pl.data.layouts import paper_schema
from ameir_pl.schema import Schema
from tests.baselines.reference import Reference, assert_equals
from tests.models.examples import ctr_schema, no_target_schema


def nfm(r: Reference, b: int) -> float:
    pooled = sum(e_i * e_j for e_i, e_j in combinations(r.fields(b), 2))
    return r.first_order(b) + r.relu_mlp(np.concatenate([r.history_sum(b), pooled, r.dense(b)]))


@pytest.mark.parametrize("schema", [ctr_schema(), no_target_schema(), paper_schema("criteo")])
def test_equals_its_formula(schema: Schema) -> None:
    assert_equals("nfm", schema, nfm)
