"""Every architecture of the paper builds on its dataset's schema and trains."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ameir_pl.architecture_file import read_architecture
from ameir_pl.data.layouts import paper_schema
from ameir_pl.models.ameir import Derived
from ameir_pl.objectives import make_objective
from tests.models.examples import make_batch

FILES = sorted((Path(__file__).parents[2] / "conf" / "architecture" / "paper").glob("*.yaml"))
SIZES = {"alimama": 4, "criteo": 5, "avazu": 40, "beauty": 8, "steam": 8}
WIDTHS = {"alimama": 105, "criteo": 218, "avazu": 1560}


def test_there_are_four_runs_of_five_datasets() -> None:
    assert len(FILES) == 20


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_it_builds_and_a_few_steps_lower_its_loss(path: Path) -> None:
    dataset = path.stem.rpartition("_")[0]
    schema = paper_schema(dataset, 24)
    torch.manual_seed(1)
    model = Derived(schema, read_architecture(path), embedding_size=SIZES[dataset])
    if dataset in WIDTHS:
        assert model.mlp.in_features == WIDTHS[dataset]
    batch = make_batch(schema)
    objective = make_objective(schema, "logloss" if schema.task == "ctr" else "sampled_bce")
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(12):
        loss = objective.loss(model, model(batch), batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert losses[-1] < losses[0]
