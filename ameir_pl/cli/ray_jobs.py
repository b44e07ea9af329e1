"""The jobs of a multirun as tasks of Ray: each in a process of its own, on this machine or on others."""

from __future__ import annotations

import importlib
import os
import socket
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ameir_pl.cli.launch import SAVING
from ameir_pl.cli.sweep import THREADS, Job
from ameir_pl.errors import AmeirError, Stopped
from ameir_pl.progress import console
from ameir_pl.ray_cluster import ADDRESS, RETRIES, cluster
from ameir_pl.search.lock import FolderInUse
from ameir_pl.stopping import gently, handling_signals, requested

LOOK = 0.5
"""Seconds between two looks at signals."""
PATIENCE = 120.0
"""Seconds that a job waits for its run folder: the machine of an earlier attempt may hold it until it is given up."""


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Args:
        result: what its command returned.
        error: what went wrong, empty where nothing did.
    """

    result: Any = None
    error: str = ""


def run_jobs(module: str, jobs: Sequence[Job]) -> list[Any]:
    """Run jobs, as many at a time as the cluster has room for, and return what each command returned.

    A job whose process or machine dies is begun again, and goes on from what its run folder kept.

    Args:
        module: of the command, such as ``ameir_pl.cli.search``.
        jobs: each with a run folder of its own.

    Raises:
        AmeirError: there is no Ray, no machine that is large enough, or jobs failed; the others have ended by then.
        Stopped: a signal came; jobs that were running have saved.
    """
    with cluster("launcher=ray", "launcher=local") as ray, gently():
        _check_room(ray, jobs)
        return _Sweep(ray, module, jobs).run()


class _Sweep:
    def __init__(self, ray: Any, module: str, jobs: Sequence[Job]) -> None:
        from ray.util.queue import Queue

        self.ray, self.jobs = ray, jobs
        self.news = Queue(actor_options={"num_cpus": 0})
        # Its own process for each job, so that nothing of one reaches the next.
        task = ray.remote(max_calls=1, max_retries=RETRIES)(_work)
        self.running = {task.options(num_cpus=job.threads, num_gpus=job.gpus, name=f"ameir {job.number}").remote(
            self.news, job.number, module, job.arguments, job.threads, os.getcwd()): job for job in jobs}
        self.started: dict[int, float] = {}
        self.outcomes: dict[int, Outcome] = {}

    def run(self) -> list[Any]:
        console().print(f"{len(self.jobs)} jobs as tasks of Ray, {THREADS}={self.jobs[0].threads}", markup=False)
        try:
            while self.running:
                if (signal := requested()) is not None:
                    self._cancel()
                    raise Stopped(signal)
                self._look(LOOK)
        finally:
            self._cancel()
        failed = [(job, self.outcomes[job.number].error) for job in self.jobs if self.outcomes[job.number].error]
        if failed:
            what = "\n".join(f"{job}: {error}" for job, error in failed)
            raise AmeirError(f"{len(failed)} of {len(self.jobs)} jobs failed, the others are done; the same command "
                             f"does what is missing.\n{what}")
        return [self.outcomes[job.number].result for job in self.jobs]

    def _look(self, seconds: float) -> None:
        """Wait for a job to end, at most so long; say what began and what ended."""
        ended, _ = self.ray.wait(list(self.running), timeout=seconds)
        self._tell()
        for reference in ended:
            job = self.running.pop(reference)
            outcome = self.outcomes[job.number] = self._outcome(reference)
            took = time.monotonic() - self.started.get(job.number, time.monotonic())
            how = "done" if not outcome.error else "failed" if requested() is None else "stopped"
            console().print(f"{job}: {how} after {took:.1f} s, {job.folder}", markup=False, emoji=False)

    def _tell(self) -> None:
        # Lines alone: where the machine of the queue is lost, jobs go on without them.
        with suppress(self.ray.exceptions.RayError):
            for number, where in self.news.get_nowait_batch(self.news.qsize()):
                again = "begun again" if number in self.started else "started"
                self.started.setdefault(number, time.monotonic())
                console().print(f"{self.jobs[number - 1]}: {again}, {where}", markup=False, emoji=False)

    def _outcome(self, reference: Any) -> Outcome:
        try:
            return self.ray.get(reference)  # type: ignore[no-any-return]
        except self.ray.exceptions.TaskCancelledError:
            return Outcome(error="was stopped.")
        except self.ray.exceptions.RayError as error:
            first = " ".join(str(error).split())[:200]
            return Outcome(error=f"its process died {RETRIES + 1} times or could not be started ({first})")

    def _cancel(self) -> None:
        """Ask the jobs that run to save and end, and end them where they do not."""
        until = time.monotonic() + SAVING
        for reference in reversed(self.running):  # first those that have not begun, so that they do not now
            self.ray.cancel(reference)
        while self.running and time.monotonic() < until:
            self._look(LOOK)
        for reference in self.running:
            self.ray.cancel(reference, force=True)
        self.running = {}


def _check_room(ray: Any, jobs: Sequence[Job]) -> None:
    """Say or raise ``AmeirError`` where no machine has what a job takes; a named cluster may still grow."""
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    for job in jobs:
        if any(m.get("CPU", 0) >= job.threads and m.get("GPU", 0) >= job.gpus for m in machines):
            continue
        gpu = " and a GPU" if job.gpus else ""
        what = f"{job} takes {job.threads} processors ({THREADS}){gpu}, and no machine of the Ray cluster has that"
        if ADDRESS not in os.environ:
            raise AmeirError(f"{what}. Lower {THREADS}{', or use trainer=cpu' if gpu else ''}.")
        console().print(f"{what} yet; it waits for one.", markup=False, emoji=False)
        return


def _work(news: Any, number: int, module: str, arguments: Sequence[str], threads: int, folder: str) -> Outcome:
    """Run one job; called in a process of Ray."""
    import torch
    from ray.exceptions import RayError

    with suppress(RayError):
        news.put_nowait((number, f"process {os.getpid()} on {socket.gethostname()}"))
    with suppress(OSError):  # where relative names are looked for; paths of runs and data are absolute
        os.chdir(folder)
    for name in ("LOCAL_RANK", "SLURM_NTASKS", "SLURM_STEP_ID"):  # of what started the cluster
        os.environ.pop(name, None)
    torch.set_num_threads(threads)
    main = importlib.import_module(module).main
    try:
        with handling_signals():
            return Outcome(_patiently(main, list(arguments)))
    except AmeirError as error:
        return Outcome(error=str(error))
    except Stopped:
        return Outcome(error="was stopped; what was done is kept.")
    except Exception:  # a fault of the program: the others go on
        return Outcome(error=traceback.format_exc())


def _patiently(main: Any, arguments: list[str]) -> Any:
    """Call a command, and wait while another process has its run folder."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return main(arguments)
        except FolderInUse:
            if time.monotonic() > until:
                raise
            time.sleep(2)
