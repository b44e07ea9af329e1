"""UniformSampling and ActivationCounts in a real Trainer: paths before each step, and a fit that unfairness stops."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
from torch import Tensor

from ameir_pl.batch import Batch
from ameir_pl.callbacks import ActivationCounts, UniformSampling
from ameir_pl.space.architecture import Architecture
from ameir_pl.space.fairness import UnfairError
from ameir_pl.space.sampling import FAIRNESS, BlockRounds, draw
from ameir_pl.tasks.supernet import SupernetTask
from tests.tasks.fitting import SPACE, batches, fit_task, same, supernet_task, trainer, weights

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.*", "ignore:.*validation_step.*")


class Recording(SupernetTask):
    """Keeps the paths of each training step."""

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        self.__dict__.setdefault("seen", []).append((self.trainer.global_step, batch.paths))
        return super().training_step(batch, batch_idx)


@pytest.mark.parametrize("fairness", FAIRNESS)
def test_paths_come_before_the_step_and_from_seed_and_step_alone(fairness: str) -> None:
    task = supernet_task(fairness, kind=Recording)
    trainer([UniformSampling()], epochs=2).fit(task, batches(4))
    assert task.seen == [(step, draw(task.rounds, fairness, step)) for step in range(8)]  # type: ignore[attr-defined]


def test_audit_counts_what_the_steps_saw() -> None:
    task, audit = supernet_task(kind=Recording), ActivationCounts()
    trainer([UniformSampling(), audit], epochs=2).fit(task, batches(4))
    paths = [p for _, paths in task.seen for p in paths]  # type: ignore[attr-defined]
    counts = audit.counts()
    assert list(counts) == [f"block {b} {part}" for b in (1, 2) for part in ("layer", "norm", "activation")]
    assert counts["block 2 layer"] == dict.fromkeys(SPACE.layers, 8)
    for b in (0, 1):
        others = [p.blocks[b] for p in paths if p.blocks[b].layer != "zero"]
        assert counts[f"block {b + 1} norm"] == Counter(o.norm for o in others)
        assert counts[f"block {b + 1} activation"] == Counter(o.activation for o in others)


@pytest.mark.parametrize("fairness", [s for s in FAIRNESS if s != "uniform"])
def test_a_broken_sampler_stops_the_fit(fairness: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = BlockRounds.fair

    def broken(self: BlockRounds, step: int) -> tuple[Architecture, ...]:
        paths = whole(self, step)
        return paths if step < 3 else (paths[1], *paths[1:])

    monkeypatch.setattr(BlockRounds, "fair", broken)
    task = supernet_task(fairness)
    run = trainer([UniformSampling(), ActivationCounts()], epochs=2)
    with pytest.raises(UnfairError, match="block 1 layer: update 4 activated .*, not each choice once"):
        run.fit(task, batches(4))
    assert run.global_step == 4


def test_an_uneven_deck_stops_the_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = BlockRounds.fair
    monkeypatch.setattr(BlockRounds, "fair", lambda self, step: whole(self, 0))
    space = BlockRounds(type(SPACE)(2, SPACE.layers[:4]), supernet_task().rounds.base, 0)  # type: ignore[attr-defined]
    task = supernet_task()
    task.rounds = space
    with pytest.raises(UnfairError, match="are uneven after"):
        trainer([UniformSampling(), ActivationCounts()], epochs=3).fit(task, batches(4))


def test_uniform_sampling_is_only_counted() -> None:
    audit = ActivationCounts()
    trainer([UniformSampling(), audit], epochs=2).fit(supernet_task("uniform"), batches(4))
    assert sum(audit.counts()["block 1 layer"].values()) == 8


def test_accumulated_batches_are_one_update() -> None:
    task, audit = supernet_task(kind=Recording), ActivationCounts()
    run = trainer([UniformSampling(), audit], epochs=3, accumulate_grad_batches=2)
    run.fit(task, batches(6))
    assert run.global_step == 9
    assert [paths for _, paths in task.seen] == [draw(task.rounds, "split", i // 2)  # type: ignore[attr-defined]
                                                 for i in range(18)]
    assert audit.counts()["block 1 layer"] == dict.fromkeys(SPACE.layers, 9)


class StopAfter(pl.Callback):
    """Ends a fit after so many updates."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any, **__: Any) -> None:
        trainer.should_stop = trainer.should_stop or trainer.global_step >= self.steps


def test_a_resumed_fit_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    """Stopped in the middle of a deck: the audit knows what the updates before it did."""
    whole, audit = supernet_task(), ActivationCounts()
    trainer([UniformSampling(), audit], epochs=3).fit(whole, batches(3))
    first = supernet_task()
    run = trainer([UniformSampling(), ActivationCounts(), StopAfter(3)], epochs=3)
    run.fit(first, batches(3))
    assert run.global_step == 3
    run.save_checkpoint(tmp_path / "a.ckpt")
    second, again = supernet_task(seed=1), ActivationCounts()
    second.rounds = first.rounds
    trainer([UniformSampling(), again], epochs=3).fit(second, batches(3), ckpt_path=str(tmp_path / "a.ckpt"))
    assert same(weights(second), weights(whole)) and not same(weights(first), weights(whole))
    assert again.counts() == audit.counts()


def test_other_tasks_are_left_alone() -> None:
    audit = ActivationCounts()
    loader = batches(2)
    trainer([UniformSampling(), audit], epochs=1).fit(fit_task(), loader)
    assert audit.counts() == {} and all(b.paths == () for b in loader)
