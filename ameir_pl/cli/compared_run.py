"""The finished run that ``as_long_as=`` names: what it took and the model it found, on the same data."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ameir_pl.cli.config import RESULT_KEYS, Config
from ameir_pl.cli.fingerprint import counted, differences
from ameir_pl.cli.run_settings import saved_config
from ameir_pl.cli.search_keys import STRATEGY_KEYS
from ameir_pl.cli.setup import Session, run_path
from ameir_pl.errors import AmeirError
from ameir_pl.export.bundle import Bundle, read_bundle
from ameir_pl.models.ameir import Derived
from ameir_pl.reports.seeds import SUMMARY, search_seconds
from ameir_pl.reports.table import METRICS, read_metrics
from ameir_pl.search.choosing import joined
from ameir_pl.search.evaluator import predicted
from ameir_pl.search.journal import FOLDER as UNFINISHED
from ameir_pl.search.journal import unfinished
from ameir_pl.search.problem import Problem


@dataclass(frozen=True)
class ComparedRun:
    """A finished search.

    Args:
        name: of the run.
        seconds: that it took in all, search and finetuning, without preparing data and the baseline beside.
        bundle: its model.
        row: that model's row in metrics.json.
        settings: ``key: there -> here`` of what differs, beside the strategy.
    """

    name: str
    seconds: float
    bundle: Bundle
    row: dict[str, Any]
    settings: list[str]


@dataclass(frozen=True)
class PairedDifference:
    """By how much a model is better than another one on the same rows.

    Args:
        metric: higher is better.
        rows: ``test``, or ``valid`` where test rows are not measured.
        difference: of the metric.
        error: standard error of the difference.
    """

    metric: str
    rows: str
    difference: float
    error: float


def compared_run(config: Config, composed: DictConfig, session: Session) -> ComparedRun:
    """Return the run that ``as_long_as=`` names; raises ``AmeirError`` where it is unfinished, no search, or one of
    other data."""
    name, own = str(config.as_long_as), run_path(config)
    folder = own.with_name(name)
    said = f"as_long_as={name}: {folder}"
    if name in ("", ".", "..") or Path(name).name != name or folder == own:
        raise AmeirError(f"as_long_as={name} must be the name of another run in {own.parent}.")
    if (folder / SUMMARY).is_file() and not (folder / METRICS).is_file():
        raise AmeirError(f"{said} is several runs, one for each seed: name one of them, or give runs=N as there.")
    if not (folder / "config.yaml").is_file():
        elsewhere = sorted(f.parent for f in Path(config.paths.runs).glob(f"*/{name}/config.yaml"))
        also = f" {elsewhere[0]} is of another dataset." if elsewhere else ""
        raise AmeirError(f"{said} does not exist.{also} Search there first.")
    saved = saved_config(folder)
    if OmegaConf.select(saved, "data_fingerprint") != composed.data_fingerprint:
        raise AmeirError(f"{said} is of other data (fingerprint {OmegaConf.select(saved, 'data_fingerprint')}, here "
                         f"{composed.data_fingerprint}), so its model cannot be compared.")
    if not (folder / METRICS).is_file() or unfinished(folder / UNFINISHED):
        raise AmeirError(f"{said} is not finished. Give its command again, then this one.")
    metrics = read_metrics(folder / METRICS)
    seconds = search_seconds(metrics)
    if not seconds or not (folder / "model").is_dir():
        raise AmeirError(f"{said} is no search with a model.")
    bundle = read_bundle(folder / "model")
    if bundle.state == "derived" or bundle.variant not in metrics["models"]:
        raise AmeirError(f"{said} is not finished: its model is not finetuned. Give its command again, then this one.")
    if bundle.model.schema != session.problem.schema:
        raise AmeirError(f"{said} has a model of another schema than the data have now.")
    there, here = ({key: value for key, value in counted(one, RESULT_KEYS).items() if key not in STRATEGY_KEYS}
                   for one in (saved, composed))
    return ComparedRun(name, seconds, bundle, metrics["models"][bundle.variant],
                       differences(there, here))


def paired_difference(problem: Problem, model: Derived, other: Bundle) -> PairedDifference:
    """Return by how much ``model`` is better than the ``other`` run's on all test rows, or on all validation rows where
    test rows are not measured. Each is measured as it was trained."""
    rows = "test" if problem.measure_test else "valid"
    loader = problem.data.test_dataloader() if problem.measure_test else problem.data.val_dataloader()
    as_there = copy(problem.objective)
    as_there.temperature = other.temperature
    mine = joined(predicted(model, loader, problem.objective))
    theirs = joined(predicted(other.model, loader, as_there))
    return PairedDifference(problem.objective.fitness, rows, *problem.objective.difference(mine, theirs))
