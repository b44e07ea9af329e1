"""Stopping on a signal: the first one saves and ends, the second one ends at once.

SIGINT (Ctrl-C) and SIGTERM (a scheduler that preempts) set a request. Training looks at it after each batch, saves a
checkpoint and raises :class:`~ameir_pl.errors.Stopped`; anywhere else, where nothing is lost, it is raised at once.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from ameir_pl.errors import Stopped

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_gentle = _listening = False
_requested: int | None = None


def requested() -> int | None:
    """Return the signal that asked to stop, None while nothing did."""
    return _requested


@contextmanager
def gently() -> Iterator[None]:
    """Within the block a signal only sets the request; who is inside looks at it and raises ``Stopped``."""
    global _gentle
    before, _gentle = _gentle, True
    try:
        yield
    finally:
        _gentle = before


@contextmanager
def handling_signals() -> Iterator[None]:
    """Take SIGINT and SIGTERM over for the block; in another thread than the main one nothing changes."""
    global _requested, _listening
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _handle) for number in SIGNALS}
    _requested, _listening = None, True
    try:
        yield
    finally:
        _listening = False
        for number, handler in before.items():
            signal.signal(number, handler)
        _requested = None


def _handle(number: int, frame: FrameType | None) -> None:
    global _requested
    if _requested == number:  # the second: end as if nobody had listened; what is on disk is whole at any moment
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        return
    if _requested is not None:  # a launcher passes a Ctrl-C on as a SIGTERM
        return
    _requested = number
    if not _gentle:
        raise Stopped(number)
    # Not print(): the signal may have come in the middle of one.
    os.write(2, b"Stopping after this batch, saving first; a second signal stops at once.\n")


def take_back() -> None:
    """Take SIGTERM over again from who has put a handler of its own in between, as Lightning's Trainer does."""
    if _listening:
        signal.signal(signal.SIGTERM, _handle)
