"""The jobs that a command gives ``ameir train`` or ``ameir search``: what fails is noted, what was made anew is not
made twice."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ameir_pl import ranks
from ameir_pl.atomic import telling, write_text
from ameir_pl.cli import train
from ameir_pl.cli.ray_jobs import run_jobs
from ameir_pl.cli.sweep import planned
from ameir_pl.errors import AmeirError, NotFinite
from ameir_pl.progress import console

OVERWRITE = "overwrite=true"


class Remade:
    """Which trainings an interrupted command with ``overwrite=true`` has made anew, so that the same command goes on.

    Args:
        folder: of the command; the list is in it until :meth:`end`.
        overwrite: whether anything is to be made anew.
        data: the fingerprint of what is trained on; what was made of other data is made anew.
    """

    def __init__(self, folder: Path, overwrite: bool, data: str) -> None:
        self._path, self._on, self._data = folder / ".remade.json", overwrite, data
        self._done: list[list[str]] = []
        if overwrite:
            with ranks.in_turn():
                try:
                    self._done = json.loads(self._path.read_text())[data]
                except (OSError, ValueError, KeyError, TypeError):  # nothing was remade, or it is not known what
                    self._done = []

    def rest(self, job: Sequence[str]) -> list[str]:
        """Return the overrides of a training, without ``overwrite=true`` where it was made anew already."""
        plain = without(job, "overwrite")
        return plain if plain in self._done else [*plain, OVERWRITE] if self._on else list(job)

    def add(self, job: Sequence[str]) -> None:
        """Note that a training is finished."""
        if self._on:
            self._done.append(without(job, "overwrite"))
            if ranks.writes():
                with telling(self._path, "What was trained is whole: make room and give the same command."):
                    self._path.parent.mkdir(parents=True, exist_ok=True)
                    write_text(self._path, json.dumps({self._data: self._done}))

    def end(self) -> None:
        """Forget them: the command has come to its end."""
        if ranks.writes():
            self._path.unlink(missing_ok=True)


def train_all(jobs: Sequence[list[str]], launcher: str, remade: Remade) -> dict[str, str]:
    """Train each of ``jobs``, the overrides of ``ameir train``; see :func:`run_all`."""
    return run_all(train.main, "train", "Training", jobs, launcher, remade)


def run_all(main: Callable[[Sequence[str]], Any], config_name: str, what: str, jobs: Sequence[list[str]],
            launcher: str, remade: Remade) -> dict[str, str]:
    """Run each of ``jobs``; what is finished is not done again.

    Args:
        main: of the command.
        config_name: of its file in conf/.
        what: a job is called.
        jobs: the overrides of each, among which is ``run=``.
        launcher: with ``ray`` they run side by side, and a failure is raised.
        remade: what was made anew already.

    Returns:
        The message of each that failed, by its ``run=``.
    """
    if launcher == "ray":
        run_jobs(main.__module__, planned(config_name, jobs))
        return {}
    failed = {}
    for number, job in enumerate(jobs, 1):
        run = run_of(job)
        console().print(f"{what} {number} of {len(jobs)}: {run}", markup=False)
        try:
            main(remade.rest(job))
            remade.add(job)
        except Exception as error:
            if ranks.world() > 1 and (isinstance(error, NotFinite) or not isinstance(error, AmeirError)):
                raise  # the other processes may be waiting for this one
            if isinstance(error, AmeirError):
                message = str(error)
            else:  # out of memory, say: that a smaller model trains is worth knowing
                traceback.print_exc()
                message = f"{type(error).__name__}: {error}"
            console().print(f"{run} failed: {message}", markup=False)
            failed[run] = message
    return failed


def run_of(job: Sequence[str]) -> str:
    """Return the ``run=`` of a training."""
    return next(o for o in reversed(job) if o.startswith("run="))


def without(overrides: Sequence[str], *keys: str) -> list[str]:
    """Return the overrides of other keys than ``keys`` and what is below them."""
    return [o for o in overrides if not any(key_of(o) == key or key_of(o).startswith(f"{key}.") for key in keys)]


def key_of(override: str) -> str:
    """Return the key of an override."""
    return override.lstrip("+~").split("=", 1)[0].split("@", 1)[0]


def refuse(overrides: Sequence[str], instead: dict[str, str]) -> None:
    """Raise ``AmeirError`` where a key is set that the command sets itself; ``instead`` says what to write."""
    for override in overrides:
        for key in sorted(instead, key=len, reverse=True):
            if not without([override], key):
                raise AmeirError(f"This command sets {key} itself, and {override} would be lost: {instead[key]}.")
