"""DCN equals its formula, written out row by row in NumPy (float64)."""

from __future__ import annotations

import numpy as np
import pytest

from ameir_pl.data.layouts import paper_schema
from ameir_pl.errors import AmeirError
from ameir_pl.schema import Schema
from tests.baselines.reference import Reference, assert_equals
from tests.models.examples import ctr_schema, no_target_schema


def dcn(r: Reference, b: int, layers: int) -> float:
    x0 = r.deep_input(b)
    x = x0
    for i in range(layers):
        w, bias = r.weights[f"cross.{i}.weight"][0], r.weights[f"cross.{i}.bias"]
        x = np.outer(x0, x) @ w + bias + x  # x_0 x^T w + b + x
    return r.head(np.concatenate([x, r.hidden(x0)]))


@pytest.mark.parametrize("schema", [ctr_schema(), no_target_schema(), paper_schema("criteo")])
@pytest.mark.parametrize("layers", [1, 3])
def test_equals_its_formula(schema: Schema, layers: int) -> None:
    assert_equals("dcn", schema, lambda r, b: dcn(r, b, layers), layers=layers)


@pytest.mark.parametrize("layers", [0, -1])
def test_options_out_of_range(layers: int) -> None:
    with pytest.raises(AmeirError, match="model=dcn: model.options.layers must be a whole number of at least 1, found"):
        assert_equals("dcn", ctr_schema(), lambda r, b: 0.0, layers=layers)
