"""What every command shares: overrides in, one clear message and exit code 2 for a user's mistake."""

from __future__ import annotations

import functools
import logging
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ameir_pl.cli.command_line import as_written
from ameir_pl.cli.compose import load_config
from ameir_pl.cli.launch import check_machine, launch, launched, meet, wanted_processes
from ameir_pl.cli.ray_jobs import run_jobs
from ameir_pl.cli.saved_settings import load_run_config
from ameir_pl.cli.secrets import refuse_secrets
from ameir_pl.cli.sweep import planned, sweep
from ameir_pl.errors import AmeirError, Stopped, explained
from ameir_pl.progress import console
from ameir_pl.ranks import rank, writes
from ameir_pl.stopping import handling_signals

Body = Callable[..., Any]
Load = Callable[[str, list[str]], tuple[Any, DictConfig]]
HELP = """usage: {name} [key=value ...] [group=option ...] [-m | --multirun] [--cfg job] [--help]

{doc}

The keys and their defaults (conf/{config}.yaml):
"""


def command(config_name: str, *, trains: bool = False, commands: bool = False, continues: bool = False
            ) -> Callable[[Body], Callable[..., Any]]:
    """Turn ``body(config, composed)`` into a command ``main(argv=None)`` on conf/``config_name``.yaml.

    One that ``trains`` runs in as many processes as its trainer asks for. One that runs ``commands`` of its own is
    ``body(config, composed, overrides)`` and may be given launcher=ray without --multirun. One that ``continues`` a run
    takes the settings that are not given from the run's config.yaml.

    ``main`` returns what the body returns; called with ``argv=None`` (from a shell) a user's mistake ends the process
    with code 2 and one message, elsewhere it raises ``AmeirError``.
    """

    def decorate(body: Body) -> Callable[..., Any]:
        @functools.wraps(body)
        def main(argv: Sequence[str] | None = None) -> Any:
            arguments = list(sys.argv[1:] if argv is None else argv)
            try:
                with handling_signals() if argv is None else nullcontext():
                    try:
                        return _run(body, config_name, arguments, trains, commands,
                                    load_run_config if continues else load_config)
                    except OSError as error:
                        if known := explained(error):
                            raise known from error
                        raise
            except AmeirError as error:
                if argv is not None:
                    raise
                if not writes():
                    time.sleep(1)  # what all ranks say the first one has said by now, and its end has ended this one
                    print(f"error (rank {rank()}): {error}", file=sys.stderr)
                elif any(a.lower() == "debug=true" for a in arguments):
                    traceback.print_exc()
                else:
                    console().print(f"error: {error}", markup=False)
                sys.exit(2)
            except Stopped as stopped:
                console().print("Stopped. What was done is kept; the same command goes on from there.")
                sys.exit(128 + stopped.signal)

        return main

    return decorate


def _run(body: Body, config_name: str, arguments: list[str], trains: bool, commands: bool, load: Load) -> Any:
    refuse_secrets(arguments)
    flags = [a for a in arguments if a.startswith("-")]
    many = bool({"-m", "--multirun"} & set(flags))
    overrides = as_written([a for a in arguments if not a.startswith("-")], many)
    if {"--help", "-h"} & set(flags):
        print(HELP.format(name=sys.argv[0], doc=(body.__doc__ or "").strip(), config=config_name))
        print(OmegaConf.to_yaml(load_config(config_name, [])[1]))
        return None
    if "--cfg" in flags:
        overrides = [o for o in overrides if o not in ("job", "all", "hydra")]
        print(OmegaConf.to_yaml(load(config_name, overrides)[1]))
        return None
    if flags and not many:
        raise AmeirError(f"Unknown option {flags[0]}. There are --help, --cfg job and --multirun; settings are "
                         "written key=value.")
    _flush_denormals()
    jobs = sweep(overrides) if many else [overrides]
    first = load(config_name, jobs[0])
    if trains:
        composed = first[1]
        if commands and many:
            raise AmeirError("This command runs several trainings itself: give it without --multirun.")
        if many and composed.launcher == "ray":
            return run_jobs(body.__module__, planned(config_name, jobs, load))
        trainer = composed.trainer
        check_machine(trainer)
        if wanted_processes(trainer) > 1 and not launched():
            launch(wanted_processes(trainer), body.__module__.split(".")[-1], arguments)
        meet(trainer)
    if commands:
        _quiet()
        return body(*first, overrides)
    results = [_one(body, *(load(config_name, job) if number else first)) for number, job in enumerate(jobs)]
    return results if many else results[0]


def _one(body: Body, config: Any, composed: DictConfig) -> Any:
    if composed.get("launcher") == "ray":
        raise AmeirError("launcher=ray runs the jobs of --multirun, of search, train and finetune. Leave it out here.")
    _quiet()
    return body(config, composed)


def _flush_denormals() -> None:
    """Have this process take numbers below 1e-38 for zero: a CPU needs a hundred times as long for a product of such,
    and weights that L2 has driven to nothing give nothing else. Threads take it over from the one that starts them."""
    import torch

    torch.set_flush_denormal(True)


def _quiet() -> None:
    """Silence Lightning's notes on accelerators and its tips: they are noise beside our own lines."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_utilities"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", ".*isinstance.treespec, LeafSpec.*")
    warnings.filterwarnings("ignore", ".*`lr_scheduler.step..` before `optimizer.step..`.*")
