"""The jobs of a multirun: which there are, and whether they can run side by side."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import OverrideParseException
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


def sweep(overrides: Sequence[str]) -> list[list[str]]:
    """Return the override lists of a multirun: every combination of the values separated by commas, as Hydra reads
    them."""
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except OverrideParseException as error:
        raise AmeirError(f"Cannot read the override '{error.override}'.") from error
    choices = []
    for override in parsed:
        if override.is_sweep_override():
            key = override.get_key_element()
            choices.append([f"{key}={value}" for value in override.sweep_string_iterator()])
        else:
            choices.append([override.input_line or ""])
    return [list(c) for c in product(*choices)]


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
    first: dict[Path, Job] = {}
    for job in jobs:
        other = first.setdefault(job.folder, job)
        if other is not job:
            raise AmeirError(f"{other} and {job} would write to one run folder, {job.folder}, at the same time. Give "
                             f"each its own: '{_hint(jobs[0], composed[0][1])}'.")
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


def _hint(job: Job, composed: DictConfig) -> str:
    """What to write for run=, of the keys that tell the jobs apart."""
    swept = [override.split("=", 1)[0].lstrip("+") for override in job.overrides]
    keys = [f"{key}.name" if OmegaConf.is_config(OmegaConf.select(composed, key)) else key for key in swept]
    named = "-".join(f"${{{key}}}" for key in keys if isinstance(OmegaConf.select(composed, key), str | int | float))
    return f"run={named or '…'}"
