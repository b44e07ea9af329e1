"""From the command line to a checked Config; mistakes are answered with the near match."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from ameir_pl.cli.checks import check_values
from ameir_pl.cli.conf_files import SEARCHPATH, conf_folder, groups, named_file, options
from ameir_pl.cli.config import CONFIGS, Config
from ameir_pl.cli.nodes import check_nodes
from ameir_pl.cli.overrides import check_overrides, parsed, user_folders
from ameir_pl.cli.search_keys import check_search_keys
from ameir_pl.cli.secrets import refuse_secret_settings, refuse_secrets
from ameir_pl.errors import AmeirError, did_you_mean

ARCHITECTURE = "architecture"
ONE_MODEL = ("train", "compare", "tune")
"""Commands with the settings of one model."""
ADDED = re.compile(r"^\+?((?:trainer|optimizer|scheduler)\.[^.=@]+=)")
"""Keys of other packages' classes, given with or without ``+``: conf/ does not list all of them."""
OPEN = ("logger", "callbacks", "model.options", "dataset.options")
"""Below these a key that conf/ does not list may be added with ``+``."""
COMPOSING = (HydraException, OmegaConfBaseException, ValueError, OSError)  # the last: a name too long for a file


def raw_config(name: str, overrides: list[str]) -> DictConfig:
    """Compose ``name`` with Hydra; raises ``AmeirError`` naming a mistyped key or file and the nearest one."""
    # Hydra would take architecture= for the choice of a config group, as conf/architecture/ is a folder; it is a name
    # there or a path anywhere.
    chosen = [o.partition("=")[2] for o in overrides if _names_architecture(o)]
    read = parsed([o for o in overrides if not _names_architecture(o)])
    check_overrides(read, trains_one=name in ONE_MODEL)
    if chosen and name not in ONE_MODEL:
        raise AmeirError(f"'{ARCHITECTURE}' is a setting of `ameir train`, not of this command.")
    folders = user_folders(read)
    lines = ["~logger" if override.key_or_group == "logger" and override.value() is None else
             ADDED.sub(r"++\1", override.input_line or "") for override in read]
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        try:
            composed = compose(name, lines)
        except COMPOSING as error:
            raise AmeirError(_explain(name, lines, folders, error)) from error
    if chosen:
        own = named_file(ARCHITECTURE, chosen[-1], folders)
        composed.architecture = str(own) if own is not None else None if chosen[-1] in ("", "null") else chosen[-1]
    if "logger" not in composed and "logger" in {one.name for one in fields(CONFIGS[name])}:  # ~logger, as logger=csv
        with open_dict(composed):
            composed.logger = {}
    return composed


def _names_architecture(override: str) -> bool:
    return override.lstrip("+").startswith(f"{ARCHITECTURE}=")


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
        where = f"{key or _mistyped(kind, composed)}: "
        raise AmeirError(f"Configuration: {where}{message.rstrip('.')}.") from error
    if not isinstance(config, kind):
        raise AmeirError(f"Configuration {name} is not of the type it should be.")
    _check_lists(config)
    if not isinstance(config, Config):
        return config, composed
    check_preset(config.dataset.name, config.preset)
    check_values(config)
    check_search_keys(name, config)
    check_nodes(config)
    if not re.fullmatch(r"[\w.+-]+", config.run) or config.run.startswith("."):
        raise AmeirError(f"Configuration: run={config.run} names a folder under runs/; use letters, digits, "
                         "'-', '_', '.' and '+'.")
    return config, composed


def _check_lists(config: Any, prefix: str = "") -> None:
    """Raise ``AmeirError`` for a list within a list of plain values, which OmegaConf lets pass."""
    for one in fields(config):
        value, key = getattr(config, one.name), f"{prefix}{one.name}"
        if is_dataclass(value):
            _check_lists(value, f"{key}.")
        elif isinstance(value, list) and any(inner is None or isinstance(inner, list | dict) for inner in value):
            raise AmeirError(f"Configuration: {key}={value} must be a list of plain values.")


def _mistyped(kind: type, composed: DictConfig) -> str:
    """Return the first key whose value is not of its type, where the message does not name it."""
    for key in composed:
        try:
            OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(kind), {key: composed[key]}))
        except OmegaConfBaseException:
            return str(key)
    return "these settings"


def check_preset(dataset: str, preset: str | None) -> None:
    """Raise ``AmeirError`` for a preset that a dataset does not have, which Hydra passes over."""
    known = sorted(o.removeprefix(f"{dataset}_") for o in options("dataset_preset") if o.startswith(f"{dataset}_"))
    if preset is None or preset in known:
        return
    there = f"There is: {', '.join(known)}." if known else "It has none; leave preset= out."
    raise AmeirError(f"dataset={dataset} has no preset={preset}. {there}")


def _explain(name: str, lines: list[str], folders: list[Path], error: Exception) -> str:
    """Say what is wrong with one override, the first that is wrong."""
    line, error = _wrong(name, lines, error)
    key = _key(line)
    if isinstance(error, MissingConfigException):
        group, _, option = (error.missing_cfg_file or "").rpartition("/")
        there = options(group, folders)
        if there:
            return f"There is no {group}={option}.{did_you_mean(option, there)}"
        return str(error).splitlines()[0]
    # Of the groups that were chosen: each model and dataset has keys of its own.
    known = _leaves(_composed(name, [o for o in lines if _chooses(o) and o != line]))
    parent = key.rpartition(".")[0]
    if key and key not in known and not key.startswith("dataset_budget"):
        if name not in ONE_MODEL and key in _leaves(_composed("train", [])):
            return f"'{key}' is a setting of `ameir train`, not of this command."
        if line.startswith("~"):
            return f"{line} leaves out what is not there.{did_you_mean(key, known)}"
        added = f" One that conf/ does not list is written with a plus: +{line}" if any(
            parent == node or parent.startswith(f"{node}.") for node in OPEN) else ""
        return _unknown(key, known) + added
    if line.startswith("~"):
        return f"{line} leaves out a key that has no value (null) anyway."
    if line.startswith("+") and not line.startswith("++") and key in known and not _chooses(line.lstrip("+")):
        return f"{line}: there is {key} already, so it is written without a plus: {line.lstrip('+')}"
    where = f"{line}: " if line and key not in str(error) else ""
    cause = f" ({error.__cause__})" if isinstance(error, ConfigCompositionException) and error.__cause__ else ""
    return f"Configuration: {where}{' '.join(f'{error}{cause}'.split())}"


def _wrong(name: str, lines: list[str], error: Exception) -> tuple[str, Exception]:
    """Return the override that cannot be composed, of several the first, choices of groups before keys, and what was
    said of it."""
    said = [line for line in lines if re.search(rf"(?<![\w.]){re.escape(_key(line))}(?![\w.])", str(error))]
    if len(said) == 1:
        return said[0], error
    ordered = sorted(lines, key=lambda line: not _chooses(line))
    low, high = 0, len(ordered)  # the first `low` compose, the first `high` do not
    while low < high - 1:
        middle = (low + high) // 2
        try:
            _composed(name, ordered[:middle])
            low = middle
        except COMPOSING as other:
            high, error = middle, other
    return (ordered[high - 1] if ordered else ""), error


def _composed(name: str, lines: list[str]) -> DictConfig:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return compose(name, lines)


def _chooses(line: str) -> bool:
    return _key(line) in groups() or _key(line) == SEARCHPATH


def _key(line: str) -> str:
    return line.lstrip("+~").split("=", 1)[0].split("@", 1)[0]


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


__all__ = ["conf_folder", "load_config", "raw_config", "typed_config"]
