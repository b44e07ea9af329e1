"""Several processes for one command: how many, who started them, and what happens when one dies."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig

from ameir_pl.cli.launch import _killing_at_second_signal, launched, wanted_processes
from tests.processes import Forked, start_search
from tests.tiny import Tiny


@pytest.mark.parametrize(("trainer", "gpus", "processes"), [
    ({"accelerator": "cpu", "devices": 2}, 0, 2), ({"accelerator": "cpu", "devices": 1}, 0, 1),
    ({"accelerator": "cpu"}, 0, 1), ({"accelerator": "cpu", "devices": "auto"}, 4, 1),
    ({"accelerator": "gpu", "devices": -1}, 4, 4), ({"accelerator": "gpu", "devices": 2}, 4, 2),
    ({"accelerator": "gpu", "devices": [0, 3]}, 4, 2), ({"accelerator": "gpu", "devices": "auto"}, 0, 1)])
def test_how_many_processes(trainer: dict[str, Any], gpus: int, processes: int, monkeypatch: pytest.MonkeyPatch
                            ) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert wanted_processes(DictConfig(trainer)) == processes


@pytest.mark.parametrize(("environment", "expected"), [
    ({}, False), ({"LOCAL_RANK": "0"}, True), ({"SLURM_NTASKS": "2", "SLURM_STEP_ID": "0"}, True),
    ({"SLURM_NTASKS": "2", "SLURM_STEP_ID": "batch"}, False), ({"SLURM_NTASKS": "2"}, False),
    ({"SLURM_NTASKS": "1", "SLURM_STEP_ID": "0"}, False)])
def test_who_started_this_process(environment: dict[str, str], expected: bool, monkeypatch: pytest.MonkeyPatch
                                  ) -> None:
    for name in ("LOCAL_RANK", "SLURM_NTASKS", "SLURM_STEP_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert launched() is expected


def children(process: int) -> list[int]:
    return [int(p) for p in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


@contextmanager
def two_ranks(tiny: Tiny) -> Iterator[tuple[Forked, list[int]]]:
    """A long fit on two ranks, its first epoch done, and the ranks' processes."""
    arguments = tiny("stage=1", "budget.stage1_epochs=5000", "trainer=ddp_cpu", "checkpoint.every_steps=8")
    process = start_search(tiny.runs.parent / "output", arguments)
    log = tiny.folder() / "metrics.csv"
    for _ in range(900):
        if log.exists():  # the first epoch is done
            break
        time.sleep(0.1)
    ranks = children(process.pid)
    try:
        yield process, ranks
    finally:
        for one in (process.pid, *ranks):
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)


def test_a_rank_that_is_killed_ends_the_others(tiny: Tiny) -> None:
    with two_ranks(tiny) as (process, ranks):
        assert len(ranks) == 2
        os.kill(ranks[1], signal.SIGKILL)
        ended = process.wait(60)
        output = process.output
        assert ended == 2, output
        assert f"error: Rank 1 (process {ranks[1]}) was killed by SIGKILL, and the other ranks were stopped" in output
        assert list((tiny.folder() / ".progress/stage1.supernet").glob("step-*.ckpt"))


def test_a_second_signal_ends_ranks_that_do_not_come_to_save(tiny: Tiny) -> None:
    with two_ranks(tiny) as (process, ranks):
        os.kill(ranks[0], signal.SIGSTOP)
        process.send_signal(signal.SIGTERM)
        time.sleep(1)
        assert process.returncode is None and all(Path(f"/proc/{rank}").exists() for rank in ranks)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143
        assert not any(Path(f"/proc/{rank}").exists() for rank in ranks)


def test_listening_for_a_second_signal_leaves_nothing_behind() -> None:
    before, threads = signal.set_wakeup_fd(-1), threading.active_count()
    with _killing_at_second_signal():
        assert threading.active_count() == threads + 1
    for _ in range(100):
        if threading.active_count() == threads:
            break
        time.sleep(0.01)
    assert threading.active_count() == threads and signal.set_wakeup_fd(before) == -1


def test_another_thread_than_the_main_one_may_launch() -> None:
    entered = []

    def enter() -> None:
        with _killing_at_second_signal():
            entered.append(True)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert entered
