"""MaskNet equals its formula, written out row by row in NumPy (float64)."""

from __future__ import annotations

import numpy as np
import pytest

from ameir_pl.data.layouts import paper_schema
from ameir_pl.errors import AmeirError
from ameir_pl.schema import Schema
from tests.baselines.reference import K, Reference, assert_equals, layer_norm
from tests.models.examples import ctr_schema, no_target_schema

BLOCKS, UNITS = 2, 6


def normed(r: Reference, x: np.ndarray) -> np.ndarray:
    """Each embedding has a layer norm of its own; dense values stay."""
    x = x.copy()
    for i in range(len(r.schema.behaviors) + len(r.schema.fields)):
        own = slice(i * K, (i + 1) * K)
        x[own] = layer_norm(x[own], r.weights["norm.gain"][own], r.weights["norm.shift"][own])
    return x


def masknet(r: Reference, b: int) -> float:
    x, found = r.deep_input(b), []
    for i in range(BLOCKS):
        mask = r.linear(f"blocks.{i}.mask_output", r.hidden(x, f"blocks.{i}.mask"))
        h = r.weights[f"blocks.{i}.linear.weight"] @ (mask * normed(r, x))
        h = layer_norm(h, r.weights[f"blocks.{i}.norm.weight"], r.weights[f"blocks.{i}.norm.bias"])
        found.append(np.maximum(h, 0.0))
    return r.relu_mlp(np.concatenate(found))


@pytest.mark.parametrize("schema", [ctr_schema(), no_target_schema(), paper_schema("criteo")])
def test_equals_its_formula(schema: Schema) -> None:
    assert_equals("masknet", schema, masknet, blocks=BLOCKS, block_units=UNITS, reduction=0.5)


@pytest.mark.parametrize(("options", "message"), [
    ({"blocks": 0}, "blocks must be a whole number of at least 1, found 0"),
    ({"block_units": 1}, "block_units must be a whole number of at least 2, found 1"),
    ({"reduction": 0.0}, "reduction must be a number above 0, found 0.0"),
    ({"reduction": float("nan")}, "reduction must be a number above 0, found nan")])
def test_options_out_of_range(options: dict[str, object], message: str) -> None:
    with pytest.raises(AmeirError, match=f"model=masknet: model.options.{message}"):
        assert_equals("masknet", ctr_schema(), lambda r, b: 0.0, **options)
