"""Several processes for one command: starting them on this machine, and meeting those that something else started."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from ameir_pl import ranks
from ameir_pl.errors import AmeirError
from ameir_pl.progress import console
from ameir_pl.stopping import SIGNALS

SAVING = 50
"""Seconds that ranks have to save before they are killed, when one died or a signal came."""
PROCESSES = 4
"""The most processes for each processor of this machine."""
WAIT = timedelta(minutes=30)
"""The longest that ranks wait for each other: rank 0 may prepare data meanwhile."""


def wanted_processes(trainer: Any) -> int:
    """Return how many processes on this machine ``trainer.devices`` asks for."""
    devices, accelerator = trainer.get("devices", 1), str(trainer.get("accelerator", "auto"))
    if accelerator == "cpu":
        return int(devices) if str(devices).isdigit() else 1
    if isinstance(devices, int) or str(devices).lstrip("-").isdigit():
        return torch.cuda.device_count() if int(devices) < 0 else int(devices)
    return max(torch.cuda.device_count(), 1) if str(devices) == "auto" else len(indices(devices) or ())


def check_machine(trainer: Any) -> None:
    """Raise ``AmeirError`` where this machine has not what ``trainer`` asks for; what torchrun or SLURM started is
    theirs to say."""
    if launched():
        return
    accelerator, devices = str(trainer.get("accelerator", "auto")), trainer.get("devices", 1)
    there, asked = torch.cuda.device_count(), wanted_processes(trainer)
    if (trainer.get("num_nodes") or 1) > 1:
        raise AmeirError(f"trainer.num_nodes={trainer.num_nodes}: one process cannot start those of other machines. "
                         "Start the command on each with torchrun, or with srun.")
    if accelerator in ("gpu", "cuda"):
        if not there:
            raise AmeirError(f"trainer.accelerator={accelerator}: PyTorch finds no GPU on this machine. Use "
                             "trainer=cpu, or trainer=ddp_cpu for several processes.")
        wanted = indices(devices) or range(asked)
        if asked > there or max(wanted, default=0) >= there:
            raise AmeirError(f"trainer.devices={devices}: PyTorch finds {there} GPUs on this machine. Ask for at most "
                             f"{there}, or for all with trainer.devices=-1.")
    elif accelerator == "mps" and not torch.backends.mps.is_available():
        raise AmeirError("trainer.accelerator=mps: this machine has none. Use trainer=cpu.")
    elif accelerator == "cpu" or not there:
        if indices(devices) is not None or str(devices) == "-1":
            raise AmeirError(f"trainer.devices={devices}: processors have no numbers. On a CPU say how many processes.")
        if asked > PROCESSES * (os.cpu_count() or 1):
            raise AmeirError(f"trainer.devices={devices}: this machine has {os.cpu_count() or 1} processors. Ask for "
                             "at most as many processes.")


def indices(devices: Any) -> list[int] | None:
    """Return the numbers of the devices that ``trainer.devices`` names, None where it says how many."""
    if isinstance(devices, str) and "," in devices:
        return [int(part) for part in devices.split(",") if part.strip()]
    return None if isinstance(devices, str | int | float) or devices is None else [int(one) for one in devices]


def launched() -> bool:
    """Return whether torchrun or SLURM started this process as one of several."""
    if "LOCAL_RANK" in os.environ:
        return True
    # A batch script itself has SLURM_NTASKS, too; a task of srun has a numbered step.
    return int(os.environ.get("SLURM_NTASKS") or 1) > 1 and os.environ.get("SLURM_STEP_ID", "").isdigit()


def meet(trainer: Any) -> None:
    """Join the processes that torchrun or SLURM started; nothing where there is one.

    Raises:
        AmeirError: they do not find each other.
    """
    if not launched() or dist.is_initialized():
        return
    more: dict[str, Any] = {}
    cpu = str(trainer.get("accelerator", "auto")) == "cpu" or not torch.cuda.is_available()
    if "LOCAL_RANK" in os.environ:
        local = int(os.environ["LOCAL_RANK"])
    else:
        from pytorch_lightning.plugins.environments import SLURMEnvironment

        slurm = SLURMEnvironment(auto_requeue=False)
        local = slurm.local_rank()
        more = {"init_method": f"tcp://{slurm.main_address}:{slurm.main_port}", "rank": slurm.global_rank(),
                "world_size": slurm.world_size()}
    try:
        if cpu:
            dist.init_process_group("gloo", timeout=WAIT, **more)
        else:
            torch.cuda.set_device(local)
            dist.init_process_group("nccl", timeout=WAIT, device_id=torch.device("cuda", local), **more)
    except (RuntimeError, ValueError) as error:
        raise AmeirError(f"The processes of this command did not find each other: {' '.join(str(error).split())}. "
                         "Start all of them with torchrun or srun, or one with trainer.devices=N.") from error
    ranks.joined(dist.get_rank(), dist.get_world_size())


def launch(processes: int, command: str, arguments: list[str]) -> None:
    """Run ``ameir COMMAND`` in that many processes and end as they do: a rank that dies ends the others.

    Raises:
        SystemExit: always, with what a single process would have ended with.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # what failed is said below
    threads = os.environ.setdefault("OMP_NUM_THREADS", str(max((os.cpu_count() or 1) // processes, 1)))
    config = LaunchConfig(min_nodes=1, max_nodes=1, nproc_per_node=processes, rdzv_backend="c10d",
                          rdzv_endpoint="localhost:0", max_restarts=0, monitor_interval=0.2, shutdown_timeout=SAVING,
                          run_id=str(os.getpid()))
    console().print(f"{processes} processes of {threads} threads each")
    try:
        with _killing_at_second_signal():
            elastic_launch(config, entrypoint=sys.executable)("-m", "ameir_pl.cli.main", command, *arguments)
    except SignalException as stopped:  # each rank has saved by now, unless a second signal came
        sys.exit(128 + int(stopped.sigval))
    except ChildFailedError as error:
        failed = min(error.failures.items(), key=lambda item: item[1].timestamp)
        local, code = failed[0], failed[1].exitcode
        if code in (2, 128 + signal.SIGINT, 128 + signal.SIGTERM):  # said by the rank itself
            sys.exit(code)
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        raise AmeirError(f"Rank {local} (process {failed[1].pid}) {how}, and the other ranks were stopped. Nothing "
                         "that was saved is lost: the same command goes on from the last checkpoint.") from error
    sys.exit(0)


@contextmanager
def _killing_at_second_signal() -> Iterator[None]:
    """Within the block, end the processes that this one started, each the first of its group, when it is asked to stop
    a second time: PyTorch's launcher would wait for them all the same. (Without /proc, or in another thread than the
    main one, it does.)"""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    read, write = os.pipe()
    os.set_blocking(write, False)
    # It is told of signals whoever handles them: the launcher has handlers of its own.
    before = signal.set_wakeup_fd(write)

    def watch() -> None:
        asked = 0
        while number := os.read(read, 1):
            asked += number[0] in SIGNALS
            if asked >= 2:
                with suppress(OSError):
                    for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
                        with suppress(OSError):
                            os.killpg(int(child), signal.SIGKILL)
        os.close(read)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(write)
