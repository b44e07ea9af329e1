"""AmeirDataModule: encoded data as loaders of whole batches, in an order that only (seed, epoch) decide."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.distributed import DistributedSampler

from ameir_pl.batch import Batch
from ameir_pl.data.clips import Clips, clips_of
from ameir_pl.data.encoded import Encoded
from ameir_pl.data.encoded_sequences import DRAWN_BY, LOSSES, DrawnBy, EncodedSequences, Loss
from ameir_pl.data.store import SPLITS
from ameir_pl.errors import AmeirError, did_you_mean

# First words of the seeds of generators that serve different ends, so that no two are the same.
_ORDER, _CLIPS, _SUBSET = 11, 12, 13


class Draw(NamedTuple):
    """What a sampler asks a dataset for: the rows of one batch of all ranks, the seed of its random parts, and which of
    the rows are this rank's."""

    rows: np.ndarray
    seed: tuple[int, ...]
    own: slice = slice(None)


class BatchSampler(DistributedSampler[Draw]):
    """Yields the batches of an epoch as index arrays.

    It is a ``DistributedSampler`` because Lightning leaves those alone: any other sampler it would wrap in one of
    its own, which shares out once more what this one has shared out already.

    Args:
        rows: the rows of a split.
        batch_size: of the global batch, all ranks together.
        seed: of the order; the permutation of an epoch comes from (seed, epoch) alone.
        shuffle: in an order of the epoch's own, else as stored.
        drop_last: leave out a last batch that is not full; where all rows are fewer than a batch, they are one.
        same: every epoch has the order of the first.
        rank, world: this process's share: every ``world``-th row of each global batch, from ``rank`` on. With
            ``drop_last`` the shares of a batch have the same length (up to ``world - 1`` rows of it are left out).

    Raises:
        AmeirError: a size is below 1, or a batch gives a rank no row.
    """

    def __init__(self, rows: range, batch_size: int, seed: int, shuffle: bool = True, drop_last: bool = True,
                 rank: int = 0, world: int = 1, same: bool = False) -> None:
        if batch_size < 1:
            raise AmeirError(f"batch_size={batch_size}; it must be at least 1.")
        if not rows:
            raise AmeirError("The split has no rows to load.")
        size = min(batch_size, len(rows))
        if size < world and drop_last:
            more = "take a larger batch_size" if size < len(rows) else (
                f"there are only {len(rows)} train rows: take fewer processes (trainer.devices), or more data")
            raise AmeirError(f"A batch of {size} rows cannot be shared by {world} processes; {more}.")
        super().__init__(rows, world, rank, shuffle, seed, drop_last)  # type: ignore[arg-type]  # its length is all
        self.rows, self.batch_size, self.world, self._first = rows, size, world, 0
        self._same = same

    def __len__(self) -> int:
        whole, rest = divmod(len(self.rows), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def set_epoch(self, epoch: int) -> None:
        """Take the order of this epoch from the next iteration on (Lightning calls it)."""
        self.epoch = 0 if self._same else epoch

    def skip(self, batches: int) -> None:
        """Leave out the first ``batches`` of the next iteration only: an epoch goes on where it was stopped."""
        self._first = batches

    def __iter__(self) -> Iterator[Draw]:
        order = np.arange(self.rows.start, self.rows.stop)
        if self.shuffle:
            np.random.default_rng([_ORDER, self.seed, self.epoch]).shuffle(order)
        first, self._first = self._first, 0
        for index in range(first, len(self)):
            rows = order[index * self.batch_size:(index + 1) * self.batch_size]
            if self.drop_last:
                rows = rows[:len(rows) // self.world * self.world]
            own = slice(self.rank, None, self.world) if self.world > 1 else slice(None)
            yield Draw(rows, (_CLIPS, self.seed, self.epoch, index, 0), own)


class BatchDataset(Dataset[Batch]):
    """Turns a :class:`Draw` into a batch.

    Args:
        encoded: the data.
        split: ``train`` gives clips of sequences; click-through data are the same in all splits.
        seed: of the negatives that held-out items are ranked against.
        loss, negatives, drawn_by: of training clips, see :meth:`EncodedSequences.gather_train`.
        clips: what the numbers of train rows stand for; None: for rows.
    """

    def __init__(self, encoded: Encoded, split: str, seed: int, loss: Loss, negatives: int, drawn_by: DrawnBy,
                 clips: Clips | None) -> None:
        self.encoded, self.split, self.seed = encoded, split, seed
        self.loss, self.negatives, self.drawn_by, self.clips = loss, negatives, drawn_by, clips

    def __getitem__(self, draw: Draw) -> Batch:
        if not isinstance(self.encoded, EncodedSequences):
            return self.encoded.gather(draw.rows[draw.own])
        if self.split == "train":
            # All ranks draw the clips of all rows, so that a batch is the same however many share it.
            generator = np.random.default_rng(draw.seed)
            rows, places = draw.rows, None
            if self.clips is not None:
                rows, places = self.clips.users(draw.rows), self.clips.places(draw.rows, generator)
            batch = self.encoded.gather_train(rows, generator, self.loss, self.negatives, self.drawn_by, places)
            return batch if draw.own == slice(None) else batch[draw.own]
        return self.encoded.gather(draw.rows[draw.own], self.seed)


class AmeirDataModule(LightningDataModule):
    """Encoded data as Lightning takes them. The loaders yield :class:`~ameir_pl.batch.Batch`.

    A checkpoint of Lightning's holds the position in the data (:meth:`state_dict`): a run that goes on from it in the
    middle of an epoch trains on the batches that are left, in the same order.

    With several processes each trains on its share of every global batch, and evaluates all rows, so that its
    metrics are those of all rows.

    Args:
        encoded: what ``Dataset.prepare()`` returned.
        batch_size: rows of a training batch, all processes together; a last batch that is not full is left out.
        eval_batch_size: rows of a validation or test batch.
        seed: of the order of rows, of clips and negatives, and of subsets.
        num_workers: processes that gather batches; the batches do not depend on it.
        loss: for retrieval: ``sampled_bce`` or ``sampled_softmax``.
        negatives: for retrieval: negatives a row (``sampled_bce``) or shared by the batch (``sampled_softmax``).
        drawn_by: what shared negatives are drawn by, ``uniform`` or ``popularity``.
        clips: for retrieval: of a user an epoch, a number, ``all`` or ``auto`` (:mod:`ameir_pl.data.clips`).
        same_batches: every epoch has the training batches of the first.

    Raises:
        AmeirError: a setting is out of range.
    """

    def __init__(self, *, encoded: Encoded, batch_size: int, eval_batch_size: int, seed: int, num_workers: int = 0,
                 loss: Loss = "sampled_bce", negatives: int = 5, drawn_by: DrawnBy = "uniform", clips: int | str = 1,
                 same_batches: bool = False) -> None:
        super().__init__()
        if loss not in LOSSES:
            raise AmeirError(f"loss='{loss}' is no way of drawing training batches.{did_you_mean(loss, LOSSES)}")
        for name, value, least in (("batch_size", batch_size, 1), ("eval_batch_size", eval_batch_size, 1),
                                   ("seed", seed, 0), ("num_workers", num_workers, 0), ("negatives", negatives, 1)):
            if value < least:
                raise AmeirError(f"{name}={value}; it must be at least {least}.")
        if drawn_by not in DRAWN_BY:
            raise AmeirError(f"drawn_by='{drawn_by}' is no way of drawing negatives.{did_you_mean(drawn_by, DRAWN_BY)}")
        self.encoded, self.schema = encoded, encoded.schema
        self.batch_size, self.eval_batch_size, self.seed = batch_size, eval_batch_size, seed
        self.num_workers, self.loss, self.negatives = num_workers, loss, negatives
        self.same_batches, self.drawn_by = same_batches, drawn_by
        self.clips = clips_of(clips, encoded.places) if isinstance(encoded, EncodedSequences) else None
        self._resume = (0, 0)  # epoch and batch

    def state_dict(self) -> dict[str, int]:
        """Return where training is: the epoch, and how many of its batches are done. Goes into checkpoints."""
        if self.trainer is None:
            return dict(zip(("epoch", "batch"), self._resume, strict=True))
        done = self.trainer.fit_loop.epoch_loop.batch_progress.current.processed  # type: ignore[attr-defined]
        # A finished epoch is the next one's beginning.
        whole = done >= self.trainer.num_training_batches
        return {"epoch": self.trainer.current_epoch + whole, "batch": 0 if whole else done}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Go on from there: the next training loader begins in that epoch, without the batches that are done."""
        self._resume = (int(state_dict["epoch"]), int(state_dict["batch"]))

    @property
    def rows(self) -> dict[str, int]:
        """Rows of each split."""
        return {split: len(rows) for split, rows in self.encoded.splits.items()}

    @property
    def epoch_rows(self) -> int:
        """Rows that an epoch trains on: train rows, or the clips of the users' sequences."""
        return len(self._train_rows)

    @property
    def warnings(self) -> list[str]:
        """What was found while encoding that makes numbers look better than they are, a sentence each."""
        return list(self.encoded.manifest.get("warnings", []))

    @property
    def clicks(self) -> dict[str, int]:
        """Clicks of each split; empty for next items."""
        if self.schema.task != "ctr":
            return {}
        label, splits = self.encoded.columns["label"], self.encoded.splits
        return {split: int(np.count_nonzero(label[part.start:part.stop])) for split, part in splits.items()}

    @property
    def catalogue(self) -> int:
        """Items that are ranked; 0 for clicks."""
        return self.encoded.items if isinstance(self.encoded, EncodedSequences) else 0

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return the loader of training batches."""
        trainer = self.trainer
        rank, world = (trainer.global_rank, trainer.world_size) if trainer is not None else (0, 1)
        sampler = BatchSampler(self._train_rows, self.batch_size, self.seed, rank=rank, world=world,
                               same=self.same_batches)
        # Worker processes fetch ahead before the trainer tells the sampler its epoch.
        sampler.set_epoch(self._resume[0])
        sampler.skip(self._resume[1])
        self._resume = (0, 0)
        if isinstance(self.encoded, EncodedSequences):
            _ = self.encoded.trained  # once here, not once in every forked worker
        return self._loader("train", sampler)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Return the loader of all validation rows, in stored order."""
        return self._eval_loader("valid")

    def test_dataloader(self) -> DataLoader[Batch]:
        """Return the loader of all test rows, in stored order."""
        return self._eval_loader("test")

    def subset(self, split: str, rows: int, seed: int) -> list[Batch]:
        """Return a fixed random part of a split in evaluation batches; of click data with the split's share of clicks,
        as far as whole rows can have it, and at least one of each label that it has.

        Args:
            split: ``train``, ``valid`` or ``test``. Train rows of sequences are an epoch's clips, always the same.
            rows: how many; all where the split has no more.
            seed: of the choice (and of those clips).

        Raises:
            AmeirError: an unknown split, or ``rows`` below 1.
        """
        if split not in SPLITS:
            raise AmeirError(f"Unknown split '{split}'.{did_you_mean(split, SPLITS)}")
        if rows < 1:
            raise AmeirError(f"A subset of {rows} rows; it must have at least 1.")
        part = self._train_rows if split == "train" else self.encoded.splits[split]
        generator = np.random.default_rng([_SUBSET, seed])
        # In stored order, which is kind to memory-mapped files.
        chosen = part.start + np.sort(self._chosen(part, min(rows, len(part)), generator))
        data = self._dataset(split)
        return [data[Draw(chosen[i:i + self.eval_batch_size], (_SUBSET, seed, i))]
                for i in range(0, len(chosen), self.eval_batch_size)]

    def _chosen(self, part: range, rows: int, generator: np.random.Generator) -> np.ndarray:
        """Draw that many of the rows of a split, of each label its share."""
        if self.schema.task != "ctr" or rows == len(part):
            return generator.choice(len(part), rows, replace=False)
        clicked = np.asarray(self.encoded.columns["label"][part.start:part.stop]) > 0
        clicks = int(clicked.sum())
        # Rounded to the nearest; a label that is there is drawn, where two rows or more are.
        wanted = int(np.clip(round(rows * clicks / len(part)), min(clicks, rows > 1),
                             rows - min(len(part) - clicks, rows > 1)))
        return np.concatenate([generator.choice(np.flatnonzero(clicked), wanted, replace=False),
                               generator.choice(np.flatnonzero(~clicked), rows - wanted, replace=False)])

    def item_counts(self) -> torch.Tensor:
        """Return how often each item comes in the training sequences, (V,) by id; raises ``AmeirError`` for clicks."""
        return self._sequences().item_counts()

    def train_sequences(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the items (n,) of the training sequences, user after user, and whose each is (n,); raises
        ``AmeirError`` for clicks."""
        return self._sequences().train_sequences()

    def _sequences(self) -> EncodedSequences:
        if not isinstance(self.encoded, EncodedSequences):
            raise AmeirError(f"{self.schema.dataset} is a dataset of clicks; it has no sequences to count items of.")
        return self.encoded

    @property
    def _train_rows(self) -> range:
        """Numbers of what an epoch has: train rows, or clips."""
        return self.encoded.splits["train"] if self.clips is None else range(len(self.clips))

    def _dataset(self, split: str) -> BatchDataset:
        return BatchDataset(self.encoded, split, self.seed, self.loss, self.negatives, self.drawn_by, self.clips)

    def _eval_loader(self, split: str) -> DataLoader[Batch]:
        rows = self.encoded.splits[split]
        if isinstance(self.encoded, EncodedSequences):
            self.encoded.negatives(split, self.seed)  # once here, not once in every forked worker
        return self._loader(split, BatchSampler(rows, self.eval_batch_size, self.seed, shuffle=False, drop_last=False))

    def _loader(self, split: str, sampler: BatchSampler) -> DataLoader[Batch]:
        # batch_size=None: the sampler's item is a whole batch, and __getitem__ gathers it at once.
        # A generator of its own, which nothing is drawn from: iterating must not move the one that dropout draws from.
        return DataLoader(self._dataset(split), sampler=sampler, batch_size=None, num_workers=self.num_workers,
                          generator=torch.Generator())
