"""RunLock: the second process is refused with the first's number and host; a lock that a dead one left is taken."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ameir_pl.errors import AmeirError
from ameir_pl.search.lock import RunLock

HOLD = """
import sys, time
from pathlib import Path
from ameir_pl.search.lock import RunLock
lock = RunLock(Path(sys.argv[1])); lock.acquire()
print("held", flush=True); time.sleep(60)
"""


def holder(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_the_second_is_refused_and_a_killed_first_forgotten(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    process = holder(path)
    try:
        with pytest.raises(AmeirError, match=f"written by process {process.pid} on {socket.gethostname()}, since 2"):
            RunLock(path).acquire()
        assert json.loads(path.read_text())["process"] == process.pid
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert path.exists()
    lock = RunLock(path)
    lock.acquire()
    assert json.loads(path.read_text())["process"] == os.getpid()
    lock.release()
    assert not path.exists()


def test_given_back_it_can_be_taken_again(tmp_path: Path) -> None:
    first, second = RunLock(tmp_path / ".lock"), RunLock(tmp_path / ".lock")
    first.acquire()
    with pytest.raises(AmeirError, match=f"process {os.getpid()}"):
        second.acquire()
    first.release()
    first.release()
    second.acquire()
    second.release()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"process": 1}', "\udcff"])
def test_a_lock_that_says_nothing_is_a_lock(tmp_path: Path, content: str) -> None:
    first = RunLock(tmp_path / ".lock")
    first.acquire()
    (tmp_path / ".lock").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(AmeirError, match="another process"):
        RunLock(tmp_path / ".lock").acquire()
    first.release()
