"""Published models as architectures of the search space: they fit their datasets, build, and learn."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest
import torch

from ameir_pl.architecture_file import read_architecture
from ameir_pl.cli.compose import conf_folder, load_config
from ameir_pl.data.layouts import paper_schema
from ameir_pl.models.ameir import Derived
from ameir_pl.models.capacity import aggregation_width
from ameir_pl.nn.operations import names as operation_names
from ameir_pl.objectives import make_objective
from ameir_pl.space.architecture import MlpLayer
from ameir_pl.space.space import check_architecture
from tests.models.examples import make_batch

FOLDER = conf_folder() / "architecture" / "like"
DATASETS = {"sasrec": "beauty", "nextitnet": "steam", "dien": "alimama", "dsin": "alimama", "din": "alimama",
            "deepfm": "alimama", "fm": "criteo", "fibinet": "criteo", "pnn": "avazu"}
ALL_PAIRS = ("fm", "pnn", "deepfm", "fibinet")


def test_there_is_one_for_each() -> None:
    assert {p.stem for p in FOLDER.glob("*.yaml")} == set(DATASETS)


@pytest.mark.parametrize("name", DATASETS)
def test_it_fits_its_dataset_and_learns(name: str) -> None:
    schema = paper_schema(DATASETS[name], 30)
    settings = load_config("train", [f"dataset={DATASETS[name]}"])[0].dataset.model
    architecture = read_architecture(Path(FOLDER / f"{name}.yaml"))
    predefined = tuple(MlpLayer(units, "relu") for units in settings.mlp)
    size = 8 if schema.task == "retrieval" else settings.embedding_size
    check_architecture(architecture, layers=operation_names(schema.has_target), fields=schema.field_names,
                       depth=settings.blocks, has_behaviors=bool(schema.behaviors), predefined=predefined,
                       width=aggregation_width(schema, settings.embedding_size, architecture.interactions),
                       source=name)
    torch.manual_seed(0)
    model = Derived(schema, architecture, embedding_size=size)
    batch = make_batch(schema, (3, 1, 5, 2) * 4 if schema.behaviors else (0,) * 16)
    objective = make_objective(schema, "logloss" if schema.task == "ctr" else "sampled_bce")
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    losses = []
    for _ in range(40 if schema.task == "retrieval" else 12):
        optimizer.zero_grad()
        loss = objective.loss(model, model(batch), batch)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("name", ALL_PAIRS)
def test_all_pairs_are_there(name: str) -> None:
    fields = paper_schema(DATASETS[name]).field_names
    found = {frozenset(pair) for pair in read_architecture(FOLDER / f"{name}.yaml").interactions}
    assert found == {frozenset(pair) for pair in combinations(fields, 2)}
