"""AFM equals its formula, written out row by row in NumPy (float64)."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from ameir_pl.data.layouts import paper_schema
from ameir_pl.errors import AmeirError
from ameir_pl.schema import Schema
from tests.baselines.reference import Reference, assert_equals, softmax
from tests.models.examples import ctr_schema, no_target_schema


def afm(r: Reference, b: int) -> float:
    products = [e_i * e_j for e_i, e_j in combinations(r.field_vectors(b), 2)]
    scores = [r.weights["score"] @ np.maximum(r.linear("attention", p), 0.0) for p in products]
    pooled = sum(a * p for a, p in zip(softmax(np.array(scores)), products, strict=True))
    return r.first_order(b, history=True) + r.head(pooled)


@pytest.mark.parametrize("schema", [ctr_schema(), no_target_schema(), paper_schema("criteo")])
@pytest.mark.parametrize("attention_size", [None, 7])
def test_equals_its_formula(schema: Schema, attention_size: int | None) -> None:
    assert_equals("afm", schema, afm, attention_size=attention_size)


def test_options_out_of_range() -> None:
    with pytest.raises(AmeirError, match="model=afm: model.options.attention_size must be a whole number of at least "
                                         "1, found 0"):
        assert_equals("afm", ctr_schema(), lambda r, b: 0.0, attention_size=0)
