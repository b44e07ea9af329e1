"""Whether a run folder's results belong to the settings and the data that a command asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ameir_pl import ranks
from ameir_pl.atomic import recover_folder
from ameir_pl.cli.config import Config
from ameir_pl.cli.fingerprint import counted, differences, flat, others
from ameir_pl.cli.search_keys import AMEIR, STRATEGY_KEYS
from ameir_pl.errors import AmeirError
from ameir_pl.search.journal import FOLDER as UNFINISHED
from ameir_pl.search.journal import unfinished
from ameir_pl.search.lock import RunLock
from ameir_pl.search.problem import CONSTANT

RESULTS = ("stage1", "stage2", "stage3", "model", "metrics.json")
"""What makes a folder a run with results."""
TOLD = ("dataset.max_len", "dataset.model.embedding_size", "dataset.model.mlp", "dataset.model.block_dropout",
        "dataset.model.mlp_dropout", "dataset.train.batch_size", "dataset.train.learning_rate",
        "dataset.train.weight_decay", "dataset.train.loss", "dataset.train.negatives", "dataset.train.drawn_by",
        "dataset.train.log_q", "dataset.train.similarity", "dataset.train.temperature", "dataset.train.clips",
        "dataset.model.embedding_dropout", "dataset.model.embedding_bound", "budget.finetune_epochs",
        "budget.patience", "budget.least_updates",
        "budget.patient_updates", "optimizer._target_", "trainer.precision",
        "trainer.gradient_clip_val", "data_fingerprint")
"""What is told beside a model's numbers. The learning rate's schedule is told by what ran: ``scheduler`` is that of
supernets alone."""


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
    if not has_results(path):
        return
    saved = saved_config(path)
    found = differences(counted(saved, keys), counted(composed, keys))
    if not found:
        return
    # Files of one strategy would be left beside those of another.
    replaceable = (OmegaConf.select(saved, "dataset.name"), OmegaConf.select(saved, "strategy") or AMEIR) == (
        config.dataset.name, config.strategy)
    if config.overwrite and begins and replaceable:
        return
    what = "delete the folder" if begins and not replaceable else \
        "replace its results with overwrite=true" if begins else "begin it anew with its first command"
    raise AmeirError(f"{path} has results of other settings: {'; '.join(found)} (there -> asked for). Choose another "
                     f"run=…, repeat its settings, or {what}.")


def check_run_data(path: Path, fingerprint: str, *, overwrite: bool) -> None:
    """Raise ``AmeirError`` when the folder's results were made from other data and may not be overwritten."""
    if overwrite or not has_results(path):
        return
    saved = OmegaConf.select(OmegaConf.load(path / "config.yaml"), "data_fingerprint")  # type: ignore[arg-type]
    if saved != fingerprint:
        raise AmeirError(f"{path} has results of other data (fingerprint {saved}, now {fingerprint}): the raw files or "
                         "the way they are encoded changed. Choose another run=…, or begin it anew with its first "
                         "command and overwrite=true.")


def result_settings(path: Path, row: Mapping[str, Any], *, searched: bool = False) -> dict[str, Any]:
    """Return what a trained model's numbers depend on beside its seed, by short names; nulls are left out.

    Args:
        path: the run folder.
        row: the model's entry in metrics.json, which says how its learning rate went; constant where it does not.
        searched: whether supernets were trained before it, with a schedule of their own.

    Raises:
        AmeirError: its config.yaml is missing or damaged.
    """
    saved = saved_config(path)
    shown = {key.removeprefix("dataset.model.").removeprefix("dataset.train.").removeprefix("dataset.")
             .removeprefix("budget.")
             .removesuffix("._target_"): value for key, value in (flat(saved, TOLD) | others(saved)).items()}
    shown["schedule"] = row.get("schedule", CONSTANT)
    if searched:
        shown["supernets' schedule"] = str(OmegaConf.select(saved, "scheduler._target_")).rpartition(".")[2]
    return {key: value for key, value in shown.items()
            if value is not None and key not in STRATEGY_KEYS and not key.endswith("._partial_")}


def saved_config(path: Path) -> Any:
    """Return a run folder's config.yaml; raises ``AmeirError`` where it is missing or damaged."""
    file = path / "config.yaml"
    try:
        saved = OmegaConf.load(file)
        OmegaConf.select(saved, "dataset.name")
        OmegaConf.resolve(saved)
        return saved
    except Exception as error:  # yaml raises many kinds; all mean a damaged file
        raise AmeirError(f"{file} is damaged: {' '.join(str(error).split())}. Choose another run=…, or delete the "
                         "folder.") from error
