"""RayParts: the work on parts and columns of a table as map tasks of Ray Data, on one machine or on several."""

from __future__ import annotations

import logging
import os
import socket
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ameir_pl.errors import AmeirError
from ameir_pl.ray_cluster import RETRIES, cluster

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Outcome:
    """How a piece of work ended.

    Args:
        value: what it returned.
        error: what it raised, where that is for the user.
    """

    value: Any = None
    error: AmeirError | OSError | None = None


class RayParts:
    """An :class:`~ameir_pl.data.executors.Executor` of Ray's workers, which share a file system.

    Work whose process dies is done again, up to :data:`~ameir_pl.ray_cluster.RETRIES` times.
    """

    def __init__(self) -> None:
        self._ray: Any = None
        self._folder = Path()

    @contextmanager
    def at(self, folder: Path) -> Iterator[None]:
        """Connect to Ray for the block.

        Raises:
            AmeirError: Ray is not installed, or its cluster cannot be reached.
        """
        with cluster("preparation=ray", "preparation=local") as ray:
            self._ray, self._folder = ray, folder
            try:
                yield
            finally:
                self._ray = None

    def shares(self, parts: Sequence[T]) -> list[Sequence[T]]:
        """Each part is a share."""
        return [[part] for part in parts]

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """Yield ``function(item)`` of each item, in order.

        When it ends early, by what an item raises or because no more is asked for, items that have not begun are left
        out and those that have are waited for: they write into a folder that is about to be removed.

        Args:
            function: it and the items are sent to the workers.
            items: one map task each.

        Raises:
            AmeirError: what the first item that fails raises; a worker died too often, or does not see the folder.
        """
        if not items:
            return
        import ray.data

        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        stop = self._folder / f".stop.{uuid.uuid4().hex}"
        work = self._ray.put((function, list(items), self._folder, os.getcwd(), stop))
        done = ray.data.from_items(list(range(len(items))), override_num_blocks=len(items)).map(
            partial(_work, work), num_cpus=1, ray_remote_args_fn=_remote_arguments)
        waiting: dict[int, Outcome] = {}
        turn, lost = 0, False
        rows = iter(done.iter_rows())
        try:
            for row in rows:
                waiting[row["number"]] = row["outcome"]
                while turn in waiting:
                    outcome = waiting.pop(turn)
                    turn += 1
                    if outcome.error is not None:
                        raise outcome.error
                    yield outcome.value
        except ray.exceptions.RayError as error:
            lost = True
            raise AmeirError(f"A process of Ray died {RETRIES + 1} times while it encoded part of the data "
                             f"({type(error).__name__}). Is there enough memory? preparation=local needs the least."
                             ) from error
        finally:
            if turn < len(items) and not lost:
                with suppress(OSError):
                    stop.touch()
                with suppress(ray.exceptions.RayError):
                    for _ in rows:
                        pass
                stop.unlink(missing_ok=True)


def _remote_arguments() -> dict[str, Any]:
    return {"max_retries": RETRIES}  # Ray Data's own default is to go on for ever


def _work(work: Any, row: dict[str, Any]) -> dict[str, Any]:
    """Do one piece; run by a worker of Ray."""
    import ray

    function, items, folder, here, stop = ray.get(work)
    with suppress(OSError):  # relative paths are those of the command; messages have them as they were given
        os.chdir(here)
    if not folder.is_dir():
        return {"number": row["item"], "outcome": Outcome(error=AmeirError(
            f"{folder} is not there on {socket.gethostname()}: all machines of the Ray cluster must see one folder of "
            "data. Name one that they share with paths.data=FOLDER."))}
    if stop.exists():
        return {"number": row["item"], "outcome": Outcome()}
    try:
        return {"number": row["item"], "outcome": Outcome(function(items[row["item"]]))}
    except (AmeirError, OSError) as error:
        return {"number": row["item"], "outcome": Outcome(error=error)}
