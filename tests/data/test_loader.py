"""Loaders: each row once an epoch, an order that only (seed, epoch) decide, shares of ranks, subsets."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import pytorch_lightning as lightning
import torch

from ameir_pl.batch import Batch
from ameir_pl.data import AmeirDataModule, Encoded, EncodedSequences
from ameir_pl.data.loader import BatchSampler
from ameir_pl.errors import AmeirError


def module(encoded: Encoded, **settings: object) -> AmeirDataModule:
    return AmeirDataModule(**({"encoded": encoded, "batch_size": 64, "eval_batch_size": 100, "seed": 1}
                              | settings))  # type: ignore[arg-type]


def equal(one: Iterable[Batch], other: Iterable[Batch]) -> bool:
    one, other = list(one), list(other)
    names = [name for name in Batch.__slots__ if name != "paths"]
    return len(one) == len(other) and all(torch.equal(getattr(a, n), getattr(b, n))
                                          for a, b in zip(one, other, strict=True) for n in names)


def at_epoch(loader: Iterable[Batch], epoch: int) -> list[Batch]:
    """The batches of an epoch."""
    sampler = getattr(loader, "sampler", None)
    assert isinstance(sampler, BatchSampler)
    sampler.set_epoch(epoch)
    return list(loader)


def rows_of(sampler: BatchSampler) -> list[int]:
    return [int(row) for draw in sampler for row in draw.rows]


def test_every_row_once_an_epoch_and_another_order_each() -> None:
    sampler = BatchSampler(range(10, 210), 32, seed=1, drop_last=False)
    first = rows_of(sampler)
    assert sorted(first) == list(range(10, 210)) and first != sorted(first)
    assert rows_of(sampler) == first, "iterating changes nothing"
    sampler.set_epoch(1)
    second = rows_of(sampler)
    assert sorted(second) == sorted(first) and second != first
    assert rows_of(BatchSampler(range(10, 210), 32, seed=2, drop_last=False)) != first


def test_last_batches() -> None:
    sampler = BatchSampler(range(100), 32, seed=1)
    assert [len(d.rows) for d in sampler] == [32] * 3 and len(sampler) == 3
    sampler = BatchSampler(range(100), 32, seed=1, drop_last=False)
    assert [len(d.rows) for d in sampler] == [32, 32, 32, 4] and len(sampler) == 4
    few = BatchSampler(range(5), 32, seed=1)
    assert [sorted(d.rows) for d in few] == [list(range(5))] and len(few) == 1


def test_skipping_goes_on_where_an_epoch_stopped() -> None:
    sampler = BatchSampler(range(100), 10, seed=1)
    whole = list(sampler)
    sampler.skip(7)
    rest = list(sampler)
    assert [d.seed for d in rest] == [d.seed for d in whole[7:]]
    assert all((a.rows == b.rows).all() for a, b in zip(rest, whole[7:], strict=True))
    assert len(list(sampler)) == 10, "once only"


def test_ranks_share_each_global_batch() -> None:
    whole = list(BatchSampler(range(101), 20, seed=1))
    parts = [list(BatchSampler(range(101), 20, seed=1, rank=r, world=3)) for r in range(3)]
    for i, draw in enumerate(whole):
        shares = [part[i].rows[part[i].own] for part in parts]
        assert {len(s) for s in shares} == {6}
        assert set(np.concatenate(shares)) <= set(draw.rows) and len(set(np.concatenate(shares))) == 18
        assert {part[i].seed for part in parts} == {draw.seed}, "the clips of a row are those of one rank alone"
    with pytest.raises(AmeirError, match="cannot be shared"):
        BatchSampler(range(2), 20, seed=1, world=3)


@pytest.mark.parametrize("which", ["movielens", "sequences"])
def test_workers_change_nothing(which: str, request: pytest.FixtureRequest) -> None:
    encoded = request.getfixturevalue(which)
    alone, helped = module(encoded), module(encoded, num_workers=2)
    for epoch in range(2):
        loaders = [m.train_dataloader() for m in (alone, helped)]
        batches = [at_epoch(loader, epoch) for loader in loaders]
        assert equal(*batches)
        assert len(batches[0]) == len(loaders[0]) == len(encoded.splits["train"]) // 64
    assert equal(alone.val_dataloader(), helped.val_dataloader())
    assert equal(alone.test_dataloader(), helped.test_dataloader())


def test_lightning_leaves_the_samplers_alone(movielens: Encoded) -> None:
    data = module(movielens)
    for loader in (data.train_dataloader(), data.val_dataloader(), data.test_dataloader()):
        assert isinstance(loader.sampler, torch.utils.data.DistributedSampler)


def test_clips_differ_from_epoch_to_epoch_and_repeat_with_the_seed(sequences: EncodedSequences) -> None:
    def epoch(number: int, **settings: object) -> list[Batch]:
        return at_epoch(module(sequences, batch_size=300, **settings).train_dataloader(), number)

    assert equal(epoch(0), epoch(0))
    assert not equal(epoch(0), epoch(1))
    assert not equal(epoch(0), epoch(0, seed=2))
    soft = epoch(0, loss="sampled_softmax", negatives=33)[0]
    assert soft.shared_negatives.shape == (33,) and soft.positives.shape == (300, 1) and soft.negatives.numel() == 0


def test_evaluation_covers_a_split_in_order(movielens: Encoded) -> None:
    data = module(movielens)
    assert data.rows == {"train": 2000, "valid": 250, "test": 250}
    for split, loader in (("valid", data.val_dataloader()), ("test", data.test_dataloader())):
        batches = list(loader)
        assert [len(b) for b in batches] == [100, 100, 50]
        whole = movielens.gather(np.asarray(movielens.splits[split]))
        assert torch.equal(torch.cat([b.fields for b in batches]), whole.fields)
        assert torch.equal(torch.cat([b.label for b in batches]), whole.label)


@pytest.mark.parametrize("which", ["movielens", "sequences"])
@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_subsets_are_fixed(which: str, split: str, request: pytest.FixtureRequest) -> None:
    data = module(request.getfixturevalue(which))
    part = data.subset(split, 130, seed=5)
    assert [len(b) for b in part] == [100, 30]
    assert equal(part, data.subset(split, 130, seed=5))
    assert not equal(part, data.subset(split, 130, seed=6))
    assert sum(map(len, data.subset(split, 10**9, seed=5))) == data.rows[split]


def test_settings_are_checked(movielens: Encoded) -> None:
    for settings, words in (({"batch_size": 0}, "batch_size=0"), ({"num_workers": -1}, "num_workers=-1"),
                            ({"negatives": 0}, "negatives=0"), ({"seed": -1}, "seed=-1"),
                            ({"loss": "sampled_softmx"}, "Did you mean 'sampled_softmax'")):
        with pytest.raises(AmeirError, match=words):
            module(movielens, **settings)
    with pytest.raises(AmeirError, match="Did you mean 'valid'"):
        module(movielens).subset("valdi", 3, 0)
    with pytest.raises(AmeirError, match="0 rows"):
        module(movielens).subset("valid", 0, 0)


class Recorder(lightning.LightningModule):
    """Notes the labels and users of the batches it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.given: list[list[torch.Tensor]] = []

    def on_train_epoch_start(self) -> None:
        self.given.append([])

    def training_step(self, batch: Batch, index: int) -> torch.Tensor:
        self.given[-1].append(batch.fields)
        return self.weight * batch.label.mean()

    def validation_step(self, batch: Batch, index: int) -> None:
        self.log("rows", float(len(batch)), batch_size=len(batch), reduce_fx="sum")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.filterwarnings("ignore")
