"""NARM equals its formula."""

from __future__ import annotations

import numpy as np
import pytest

from ameir_pl.schema import Schema
from tests.baselines.next_items import SCHEMAS, assert_refuses
from tests.baselines.reference import Reference, assert_equals, sigmoid


@pytest.mark.parametrize("local", [1, 3, 9])
@SCHEMAS
def test_equals_its_formula(schema: Schema, local: int) -> None:
    def formula(r: Reference, b: int) -> np.ndarray:
        h = r.vectors(b)
        states = r.gru("local_gru", h[-local:])
        purpose = np.zeros(7)
        for state in states:
            inner = sigmoid(r.weights["of_last.weight"] @ states[-1] + r.weights["of_each.weight"] @ state)
            purpose = purpose + (r.weights["weight.weight"][0] @ inner) * state
        return r.weights["decoder.weight"] @ np.concatenate([r.gru("global_gru", h)[-1], purpose])

    assert_equals("narm", schema, formula, local=local, units=7)


def test_options() -> None:
    assert_refuses("narm", local=0)
    assert_refuses("narm", units=0)
