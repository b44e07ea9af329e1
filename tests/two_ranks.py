"""Two processes that have met, for tests: each runs a function of a module and its results come back."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ameir_pl import ranks
from tests.processes import forking


def _work(rank: int, port: int, function: Callable[..., Any], arguments: tuple[Any, ...], path: str) -> None:
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1",
                      MASTER_PORT=str(port))
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo")
    ranks.joined(rank, 2)
    torch.save(function(*arguments), path)
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def on_two_ranks(folder: Path, function: Callable[..., Any], *arguments: Any) -> list[Any]:
    """Return what ``function(*arguments)`` returns on rank 0 and on rank 1: tensors and plain values."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    paths = [folder / f"rank{rank}.pt" for rank in range(2)]
    context = forking()
    workers = [context.Process(target=_work, args=(rank, port, function, arguments, str(path)))
               for rank, path in enumerate(paths)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(180)
        if worker.is_alive():
            worker.kill()
    if any(worker.exitcode for worker in workers):
        raise RuntimeError(f"the ranks ended with {[worker.exitcode for worker in workers]}")
    return [torch.load(path, weights_only=True) for path in paths]
