"""What of a configuration its results depend on: everything, but an explicit list of what cannot matter."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ameir_pl.cli.config import (
    RESULT_KEYS,
    TRAIN_KEYS,
    CompareConfig,
    Config,
    DiagnoseConfig,
    ExportConfig,
    GenerateConfig,
    TuneConfig,
)
from ameir_pl.cli.trainer_keys import effective

NO_EFFECT: dict[str, str] = {
    "run": "the name", "paths": "where things are",
    "dataset.source": "where the raw files are; what is in them is data_fingerprint",
    "data_fingerprint": "compared by itself, with another message",
    "preset": "what it sets counts by itself", "recipe": "what it sets counts by itself",
    "metrics": "what else is measured of the same models; a run's own are looked at by themselves",
    "stage": "which part is made now; each part is looked at by itself",
    "variant": "which of the derived models is the run's; it is looked at by itself",
    "reference": "whether one more model is trained beside",
    "ablation": "whether more models are trained beside",
    "overwrite": "whether results are made again", "debug": "what is shown of an error",
    "detect_anomaly": "it ends a training that has no result",
    "checkpoint": "a training that goes on from a checkpoint ends with the same weights",
    "runs": "of ameir search: each run is one of a seed, which counts; of ameir compare: runs that are set beside",
    "launcher": "where jobs run", "preparation": "where data are encoded, to the same files",
    "logger": "what else is written of a training", "hydra": "nothing of a run is Hydra's",
    "trainer.accelerator": "the device's name", "trainer.devices": "batches are those of one process",
    "trainer.num_nodes": "batches are those of one process", "trainer.strategy": "gradients are those of one process",
    "trainer.profiler": "it looks on", "trainer.inference_mode": "how gradients are left out of validation",
    "trainer._partial_": "always true",
    **{key: "of ameir compare: it trains with settings of their own" for key in (
        "models", "seeds", "tuned", "options", "plot")},
    **{key: "of ameir tune: it trains with settings of their own" for key in (
        "sampler", "trials", "learning_rates", "weight_decays", "dropouts")},
    **{key: "of ameir data generate, which makes raw files" for key in ("rows", "noise", "output")},
    "format": "of ameir export, which trains nothing",
    "n": "of ameir diagnose: how many architectures it looks at",
}
"""Keys, with all below them, that cannot change a number, and why not."""
LATER = {"dataset.train.drawn_by": "uniform", "dataset.train.log_q": False, "dataset.train.clips": 1,
         "dataset.train.similarity": "dot", "dataset.train.temperature": 0.05,
         "dataset.model.embedding_dropout": 0.0, "dataset.model.embedding_bound": 0.05,
         "dataset.model.supernet_bound": 0.05,
         "budget.least_updates": 0, "budget.patient_updates": 0}
"""Settings that earlier versions did not have, and what they did: that much counts for nothing."""
NO_EFFECT_CALLBACKS = ("ameir_pl.callbacks.TrainingProgress",)
"""Classes that only show something."""
PLAIN = {"callbacks.uniform_sampling": {"_target_": "ameir_pl.callbacks.UniformSampling"},
         "callbacks.activation_counts": {"_target_": "ameir_pl.callbacks.ActivationCounts"}}
"""What a configuration has unless it says otherwise, beside the defaults of :class:`Config`: that much counts for
nothing, so that run folders of versions that did not look at it are known again."""


def counted(config: Any, keys: Sequence[str] = RESULT_KEYS) -> dict[str, Any]:
    """Return every setting that results depend on, by its whole key: those at and below ``keys`` and, of all others,
    those that are not what they are anyway.

    Args:
        config: a composed configuration, or a saved one.
        keys: ``RESULT_KEYS``, with ``TRAIN_KEYS`` where a model is trained from scratch; or some of them.
    """
    found = {key: value for key, value in flat(config, keys).items() if not key.startswith("trainer.")}
    trainer = effective(_plain(OmegaConf.select(config, "trainer")))
    found |= {key: trainer.get(key.removeprefix("trainer.")) for key in keys if key.startswith("trainer.")}
    return {key: value for key, value in found.items() if not _as_before(key, value)} | others(config)


def others(config: Any) -> dict[str, Any]:
    """Return what counts beyond ``RESULT_KEYS`` and ``TRAIN_KEYS``, where it is not what it is anyway."""
    found: dict[str, Any] = {}
    for name, value in _plain(config).items():
        if name == "trainer":
            found |= {f"trainer.{key}": inner for key, inner in effective(value).items()}
        elif name == "callbacks":
            found |= _callbacks(value if isinstance(value, Mapping) else {})
        else:
            found |= _leaves(name, value)
    return {key: value for key, value in found.items()
            if not any(_within(key, known) for known in (*RESULT_KEYS, *TRAIN_KEYS, *NO_EFFECT))
            and not (key in _defaults() and value == _defaults()[key])}


def settings_fingerprint(composed: DictConfig, keys: Sequence[str] = RESULT_KEYS) -> str:
    """Return 16 hex digits that change with every setting a run's results depend on."""
    trainer = effective(_plain(OmegaConf.select(composed, "trainer")))
    values: dict[str, Any] = {}
    for key in keys:
        name = key.removeprefix("trainer.")
        value = trainer.get(name) if key != name else _plain(OmegaConf.select(composed, key))
        # A setting of Lightning's that is not given changes nothing, so that one more key here changes no fingerprint.
        if value is not None or key == name:
            values[key] = value if not isinstance(value, dict) else {
                inner: one for inner, one in value.items() if not _as_before(f"{key}.{inner}", one)}
    return hashlib.sha256(json.dumps(values | others(composed), sort_keys=True, default=str).encode()).hexdigest()[:16]


