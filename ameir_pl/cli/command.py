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
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ameir_pl import __version__
from ameir_pl.cli.command_line import as_written
from ameir_pl.cli.compose import load_config
from ameir_pl.cli.config import Config
from ameir_pl.cli.flags import read_line
from ameir_pl.cli.help import help_text
from ameir_pl.cli.launch import check_machine, launch, launched, meet, wanted_processes
from ameir_pl.cli.loggers import check_loggers
from ameir_pl.cli.overrides import jobs_of
from ameir_pl.cli.ray_jobs import run_jobs
from ameir_pl.cli.saved_settings import load_run_config
from ameir_pl.cli.secrets import refuse_secrets
from ameir_pl.cli.setup import built, run_path
from ameir_pl.cli.sweep import check_in_turn, planned
from ameir_pl.errors import AmeirError, Stopped, did_you_mean, explained
from ameir_pl.progress import console, ending_quietly
from ameir_pl.ranks import rank, writes
from ameir_pl.stopping import handling_signals

Body = Callable[..., Any]
Load = Callable[[str, list[str]], tuple[Any, DictConfig]]
Folder = Callable[[Any], Path | None]


def run_folder(config: Any) -> Path | None:
    """Return the run folder that a job writes to."""
    return run_path(config) if isinstance(config, Config) else None


def command(config_name: str, *, trains: bool = False, commands: bool = False, continues: bool = False,
            writes_to: Folder = run_folder, repeated: Body | None = None) -> Callable[[Body], Callable[..., Any]]:
    """Turn ``body(config, composed)`` into a command ``main(argv=None)`` on conf/``config_name``.yaml.

    One that ``trains`` runs in as many processes as its trainer asks for. One that runs ``commands`` of its own is
    ``body(config, composed, overrides)`` and may be given launcher=ray without --multirun. One that ``continues`` a run
    takes the settings that are not given from the run's config.yaml. No two jobs of --multirun may have one folder that
    they write to. With runs=N above 1 ``repeated(config, composed, overrides)`` takes the body's place and runs
    commands of its own.

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
                        load = load_run_config if continues else load_config
                        with ending_quietly() if argv is None else nullcontext():
                            return _run(body, config_name, arguments, trains, commands, load, writes_to, repeated)
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


def _run(body: Body, config_name: str, arguments: list[str], trains: bool, commands: bool, load: Load,
         writes_to: Folder, repeated: Body | None) -> Any:
    refuse_secrets(arguments)
    line = read_line(arguments)
    overrides = as_written(line.overrides, line.multirun)
    if line.help or line.version:
        print(help_text(sys.argv[0], body.__doc__ or "", config_name, overrides) if line.help else __version__)
        return None
    _flush_denormals()
    jobs = jobs_of(overrides) if line.multirun else [overrides]
    if line.cfg:
        for job in jobs:
            _show(load(config_name, job)[1], line.package)
        return None
    if line.package is not None:
        raise AmeirError(f"--package {line.package} is the part that --cfg job shows; give both.")
    loaded = [load(config_name, job) for job in jobs]
    first = loaded[0]
    if repeated is not None and any(config.runs > 1 for config, _ in loaded):
        body, commands = repeated, True
    if trains and commands and line.multirun:
        raise AmeirError("This command runs several trainings itself: give it without --multirun.")
    if trains:
        check_loggers(first[1], built(first[1], "logger"), run_path(first[0]))
    if trains and line.multirun and first[1].launcher == "ray":
        return run_jobs(body.__module__, planned(config_name, jobs, load))
    if line.multirun:
        check_in_turn(jobs, [composed for _, composed in loaded], [writes_to(config) for config, _ in loaded])
    if trains:
        trainer = first[1].trainer
        check_machine(trainer)
        if wanted_processes(trainer) > 1 and not launched():
            launch(wanted_processes(trainer), body.__module__.split(".")[-1], arguments)
        meet(trainer)
    if commands:
        _quiet()
        return body(*first, overrides)
    results = [_one(body, *one) for one in loaded]
    return results if line.multirun else results[0]


def _show(composed: DictConfig, package: str | None) -> None:
    """Print a configuration, or the part of it that ``package`` names."""
    part = composed if package is None else OmegaConf.select(composed, package)
    if part is None:
        raise AmeirError(f"--package {package}: there is no such part of the configuration."
                         f"{did_you_mean(str(package), map(str, composed))}")
    print(OmegaConf.to_yaml(part) if OmegaConf.is_config(part) else part)


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
