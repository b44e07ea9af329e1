"""The groups of a configuration that name classes of other packages: each key is one that its class knows."""

from __future__ import annotations

import inspect
import pydoc
from collections.abc import Mapping, Sequence
from typing import Any

from pytorch_lightning.callbacks import Callback, ModelCheckpoint, OnExceptionCheckpoint, ProgressBar, Timer
from pytorch_lightning.callbacks import ModelSummary as Summary
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from ameir_pl.cli.config import Config
from ameir_pl.cli.trainer_keys import check_trainer
from ameir_pl.errors import AmeirError, did_you_mean

SAMPLING = "ameir_pl.callbacks.UniformSampling"
OWN = ("_target_", "_partial_")
ELSEWHERE = {
    "optimizer.weight_decay": "L2 is dataset.train.weight_decay=NUMBER, which biases and norms are spared",
    "optimizer.params": "the weights are the model's",
    "scheduler.T_max": "it is the number of updates of the training",
    "scheduler.optimizer": "it is that of conf/optimizer",
}
"""Settings of a class that are given to it here whatever they say, with what to say in their place."""
NO_CALLBACK: dict[type, str] = {
    Timer: "where a clock ends training its result is another each time; budget.*_epochs or trainer.max_steps=N say "
           "how long it is",
    ModelCheckpoint: "how often training is saved is checkpoint.every_steps and checkpoint.every_minutes, and a run's "
                     "best weights are in its folder",
    OnExceptionCheckpoint: "how often training is saved is checkpoint.every_steps and checkpoint.every_minutes",
    ProgressBar: "progress is that of callbacks.progress",
    Summary: "the table and metrics.json tell a model's weights",
}
"""Lightning's callbacks that would do another thing here than they say, with what to use."""


def check_nodes(config: Config) -> None:
    """Raise ``AmeirError`` for an optimizer, scheduler, trainer, logger or callback that names no class, or gives it
    what it does not know. Nothing is made yet."""
    check_trainer(config.trainer)
    for key in ("optimizer", "scheduler"):
        _check("a group of conf/" + key, key, getattr(config, key), partial=True)
        for name, value in getattr(config, key).items():
            if f"{key}.{name}" in ELSEWHERE and value is not None:
                raise AmeirError(f"Configuration: {key}.{name}={value} has no part here: {ELSEWHERE[f'{key}.{name}']}.")
    _check_rate(config)
    for key in ("logger", "callbacks"):
        for name, node in getattr(config, key).items():
            if says_something(node):
                _check("a class with its settings, or null", f"{key}.{name}", node, partial=key == "logger")
                _check_callback(f"{key}.{name}", node["_target_"])
    if not any(isinstance(node, Mapping) and node.get("_target_") == SAMPLING for node in config.callbacks.values()):
        raise AmeirError("Configuration: callbacks: uniform_sampling draws the paths of a supernet's batches and "
                         "cannot be left out.")


def says_something(node: Any) -> bool:
    """Return whether a logger or callback is there: null, and settings that are all null, leave it out."""
    return node is not None and not (isinstance(node, Mapping) and all(value is None for value in node.values()))


def _check_rate(config: Config) -> None:
    """Refuse a second learning rate: the tables, ``ameir tune`` and the schedule know dataset.train.learning_rate."""
    rate, node = config.dataset.train.learning_rate, config.optimizer
    if node.get("lr") != rate and "lr" in inspect.signature(pydoc.locate(node["_target_"])).parameters:  # type: ignore[arg-type]
        given = f"optimizer.lr={node['lr']} is another" if node.get("lr") is not None else "optimizer.lr is left out"
        raise AmeirError(f"Configuration: the learning rate is dataset.train.learning_rate={rate}, and {given}. Set "
                         "that one; an optimizer of your own has lr: ${dataset.train.learning_rate}.")


def _check_callback(key: str, target: str) -> None:
    kind = pydoc.locate(target)
    for refused, instead in NO_CALLBACK.items():
        if isinstance(kind, type) and issubclass(kind, refused):
            raise AmeirError(f"Configuration: {key}._target_={target} has no part here: {instead}.")


def callback_mistake(error: Exception, callbacks: Sequence[Callback]) -> AmeirError | None:
    """Return what to say of an error that came out of one of Lightning's callbacks, or of its check of the settings;
    None for any other: who wrote a callback wants to see where it failed.

    Args:
        error: as it was caught.
        callbacks: of the fit.
    """
    trace, said = error.__traceback__, " ".join(str(error).split())
    while trace is not None:
        owner = trace.tb_frame.f_locals.get("self")
        if any(owner is one for one in callbacks) and type(owner).__module__.startswith("pytorch_lightning."):
            return AmeirError(f"Configuration: the callback {type(owner).__name__} failed: {type(error).__name__}: "
                              f"{said}")
        trace = trace.tb_next
    return AmeirError(f"Configuration: {said}") if isinstance(error, MisconfigurationException) else None


def _check(kind: str, key: str, node: Any, *, partial: bool) -> None:
    """Look at the node of one class."""
    if not isinstance(node, Mapping) or not isinstance(node.get("_target_"), str) or not node["_target_"] \
            or (node.get("_partial_", False) is not partial):
        want = ", _partial_=true" if partial else ""
        raise AmeirError(f"Configuration: '{key}' cannot be built: it must be {kind} (_target_=CLASS{want}).")
    try:
        target = pydoc.locate(node["_target_"])
        if not callable(target):
            raise TypeError("there is no such class")
        known = inspect.signature(target).parameters
    except Exception as error:  # importing what a user names may raise anything
        raise AmeirError(f"Configuration: '{key}' cannot be built: {key}._target_={node['_target_']} is no class that "
                         f"can be used here ({' '.join(str(error).split())}).") from error
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in known.values()):
        return
    for name in node:
        if name not in known and name not in OWN and not str(name).startswith("_"):
            raise AmeirError(f"Unknown configuration key '{key}.{name}'.{did_you_mean(str(name), known)}")
