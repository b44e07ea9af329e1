"""EncodedSequences: item sequences on disk, gathered into batches for next-item training and ranking."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from ameir_pl.batch import Batch
from ameir_pl.data.encoded import Encoded
from ameir_pl.errors import AmeirError
from ameir_pl.schema import OOV, PAD

Loss = Literal["sampled_bce", "sampled_softmax"]
LOSSES: tuple[Loss, ...] = ("sampled_bce", "sampled_softmax")
DrawnBy = Literal["uniform", "popularity"]
DRAWN_BY: tuple[DrawnBy, ...] = ("uniform", "popularity")

POSITIVES = 5
"""Items at the end of a training clip that are positives, for ``sampled_bce`` (paper, Appendix B)."""
RANKED = 100
"""Negatives that the held-out item is ranked against (paper, Table 2)."""
_ROUNDS = 100
_CHUNK = 8192


class EncodedSequences(Encoded):
    """Item sequences, one a user, split by leaving one out.

    A user's sequence of n items is stored once, ``values[begin:stop]``. Its last item is the test row's, the one
    before it the validation row's, the n-2 before those are for training. ``end`` points at the held-out item
    of a validation or test row, and behind the training part of a train row. A user with a single training item
    has no train row: a clip needs a history and a positive.

    Attributes:
        columns: ``values`` (events, 1) int32; ``begin``, ``end``, ``stop`` (rows,) int64.

    Every random draw takes its generator or seed as an argument; the same argument gives the same batch.
    """

    def __init__(self, folder: Path | str) -> None:
        super().__init__(folder)
        self._drawn: dict[tuple[str, int], np.ndarray] = {}

    @property
    def items(self) -> int:
        """Items of the catalogue; their ids are 2 … items + 1."""
        return self.schema.vocabularies[self.schema.item] - OOV - 1

    def gather(self, rows: np.ndarray, seed: int = 0) -> Batch:
        """Return validation or test rows.

        Args:
            rows: (B,) row numbers.
            seed: of the negatives; they depend on the row, its split and the seed, not on the batch.

        Returns:
            ``behaviors`` (B, T, 1): the last T items before the held-out one; ``positives`` (B, 1): that item;
            ``negatives`` (B, 100): items the user never touched in any split; ``users`` (B,); ``seen`` (B, L): the
            user's other items, ``PAD`` filled.

        Raises:
            AmeirError: a train row, whose next item is the validation item; or the catalogue is too small.
        """
        rows = np.asarray(rows, dtype=np.int64)
        if (rows < self.splits["valid"].start).any():
            raise AmeirError("EncodedSequences.gather: train rows have no held-out item; use gather_train.")
        begin, end, stop = (self.columns[name][rows] for name in ("begin", "end", "stop"))
        positives = self.columns["values"][end].astype(np.int64)
        negatives = np.empty((len(rows), RANKED), dtype=np.int64)
        for split in ("valid", "test"):
            inside = (rows >= self.splits[split].start) & (rows < self.splits[split].stop)
            if inside.any():
                negatives[inside] = self.negatives(split, seed)[rows[inside] - self.splits[split].start]
        seen, _ = self.window(begin, stop, int((stop - begin).max(initial=1)))
        # An item may come twice in a sequence: the held-out one must stay rankable.
        seen = seen[..., 0].masked_fill(seen[..., 0] == torch.from_numpy(positives), PAD)
        batch = self._histories(begin, end)
        batch.users = self._users(begin)
        batch.positives, batch.negatives, batch.seen = torch.from_numpy(positives), torch.from_numpy(negatives), seen
        return batch

    @property
    def places(self) -> np.ndarray:
        """How many places each train row has at which a clip can end, (train rows,): all but the first item."""
        rows = self.splits["train"]
        begin, end = (self.columns[name][rows.start:rows.stop] for name in ("begin", "end"))
        return np.asarray(end - begin - 1)

    def gather_train(self, rows: np.ndarray, generator: np.random.Generator, loss: Loss = "sampled_bce",
                     negatives: int = POSITIVES, drawn_by: DrawnBy = "uniform", places: np.ndarray | None = None
                     ) -> Batch:
        """Return clips of the training sequences of train rows.

        A clip ends at a point drawn uniformly among those that leave at least one item of history, or where ``places``
        says.

        Args:
            rows: (B,) row numbers of the train split.
            generator: of the end points and negatives; the same state gives the same batch.
            loss: ``sampled_bce``: the clip's last five items (fewer where it is short, ``PAD`` behind them) are
                ``positives`` (B, 5), and ``negatives`` (B, Q) are distinct items outside the user's training items.
                Held-out items are drawn like any other: left out, they alone would never be ranked low, and a model
                would find them on noise.
                ``sampled_softmax``: the clip's last item is the only positive (B, 1), and ``shared_negatives``
                (Q,) are drawn from the catalogue, with repetition; they may hit a positive.
            negatives: Q.
            drawn_by: shared negatives are drawn from the catalogue uniformly, or by how often items come in the
                training sequences (:meth:`item_shares`).
            places: (B,) where the clips end, see :attr:`places`; the same row may come several times.

        Returns:
            ``behaviors`` (B, T, 1) the last T items before the positives, ``users`` (B,), and the above.

        Raises:
            AmeirError: a row is not of the train split, or the catalogue is too small for the negatives.
        """
        rows = np.asarray(rows, dtype=np.int64)
        if (rows >= self.splits["train"].stop).any():
            raise AmeirError("EncodedSequences.gather_train: only train rows have a training sequence.")
        begin, end = self.columns["begin"][rows], self.columns["end"][rows]
        last = begin + (generator.integers(2, end - begin + 1) if places is None else places + 2)
        most = POSITIVES if loss == "sampled_bce" else 1
        first = np.maximum(last - most, begin + 1)
        ids, mask = self.window(first, last, most)
        positives = torch.full((len(rows), most), PAD)
        positives[:, :ids.shape[1]] = ids[..., 0].masked_fill(~mask, PAD)
        batch = self._histories(begin, first)
        batch.positives, batch.users = positives, self._users(begin)
        if loss == "sampled_bce":
            batch.negatives = torch.from_numpy(self.draw_untrained(generator, begin, negatives))
        else:
            if drawn_by == "popularity":
                shared = np.searchsorted(self._shares_below, generator.random(negatives), side="right")
            else:
                shared = generator.integers(OOV + 1, OOV + 1 + self.items, size=negatives)
            batch.shared_negatives = torch.from_numpy(shared)
        return batch

    def item_counts(self) -> torch.Tensor:
        """Return how often each item comes in the training sequences, (V,) float64 by id."""
        items, _ = self.train_sequences()
        return torch.bincount(items, minlength=self.schema.vocabularies[self.schema.item]).double()

    def train_sequences(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the items (n,) of the training sequences, user after user, and whose each is (n,), both int64."""
        users, places = self._events("train", "end")
        items = self.columns["values"][places, 0].astype(np.int64)
        return torch.from_numpy(items), self._users(users)

    def item_shares(self) -> torch.Tensor:
        """Return how likely each item is drawn by popularity, (V,) float64 by id: its share of the training sequences,
        one added to the count of every item of the catalogue, so that none is never drawn."""
        counts = self.item_counts()
        counts[OOV + 1:] += 1
        counts[:OOV + 1] = 0
        return counts / counts.sum()

    @cached_property
    def _shares_below(self) -> np.ndarray:
        """(V,) the shares of an item and those before it, for drawing by popularity."""
        below = np.cumsum(self.item_shares().numpy())
        below[-1] = 1.0  # a sum of shares may end below
        return below

    def negatives(self, split: str, seed: int) -> np.ndarray:
        """Return the negatives (rows of the split, 100) int32 of ``valid`` or ``test``, drawn once per seed."""
        key = (split, seed)
        if key not in self._drawn:
            rows = self.splits[split]
            generator = np.random.default_rng([seed, {"valid": 1, "test": 2}[split]])
            begin = self.columns["begin"][rows.start:rows.stop]
            # In parts, so that millions of users need no gigabytes on the way.
            drawn = [self.draw_untouched(generator, begin[i:i + _CHUNK], RANKED).astype(np.int32)
                     for i in range(0, len(begin), _CHUNK)]
            self._drawn[key] = np.concatenate(drawn)
        return self._drawn[key]

    def draw_untouched(self, generator: np.random.Generator, begin: np.ndarray, count: int) -> np.ndarray:
        """Draw ``count`` distinct items a row, uniformly from those its user never touched in any split.

        For ranking alone: what training draws must not tell which items are held out (see :meth:`draw_untrained`).

        Args:
            generator: of the draws.
            begin: (B,) where each row's user begins in ``values``.
            count: items a row.

        Returns:
            (B, count) int64.

        Raises:
            AmeirError: a user leaves fewer than ``count`` items.
        """
        return self._draw_outside(self._touched, "that a user never touched", generator, begin, count)

    def draw_untrained(self, generator: np.random.Generator, begin: np.ndarray, count: int) -> np.ndarray:
        """Draw ``count`` distinct items a row, uniformly from those outside its user's training items.

        Arguments, result and errors are those of :meth:`draw_untouched`.
        """
        return self._draw_outside(self.trained, "outside a user's training items", generator, begin, count)

    def _draw_outside(self, keys: np.ndarray, which: str, generator: np.random.Generator, begin: np.ndarray,
                      count: int) -> np.ndarray:
        low, high = OOV + 1, OOV + 1 + self.items
        drawn = generator.integers(low, high, size=(len(begin), count))
        bad = self._unfit(keys, begin, drawn)
        # Redrawing what does not fit treats all other items alike, so every set of them is equally likely.
        for _ in range(_ROUNDS):
            rows = np.flatnonzero(bad.any(axis=1))
            if len(rows) == 0:
                return drawn
            part, holes = drawn[rows], bad[rows]
            part[holes] = generator.integers(low, high, size=int(holes.sum()))
            drawn[rows], bad[rows] = part, self._unfit(keys, begin[rows], part)
        # A user who touched nearly everything: draw from what is left.
        for row in np.flatnonzero(bad.any(axis=1)):
            inside = keys[np.searchsorted(keys, begin[row] * high):np.searchsorted(keys, (begin[row] + 1) * high)]
            left = np.setdiff1d(np.arange(low, high), inside % high)
            if len(left) < count:
                raise AmeirError(f"{self.folder}: {count} items {which} are to be drawn, but one user leaves "
                                 f"{len(left)} of {self.items}. Use more data, or fewer negatives.")
            drawn[row] = generator.choice(left, count, replace=False)
        return drawn

    @cached_property
    def _touched(self) -> np.ndarray:
        """Sorted keys of every (user, item) that occurs in any split."""
        return self._keys("test", "stop")  # one row a user

    @cached_property
    def trained(self) -> np.ndarray:
        """Sorted keys of every (user, item) of the training sequences; where a user begins stands for the user."""
        return self._keys("train", "end")

    def _keys(self, split: str, last: str) -> np.ndarray:
        users, places = self._events(split, last)
        return np.unique(users * (OOV + 1 + self.items) + self.columns["values"][places, 0])

    def _events(self, split: str, last: str) -> tuple[np.ndarray, np.ndarray]:
        """Where (n,) the user of each event of a split's sequences begins, and where the event is."""
        rows = self.splits[split]
        begin, end = (self.columns[name][rows.start:rows.stop] for name in ("begin", last))
        lengths = end - begin
        users = np.repeat(begin, lengths)
        # The place of each event: its user's first, and how many of that user come before it.
        return users, users + np.arange(len(users)) - np.repeat(np.cumsum(lengths) - lengths, lengths)

    @cached_property
    def _starts(self) -> np.ndarray:
        """Where each user begins in ``values``; users are numbered in this order."""
        rows = self.splits["test"]  # one row a user
        return np.sort(self.columns["begin"][rows.start:rows.stop])

    def _users(self, begin: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.searchsorted(self._starts, begin))

    def _unfit(self, keys: np.ndarray, begin: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        """Where (B, count) the row's user and a drawn item are among ``keys``, or the item occurs earlier in its
        row."""
        wanted = begin[:, None] * (OOV + 1 + self.items) + drawn
        at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        unfit = keys[at] == wanted
        order = np.argsort(drawn, axis=1, kind="stable")
        ordered = np.take_along_axis(drawn, order, axis=1)
        again = np.zeros_like(unfit)
        np.put_along_axis(again, order[:, 1:], ordered[:, 1:] == ordered[:, :-1], axis=1)
        return unfit | again

    def _histories(self, begin: np.ndarray, end: np.ndarray) -> Batch:
        rows = len(begin)
        ids, mask = self.window(begin, end, self.schema.max_len)
        return Batch(fields=torch.zeros(rows, 0, dtype=torch.int64), behaviors=ids, mask=mask,
                     dense=torch.zeros(rows, 0), label=torch.zeros(rows))

    def _layout(self, rows: int) -> dict[str, tuple[tuple[int | None, ...], str]]:
        return {"values": ((None, 1), "int32"), **{name: ((rows,), "int64") for name in ("begin", "end", "stop")}}
