"""Caser equals its formula, with and without users."""

from __future__ import annotations

import numpy as np
import pytest

from ameir_pl.schema import Schema
from tests.baselines.next_items import SCHEMAS, assert_refuses
from tests.baselines.reference import K, Reference, assert_equals


@pytest.mark.parametrize("length", [1, 4, 9])
@SCHEMAS
def test_equals_its_formula(schema: Schema, length: int) -> None:
    def formula(r: Reference, b: int) -> np.ndarray:
        h = r.vectors(b)[-length:]
        image = np.stack([np.zeros(K)] * (length - len(h)) + h)  # (L, K)
        found = []
        for height in range(1, length + 1):
            for n in range(3):
                kernel = r.weights[f"horizontal.{height - 1}.weight"][n].reshape(height, K)
                bias = r.weights[f"horizontal.{height - 1}.bias"][n]
                found.append(max(max((image[t:t + height] * kernel).sum() + bias, 0.0)
                                 for t in range(length - height + 1)))
        for n in range(2):
            found.extend(sum(r.weights["vertical.weight"][n, t] * image[t] for t in range(length)))
        query = np.maximum(r.linear("output", np.array(found)), 0.0)
        return query + r.weights["users"][int(r.batch.users[b])] if schema.users else query

    assert_equals("caser", schema, formula, length=length, vertical=2, horizontal=3)


def test_options() -> None:
    for option in ("length", "vertical", "horizontal"):
        assert_refuses("caser", **{option: 0})
