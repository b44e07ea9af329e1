"""SASRec equals its formula."""

from __future__ import annotations

import numpy as np
import pytest

from ameir_pl.schema import Schema
from tests.baselines.next_items import SCHEMAS, assert_refuses
from tests.baselines.reference import Reference, assert_equals


@pytest.mark.parametrize(("layers", "heads"), [(2, 1), (1, 2)])
@SCHEMAS
def test_equals_its_formula(schema: Schema, layers: int, heads: int) -> None:
    def formula(r: Reference, b: int) -> np.ndarray:
        h = r.vectors(b)
        h = [x + r.weights["positions.weight"][len(h) - 1 - t] for t, x in enumerate(h)]
        for i in range(layers):
            normal = [r.layer_norm(f"blocks.{i}.attention_norm", x) for x in h]
            mixed = r.attention(f"blocks.{i}.attention", normal, heads, causal=True)
            h = [x + m for x, m in zip(h, mixed, strict=True)]
            for t, x in enumerate(h):
                hidden = np.maximum(r.linear(f"blocks.{i}.ffn.0", r.layer_norm(f"blocks.{i}.ffn_norm", x)), 0.0)
                h[t] = x + r.linear(f"blocks.{i}.ffn.2", hidden)
        return h[-1]

    assert_equals("sasrec", schema, formula, layers=layers, heads=heads)


def test_options() -> None:
    assert_refuses("sasrec", layers=0)
    assert_refuses("sasrec", heads=0)
    assert_refuses("sasrec", heads=3)
