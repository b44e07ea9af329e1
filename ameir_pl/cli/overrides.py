"""What an override says, read with Hydra's grammar, and those that a command refuses by name."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import is_dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import get_type_hints

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override, ValueType
from hydra.errors import HydraException, OverrideParseException

from ameir_pl.cli.conf_files import SEARCHPATH, groups, options
from ameir_pl.cli.config import CONFIGS
from ameir_pl.errors import AmeirError, did_you_mean

FREE = ("trainer", "optimizer", "scheduler", "logger", "callbacks", "model.options", "dataset.options")
"""Keys below which anything may be added, and left out."""
MOST_JOBS = 10_000
HYDRA = {
    "hydra.run": "a run keeps everything in its run folder: say paths.runs=FOLDER and run=NAME",
    "hydra.sweep": "each job keeps everything in its run folder: say paths.runs=FOLDER and run=NAME",
    "hydra.job": "a run's name is run=NAME, and commands run where they are given",
    "hydra.launcher": "jobs run one after the other, or side by side with launcher=ray",
    "hydra.sweeper": "--multirun runs every combination; `ameir tune sampler=optuna` goes where trials were good",
    "hydra.verbose": "debug=true shows the traceback of an error",
    "hydra.mode": "write --multirun",
}
"""What to say in place of a setting of Hydra's own."""


def parsed(overrides: Sequence[str]) -> list[Override]:
    """Return overrides as Hydra reads them; raises ``AmeirError`` naming one that it cannot read."""
    for line in overrides:
        if not line.lstrip("+~").split("=")[0].strip() or "=" not in line and not line.startswith("~"):
            raise AmeirError(f"Cannot read the override '{line}': settings are written key=value, choices "
                             "group=option.")
    try:
        return OverridesParser.create().parse_overrides(list(overrides))
    except OverrideParseException as error:
        raise AmeirError(
            f"Cannot read the override '{error.override}': {str(error).splitlines()[0]}. A value with blanks or "
            "special characters goes into two pairs of quotation marks: \"key='value'\".") from error
    except (HydraException, RecursionError) as error:
        raise AmeirError(f"Cannot read the overrides {' '.join(overrides)}: {' '.join(str(error).split())}.") from error


def user_folders(overrides: Sequence[Override]) -> list[Path]:
    """Return the folders of the user's that ``hydra.searchpath`` names."""
    found: list[Path] = []
    for override in overrides:
        if override.key_or_group == SEARCHPATH:
            value = override.value()
            found = [Path(str(one).removeprefix("file://")) for one in (value if isinstance(value, list) else [])]
    return found


def check_overrides(overrides: Sequence[Override], *, trains_one: bool) -> None:
    """Raise ``AmeirError`` for an override that has no part here, naming it.

    Args:
        overrides: of one job.
        trains_one: whether the command has the settings of one model.
    """
    chosen_from = groups()
    for override in overrides:
        key, line = override.key_or_group, override.input_line or ""
        if override.is_hydra_override() or key == "hydra":
            _check_hydra(key, line)
        elif override.is_sweep_override():
            _refuse_several(override)
        elif override.is_delete() or override.value() is None and key in chosen_from:
            _check_deletion(key, line, chosen_from)
        elif key in _nodes() - chosen_from and not isinstance(override.value(), dict):
            raise AmeirError(f"{line}: {key} is several settings. Set one of them: {key}.KEY=VALUE.")
        elif override.value() == "" and key != "architecture" and not _below(key, FREE):
            what = f"it names no option. There are: {', '.join(options(key))}" if key in chosen_from else \
                f"write a value, or {key}=null for none"
            raise AmeirError(f"{line} is empty: {what}.")
        elif key in ("model", "architecture") and not trains_one:
            raise AmeirError(f"'{key}' is a setting of `ameir train`, not of this command.")


