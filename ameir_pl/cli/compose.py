"""From the command line to a checked Config; mistakes are answered with the near match."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ameir_pl.cli.checks import check_values
from ameir_pl.cli.config import CONFIGS, Config
from ameir_pl.cli.secrets import refuse_secret_settings, refuse_secrets
from ameir_pl.cli.trainer_keys import check_trainer
from ameir_pl.errors import AmeirError, did_you_mean

ARCHITECTURE = "architecture="
FREE = re.compile(r"^\+?(trainer\.[^.=@]+=)")
"""Keys that are Lightning's, given with or without ``+``: conf/ does not list all of them."""


def conf_folder() -> Path:
    """Return the folder of the YAML files: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "search.yaml").is_file():
            return folder
    raise AmeirError(f"The configuration folder conf/ is neither in {package} nor beside it; reinstall ameir-pl.")


def raw_config(name: str, overrides: list[str]) -> DictConfig:
    """Compose ``name`` with Hydra; raises ``AmeirError`` naming a mistyped key or file and the nearest one."""
    GlobalHydra.instance().clear()
    # Hydra would take architecture= for the choice of a config group, as conf/architecture/ is a folder; it is a name
    # there or a path anywhere.
    chosen = [o.removeprefix(ARCHITECTURE) for o in overrides if o.startswith(ARCHITECTURE)]
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        try:
            composed = compose(name, [FREE.sub(r"++\1", o) for o in overrides if not o.startswith(ARCHITECTURE)])
            if chosen:
                composed.architecture = None if chosen[-1] in ("", "null") else chosen[-1]
            return composed
        except (HydraException, OmegaConfBaseException, ValueError, OSError) as error:  # a name too long for a file
            raise AmeirError(_explain(name, overrides, error)) from error


def load_config(name: str, overrides: list[str]) -> tuple[Any, DictConfig]:
    """Return the typed configuration (see ``CONFIGS``) and the composed one; raises ``AmeirError`` for anything it
    cannot be."""
    refuse_secrets(overrides)  # before Hydra, whose messages repeat what they cannot read
    return typed_config(name, raw_config(name, overrides))


def typed_config(name: str, composed: DictConfig) -> tuple[Any, DictConfig]:
    """Return the typed configuration of a composed one, and that with its interpolations resolved; raises
    ``AmeirError`` for anything it cannot be."""
    kind = CONFIGS[name]
    try:
        OmegaConf.resolve(composed)
        refuse_secret_settings(OmegaConf.to_container(composed))
        merged = OmegaConf.merge(OmegaConf.structured(kind), composed)
        config = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", None) or ""
        message = (getattr(error, "msg", None) or str(error)).splitlines()[0]
        if " not in '" in message:
            raise AmeirError(_unknown(key, _leaves(OmegaConf.structured(kind)))) from error
        where = f"{key}: " if key else ""
        raise AmeirError(f"Configuration: {where}{message.rstrip('.')}.") from error
    if not isinstance(config, kind):
        raise AmeirError(f"Configuration {name} is not of the type it should be.")
    if not isinstance(config, Config):
        return config, composed
    check_preset(config.dataset.name, config.preset)
    check_values(config)
    check_trainer(OmegaConf.to_container(composed.trainer) if OmegaConf.is_dict(composed.trainer) else None)
    if not re.fullmatch(r"[\w.+-]+", config.run) or config.run.startswith("."):
        raise AmeirError(f"Configuration: run={config.run} names a folder under runs/; use letters, digits, "
                         "'-', '_', '.' and '+'.")
    return config, composed


def check_preset(dataset: str, preset: str | None) -> None:
    """Raise ``AmeirError`` for a preset that a dataset does not have, which Hydra passes over."""
    known = sorted(o.removeprefix(f"{dataset}_") for o in _options("dataset_preset") if o.startswith(f"{dataset}_"))
    if preset is None or preset in known:
        return
    there = f"There is: {', '.join(known)}." if known else "It has none; leave preset= out."
    raise AmeirError(f"dataset={dataset} has no preset={preset}. {there}")


def _explain(name: str, overrides: list[str], error: Exception) -> str:
    if isinstance(error, OverrideParseException):
        return (f"Cannot read the override '{error.override}': {str(error).splitlines()[0]}. A value with blanks or "
                "special characters goes into two pairs of quotation marks: \"key='value'\".")
    keys = [o.lstrip("+~").split("=", 1)[0].split("@")[0] for o in overrides]
    if isinstance(error, MissingConfigException):
        group, _, option = (error.missing_cfg_file or "").rpartition("/")
        options = _options(group)
        if options:
            return f"There is no {group}={option}.{did_you_mean(option, options)}"
        return str(error).splitlines()[0]
    # Of the groups that were chosen: each model and dataset has keys of its own.
    groups = {path.name for path in conf_folder().iterdir() if path.is_dir()}
    chosen = [o for o in overrides if o.split("=", 1)[0] in groups]
    known = _leaves(raw_config(name, chosen if len(chosen) < len(overrides) else []))
    for key in keys:
        if key and key not in known and key != "dataset_budget":
            if name != "train" and key in _leaves(raw_config("train", [])):
                return f"'{key}' is a setting of `ameir train`, not of this command."
            return _unknown(key, known)
    if isinstance(error, ConfigCompositionException):
        cause = error.__cause__
        return f"Configuration: {' '.join(str(error).split())}" + (f" ({cause})" if cause else "")
    return f"Configuration: {' '.join(str(error).split())}"


def _options(group: str) -> list[str]:
    folder = conf_folder() / group
    return [str(f.relative_to(folder).with_suffix("")).replace(os.sep, "/") for f in folder.rglob("*.yaml")]


def _unknown(key: str, known: set[str]) -> str:
    # The last word of a path first: `learning_rate` finds dataset.train.learning_rate.
    near = [k for k in known if k.split(".")[-1] == key.split(".")[-1]]
    leaves = {k for k in known if not any(other.startswith(f"{k}.") for other in known)}
    hint = f" Did you mean '{sorted(near, key=len)[0]}'?" if near else did_you_mean(key, leaves)
    if " Known: " in hint:
        hint = " `--help` and `--cfg job` list the keys of this command."
    return f"Unknown configuration key '{key}'.{hint}"


def _leaves(config: Any, prefix: str = "") -> set[str]:
    found: set[str] = set()
    for key in config:
        path = f"{prefix}{key}"
        found.add(path)
        node = OmegaConf.to_container(config, resolve=False)[key]  # type: ignore[index, call-overload]
        if isinstance(node, dict):
            found |= _leaves(OmegaConf.create(node), f"{path}.")
    return found
