"""Keys of ``ameir search`` alone: the strategy, what ends it, and how many runs."""

from __future__ import annotations

import math

from ameir_pl.cli.config import CompareConfig, Config
from ameir_pl.errors import AmeirError, did_you_mean
from ameir_pl.search.strategies import STRATEGIES

AMEIR = "ameir"
"""The strategy of the paper: three steps with shared weights."""
LIMITS = ("as_long_as", "seconds", "trainings")
"""What ends a strategy that trains architectures alone; it is given one of them."""
STRATEGY_KEYS = ("strategy", *LIMITS)
MOST_RUNS = 1000


def check_search_keys(name: str, config: Config) -> None:
    """Raise ``AmeirError`` for values that mean nothing, alone or together, and for keys of another command.

    Args:
        name: of the command's file in conf/.
        config: typed configuration.
    """
    given = [key for key in LIMITS if getattr(config, key) is not None]
    if config.strategy != AMEIR and config.strategy not in STRATEGIES.names():
        raise AmeirError(f"There is no strategy={config.strategy}."
                         f"{did_you_mean(config.strategy, [AMEIR, *STRATEGIES.names()])}")
    if name in ("train", "compare", "tune", "diagnose"):
        other = [key for key in ("strategy", *given) if key != "strategy" or config.strategy != AMEIR]
        other += ["runs"] if not isinstance(config, CompareConfig) and config.runs != 1 else []
        if other:
            raise AmeirError(f"'{other[0]}' is a setting of `ameir search`, not of `ameir {name}`. Leave it out.")
        return
    if type(config.runs) is not int or not 1 <= config.runs <= MOST_RUNS:
        raise AmeirError(f"Configuration: runs={config.runs} must be how many searches are made, each with a seed of "
                         f"its own: a whole number from 1 to {MOST_RUNS}.")
    if config.runs > 1 and str(config.stage) != "all":
        raise AmeirError(f"runs={config.runs} sums up finished models: leave stage={config.stage} out, or use "
                         "--multirun with seed=1,2,… for one stage.")
    if config.strategy == AMEIR:
        if given:
            raise AmeirError(f"{given[0]}={getattr(config, given[0])} ends a strategy that trains architectures alone: "
                             f"add strategy=random. The effort of strategy={AMEIR} is its budget=.")
        return
    if len(given) != 1:
        found = "none" if not given else " and ".join(f"{key}={getattr(config, key)}" for key in given)
        raise AmeirError(f"strategy={config.strategy} needs one limit, and {found} is given: as_long_as=RUN (the "
                         "seconds of that finished run), seconds=N, or trainings=N.")
    if config.seconds is not None and not (math.isfinite(config.seconds) and config.seconds > 0):
        raise AmeirError(f"Configuration: seconds={config.seconds} must be a number above 0.")
    if config.trainings is not None and config.trainings < 1:
        raise AmeirError(f"Configuration: trainings={config.trainings} must be at least 1.")
    if str(config.stage) != "all":
        raise AmeirError(f"stage={config.stage} is a step of strategy={AMEIR}; strategy={config.strategy} draws whole "
                         "architectures. Leave stage= out.")
    if config.variant is not None:
        raise AmeirError(f"variant={config.variant} is one of strategy={AMEIR}; strategy={config.strategy} draws whole "
                         "architectures. Leave variant= out.")


def refuse_step_command(config: Config, command: str) -> None:
    """Raise ``AmeirError`` where a command of AMEIR's steps is given for a run of another strategy."""
    if config.strategy != AMEIR:
        raise AmeirError(f"run={config.run} is one of strategy={config.strategy}, which trains whole architectures: "
                         f"its model/ is trained, and there is nothing to {command}. `ameir evaluate` and `ameir "
                         "export` work on it.")
