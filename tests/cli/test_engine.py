"""LightningEngine: when finetuning stops."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch

from ameir_pl.baselines import build_baseline
from ameir_pl.cli.engine import LightningEngine
from ameir_pl.data import DATASETS, AmeirDataModule
from ameir_pl.objectives import make_objective
from ameir_pl.search.journal import Journal
from tests.data.make import write_movielens
from tests.tasks.fitting import ADAM, COSINE, trainer

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.*", "ignore:.*num_workers.*")


def fitted(folder: Path, start: float | None, patience: int) -> tuple[int, int, bool]:
    """Epochs trained, the best one, and whether the weights are those of the start."""
    raw = write_movielens(folder / "raw", users=40, movies=50, ratings=1500)
    encoded = DATASETS.get("movielens")(raw=raw, encoded=folder / "encoded", max_len=6).prepare()
    data = AmeirDataModule(encoded=encoded, batch_size=256, eval_batch_size=500, seed=1)
    torch.manual_seed(0)
    model = build_baseline("dnn", data.schema, embedding_size=4, mlp=[8], dropout=0.0)
    before = {n: t.clone() for n, t in model.state_dict().items()}

    def make(max_epochs: int, callbacks: list, logger: list, **flags: object) -> object:
        return trainer(callbacks, epochs=max_epochs, logger=logger or False, **flags)

    engine = LightningEngine(data, make_objective(data.schema, "logloss"), trainer=make, optimizer=partial(ADAM),
                             scheduler=COSINE, callbacks=list, loggers=[], weight_decay=0.0, fairness="split",
                             journal=Journal(folder / ".progress", "settings"))
    fit = engine.fit(model, epochs=6, patience=patience, start=start, phase="finetune/DNN")
    return fit.epochs, fit.best_epoch, all(torch.equal(t, before[n]) for n, t in model.state_dict().items())


@pytest.mark.parametrize("patience", [1, 3])
def test_inherited_weights_are_what_an_epoch_has_to_beat(tmp_path: Path, patience: int) -> None:
    assert fitted(tmp_path, 1.0, patience) == (patience, 0, True)


def test_weights_that_every_epoch_beats_count_for_nothing(tmp_path: Path) -> None:
    (low, none) = (fitted(tmp_path / name, start, 2) for name, start in (("low", 0.0), ("none", None)))
    assert low == none and low[1] >= 1 and not low[2]
