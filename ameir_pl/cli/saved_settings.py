"""The settings of a command that continues a run: the run's own, from its config.yaml, under what is given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from ameir_pl.cli.compose import raw_config, typed_config
from ameir_pl.cli.conf_files import conf_folder
from ameir_pl.cli.run_settings import saved_config
from ameir_pl.cli.setup import run_path
from ameir_pl.errors import AmeirError

OWN = ("run", "stage", "overwrite", "debug", "launcher", "preparation", "detect_anomaly", "hydra")
"""Keys of the command, not of the run that it continues."""
NAMED = ("dataset", "budget", "model")
"""Groups whose choice is the run's own where it has the run's name, however single keys of it were changed."""


def load_run_config(name: str, overrides: list[str]) -> tuple[Any, DictConfig]:
    """Return what :func:`~ameir_pl.cli.compose.load_config` does, with the settings of the run that is named.

    ``run=`` is a name, or the path of a run folder. What the overrides do not say is taken from the folder's
    config.yaml; where there is none, from conf/.

    Raises:
        AmeirError: as ``load_config``; a path is not a run folder; several runs have the name.
    """
    given = _value(overrides, "run")
    folder = None
    if given is not None and ("/" in given or "\\" in given):
        folder = Path(given)
        overrides = _at(folder, overrides)
    composed = raw_config(name, overrides)
    if composed.get("runs", 1) != 1:
        raise AmeirError(f"runs={composed.runs} is a setting of `ameir search`, not of this command. Leave it out.")
    config, _ = typed_config(name, composed.copy())
    if folder is None:
        folder = _find(config, overrides)
    if folder is None or not (folder / "config.yaml").is_file():
        return typed_config(name, composed)
    saved = saved_config(folder)
    config, merged = typed_config(name, _merged(composed, saved, overrides))
    if run_path(config).resolve() != folder.resolve():
        raise AmeirError(f"{folder} is not where this run belongs: it was moved, renamed, or made by an earlier "
                         f"version, which kept runs of tables elsewhere. Move the folder to {run_path(config)}.")
    return config, merged


def _at(folder: Path, overrides: Sequence[str]) -> list[str]:
    """Name the run of a folder as overrides do."""
    if not (folder / "config.yaml").is_file():
        raise AmeirError(f"run={folder}: there is no run in this folder (no config.yaml). Give a folder such as "
                         "runs/DATASET/RUN, or the name of a run.")
    whole = folder.resolve()
    rest = [o for o in overrides if _key(o) not in ("run", "paths.runs")]
    dataset = OmegaConf.select(saved_config(folder), "dataset.name")
    if _value(overrides, "dataset") is None and (conf_folder() / "dataset" / f"{dataset}.yaml").is_file():
        rest = [f"dataset={dataset}", *rest]
    # A relative path stays one: messages repeat it.
    runs = folder.parent.parent if len(folder.parts) > 2 else whole.parent.parent
    return [*rest, f"paths.runs={_quoted(runs)}", f"run={_quoted(whole.name)}"]


def _find(config: Any, overrides: Sequence[str]) -> Path | None:
    """Return the folder of the run that is named, looked for under ``paths.runs`` where the dataset is left open."""
    path = run_path(config)
    source, dataset = config.dataset.source, _value(overrides, "dataset")
    if (path / "config.yaml").is_file() or (dataset is not None and not (dataset == "table" and source is None)):
        return path
    named = [f.parent for f in sorted(Path(config.paths.runs).glob("*/*/config.yaml")) if f.parent.name == config.run
             and (dataset is None or dataset == _dataset(f.parent))]
    if len(named) > 1:
        raise AmeirError(f"There are several runs of this name: {', '.join(map(str, named))}. Say which: run=FOLDER.")
    return named[0] if named else None


def _dataset(folder: Path) -> str | None:
    try:
        return str(OmegaConf.select(saved_config(folder), "dataset.name"))
    except AmeirError:  # another run's, perhaps
        return None


def _merged(composed: DictConfig, saved: Any, overrides: Sequence[str]) -> DictConfig:
    """Return the saved settings with those that the overrides name, and the command's own."""
    composed = composed.copy()
    OmegaConf.resolve(composed)
    merged = composed.copy()
    OmegaConf.set_struct(merged, False)
    for key in composed:
        if key not in OWN and key in saved:
            merged[key] = saved[key]
    OmegaConf.update(merged, "paths.runs", composed.paths.runs)
    for override in overrides:
        key = _key(override)
        if key in NAMED and OmegaConf.select(composed, f"{key}.name") == OmegaConf.select(saved, f"{key}.name"):
            continue
        if key.startswith("hydra"):
            continue
        if override.startswith("~"):
            _remove(merged, key)
        elif key not in OWN:
            OmegaConf.update(merged, key, OmegaConf.select(composed, key), merge=False, force_add=True)
    return merged


def _remove(config: DictConfig, key: str) -> None:
    parent, _, last = key.rpartition(".")
    node = OmegaConf.select(config, parent) if parent else config
    if OmegaConf.is_dict(node) and last in node:
        del node[last]


def _key(override: str) -> str:
    return override.lstrip("+~").split("=", 1)[0].split("@", 1)[0]


def _value(overrides: Sequence[str], key: str) -> str | None:
    """Return the last value that is given to a key, as Hydra reads it."""
    given = [o for o in overrides if _key(o) == key]
    if not given:
        return None
    try:
        value = OverridesParser.create().parse_override(given[-1]).value()
    except HydraException:  # said where all overrides are read
        return None
    return str(value.text if isinstance(value, QuotedString) else value)


def _quoted(value: object) -> str:
    return QuotedString(text=str(value), quote=Quote.single).with_quotes()
