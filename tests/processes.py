"""Processes for tests, forked from one that has imported everything: an import of Lightning takes seconds."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Sequence
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def forking() -> ForkServerContext:
    """Return the context whose processes start with ``ameir_pl`` imported; only modules and picklable values go in."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["ameir_pl.cli.search", "tests.tiny"])
    return context


def _enter(function: Callable[..., Any], arguments: Sequence[Any], output: str) -> None:
    os.chdir(ROOT)
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (sys.stdout.fileno(), sys.stderr.fileno()):
        os.dup2(file, stream)
    function(*arguments)


def _search(arguments: list[str]) -> None:
    from ameir_pl.cli import search

    sys.argv = ["search.py", *arguments]
    search.main()


class Forked:
    """A running ``function(*arguments)`` whose output goes to a file.

    Args:
        output: the file.
        function: of a module.
        arguments: of the function.
    """

    def __init__(self, output: Path, function: Callable[..., Any], *arguments: Any) -> None:
        self._output = output
        output.unlink(missing_ok=True)
        self._process = forking().Process(target=_enter, args=(function, arguments, str(output)))
        self._process.start()

    @property
    def pid(self) -> int:
        """Return its number."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Return what it ended with, minus the signal that killed it; None while it runs."""
        return self._process.exitcode

    @property
    def output(self) -> str:
        """Return what it has written to stdout and stderr."""
        return self._output.read_text() if self._output.exists() else ""

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def wait(self, seconds: float) -> int:
        """Return what it ended with; after so many seconds it is killed and ``TimeoutError`` raised."""
        self._process.join(seconds)
        if self._process.is_alive():
            self.send_signal(signal.SIGKILL)
            self._process.join()
            raise TimeoutError(f"still running after {seconds} s:\n{self.output}")
        assert self.returncode is not None
        return self.returncode


def start_search(output: Path, arguments: list[str]) -> Forked:
    """Start ``python search.py ARGUMENTS``."""
    return Forked(output, _search, arguments)
