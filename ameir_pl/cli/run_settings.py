"""Whether a run folder's results belong to the settings and the data that a command asks for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ameir_pl import ranks
from ameir_pl.atomic import recover_folder
from ameir_pl.cli.config import RESULT_KEYS, Config
from ameir_pl.errors import AmeirError
from ameir_pl.search.journal import FOLDER as UNFINISHED
from ameir_pl.search.journal import unfinished
from ameir_pl.search.lock import RunLock

RESULTS = ("stage1", "stage2", "stage3", "model", "metrics.json")
"""What makes a folder a run with results."""


def recover(path: Path) -> None:
    """Put back a result that a command was killed while replacing, unless someone is writing to the folder."""
    folders = [path / name for name in RESULTS if (path / f".{name}.old").exists() and not (path / name).exists()]
    if folders and ranks.writes():
        lock = RunLock(path / ".lock")
        lock.acquire()
        for folder in folders:
            recover_folder(folder)
        lock.release()


def has_results(path: Path) -> bool:
    """Return whether a run folder holds results, or unfinished work, of a known configuration."""
    results = any((path / name).exists() for name in RESULTS) or unfinished(path / UNFINISHED)
    return bool(results) and (path / "config.yaml").exists()


def check_run_folder(path: Path, config: Config, composed: DictConfig, *, begins: bool, keys: Sequence[str]) -> None:
    """Raise ``AmeirError`` when the folder's results were made with other settings and may not be overwritten.

    Args:
        path: the run folder; one without results fits anything.
        config: typed configuration.
        composed: what is asked for now.
        begins: whether the command makes a run's results from the start, so that overwriting leaves none of the old.
        keys: what must agree.
    """
    saved_file = path / "config.yaml"
    if not has_results(path):
        return
    try:
        saved = OmegaConf.load(saved_file)
        old_name = OmegaConf.select(saved, "dataset.name")
    except Exception as error:  # yaml raises many kinds; all mean a damaged file
        raise AmeirError(f"{saved_file} is damaged: {' '.join(str(error).split())}. Choose another run=…, or delete "
                         "the folder.") from error
    differences = []
    for key in keys:
        old, new = (_plain(OmegaConf.select(c, key)) for c in (saved, composed))  # type: ignore[arg-type]
        differences += _differences(key, old, new)
    if not differences or (config.overwrite and begins and old_name == config.dataset.name):
        return
    shown = "; ".join(differences[:5]) + ("; …" if len(differences) > 5 else "")
    what = "replace its results with overwrite=true" if begins else "begin it anew with its first command"
    raise AmeirError(f"{path} has results of other settings: {shown} (there -> asked for). Choose another run=…, "
                     f"repeat its settings, or {what}.")


def check_run_data(path: Path, fingerprint: str, *, overwrite: bool) -> None:
    """Raise ``AmeirError`` when the folder's results were made from other data and may not be overwritten."""
    if overwrite or not has_results(path):
        return
    saved = OmegaConf.select(OmegaConf.load(path / "config.yaml"), "data_fingerprint")  # type: ignore[arg-type]
    if saved != fingerprint:
        raise AmeirError(f"{path} has results of other data (fingerprint {saved}, now {fingerprint}): the raw files or "
                         "the way they are encoded changed. Choose another run=…, or begin it anew with its first "
                         "command and overwrite=true.")


def settings_fingerprint(composed: DictConfig, keys: Sequence[str] = RESULT_KEYS) -> str:
    """Return 16 hex digits that change with every setting a run's results depend on."""
    values = {key: _plain(OmegaConf.select(composed, key)) for key in keys}
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def _differences(key: str, old: Any, new: Any) -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        return [line for k in sorted({*old, *new}) for line in _differences(f"{key}.{k}", old.get(k), new.get(k))]
    return [] if old == new else [f"{key}: {old} -> {new}"]
