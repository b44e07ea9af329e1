"""Every setting of Lightning's Trainer: what it must be where it works here, and what to say in place of the others."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl

from ameir_pl.errors import AmeirError, did_you_mean

TRAINER = "pytorch_lightning.Trainer"
PRECISIONS = ("32-true", "32", "bf16-mixed", "bf16", "16-mixed", "16")
PROFILERS = ("simple", "advanced", "pytorch")
DEFAULTS: dict[str, Any] = {name: parameter.default for name, parameter in
                            inspect.signature(pl.Trainer).parameters.items()}
"""Every setting of the Trainer with its value where it is not given."""
ENVIRONMENT = "PL_TRAINER_"
"""Lightning takes variables that begin so for settings of the Trainer."""


def _whole(value: Any, least: int) -> bool:
    return type(value) is int and value >= least


def _share(value: Any) -> bool:
    return _whole(value, 1) or type(value) is float and 0 < value <= 1


def _devices(value: Any) -> bool:
    if isinstance(value, str):
        return value in ("auto", "-1") or all(part.strip().isdigit() for part in value.split(",")) and value != "0"
    if isinstance(value, list):
        return bool(value) and all(_whole(one, 0) for one in value) and len(set(value)) == len(value)
    return _whole(value, 1) or type(value) is int and value == -1


SHARE = "a number of batches of at least 1, or a share of them above 0 and at most 1.0"
WORKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "accelerator": (lambda v: v in ("auto", "cpu", "gpu", "cuda", "mps"), "auto, cpu, gpu or mps"),
    "devices": (_devices, "a whole number of at least 1, -1 or auto for all, or a list of GPUs"),
    "num_nodes": (lambda v: _whole(v, 1), "a whole number of at least 1"),
    "strategy": (lambda v: v in ("auto", "ddp"), "auto or ddp: with several processes each has the whole model"),
    "precision": (lambda v: v is None or type(v) in (int, str) and str(v) in PRECISIONS,
                  "32-true, bf16-mixed or 16-mixed"),
    "max_steps": (lambda v: v is None or _whole(v, 1) or type(v) is int and v == -1,
                  "a whole number of at least 1, the most updates of each fit"),
    "limit_train_batches": (lambda v: v is None or _share(v), SHARE),
    "limit_val_batches": (lambda v: v is None or _share(v), f"{SHARE} (early stopping asks for validation)"),
    "overfit_batches": (lambda v: v is None or _share(v) or v == 0 and type(v) in (int, float), SHARE),
    "accumulate_grad_batches": (lambda v: _whole(v, 1), "a whole number of at least 1"),
    "gradient_clip_val": (lambda v: v is None or type(v) in (int, float) and math.isfinite(v) and v >= 0,
                          "a number of at least 0, or null"),
    "gradient_clip_algorithm": (lambda v: v in (None, "norm", "value"), "norm or value"),
    "deterministic": (lambda v: v is None or type(v) is bool or v == "warn", "true, false or warn"),
    "benchmark": (lambda v: v is None or type(v) is bool, "true or false"),
    "inference_mode": (lambda v: type(v) is bool, "true or false"),
    "profiler": (lambda v: v is None or v in PROFILERS, "simple, advanced or pytorch, written to the run folder"),
}
"""Settings that have their effect here, with what they must be and the same in words."""
_OWN_FIT = "a fit's length is budget.finetune_epochs, or budget.*_epochs of a search"
INSTEAD: dict[str, str] = {
    "logger": "choose with logger=csv|tensorboard|wandb",
    "callbacks": "add one with callbacks.NAME._target_=CLASS",
    "fast_dev_run": "numbers of a smoke run would stand among results; give trainer.max_steps=N or "
                    "trainer.limit_train_batches=N, or budget=demo",
    "max_epochs": _OWN_FIT,
    "min_epochs": "budget.patience says how many epochs without a better one are waited for",
    "min_steps": "budget.patience says how many epochs without a better one are waited for",
    "max_time": f"where a clock ends training its result is another each time; {_OWN_FIT}, or trainer.max_steps=N",
    "limit_test_batches": "numbers of test rows are those of all; measure_test=false leaves them alone",
    "limit_predict_batches": "nothing is predicted here; a bundle's model does that",
    "val_check_interval": "each epoch ends with its validation, which budget.patience counts; "
                          "trainer.limit_train_batches=N makes epochs shorter",
    "check_val_every_n_epoch": "each epoch ends with its validation, which budget.patience counts",
    "num_sanity_val_steps": "there is no trial validation; settings and data are checked before training",
    "log_every_n_steps": "losses are logged once an epoch",
    "enable_checkpointing": "how often training is saved is checkpoint.every_steps and checkpoint.every_minutes",
    "enable_progress_bar": "progress is that of callbacks.progress, which ~callbacks.progress turns off",
    "enable_model_summary": "the table and metrics.json tell a model's weights",
    "use_distributed_sampler": "batches are shared out among processes here already",
    "detect_anomaly": "write detect_anomaly=true, without a group before it",
    "barebones": "it would turn off validation's metrics and checkpoints; ~callbacks.progress logger=csv is the least",
    "plugins": "precision and processes are trainer.precision and trainer.devices",
    "sync_batchnorm": "no model here has batch normalization",
    "reload_dataloaders_every_n_epochs": "the data are the same in every epoch",
    "default_root_dir": "everything is written below paths.runs",
    "enable_autolog_hparams": "config.yaml of the run folder has all settings",
    "model_registry": "a run's model is in model/ of its folder; `ameir export` writes it for other runtimes",
}
"""Settings that would change nothing here, or another thing than they say, with what to use."""
FIXED: dict[str, tuple[Any, ...]] = {
    "num_sanity_val_steps": (0,), "enable_checkpointing": (True,), "enable_progress_bar": (False,),
    "enable_model_summary": (False,), "use_distributed_sampler": (False,)}
"""What the Trainer gets in any case: to ask for that, too, is no mistake."""


def check_trainer(node: Any) -> None:
    """Raise ``AmeirError`` for a setting of the Trainer that is unknown, has no part here, or has a wrong value. Of the
    machine only the environment is looked at, so that a configuration is right or wrong everywhere."""
    if not isinstance(node, Mapping) or node.get("_partial_") is not True or node.get("_target_") != TRAINER:
        raise AmeirError("Configuration: 'trainer' cannot be built: it must be a group of conf/trainer "
                         f"(_target_={TRAINER}, _partial_=true), with trainer.KEY=VALUE changed.")
    for variable in sorted(os.environ):
        name = variable.removeprefix(ENVIRONMENT).lower()
        if variable.startswith(ENVIRONMENT) and name in DEFAULTS:
            raise AmeirError(f"The environment has {variable}, which Lightning takes for trainer.{name} without a "
                             f"trace in the run's config.yaml. Unset it, and say trainer.{name}=… if it is meant.")
    for name, value in node.items():
        key = f"trainer.{name}"
        if name in WORKS:
            right, words = WORKS[name]
            if not _same(value, DEFAULTS[name]) and not _right(right, value):
                note = " Such an accelerator is not supported." if name == "accelerator" else ""
                raise AmeirError(f"Configuration: 'trainer' cannot be built: {key}={value} must be {words}.{note}")
        elif name in INSTEAD:
            if not any(_same(value, one) for one in (None, DEFAULTS[name], *FIXED.get(name, ()))):
                raise AmeirError(f"Configuration: {key}={value} has no part here: {INSTEAD[name]}.")
        elif name not in ("_target_", "_partial_"):
            raise AmeirError(f"Unknown configuration key '{key}'.{did_you_mean(name, {*WORKS, *INSTEAD})}")
    limited = [name for name in ("limit_train_batches", "limit_val_batches") if node.get(name) is not None]
    if node.get("overfit_batches") and limited:
        raise AmeirError(f"Configuration: trainer.overfit_batches={node['overfit_batches']} says how many batches "
                         f"there are to train and to validate; leave trainer.{limited[0]}={node[limited[0]]} out.")


def _right(right: Callable[[Any], bool], value: Any) -> bool:
    return not isinstance(value, dict) and right(value)


def _same(value: Any, other: Any) -> bool:
    """Return whether two values are equal and of one kind: 1 batch is not 1.0 of them."""
    return type(value) is type(other) and value == other


def effective(node: Any) -> dict[str, Any]:
    """Return the settings of a ``trainer`` node that say something: neither null nor what they are anyway."""
    found = {}
    for name, value in (node if isinstance(node, Mapping) else {}).items():
        if value is not None and not _same(value, DEFAULTS.get(name)) and name not in ("_partial_",) and not (
                name == "_target_" and value == TRAINER):
            found[name] = value
    for name in ("limit_train_batches", "limit_val_batches"):  # all of them
        if _same(found.get(name), 1.0):
            del found[name]
    if isinstance(found.get("overfit_batches"), int | float):
        if not found["overfit_batches"]:
            del found["overfit_batches"]
        else:  # so that 1.0 is told from 1 wherever they are compared
            found["overfit_batches"] = str(found["overfit_batches"])
    return {name: value for name, value in found.items() if name not in INSTEAD}


@dataclass(frozen=True)
class Limits:
    """What of a Trainer's settings is seen to here, because Lightning's own does not go with early stopping, with
    parts of epochs, or with the loaders.

    Args:
        updates: the most of a fit; None: no limit.
        train_batches, valid_batches: of an epoch: how many, or a share of them; None: all.
        same_batches: every epoch has the same training batches.
        profiler: ``simple``, ``advanced``, ``pytorch`` or None.
        accumulated: batches of an update; Lightning sees to it.
    """

    updates: int | None = None
    train_batches: int | float | None = None
    valid_batches: int | float | None = None
    same_batches: bool = False
    profiler: str | None = None
    accumulated: int = 1

    @classmethod
    def taken_from(cls, settings: dict[str, Any]) -> Limits:
        """Take them out of a Trainer's settings."""
        updates, same = settings.pop("max_steps", None), settings.pop("overfit_batches", None)
        train, valid = settings.pop("limit_train_batches", None), settings.pop("limit_val_batches", None)
        for name in INSTEAD:  # what has its only right value is said by the engine
            settings.pop(name, None)
        return cls(None if updates in (None, -1) else updates, same or train, same or valid, bool(same),
                   settings.pop("profiler", None), settings.get("accumulate_grad_batches") or 1)

    def batches(self, split: str, there: int) -> int:
        """Return how many of the batches of a split are used; raises ``AmeirError`` for a share that is none."""
        limit = self.train_batches if split == "train" else self.valid_batches
        used = there if limit is None else min(limit, there) if isinstance(limit, int) else int(there * limit)
        if self.same_batches and split == "valid":
            return max(used, 1)
        if used < 1 <= there:
            key = "overfit_batches" if self.same_batches else f"limit_{'train' if split == 'train' else 'val'}_batches"
            raise AmeirError(f"Configuration: trainer.{key}={limit} of {there} {split} batches is less than one. Raise "
                             "it, or say a number of batches.")
        return used
