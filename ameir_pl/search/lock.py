"""RunLock: one process at a time writes to a run folder."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path

from ameir_pl.errors import AmeirError


class FolderInUse(AmeirError):
    """Another process holds a run folder."""


class RunLock:
    """``.lock`` of a run folder, held by the operating system for as long as the process lives.

    A lock that a killed process left is not held by anyone and is taken over. The file says whose it is; it is removed
    when the lock is given back.

    Args:
        path: of the file; its folder is there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None

    def acquire(self) -> None:
        """Take the lock; raises ``AmeirError`` naming the process that holds it."""
        while True:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                who = self._holder(os.pread(handle, 4096, 0))
                os.close(handle)
                raise FolderInUse(f"{self.path.parent} is being written by {who}. Wait for it, stop it, or choose "
                                 "another run=…") from error
            try:
                current = os.stat(self.path).st_ino == os.fstat(handle).st_ino
            except FileNotFoundError:
                current = False
            if current:
                break
            os.close(handle)  # it was given back, and its file removed, in between
        self._handle = handle
        text = json.dumps({"process": os.getpid(), "host": socket.gethostname(),
                           "since": datetime.now(UTC).isoformat(timespec="seconds")})
        os.ftruncate(handle, 0)
        os.pwrite(handle, text.encode(), 0)

    def release(self) -> None:
        """Give the lock back."""
        if self._handle is not None:
            self.path.unlink(missing_ok=True)
            os.close(self._handle)
            self._handle = None

    @staticmethod
    def _holder(content: bytes) -> str:
        try:
            values = json.loads(content)
            return f"process {values['process']} on {values['host']}, since {values['since']}"
        except (ValueError, KeyError, TypeError):
            return "another process"
