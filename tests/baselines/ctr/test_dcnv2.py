"""DCN-V2 equals its formula, written out row by row in NumPy (float64)."""

from __future__ import annotations

import numpy as np
import pytest

from ameir_pl.data.layouts import paper_schema
from ameir_pl.errors import AmeirError
from ameir_pl.schema import Schema
from tests.baselines.reference import Reference, assert_equals
from tests.models.examples import ctr_schema, no_target_schema

LAYERS = 2


def dcnv2(r: Reference, b: int, rank: int | None) -> float:
    x0 = r.deep_input(b)
    x = x0
    for i in range(LAYERS):
        weight = r.weights[f"cross.{i}.up.weight"]
        if rank is not None:
            weight = weight @ r.weights[f"cross.{i}.down.weight"]
        x = x0 * (weight @ x + r.weights[f"cross.{i}.up.bias"]) + x
    return r.head(np.concatenate([x, r.hidden(x0)]))


@pytest.mark.parametrize("schema", [ctr_schema(), no_target_schema(), paper_schema("criteo")])
@pytest.mark.parametrize("rank", [None, 3])
def test_equals_its_formula(schema: Schema, rank: int | None) -> None:
    assert_equals("dcnv2", schema, lambda r, b: dcnv2(r, b, rank), layers=LAYERS, rank=rank)


@pytest.mark.parametrize("option", ["layers", "rank"])
def test_options_out_of_range(option: str) -> None:
    with pytest.raises(AmeirError, match=f"model=dcnv2: model.options.{option} must be a whole number of at least 1, "
                                         "found -1"):
        assert_equals("dcnv2", ctr_schema(), lambda r, b: 0.0, **{option: -1})
