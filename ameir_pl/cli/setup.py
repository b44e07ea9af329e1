"""From a Config to a Problem: data, objective, engine, loggers and the run folder."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import Logger
from torch import nn

from ameir_pl.architecture_file import find_architecture, read_architecture
from ameir_pl.atomic import write_text
from ameir_pl.baselines import BASELINES
from ameir_pl.callbacks.metrics_csv import MetricsCsv
from ameir_pl.cli.compose import conf_folder
from ameir_pl.cli.config import RESULT_KEYS, Config
from ameir_pl.cli.engine import LightningEngine
from ameir_pl.data import DATASETS, AmeirDataModule, Dataset
from ameir_pl.errors import AmeirError, did_you_mean
from ameir_pl.models.capacity import aggregation_width
from ameir_pl.objectives import make_objective
from ameir_pl.schema import Schema
from ameir_pl.search.problem import Problem
from ameir_pl.search.run_folder import RunFolder
from ameir_pl.space.architecture import Architecture
from ameir_pl.space.sampling import FAIRNESS
from ameir_pl.space.space import check_architecture


@dataclass
class Session:
    """A problem and what belongs to this process.

    Args:
        problem: the search.
        dataset: for the protocol and the vocabulary.
        vocabulary: the encoded dataset's ``vocabulary.parquet``.
        prepare_seconds: what encoding took here; near zero when it was reused.
        loggers: closed at the end.
    """

    problem: Problem
    dataset: Dataset
    vocabulary: Path
    prepare_seconds: float
    loggers: list[Logger]

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exception: object) -> None:
        for logger in self.loggers:
            logger.finalize("success" if exception[0] is None else "failed")
            if isinstance(logger, pl.loggers.WandbLogger):
                import wandb

                wandb.finish(exit_code=0 if exception[0] is None else 1, quiet=True)


def make_dataset(config: Config) -> Dataset:
    """Return the dataset that the configuration names."""
    settings, data = config.dataset, Path(config.paths.data)
    return DATASETS.get(settings.name)(raw=data / "raw" / settings.name, encoded=data / "encoded",
                                       source=settings.source, max_len=settings.max_len)


def run_path(config: Config) -> Path:
    """Return ``runs/<dataset>/<run>``."""
    return Path(config.paths.runs) / config.dataset.name / config.run


def open_session(config: Config, composed: DictConfig, *, script: str = "python search.py") -> Session:
    """Prepare the data and build the problem. Nothing is written to the run folder but its config and logs, and that
    only when the folder's results, if any, were made with the same settings.

    Raises:
        AmeirError: anything in the configuration, the data or the folder that does not fit.
    """
    if config.fairness not in FAIRNESS:
        raise AmeirError(f"There is no fairness={config.fairness}.{did_you_mean(config.fairness, FAIRNESS)}")
    path = run_path(config)
    check_run_folder(path, config, composed)
    dataset = make_dataset(config)
    started = time.monotonic()
    encoded = dataset.prepare()
    prepare_seconds = time.monotonic() - started
    schema, train = encoded.schema, config.dataset.train
    objective = make_objective(schema, train.loss)
    drawing: dict[str, Any] = {}
    if schema.task == "retrieval":
        drawing = {"loss": train.loss, "negatives": train.negatives}
    data = AmeirDataModule(encoded=encoded, batch_size=train.batch_size, eval_batch_size=train.eval_batch_size,
                           seed=config.seed, **drawing)
    loggers = make_loggers(config, composed, path)
    engine = LightningEngine(
        data, objective, trainer=built(composed, "trainer"), optimizer=built(composed, "optimizer"),
        scheduler=built(composed, "scheduler"), callbacks=lambda: list(built(composed, "callbacks").values()),
        loggers=loggers, weight_decay=train.weight_decay, fairness=config.fairness)
    folder = RunFolder(path, schema.fingerprint(), f"{script} dataset={config.dataset.name} run={config.run}")
    problem = Problem(schema=schema, data=data, objective=objective, engine=engine, folder=folder,
                      model=config.dataset.model, budget=config.budget, space=config.space,
                      stages=tuple(config.dataset.stages), seed=config.seed, overwrite=config.overwrite,
                      baseline=partial(make_baseline, config=config, schema=schema))
    check_space(problem)
    write_text(path / "config.yaml", OmegaConf.to_yaml(composed))
    return Session(problem, dataset, encoded.folder / "vocabulary.parquet", prepare_seconds, loggers)


def check_space(problem: Problem) -> None:
    """Raise ``AmeirError`` for operation names that do not exist or that this dataset cannot use."""
    blocks = problem.block_space()
    for layer in blocks.layers:
        for activation in blocks.activations:
            for norm in blocks.norms:
                check_architecture(Architecture.from_dict({"blocks": [{"layer": layer, "activation": activation,
                                                                       "norm": norm}]}, "space"),
                                   layers=problem_layers(problem), fields=(), depth=1, has_behaviors=True, width=1,
                                   source="space")


def problem_layers(problem: Problem) -> tuple[str, ...]:
    """Return every registered layer operation that the dataset allows."""
    from ameir_pl.nn.operations import names

    return tuple(names(problem.schema.has_target))


def built(composed: DictConfig, key: str) -> Any:
    """Instantiate a node of the configuration; raises ``AmeirError`` naming the node and what its target said."""
    try:
        return instantiate(composed[key])
    except (InstantiationException, TypeError) as error:
        cause = error.__cause__ or error
        raise AmeirError(f"Configuration: '{key}' cannot be built: {cause}") from error


def make_loggers(config: Config, composed: DictConfig, path: Path) -> list[Logger]:
    """Return metrics.csv's logger and those of the logger group."""
    loggers: list[Logger] = [MetricsCsv(path / "metrics.csv")]
    for name, make in built(composed, "logger").items():
        path.mkdir(parents=True, exist_ok=True)
        try:
            if name == "wandb":
                import os

                os.environ.setdefault("WANDB_SILENT", "true")
                loggers.append(make(save_dir=str(path), name=f"{config.dataset.name}-{config.run}"))
            else:
                loggers.append(make(save_dir=str(path)))
        except (ImportError, ModuleNotFoundError) as error:
            raise AmeirError(f"logger={name} needs a package that is not installed: {error}. Install it with "
                             f"`pip install 'ameir-pl[{name}]'`, or use logger=csv.") from error
    return loggers


