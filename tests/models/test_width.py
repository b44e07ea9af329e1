"""K0 of the paper's datasets, by the formula and in models that are really built."""

from __future__ import annotations

import pytest
import torch

from ameir_pl.data.layouts import paper_schema
from ameir_pl.models.ameir import Derived
from ameir_pl.models.capacity import Capacity, aggregation_width
from ameir_pl.space.space import MlpSpace
from tests.paper_tables import TABLES

from .examples import make_batch

CASES = {"alimama": (4, 105, {42, 21, 10}), "criteo": (5, 218, {174, 152, 87, 65, 21}),
         "avazu": (40, 1560, {1092, 936, 780, 468, 312, 156})}


@pytest.mark.parametrize("run", [name for name in TABLES if name.split("_")[0] in CASES])
def test_k0_and_the_widths_of_the_paper(run: str) -> None:
    dataset = run.split("_")[0]
    size, k0, _ = CASES[dataset]
    schema, architecture = paper_schema(dataset), TABLES[run].architecture()
    assert aggregation_width(schema, size, architecture.interactions) == k0
    space = MlpSpace(len(architecture.mlp), k0)
    assert {h.units for h in architecture.mlp} <= {space.units(t) for t in space.tenths}
    if not run.endswith("_1"):
        return
    model = Derived(schema, architecture, embedding_size=size)
    batch = make_batch(schema, (0, 1, 3)) if schema.behaviors else make_batch(schema, (0, 0, 0))
    assert model.mlp.in_features == model.mlp.first.weight.shape[1] == k0
    x = model.embed(batch)
    h_0 = model.h0(x, model.behavior(x, architecture.blocks), model.interactions(x.fields))
    assert h_0.shape == (3, k0) and torch.isfinite(model(batch)).all()
    assert sum(width for _, width in model.segments()) == k0


@pytest.mark.parametrize("dataset", CASES)
def test_every_width_of_the_tables_is_a_ratio(dataset: str) -> None:
    _, k0, widths = CASES[dataset]
    used = {h.units for name, entry in TABLES.items() if name.startswith(dataset) for h in entry.architecture().mlp}
    assert used == widths
    assert widths <= {k0 * tenth // 10 for tenth in range(1, 11)}


def test_capacity_round_trips() -> None:
    for entry in TABLES.values():
        capacity = Capacity.of(entry.architecture())
        assert Capacity.from_json(capacity.to_json()) == capacity
        assert capacity.shortcut == bool(entry.interactions)
