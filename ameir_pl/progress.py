"""Progress of anything that takes a while: a Rich bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from ameir_pl.ranks import writes

T = TypeVar("T")

SECONDS_BETWEEN_LINES = 10.0


_log: ContextVar[Path | None] = ContextVar("log", default=None)


class LoggedConsole(Console):
    """A console whose lines and tables also go to the file of :func:`logging_to`, without colours."""

    def on_broken_pipe(self) -> None:
        """Go on without a reader: a training is not ended because ``head`` has read enough of it."""
        self._buffer.clear()
        drop_unread()

    def print(self, *objects: Any, **options: Any) -> None:
        """Print, and append the same to the log."""
        super().print(*objects, **options)
        path = _log.get()
        # Not a live bar's control codes.
        if path is not None and not self.quiet and all(isinstance(o, str | Table) for o in objects):
            with path.open("a", encoding="utf-8") as file:
                Console(file=file, width=max(self.width, 80), color_system=None, highlight=False,
                        soft_wrap=True).print(*objects, **options)


def drop_unread() -> bool:
    """Turn off the streams whose reader has gone (``ameir train --help | head -1``); return whether there was one."""
    gone = False
    for stream in (sys.stdout, sys.stderr):
        if _has_no_reader(stream):
            gone = True
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
    return gone


def _has_no_reader(stream: Any) -> bool:
    try:
        if stream is None or stream.closed:
            return False
        stream.flush()
        # What could not be written may be out of the buffer already: ask the pipe itself.
        pipe = select.poll()
        pipe.register(stream.fileno(), 0)
        return any(event & select.POLLERR for _, event in pipe.poll(0))
    except BrokenPipeError:
        return True
    except (OSError, ValueError, AttributeError):  # no file of the system's, or a system without poll
        return False


@contextmanager
def ending_quietly() -> Iterator[None]:
    """End with code 0, without a word, where the reader of what the block prints has gone."""
    try:
        yield
    except BrokenPipeError:
        if not drop_unread():
            raise
        sys.exit(0)
    finally:
        drop_unread()


@contextmanager
def logging_to(path: Path) -> Iterator[None]:
    """Append what consoles print within the block to ``path``."""
    token = _log.set(path)
    try:
        yield
    finally:
        _log.reset(token)


def console(*, results: bool = False) -> Console:
    """Return a console on standard error, so that standard output keeps to ``results``. Of several ranks
    the first prints."""
    return LoggedConsole(file=sys.stdout if results else sys.stderr, highlight=False, soft_wrap=True,
                         quiet=not writes())


class Meter:
    """Shows how far a task of ``total`` steps is, its rate and the time left.

    Used as a context manager; call :meth:`advance` for each step done, and :meth:`skip` for those an earlier command
    did. ``note`` is shown beside the rate.
    """

    def __init__(self, description: str, total: int, unit: str = "it") -> None:
        self.description, self.total, self.unit = description, total, unit
        self.done, self.note = 0, ""
        self._before = 0
        self._console = console()
        self._bar: Progress | None = None

    def __enter__(self) -> Meter:
        self._start = self._last = time.monotonic()
        if self._console.is_terminal:
            self._bar = Progress(TextColumn("{task.description}", markup=False), BarColumn(bar_width=24),
                                 MofNCompleteColumn(), TextColumn("{task.fields[rate]}", markup=False),
                                 TimeElapsedColumn(), TimeRemainingColumn(), console=self._console, transient=True)
            self._task = self._bar.add_task(self.description, total=self.total, rate="")
            self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.stop()
        if exception[0] is None:
            seconds = time.monotonic() - self._start
            own = f" ({self.done - self._before} of them now)" if self._before else ""
            self._print(f"{self.description}: {self.done} {self.unit}{own} in {seconds:.1f} s{self._note()}")

    def _print(self, line: str) -> None:
        # The words are the caller's: a bracket in them is a bracket, not Rich's markup.
        self._console.print(line, markup=False, emoji=False)

    def _note(self) -> str:
        return f", {self.note}" if self.note else ""

    def skip(self, steps: int) -> None:
        """Count ``steps`` as done before this began: they say nothing of the rate."""
        self.done += steps
        self._before += steps

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Count ``steps`` more as done."""
        self.done += steps
        self.note = note or self.note
        now = time.monotonic()
        rate = (self.done - self._before) / max(now - self._start, 1e-9)
        if self._bar is not None:
            self._bar.update(self._task, completed=self.done, rate=f"{rate:.1f} {self.unit}/s{self._note()}")
        elif now - self._last >= SECONDS_BETWEEN_LINES:
            self._last = now
            left = f"{(self.total - self.done) / rate:.0f}" if rate else "?"
            self._print(f"{self.description}: {self.done}/{self.total} {self.unit}, {rate:.1f} {self.unit}/s, "
                        f"{left} s left{self._note()}")


def track(items: Iterable[T], description: str, total: int, unit: str = "it") -> Iterator[T]:
    """Iterate over ``items`` while showing the progress."""
    with Meter(description, total, unit) as meter:
        for item in items:
            yield item
            meter.advance()
