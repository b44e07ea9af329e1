"""Batch: the tensors of B rows, the only thing a model is fed."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ameir_pl.schema import MISSING


def _none(*shape: int, dtype: torch.dtype = torch.int64) -> Any:
    return field(default_factory=lambda: torch.zeros(shape, dtype=dtype))


def finite(dense: Tensor) -> Tensor:
    """Return dense values with ``MISSING`` in place of NaN, and the nearest end of [-1, 1] in place of infinity."""
    return torch.nan_to_num(dense, nan=MISSING, posinf=1.0, neginf=-1.0)


@dataclass(slots=True)
class Batch:
    """B rows. What a dataset does not have is an empty tensor, never None.

    Args:
        fields: (B, S) ids of the non-sequential fields, one column a slot (see :class:`~ameir_pl.schema.Field`).
        behaviors: (B, T, S_a) ids of the behaviors in time order, latest last; padding follows them.
        mask: (B, T) bool, True where a behavior is; the True values are a prefix of every row.
        starts: (B, T) bool, True where a behavior begins a session, as the first of a row does; False at padding. Where
            the dataset has sessions.
        dense: (B, D) float in [-1, 1].
        label: (B,) float, 0 or 1; zeros for retrieval.
        positives: (B, P) item ids to be ranked high, ``PAD`` where a row has fewer.
        negatives: (B, Q) item ids to be ranked low.
        shared_negatives: (Q',) item ids that serve every row; not sliced with the rows.
        users: (B,) the number of the row's user, from 0, where the dataset numbers them; -1 for a row without one.
        seen: (B, L) the items a row's user touched, left out of the full ranking; ``PAD`` filled.
        paths: the children this batch trains, set by the ``UniformSampling`` callback; else empty.
    """

    fields: Tensor = _none(0, 0)
    behaviors: Tensor = _none(0, 0, 0)
    mask: Tensor = _none(0, 0, dtype=torch.bool)
    starts: Tensor = _none(0, 0, dtype=torch.bool)
    dense: Tensor = _none(0, 0, dtype=torch.float32)
    label: Tensor = _none(0, dtype=torch.float32)
    positives: Tensor = _none(0, 0)
    negatives: Tensor = _none(0, 0)
    shared_negatives: Tensor = _none(0)
    users: Tensor = _none(0)
    seen: Tensor = _none(0, 0)
    paths: tuple[Any, ...] = ()

    def __len__(self) -> int:
        return self.label.shape[0]

    def with_position(self) -> Batch:
        """Return the batch, with one position of padding where its histories have none (T = 0)."""
        if self.mask.shape[1] or not self.behaviors.shape[2]:
            return self
        rows = self.behaviors.shape[0]
        starts = self.starts if not self.starts.shape[0] else self.starts.new_zeros(rows, 1)
        return dataclasses.replace(self, behaviors=self.behaviors.new_zeros(rows, 1, self.behaviors.shape[2]),
                                   mask=self.mask.new_zeros(rows, 1), starts=starts)

    def served(self) -> Batch:
        """Return the batch as a model reads it outside of training: :meth:`with_position`, dense values
        :func:`finite`."""
        return dataclasses.replace(self.with_position(), dense=finite(self.dense))

    def _map(self, change: Any, whole: tuple[str, ...] = ()) -> Batch:
        tensors = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "paths"}
        return Batch(**{name: value if name in whole else change(value) for name, value in tensors.items()},
                     paths=self.paths)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """Return the batch on ``device``."""
        return self._map(lambda t: t.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Batch:
        """Return the batch in page-locked memory (called by the loader)."""
        return self._map(lambda t: t.pin_memory() if t.numel() else t)

    def __getitem__(self, rows: slice | Tensor) -> Batch:
        """Return the given rows; what all rows share stays whole."""
        # A field the dataset lacks may have no rows at all: it stays as it is.
        return self._map(lambda t: t[rows] if t.shape[0] else t, whole=("shared_negatives",))
