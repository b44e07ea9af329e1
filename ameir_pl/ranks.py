"""Ranks: what processes that train together agree on. With one process everything here does nothing.

The processes are those of ``torch.distributed``: started by torchrun, by SLURM, or by the command itself; they meet in
:mod:`ameir_pl.cli.launch`. All run the same code on the same seeds; rank 0 alone writes and prints.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:  # commands that need no torch do not load it
    import torch
    from torch import Tensor

T = TypeVar("T")
_rank, _world = 0, 1


def joined(number: int, processes: int) -> None:
    """Note that this process is one of several that have met."""
    global _rank, _world
    _rank, _world = number, processes


def rank() -> int:
    """Return this process's number, from 0."""
    return _rank


def world() -> int:
    """Return the number of processes."""
    return _world


def writes() -> bool:
    """Return whether this process writes files and prints."""
    return _rank == 0


def barrier() -> None:
    """Wait for all."""
    if _world > 1:
        import torch.distributed as dist

        dist.barrier()


@contextmanager
def in_turn() -> Iterator[None]:
    """Run the block on rank 0 first, and on the others once it is done there."""
    if _rank > 0:
        barrier()
    yield
    if _rank == 0:
        barrier()


def device() -> torch.device:
    """Return the device on which tensors are exchanged."""
    import torch
    import torch.distributed as dist

    if _world > 1 and dist.get_backend() == "nccl":
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")


def agreed(value: T) -> T:
    """Return rank 0's value, a plain one: ranks that look at files at different moments go the same way."""
    if _world == 1:
        return value
    import torch.distributed as dist

    values = [value]
    dist.broadcast_object_list(values, src=0, device=device())
    return values[0]


def gather_lists(own: Sequence[T]) -> list[list[T]]:
    """Return the plain values of every rank, in the order of ranks."""
    if _world == 1:
        return [list(own)]
    import torch.distributed as dist

    found: list[list[T]] = [[] for _ in range(_world)]
    dist.all_gather_object(found, list(own))
    return found


def own_rows(rows: int) -> slice:
    """Return which of that many rows are this rank's."""
    return slice(_rank, rows, _world) if _world > 1 else slice(None)


def shared_rows(own: dict[str, Tensor], rows: int) -> dict[str, Tensor]:
    """Return the values of all rows, in their order, where each rank has those of :func:`own_rows`.

    Args:
        own: tensors whose first axis is this rank's rows, the same names on every rank.
        rows: of all ranks.
    """
    if _world == 1:
        return own
    import torch
    import torch.distributed as dist

    each = -(-rows // _world)
    whole = {}
    for name in sorted(own):
        tensor = own[name]
        padded = tensor.new_zeros(each, *tensor.shape[1:])
        padded[:len(tensor)] = tensor
        padded = padded.to(device())
        parts = [torch.empty_like(padded) for _ in range(_world)]
        dist.all_gather(parts, padded)
        whole[name] = torch.stack(parts, 1).flatten(0, 1)[:rows].to(tensor.device)
    return whole


def total(value: Tensor) -> Tensor:
    """Return the sum over ranks, with a gradient that goes back to each rank's own value."""
    if _world == 1:
        return value
    return _total().apply(value)  # type: ignore[no-any-return]


@cache
def _total() -> Any:
    import torch
    import torch.distributed as dist

    class Total(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, value: Tensor) -> Tensor:
            value = value.detach().clone()
            dist.all_reduce(value)
            return value

        @staticmethod
        def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
            return Total.forward(ctx, gradient)

    return Total