def flat(config: Any, keys: Sequence[str]) -> dict[str, Any]:
    """Return the values at and below ``keys`` of a configuration, each by its whole key."""
    found: dict[str, Any] = {}
    for key in keys:
        found |= _leaves(key, _plain(OmegaConf.select(config, key)))
    return found


def differences(there: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    """Return ``key: there -> asked for`` of all that differs between two :func:`flat` configurations."""
    def said(of: Mapping[str, Any], key: str) -> Any:
        known = any(_within(key, counts) for counts in (*RESULT_KEYS, *TRAIN_KEYS))  # missing means missing
        return of.get(key) if known else of.get(key, _defaults().get(key))

    return [f"{key}: {said(there, key)} -> {said(asked, key)}" for key in {**there, **asked}
            if there.get(key) != asked.get(key)]


def _callbacks(value: Mapping[str, Any]) -> dict[str, Any]:
    """The callbacks that are not those of every fit; one that is left out is said to be."""
    found: dict[str, Any] = {}
    for key in dict.fromkeys([*PLAIN, *(f"callbacks.{name}" for name in value)]):
        node = value.get(key.removeprefix("callbacks."))
        shows = isinstance(node, Mapping) and node.get("_target_") in NO_EFFECT_CALLBACKS
        if not shows and node != PLAIN.get(key):
            found |= {key: "left out"} if node is None else _leaves(key, node)
    return found


def _leaves(key: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {key: value}
    found: dict[str, Any] = {}
    for name, inner in value.items():
        found |= _leaves(f"{key}.{name}", inner)
    return found


def _as_before(key: str, value: Any) -> bool:
    return key in LATER and value == LATER[key]


def _within(key: str, known: str) -> bool:
    return key == known or key.startswith(f"{known}.")


@cache
def _defaults() -> dict[str, Any]:
    """The value of every key where no file says another."""
    found: dict[str, Any] = {}
    for kind in (Config, CompareConfig, DiagnoseConfig, ExportConfig, GenerateConfig, TuneConfig):
        for key, value in _plain(OmegaConf.structured(kind)).items():
            found |= _leaves(key, value)
    return found


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