def check_run_folder(path: Path, config: Config, composed: DictConfig) -> None:
    """Raise ``AmeirError`` when the folder's results were made with other settings and may not be overwritten."""
    saved_file = path / "config.yaml"
    if not saved_file.exists():
        return
    try:
        saved = OmegaConf.load(saved_file)
    except Exception as error:  # yaml raises many kinds; all mean a damaged file
        raise AmeirError(f"{saved_file} is damaged: {error}. Choose another run=…, or delete the folder.") from error
    differences = []
    for key in RESULT_KEYS:
        old, new = (_plain(OmegaConf.select(c, key)) for c in (saved, composed))  # type: ignore[arg-type]
        differences += _differences(key, old, new)
    if differences and not (config.overwrite and OmegaConf.select(saved, "dataset.name") == config.dataset.name):
        shown = "; ".join(differences[:5]) + ("; …" if len(differences) > 5 else "")
        raise AmeirError(f"{path} has results of other settings: {shown} (there -> asked for). Choose another run=…, "
                         "repeat its settings, or replace its results with overwrite=true.")


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def _differences(key: str, old: Any, new: Any) -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        return [line for k in sorted({*old, *new}) for line in _differences(f"{key}.{k}", old.get(k), new.get(k))]
    return [] if old == new else [f"{key}: {old} -> {new}"]


def make_baseline(name: str, *, config: Config, schema: Schema) -> nn.Module:
    """Return a baseline with the dataset's sizes and its pre-defined MLP."""
    model = config.dataset.model
    return BASELINES.get(name)(schema, embedding_size=model.embedding_size, mlp=model.mlp, dropout=model.mlp_dropout)


def checked_architecture(problem: Problem, name: str) -> Architecture:
    """Read an architecture file and check that it fits the dataset; raises ``AmeirError`` saying where it does not."""
    path = find_architecture(name, conf_folder())
    architecture = read_architecture(path)
    known = [i for i in architecture.interactions if set(i) <= set(problem.schema.field_names)]
    check_architecture(architecture, layers=problem_layers(problem), fields=problem.schema.field_names,
                       depth=problem.model.blocks, has_behaviors=bool(problem.schema.behaviors),
                       width=aggregation_width(problem.schema, problem.model.embedding_size, known),
                       predefined=problem.predefined, source=str(path))
    return architecture

