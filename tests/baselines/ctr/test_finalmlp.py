"""FinalMLP equals its formula, written out row by row in NumPy (float64)."""

from __future__ import annotations

import numpy as np
import pytest

from ameir_pl.data.layouts import paper_schema
from ameir_pl.errors import AmeirError
from ameir_pl.schema import Schema
from tests.baselines.reference import Reference, assert_equals
from tests.models.examples import ctr_schema, no_target_schema


def gate(r: Reference, b: int, name: str, group: str) -> np.ndarray:
    own = [e for f, e in zip(r.schema.fields, r.fields(b), strict=True) if f.group == group]
    context = np.concatenate(own) if own else r.weights[f"{name}.context"]
    return 2.0 / (1.0 + np.exp(-r.linear(f"{name}.output", r.hidden(context, f"{name}.hidden"))))


def finalmlp(r: Reference, b: int, share: int) -> float:
    """The last MLP layer has 8 units: heads of ``share`` columns, the last one of what is left."""
    x = r.deep_input(b)
    one = r.hidden(gate(r, b, "first_gate", "user") * x, "first")
    two = r.hidden(gate(r, b, "second_gate", "target") * x, "second")
    logit = r.head(one, "fusion.first") + r.head(two, "fusion.second")
    for i, o_1 in enumerate(one):
        for j, o_2 in enumerate(two):
            if i // share == j // share:
                logit += o_1 * r.weights["fusion.weight"][i // share, i % share, j % share] * o_2
    return logit


@pytest.mark.parametrize("schema", [ctr_schema(), no_target_schema(), paper_schema("criteo")])
@pytest.mark.parametrize(("heads", "share"), [(1, 8), (2, 4), (3, 3), (10, 1)])
def test_equals_its_formula(schema: Schema, heads: int, share: int) -> None:
    assert_equals("finalmlp", schema, lambda r, b: finalmlp(r, b, share), heads=heads, gate_units=6)


@pytest.mark.parametrize("option", ["heads", "gate_units"])
def test_options_out_of_range(option: str) -> None:
    with pytest.raises(AmeirError, match=f"model=finalmlp: model.options.{option} must be a whole number of at least "
                                         "1, found 0"):
        assert_equals("finalmlp", ctr_schema(), lambda r, b: 0.0, **{option: 0})