def test_lightning_sets_the_epoch(movielens: Encoded) -> None:
    recorder, data = Recorder(), module(movielens, batch_size=200)
    trainer = lightning.Trainer(max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False,
                                enable_progress_bar=False, enable_model_summary=False)
    trainer.fit(recorder, datamodule=data)
    assert int(trainer.callback_metrics["rows"]) == 250
    for epoch, given in enumerate(recorder.given):
        expected = at_epoch(module(movielens, batch_size=200).train_dataloader(), epoch)
        assert len(given) == 10
        assert all(torch.equal(a, b.fields) for a, b in zip(given, expected, strict=True))
    assert not torch.equal(recorder.given[0][0], recorder.given[1][0])


class Seen(lightning.LightningModule):
    """Remembers the labels and ids it is fed; saves a checkpoint after ``save_after`` steps."""

    def __init__(self, path: Path, save_after: int = 0) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.path, self.save_after = path, save_after
        self.seen: list[torch.Tensor] = []

    def training_step(self, batch: Batch, index: int) -> torch.Tensor:
        self.seen.append(batch.fields)
        return (self.weight * batch.label).mean()

    def on_train_batch_end(self, *_: object) -> None:
        if self.trainer.global_step == self.save_after:
            self.trainer.save_checkpoint(self.path)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("steps", [3, 10, 11])
def test_training_goes_on_where_a_checkpoint_left_it(movielens: Encoded, tmp_path: Path, steps: int, workers: int
                                                     ) -> None:
    def fit(save_after: int = 0, checkpoint: Path | None = None) -> list[torch.Tensor]:
        model = Seen(tmp_path / "step.ckpt", save_after)
        trainer = lightning.Trainer(max_epochs=3, logger=False, enable_checkpointing=False, accelerator="cpu",
                                    enable_progress_bar=False, enable_model_summary=False)
        trainer.fit(model, module(movielens, batch_size=200, num_workers=workers), ckpt_path=checkpoint,
                    weights_only=True)
        return model.seen

    whole = fit(save_after=steps)
    assert len(whole) == 30
    rest = fit(checkpoint=tmp_path / "step.ckpt")
    assert len(rest) == len(whole) - steps
    assert all(torch.equal(a, b) for a, b in zip(rest, whole[steps:], strict=True))


@pytest.mark.parametrize(("clicks", "rows", "expected"), [(20, 100, 2), (20, 40, 1), (500, 100, 50), (999, 100, 99),
                                                          (1, 2, 1), (3, 1000, 3), (0, 100, 0), (6, 2000, 6)])
def test_a_subset_has_the_splits_share_of_clicks(clicks: int, rows: int, expected: int) -> None:
    label = np.zeros(1000)
    label[np.random.default_rng(clicks).permutation(1000)[:clicks]] = 1
    encoded = SimpleNamespace(columns={"label": label}, schema=SimpleNamespace(task="ctr"))
    part = range(1000)
    data = SimpleNamespace(encoded=encoded, schema=encoded.schema)
    drawn = [AmeirDataModule._chosen(data, part, min(rows, 1000), np.random.default_rng(seed)) for seed in (1, 1, 2)]
    for chosen in drawn:
        assert len(set(chosen.tolist())) == min(rows, 1000) and label[chosen].sum() == expected
    assert (drawn[0] == drawn[1]).all() and (rows >= 1000 or set(drawn[0].tolist()) != set(drawn[2].tolist()))
