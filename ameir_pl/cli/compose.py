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

from ameir_pl.cli.config import Config
from ameir_pl.errors import AmeirError, did_you_mean


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
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        try:
            return compose(name, overrides)
        except (HydraException, OmegaConfBaseException) as error:
            raise AmeirError(_explain(name, overrides, error)) from error


def load_config(name: str, overrides: list[str]) -> tuple[Config, DictConfig]:
    """Return the typed configuration and the composed one; raises ``AmeirError`` for anything it cannot be."""
    composed = raw_config(name, overrides)
    try:
        OmegaConf.resolve(composed)
        merged = OmegaConf.merge(OmegaConf.structured(Config), composed)
        config = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", None) or ""
        message = (getattr(error, "msg", None) or str(error)).splitlines()[0]
        near = did_you_mean(key.split(".")[-1], _leaves(OmegaConf.structured(Config))) if "not in" in message else ""
        raise AmeirError(f"Configuration: {key}: {message}.{near}") from error
    if not isinstance(config, Config):
        raise AmeirError(f"Configuration {name} is not of the type it should be.")
    # Values from the command line that a closed type still admits.
    for key, value in (("dataset.train.batch_size", config.dataset.train.batch_size),
                       ("dataset.train.eval_batch_size", config.dataset.train.eval_batch_size),
                       ("dataset.model.embedding_size", config.dataset.model.embedding_size),
                       ("budget.samples", config.budget.samples), ("budget.top", config.budget.top),
                       ("budget.cycles", config.budget.cycles), ("budget.keep", config.budget.keep),
                       ("budget.paths", config.budget.paths), ("budget.valid_rows", config.budget.valid_rows)):
        if value < 1:
            raise AmeirError(f"Configuration: {key}={value} must be at least 1.")
    if not re.fullmatch(r"[\w.+-]+", config.run) or config.run.startswith("."):
        raise AmeirError(f"Configuration: run={config.run} names a folder under runs/; use letters, digits, "
                         "'-', '_', '.' and '+'.")
    return config, composed


def _explain(name: str, overrides: list[str], error: Exception) -> str:
    if isinstance(error, OverrideParseException):
        return f"Cannot read the override '{error.override}': {str(error).splitlines()[0]}."
    keys = [o.lstrip("+~").split("=", 1)[0].split("@")[0] for o in overrides]
    if isinstance(error, MissingConfigException):
        group, _, option = (error.missing_cfg_file or "").rpartition("/")
        options = _options(group)
        if options:
            return f"There is no {group}={option}.{did_you_mean(option, options)}"
        return str(error).splitlines()[0]
    known = _leaves(raw_config(name, [])) | _groups()
    for key in keys:
        if key not in known and not (conf_folder() / key).is_dir():
            # The whole path first, then the last word of it: `learning_rate` finds dataset.train.learning_rate.
            near = [k for k in known if k.split(".")[-1] == key.split(".")[-1]]
            hint = f" Did you mean '{sorted(near, key=len)[0]}'?" if near else did_you_mean(key, known)
            if " Known: " in hint:
                hint = " The keys are listed in conf/search.yaml and by --cfg job."
            return f"Unknown configuration key '{key}'.{hint}"
    if isinstance(error, ConfigCompositionException):
        cause = error.__cause__
        return f"Configuration: {' '.join(str(error).split())}" + (f" ({cause})" if cause else "")
    return f"Configuration: {' '.join(str(error).split())}"


def _options(group: str) -> list[str]:
    folder = conf_folder() / group
    return [str(f.relative_to(folder).with_suffix("")).replace(os.sep, "/") for f in folder.rglob("*.yaml")]


def _groups() -> set[str]:
    return {f.name for f in conf_folder().iterdir() if f.is_dir()}


def _leaves(config: Any, prefix: str = "") -> set[str]:
    found: set[str] = set()
    for key in config:
        path = f"{prefix}{key}"
        found.add(path)
        node = OmegaConf.to_container(config, resolve=False)[key]  # type: ignore[index, call-overload]
        if isinstance(node, dict):
            found |= _leaves(OmegaConf.create(node), f"{path}.")
    return found
