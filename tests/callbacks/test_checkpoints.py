"""Checkpoints: a fit that is stopped anywhere goes on to the same numbers, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from ameir_pl import stopping
from ameir_pl.callbacks import ActivationCounts, UniformSampling
from ameir_pl.callbacks.metrics_csv import MetricsCsv
from ameir_pl.cli.engine import LightningEngine
from ameir_pl.data import DATASETS, AmeirDataModule
from ameir_pl.errors import Stopped
from ameir_pl.models.ameir import Ameir, Derived
from ameir_pl.models.capacity import Capacity
from ameir_pl.objectives import make_objective
from ameir_pl.search.journal import Journal
from ameir_pl.space.architecture import Architecture, Block, MlpLayer
from ameir_pl.space.sampling import BlockRounds
from ameir_pl.space.space import BlockSpace
from tests.data.make import write_movielens
from tests.tasks.fitting import ADAM, COSINE, trainer, weights

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.*", "ignore:.*num_workers.*")
SPACE = BlockSpace(2, ("conv1", "avg_pool3", "zero", "target_attention"))
BASE = Architecture(mlp=(MlpLayer(8),))
TUNED = Architecture((Block("conv3", "swish", "layer_norm"),), (("movie_id", "user_id"),), (MlpLayer(8, "dice"),))
BATCHES = 5
"""Batches of an epoch; the fits have three epochs."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> AmeirDataModule:
    folder = tmp_path_factory.mktemp("checkpoints")
    raw = write_movielens(folder / "raw", users=30, movies=40, ratings=800)
    encoded = DATASETS.get("movielens")(raw=raw, encoded=folder / "encoded", max_len=6).prepare()
    return AmeirDataModule(encoded=encoded, batch_size=128, eval_batch_size=500, seed=1)


class StopsAt(pl.Callback):
    """Asks to stop once so many updates are done."""

    def __init__(self, step: int | None) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step == self.step:
            stopping._requested = 15


@pytest.fixture(autouse=True)
def _no_request() -> Iterator[None]:
    yield
    stopping._requested = None


def run(kind: str, data: AmeirDataModule, folder: Path, stop: int | None = None, *, every: int = 1000,
        epochs: float = 3) -> tuple[Any, dict[str, torch.Tensor]]:
    """Train a supernet or a model as a command does; a second call with the same folder goes on."""
    torch.manual_seed(7)
    stopping._requested = None
    audit = ActivationCounts()
    journal = Journal(folder / ".progress", "settings", log=folder / "metrics.csv")
    journal.open()

    def make(max_epochs: int, callbacks: list, logger: list, **flags: Any) -> pl.Trainer:
        return trainer([StopsAt(stop), *callbacks], epochs=max_epochs, logger=logger, **flags)

    engine = LightningEngine(data, make_objective(data.schema, "logloss"), trainer=make, optimizer=partial(ADAM),
                             scheduler=COSINE, callbacks=lambda: [UniformSampling(), audit],
                             loggers=[MetricsCsv(folder / "metrics.csv")], weight_decay=1e-3, fairness="split",
                             journal=journal, every_steps=every, every_minutes=1000)
    if kind == "supernet":
        model: Ameir = Ameir(data.schema, Capacity.of(BASE).with_blocks(SPACE), embedding_size=4, block_dropout=0.2,
                             mlp_dropout=0.2)
        result: Any = engine.train_supernet(model, BlockRounds(SPACE, BASE, 1), epochs=epochs, phase="stage1/supernet")
    else:
        model = Derived(data.schema, TUNED, embedding_size=4, block_dropout=0.2, mlp_dropout=0.2)
        fit = engine.fit(model, epochs=epochs, patience=2, start=0.3, phase="finetune/AMEIR-C")
        result = (fit.epochs, fit.best_epoch)
    return result, weights(model)


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[n], other[n]) for n in one) and one.keys() == other.keys()


@pytest.mark.parametrize("kind", ["supernet", "fit"])
def test_stopped_after_any_update_it_ends_the_same(kind: str, data: AmeirDataModule, tmp_path: Path) -> None:
    assert data.rows["train"] // data.batch_size == BATCHES
    whole, tensors = run(kind, data, tmp_path / "whole")
    lines = (tmp_path / "whole/metrics.csv").read_bytes()
    for step in range(1, 3 * BATCHES):
        folder = tmp_path / str(step)
        with pytest.raises(Stopped):
            run(kind, data, folder, step)
        result, found = run(kind, data, folder)
        assert result == whole, step
        assert same(found, tensors), step
        assert (folder / "metrics.csv").read_bytes() == lines, step


def test_stopped_again_and_again(data: AmeirDataModule, tmp_path: Path) -> None:
    whole, tensors = run("fit", data, tmp_path / "whole")
    for step in (2, 3, 5, 9, 10, 14):
        with pytest.raises(Stopped):
            run("fit", data, tmp_path / "parts", step)
    result, found = run("fit", data, tmp_path / "parts")
    assert result == whole and same(found, tensors)
    assert (tmp_path / "parts/metrics.csv").read_bytes() == (tmp_path / "whole/metrics.csv").read_bytes()


def test_a_finished_fit_is_not_trained_again(data: AmeirDataModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
                                             ) -> None:
    first = [run(kind, data, tmp_path / kind) for kind in ("supernet", "fit")]
    monkeypatch.setattr(LightningEngine, "_run", None)
    again = [run(kind, data, tmp_path / kind) for kind in ("supernet", "fit")]
    assert all(a[0] == b[0] and same(a[1], b[1]) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize("every", [1, 2])
def test_a_damaged_checkpoint_is_said_and_the_one_before_used(data: AmeirDataModule, tmp_path: Path, every: int,
                                                              capsys: pytest.CaptureFixture[str]) -> None:
    whole, tensors = run("fit", data, tmp_path / "whole")
    with pytest.raises(Stopped):
        run("fit", data, tmp_path / "parts", 9, every=every)
    kept = sorted((tmp_path / "parts/.progress/finetune.AMEIR-C").glob("*.ckpt"), key=lambda p: int(p.stem[5:]))
    assert [int(p.stem[5:]) for p in kept] == [9 - every, 9] if every == 1 else len(kept) == 2
    content = bytearray(kept[-1].read_bytes())
    content[len(content) // 2] ^= 1
    kept[-1].write_bytes(content)
    capsys.readouterr()
    result, found = run("fit", data, tmp_path / "parts")
    assert result == whole and same(found, tensors)
    assert f"{kept[-1].name} cannot be used (its checksum is another)" in capsys.readouterr().err


def test_parts_of_epochs_are_resumed_too(data: AmeirDataModule, tmp_path: Path) -> None:
    _, tensors = run("supernet", data, tmp_path / "whole", epochs=1.5)  # two epochs of 4 batches
    for step in (2, 4, 6):
        with pytest.raises(Stopped):
            run("supernet", data, tmp_path / str(step), step, epochs=1.5)
        assert same(run("supernet", data, tmp_path / str(step), epochs=1.5)[1], tensors), step


def test_a_checkpoint_is_tensors_and_plain_values_only(data: AmeirDataModule, tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        run("fit", data, tmp_path, 7)
    (path,) = (tmp_path / ".progress").rglob("*.ckpt")
    assert {"state_dict", "optimizer_states", "callbacks", "loops"} <= set(torch.load(path, weights_only=True))
