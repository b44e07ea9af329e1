"""xDeepFM equals its formula, written out row by row in NumPy (float64)."""

from __future__ import annotations

import numpy as np
import pytest

from ameir_pl.data.layouts import paper_schema
from ameir_pl.errors import AmeirError
from ameir_pl.schema import Schema
from tests.baselines.reference import K, Reference, assert_equals
from tests.models.examples import ctr_schema, no_target_schema

CIN = [5, 3]


def cin(r: Reference, e: list[np.ndarray]) -> np.ndarray:
    """Every sum of the paper's Eq. 6 and 7 on its own."""
    x, pooled = e, []
    for layer, maps in enumerate(CIN):
        weight = r.weights[f"cin.weights.{layer}"].reshape(maps, len(x), len(e))
        found = []
        for h in range(maps):
            found.append(np.zeros(K))
            for i, x_i in enumerate(x):
                for j, e_j in enumerate(e):
                    found[h] = found[h] + weight[h, i, j] * x_i * e_j
        x = found
        pooled += [float(x_h.sum()) for x_h in x]
    return np.array(pooled)


def xdeepfm(r: Reference, b: int) -> float:
    return r.first_order(b) + r.head(cin(r, r.fields(b)), "cin_head") + r.relu_mlp(r.deep_input(b))


@pytest.mark.parametrize("schema", [ctr_schema(), no_target_schema(), paper_schema("criteo")])
def test_equals_its_formula(schema: Schema) -> None:
    assert_equals("xdeepfm", schema, xdeepfm, cin=CIN)


@pytest.mark.parametrize("given", [[], [0]])
def test_options_out_of_range(given: list[int]) -> None:
    with pytest.raises(AmeirError, match="model=xdeepfm: model.options.cin must be a list of whole numbers of at "
                                         "least 1"):
        assert_equals("xdeepfm", ctr_schema(), lambda r, b: 0.0, cin=given)
