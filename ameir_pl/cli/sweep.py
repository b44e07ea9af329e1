"""The jobs of a multirun: which there are, and whether they can run side by side."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from hydra.core.override_parser.types import Quote, QuotedString
from omegaconf import DictConfig, OmegaConf

from ameir_pl.cli.compose import load_config
from ameir_pl.cli.config import Config
from ameir_pl.cli.launch import launched, wanted_processes
from ameir_pl.cli.setup import make_dataset, run_path
from ameir_pl.errors import AmeirError

THREADS = "OMP_NUM_THREADS"


@dataclass(frozen=True)
class Job:
    """One job of a sweep.

    Args:
        number: from 1.
        overrides: those that tell it from the other jobs, for messages.
        arguments: what its command is called with where it runs: with absolute paths.
        config: typed configuration.
        folder: of the run.
        threads: processors that it takes.
        gpus: that it takes.
    """

    number: int
    overrides: tuple[str, ...]
    arguments: tuple[str, ...]
    config: Config
    folder: Path
    threads: int
    gpus: int

    def __str__(self) -> str:
        return f"job {self.number} ({' '.join(self.overrides) or 'the only one'})"


def planned(config_name: str, lists: Sequence[Sequence[str]],
            load: Callable[[str, list[str]], tuple[Any, DictConfig]] = load_config) -> list[Job]:
    """Return the jobs that are to run at the same time, and prepare their data; none is started.

    Args:
        config_name: of the command.
        lists: the overrides of each.
        load: composes the configuration of each.

    Raises:
        AmeirError: a job's configuration is wrong or its data cannot be prepared, it asks for several processes, or
            two jobs have one run folder.
    """
    if launched():
        raise AmeirError("launcher=ray starts the processes of a sweep itself: give the command once, without "
                         "torchrun, and to one task of srun.")
    composed = [load(config_name, list(overrides)) for overrides in lists]
    common = set(lists[0]).intersection(*lists)
    jobs = [_job(number, overrides, tuple(o for o in overrides if len(lists) > 1 and o not in common), *both)
            for number, (overrides, both) in enumerate(zip(lists, composed, strict=True), 1)]
    refuse_shared([(str(job), job.folder) for job in jobs], _hint(jobs[0].overrides, composed[0][1]))
    prepared = set()
    for job in jobs:
        settings = job.config.dataset
        about = json.dumps([job.config.paths.data, settings.name, settings.source, settings.max_len,
                            settings.on_bad_row, settings.options], default=str)
        if about not in prepared:  # once, before several jobs do it at the same time
            prepared.add(about)
            make_dataset(job.config).prepare()
    return jobs


def _job(number: int, overrides: Sequence[str], own: tuple[str, ...], config: Any, composed: DictConfig) -> Job:
    processes = wanted_processes(composed.trainer)
    accelerator = str(composed.trainer.get("accelerator", "auto"))
    if processes > 1:
        raise AmeirError(f"launcher=ray runs each job in one process, and trainer.devices={composed.trainer.devices} "
                         f"asks for {processes}. Use trainer=cpu or trainer=gpu, or launcher=local.")
    words = os.environ.get(THREADS, "1")
    if not words.isdigit() or int(words) < 1:
        raise AmeirError(f"{THREADS}={words} must be a whole number of at least 1.")
    absolute = {"paths.runs": config.paths.runs, "paths.data": config.paths.data,
                "dataset.source": config.dataset.source}
    arguments = [*overrides, "launcher=local", "preparation=local"]
    for key, path in absolute.items():
        if path is not None:
            quoted = QuotedString(text=os.path.abspath(path), quote=Quote.single).with_quotes()
            arguments.append(f"{key}={quoted}")
    return Job(number, own, tuple(arguments), config, run_path(config).resolve(), int(words),
               int(accelerator in ("gpu", "cuda") or (accelerator == "auto" and torch.cuda.is_available())))


def check_in_turn(lists: Sequence[Sequence[str]], composed: Sequence[DictConfig], folders: Sequence[Path | None]
                  ) -> None:
    """Raise ``AmeirError`` when jobs that run one after the other write to one folder, unless they are different stages
    of one run, or ask for different numbers of processes.

    Args:
        lists: the overrides of each job.
        composed: the configuration of each.
        folders: what each writes to; None: nothing of its own.
    """
    common = set(lists[0]).intersection(*lists)
    own = [tuple(o for o in overrides if o not in common) for overrides in lists]
    named = [(f"job {number} ({' '.join(some) or 'the same'})", folder)
             for number, (some, folder) in enumerate(zip(own, folders, strict=True), 1) if folder is not None]
    by_folder: dict[Path, list[DictConfig]] = {}
    for folder, one in zip(folders, composed, strict=True):
        if folder is not None:
            by_folder.setdefault(folder.resolve(), []).append(one)
    stages = {folder for folder, some in by_folder.items() if _are_stages(some)}
    refuse_shared([(job, folder) for job, folder in named if folder.resolve() not in stages],
                  _hint(own[0], composed[0]))
    if "trainer" in composed[0]:
        asked = [wanted_processes(one.trainer) for one in composed]
        other = next((number for number, count in enumerate(asked) if count != asked[0]), None)
        if other is not None:
            raise AmeirError(f"job {other + 1} ({' '.join(own[other])}) asks for {asked[other]} processes, the first "
                             f"job for {asked[0]}: give them in sweeps of their own.")


def refuse_shared(jobs: Sequence[tuple[str, Path]], hint: str) -> None:
    """Raise ``AmeirError`` naming two jobs that would write to one folder."""
    first: dict[Path, str] = {}
    for job, folder in jobs:
        other = first.setdefault(folder.resolve(), job)
        if other is not job:
            raise AmeirError(f"{other} and {job} would write to one run folder, {folder}. Give each its own: '{hint}'.")


def _are_stages(composed: Sequence[DictConfig]) -> bool:
    """Return whether configurations are those of different stages of one run."""
    plain: list[Any] = [OmegaConf.to_container(one, resolve=True) for one in composed]
    stages = [str(values.pop("stage", None)) for values in plain]
    return len(set(stages)) == len(stages) and all(values == plain[0] for values in plain)


def _hint(own: Sequence[str], composed: DictConfig) -> str:
    """What to write for run=, of the keys that tell the jobs apart."""
    swept = [override.split("=", 1)[0].lstrip("+") for override in own]
    keys = [f"{key}.name" if OmegaConf.is_config(OmegaConf.select(composed, key)) else key for key in swept]
    named = "-".join(f"${{{key}}}" for key in keys if isinstance(OmegaConf.select(composed, key), str | int | float))
    return f"run={named or '…'}"
