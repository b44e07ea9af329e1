"""NextItNet equals its formula."""

from __future__ import annotations

import numpy as np
import pytest

from ameir_pl.schema import Schema
from tests.baselines.next_items import SCHEMAS, assert_refuses
from tests.baselines.reference import K, Reference, assert_equals


@pytest.mark.parametrize(("kernel", "dilations"), [(3, [1, 2, 1, 2, 2]), (2, [3])])
@SCHEMAS
def test_equals_its_formula(schema: Schema, kernel: int, dilations: list[int]) -> None:
    def formula(r: Reference, b: int) -> np.ndarray:
        h = r.vectors(b)
        for i, dilation in enumerate(dilations):
            weight, found = r.weights[f"layers.{i}.conv.weight"], []
            for t, x in enumerate(h):
                y = r.weights[f"layers.{i}.conv.bias"].copy()
                for j in range(kernel):  # the last of the kernel meets the present
                    before = t - (kernel - 1 - j) * dilation
                    if before >= 0:
                        y += weight[:, j * K:(j + 1) * K] @ h[before]
                found.append(x + np.maximum(r.layer_norm(f"layers.{i}.norm", y), 0.0))
            h = found
        return h[-1]

    assert_equals("nextitnet", schema, formula, kernel=kernel, dilations=dilations)


def test_options() -> None:
    assert_refuses("nextitnet", kernel=0)
    assert_refuses("nextitnet", dilations=[])
    assert_refuses("nextitnet", dilations=[1, 0])
