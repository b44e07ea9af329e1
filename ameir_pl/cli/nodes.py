"""The groups of a configuration that name classes of other packages: each key is one that its class knows."""

from __future__ import annotations

import inspect
import pydoc
from collections.abc import Mapping
from typing import Any

from ameir_pl.cli.config import Config
from ameir_pl.cli.trainer_keys import check_trainer
from ameir_pl.errors import AmeirError, did_you_mean

SAMPLING = "ameir_pl.callbacks.UniformSampling"
OWN = ("_target_", "_partial_")


def check_nodes(config: Config) -> None:
    """Raise ``AmeirError`` for an optimizer, scheduler, trainer, logger or callback that names no class, or gives it
    what it does not know. Nothing is made yet."""
    check_trainer(config.trainer)
    for key in ("optimizer", "scheduler"):
        _check("a group of conf/" + key, key, getattr(config, key), partial=True)
    for key in ("logger", "callbacks"):
        for name, node in getattr(config, key).items():
            if says_something(node):
                _check("a class with its settings, or null", f"{key}.{name}", node, partial=key == "logger")
    if not any(isinstance(node, Mapping) and node.get("_target_") == SAMPLING for node in config.callbacks.values()):
        raise AmeirError("Configuration: callbacks: uniform_sampling draws the paths of a supernet's batches and "
                         "cannot be left out.")


def says_something(node: Any) -> bool:
    """Return whether a logger or callback is there: null, and settings that are all null, leave it out."""
    return node is not None and not (isinstance(node, Mapping) and all(value is None for value in node.values()))


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
