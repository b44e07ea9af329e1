"""Executors: who runs the work on parts and columns of a table. Here, threads of this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")
WORKERS = 2
"""Columns that are encoded at a time: much of that is work for one core, and memory is that of so many columns."""


class Executor(Protocol):
    """Runs independent pieces of work; what they return comes in the order of the pieces."""

    def at(self, folder: Path) -> AbstractContextManager[Any]:
        """Return the block in which it may be used.

        Args:
            folder: where the work reads and writes files.
        """

    def shares(self, parts: Sequence[T]) -> list[Sequence[T]]:
        """Return the parts of a table in the groups that are read one by one, in their order."""

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """Yield ``function(item)`` of each item, in order; raises what the first item that fails raises."""


class Threads:
    """This process: parts are read one after the other, a few columns at a time."""

    def at(self, folder: Path) -> AbstractContextManager[Any]:
        """Nothing has to be opened."""
        return nullcontext()

    def shares(self, parts: Sequence[T]) -> list[Sequence[T]]:
        """All parts are one share: the next block is read while one is written, across files."""
        return [parts]

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """A single item is computed in this thread, so that a signal can end it; several, a few at a time."""
        if len(items) == 1:
            yield function(items[0])
            return
        with ThreadPoolExecutor(WORKERS) as pool:
            for i in range(0, len(items), WORKERS):
                yield from pool.map(function, items[i:i + WORKERS])
