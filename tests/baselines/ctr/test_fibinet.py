"""FiBiNET equals its formula, written out row by row in NumPy (float64)."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from ameir_pl.data.layouts import paper_schema
from ameir_pl.errors import AmeirError
from ameir_pl.schema import Schema
from tests.baselines.reference import Reference, assert_equals
from tests.models.examples import ctr_schema, no_target_schema


def bilinear(weight: np.ndarray, e: list[np.ndarray], kind: str) -> list[np.ndarray]:
    found = []
    for pair, (i, j) in enumerate(combinations(range(len(e)), 2)):
        w = weight[{"all": 0, "each": i, "interaction": pair}[kind]]
        found.append((e[i] @ w) * e[j])
    return found


def fibinet(r: Reference, b: int, kind: str) -> float:
    e = r.fields(b)
    z = np.array([e_i.mean() for e_i in e])
    squeezed = np.maximum(r.weights["senet.reduce.weight"] @ z, 0.0)
    a = np.maximum(r.weights["senet.expand.weight"] @ squeezed, 0.0)
    v = [a_i * e_i for a_i, e_i in zip(a, e, strict=True)]
    weight = r.weights["bilinear.weight"]
    x = [r.history_sum(b), *bilinear(weight, v, kind), *bilinear(weight, e, kind), r.dense(b)]
    return r.first_order(b) + r.relu_mlp(np.concatenate(x))


@pytest.mark.parametrize("schema", [ctr_schema(), no_target_schema(), paper_schema("criteo")])
@pytest.mark.parametrize("kind", ["all", "each", "interaction"])
def test_equals_its_formula(schema: Schema, kind: str) -> None:
    assert_equals("fibinet", schema, lambda r, b: fibinet(r, b, kind), bilinear=kind, reduction=2)


@pytest.mark.parametrize(("options", "message"), [
    ({"bilinear": "al"}, "bilinear must be one of all, each, interaction, found 'al'. Did you mean 'all'"),
    ({"reduction": 0}, "reduction must be a whole number of at least 1, found 0")])
def test_options_out_of_range(options: dict[str, object], message: str) -> None:
    with pytest.raises(AmeirError, match=f"model=fibinet: model.options.{message}"):
        assert_equals("fibinet", ctr_schema(), lambda r, b: 0.0, **options)