@cache
def _nodes() -> set[str]:
    """The keys that have settings below them."""
    found, ahead = set(), [("", CONFIGS["train"])]
    while ahead:
        prefix, kind = ahead.pop()
        types = get_type_hints(kind)
        inner = [(f"{prefix}{name}", types[name]) for name in types if is_dataclass(types[name])]
        found |= {key for key, _ in inner}
        ahead += [(f"{key}.", one) for key, one in inner]  # type: ignore[misc]
    return found


def _check_hydra(key: str, line: str) -> None:
    if key == SEARCHPATH:
        return
    for known, instead in HYDRA.items():
        if _below(key.replace("/", "."), (known,)):
            raise AmeirError(f"{line} has no part here: {instead}.")
    raise AmeirError(f"{line} has no part here: nothing of a run is Hydra's own but {SEARCHPATH}.")


def _check_deletion(key: str, line: str, chosen_from: set[str]) -> None:
    if key == "logger" or key.startswith("dataset_") or _below(key, FREE) and key not in FREE:
        return
    if key in chosen_from:
        raise AmeirError(f"{line} would leave the command without {key}. Choose one: {key}="
                         f"{'|'.join(options(key))}.")
    raise AmeirError(f"{line} would leave the command without {key}. Give it a value: {key}=VALUE.")


def _refuse_several(override: Override) -> None:
    key, line = override.get_key_element().lstrip("+"), override.input_line or ""
    if override.is_interval_sweep():
        raise AmeirError(_interval(line))
    text = line.partition("=")[2]
    raise AmeirError(f"{line} has several values, for jobs of their own: add --multirun (-m). A list is written "
                     f"{key}=[{text}], a text with commas \"{key}='{text}'\".")


def _interval(line: str) -> str:
    return (f"{line}: interval() has no values to list; it is for a sampler. Give a list, such as range(1,4) or "
            "1e-4,1e-3, or use `ameir tune sampler=optuna learning_rates=[LEAST,MOST]`.")


def jobs_of(overrides: Sequence[str]) -> list[list[str]]:
    """Return the overrides of each job of a multirun: every combination of the values of ``a,b``, ``choice()``,
    ``range()`` and ``glob()``, in their order; ``shuffle()`` has the same order every time.

    Raises:
        AmeirError: an override has no values that can be listed, or there are too many jobs.
    """
    every = parsed(overrides)
    folders, choices, count = user_folders(every), [], 1
    before = random.getstate()
    random.seed(0)  # every process of a command must have the same order
    try:
        for override in every:
            values = _values(override, folders)
            count *= len(values)
            if count > MOST_JOBS:
                raise AmeirError(f"{override.input_line} makes more than {MOST_JOBS:,} jobs. Give fewer values.")
            choices.append(values)
    finally:
        random.setstate(before)
    return [list(job) for job in product(*choices)]


def _values(override: Override, folders: Sequence[Path]) -> list[str]:
    """The overrides, one a value, that an override stands for."""
    line = override.input_line or ""
    if not override.is_sweep_override():
        return [line]
    key = override.get_key_element()
    values: list[str]
    if override.is_interval_sweep():
        raise AmeirError(_interval(line))
    if override.value_type == ValueType.GLOB_CHOICE_SWEEP:
        value, group = override.value(), override.key_or_group
        there = options(group, folders)
        if not there:
            raise AmeirError(f"{line}: glob() chooses among the files of a group, and {group} is none."
                             f"{did_you_mean(group, groups())}")
        values = value.filter(there) if isinstance(value, Glob) else []
        if not values:
            raise AmeirError(f"{line} matches none of {', '.join(there)}.")
    else:
        values = []
        for one in override.sweep_string_iterator():
            values.append(str(one))
            if len(values) > MOST_JOBS:
                raise AmeirError(f"{line} makes more than {MOST_JOBS:,} jobs. Give fewer values.")
        if not values:
            raise AmeirError(f"{line} has no value.")
    return [f"{key}={value}" for value in values]


def _below(key: str, nodes: Sequence[str]) -> bool:
    return any(key == node or key.startswith(f"{node}.") for node in nodes)
