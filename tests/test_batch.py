"""Batch: moving and slicing rows."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from ameir_pl.batch import Batch

TENSORS = [f.name for f in dataclasses.fields(Batch) if f.name != "paths"]
BY_ROW = [name for name in TENSORS if name != "shared_negatives"]


def full(rows: int = 6) -> Batch:
    return Batch(
        fields=torch.arange(rows * 3).view(rows, 3), behaviors=torch.arange(rows * 8).view(rows, 4, 2),
        mask=torch.arange(4) < torch.arange(rows)[:, None],
        starts=torch.arange(4) < torch.arange(rows)[:, None] % 2, dense=torch.rand(rows, 2), label=torch.ones(rows),
        users=torch.arange(rows), positives=torch.arange(rows)[:, None], negatives=torch.arange(rows * 2).view(rows, 2),
        shared_negatives=torch.arange(9), seen=torch.zeros(rows, 5, dtype=torch.int64), paths=("a", "b"))


def test_a_new_batch_is_empty_tensors_of_the_right_kind() -> None:
    batch = Batch()
    assert len(batch) == 0
    assert all(isinstance(getattr(batch, name), torch.Tensor) and getattr(batch, name).numel() == 0 for name in TENSORS)
    kinds = {name: getattr(batch, name).dtype for name in TENSORS}
    assert kinds.pop("mask") == kinds.pop("starts") == torch.bool
    assert kinds.pop("dense") == kinds.pop("label") == torch.float32
    assert set(kinds.values()) == {torch.int64}
    batch.paths = ("x",)
    assert Batch().paths == ()


@pytest.mark.parametrize("rows", [slice(2, 5), slice(0, 0), slice(None, None, 2), torch.tensor([5, 0, 0]),
                                  torch.tensor([True, False, True, False, False, False]),
                                  torch.tensor([], dtype=torch.int64)])
def test_slicing_takes_the_same_rows_of_everything(rows: slice | torch.Tensor) -> None:
    batch = full()
    part = batch[rows]
    for name in BY_ROW:
        assert torch.equal(getattr(part, name), getattr(batch, name)[rows])
    assert torch.equal(part.shared_negatives, batch.shared_negatives)
    assert part.paths == batch.paths
    assert len(part) == part.label.shape[0]
    assert len(batch) == 6


def test_slicing_leaves_what_the_dataset_lacks() -> None:
    part = Batch(fields=torch.ones(4, 2, dtype=torch.int64), label=torch.zeros(4))[torch.tensor([3, 1])]
    assert len(part) == 2 and part.fields.shape == (2, 2)
    assert part.behaviors.shape == (0, 0, 0) and part.mask.shape == (0, 0) and part.dense.shape == (0, 0)


def test_rows_without_columns_keep_their_count() -> None:
    part = Batch(fields=torch.zeros(4, 0, dtype=torch.int64), label=torch.zeros(4))[1:]
    assert part.fields.shape == (3, 0)


@pytest.mark.parametrize("batch", [full(), full()[:0], Batch()])
def test_to_moves_every_tensor_even_an_empty_one(batch: Batch) -> None:
    moved = batch.to("meta")
    assert {getattr(moved, name).device.type for name in TENSORS} == {"meta"}
    for name in TENSORS:
        assert getattr(moved, name).shape == getattr(batch, name).shape
        assert getattr(moved, name).dtype == getattr(batch, name).dtype
    assert moved.paths == batch.paths
    assert all(getattr(batch, name).device.type == "cpu" for name in TENSORS)


def test_a_batch_has_no_other_attributes() -> None:
    with pytest.raises(AttributeError):
        Batch().labels = torch.ones(3)  # type: ignore[attr-defined]
