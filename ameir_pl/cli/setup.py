"""From a Config to a Problem: data, objective, engine, loggers and the run folder."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

import pytorch_lightning as pl
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, open_dict
from pytorch_lightning.loggers import Logger
from torch import nn

from ameir_pl import __version__, ranks
from ameir_pl.architecture_file import find_architecture, read_architecture
from ameir_pl.atomic import write_text
from ameir_pl.baselines import build_baseline, check_baseline
from ameir_pl.cli.checks import (
    NARROWING,
    check_factories,
    check_labels,
    check_limits,
    check_metrics,
    check_space,
    check_stage_settings,
    check_stages,
    usable_layers,
)
from ameir_pl.cli.command_line import named_run, setting
from ameir_pl.cli.conf_files import conf_folder
from ameir_pl.cli.config import RESULT_KEYS, TRAIN_KEYS, Config
from ameir_pl.cli.engine import LightningEngine
from ameir_pl.cli.fingerprint import settings_fingerprint
from ameir_pl.cli.loggers import check_loggers, close_loggers, make_loggers
from ameir_pl.cli.run_settings import check_run_data, check_run_folder, recover
from ameir_pl.cli.trainer_keys import Limits
from ameir_pl.data import DATASETS, AmeirDataModule, Dataset
from ameir_pl.data.bad_rows import Policy
from ameir_pl.data.encoded_sequences import EncodedSequences
from ameir_pl.data.ray_parts import RayParts
from ameir_pl.errors import AmeirError
from ameir_pl.models.capacity import aggregation_width
from ameir_pl.objectives import make_objective
from ameir_pl.progress import logging_to
from ameir_pl.schema import Schema
from ameir_pl.search.journal import FOLDER as UNFINISHED
from ameir_pl.search.journal import Journal
from ameir_pl.search.lock import RunLock
from ameir_pl.search.problem import Problem
from ameir_pl.search.run_folder import RunFolder
from ameir_pl.space.architecture import Architecture
from ameir_pl.space.space import check_architecture
from ameir_pl.tasks.schedule import WarmupCosine

Purpose = Literal["search", "train", "finish", "evaluate"]


@dataclass
class Session:
    """A problem and what belongs to this process.

    Args:
        problem: the search.
        dataset: for the protocol and the vocabulary.
        vocabulary: the encoded dataset's ``vocabulary.parquet``.
        prepare_seconds: what encoding took here; near zero when it was reused.
        loggers: those of the engine; filled on entering, closed on leaving.
        open_loggers: makes them.
        config: what ``config.yaml`` gets; None leaves it as it is.
        planted: what is known of generated data, see :func:`~ameir_pl.data.dataset.planted_truth`.

    Entering it is what first writes to the run folder, which is locked until it is left: config.yaml, log.txt, the
    loggers' files. Work that an interrupted command left unfinished is kept until a command like it ends well.
    """

    problem: Problem
    dataset: Dataset
    vocabulary: Path
    prepare_seconds: float
    loggers: list[Logger]
    open_loggers: Callable[[], list[Logger]]
    config: str | None
    planted: dict[str, Any] | None = None

    def __enter__(self) -> Session:
        ranks.barrier()  # the others read the folder before the first one writes
        with ranks.in_turn():
            return self._enter_alone()

    def _enter_alone(self) -> Session:
        path = self.problem.folder.path
        self._lock = RunLock(path / ".lock")
        try:
            path.mkdir(parents=True, exist_ok=True)
            if ranks.writes():
                self._lock.acquire()
            self._enter(path)
        except OSError as error:
            self._lock.release()
            raise AmeirError(f"{path} cannot be written ({error.strerror}). Name another folder with "
                             "paths.runs=FOLDER.") from error
        except BaseException:
            self._lock.release()
            raise
        return self

    def _enter(self, path: Path) -> None:
        self.loggers += self.open_loggers()  # nothing of theirs is open before they are first written to
        if self.config is not None:
            write_text(path / "config.yaml", self.config)
        if ranks.writes():
            (path / "log.txt").touch()
        self._log = logging_to(path / "log.txt")
        self._log.__enter__()
        if self.config is not None:
            self.problem.journal.open()

    def __exit__(self, *exception: object) -> None:
        try:
            if exception[0] is None and self.config is not None:
                self.problem.journal.close()
            self._log.__exit__(None, None, None)
            close_loggers(self.loggers, cast(BaseException | None, exception[1]))
        finally:
            self._lock.release()


def make_dataset(config: Config) -> Dataset:
    """Return the dataset that the configuration names."""
    settings, data = config.dataset, Path(config.paths.data)
    try:
        dataset = DATASETS.get(settings.name)(raw=data / "raw" / settings.name, encoded=data / "encoded",
                                              source=settings.source, max_len=settings.max_len,
                                              on_bad_row=cast(Policy, settings.on_bad_row), **settings.options)
    except TypeError as error:
        raise AmeirError(f"Configuration: dataset.options={settings.options} does not fit {settings.name}: {error}.") \
            from error
    if config.preparation == "ray":
        if not dataset.in_parts:
            raise AmeirError(f"preparation=ray encodes a table in parts (dataset=table); {settings.name} is prepared "
                             "on one machine. Leave preparation=ray out.")
        dataset.executor = RayParts()
    return dataset


def fill_stages(config: Config, composed: DictConfig) -> list[int]:
    """Return the stages of the dataset; where the configuration leaves them or the loss of next items open, the dataset
    and the recipe say them."""
    settings = config.dataset
    dataset = make_dataset(config) if settings.stages is None or settings.train.loss is None else None
    if dataset is not None and settings.train.loss is None and dataset.opens is EncodedSequences:
        settings.train.loss = composed.dataset.train.loss = config.recipe.loss
    if dataset is not None and settings.stages is None:
        settings.stages = list(dataset.stages)
        composed.dataset.stages = list(settings.stages)
        check_stage_settings(config)
    return settings.stages or []


def run_path(config: Config) -> Path:
    """Return ``runs/<dataset>/<run>``; a table's dataset is called as its description, so that the runs of two tables
    do not meet."""
    name = config.dataset.name
    if name == "table" and config.dataset.source is not None:
        stem = re.sub(r"[^\w.+-]", "-", Path(config.dataset.source).stem).lstrip(".") or name
        name = f"table-{stem}" if stem.lower() in set(DATASETS.names()) - {name} else stem
    return Path(config.paths.runs) / name / config.run


def open_session(config: Config, composed: DictConfig, purpose: Purpose = "finish", stages: Sequence[int] = ()
                 ) -> Session:
    """Prepare the data and build the problem; the run folder is only read until the session is entered.

    Args:
        config: typed configuration.
        composed: the same as Hydra composed it.
        purpose: ``search`` and ``train`` make a run's results and may begin it anew; ``finish`` adds to them;
            ``evaluate`` only measures.
        stages: those that will run.

    Raises:
        AmeirError: anything in the configuration, the data or the folder that does not fit.
    """
    path = run_path(config)
    recover(path)
    search_stages = fill_stages(config, composed)
    begins = purpose == "train" or list(stages[:1]) == search_stages[:1]
    check_run_folder(path, config, composed, begins=begins, keys=RESULT_KEYS + (
        () if purpose == "evaluate" else (*TRAIN_KEYS, "metrics")) + (("variant",) if purpose == "train" else ()))
    nodes = checked_nodes(composed)
    loggers_of = {} if purpose == "evaluate" else nodes["logger"]
    check_loggers(composed, loggers_of, path)
    dataset = make_dataset(config)
    started = time.monotonic()
    with ranks.in_turn():
        encoded = dataset.prepare()
    prepare_seconds = time.monotonic() - started
    check_run_data(path, encoded.fingerprint, overwrite=config.overwrite and begins)
    with open_dict(composed):
        composed.data_fingerprint = encoded.fingerprint
    schema, train = encoded.schema, config.dataset.train
    chosen = config.model.name if purpose == "train" else config.reference if purpose in ("search", "finish") else None
    if chosen not in (None, "ameir"):
        check_baseline(chosen, schema, model_options(config, chosen))
    loss = train.loss or ("sampled_bce" if schema.task == "retrieval" else "logloss")
    shares = encoded.item_shares() if train.log_q and isinstance(encoded, EncodedSequences) else None
    objective = make_objective(schema, loss, config.metrics or (), shares,
                               train.temperature if train.similarity == "cosine" else None)
    drawing: dict[str, Any] = {}
    if schema.task == "retrieval":
        drawing = {"loss": loss, "negatives": train.negatives, "drawn_by": train.drawn_by, "clips": train.clips}
    trainer = dict(nodes["trainer"].keywords)
    limits = Limits.taken_from(trainer)
    data = AmeirDataModule(encoded=encoded, batch_size=train.batch_size, eval_batch_size=train.eval_batch_size,
                           seed=config.seed, same_batches=limits.same_batches, **drawing)
    loggers: list[Logger] = []
    settings_of_all = settings_fingerprint(composed, RESULT_KEYS + TRAIN_KEYS)
    journal = Journal(path / UNFINISHED, f"{settings_of_all} {encoded.fingerprint} {__version__} {torch.__version__}",
                      log=path / "metrics.csv", overwrite=config.overwrite)
    engine = LightningEngine(
        data, objective, trainer=partial(nodes["trainer"].func, **trainer), optimizer=nodes["optimizer"],
        scheduler=nodes["scheduler"],
        callbacks=lambda: [callback for callback in built(composed, "callbacks").values()
                           if isinstance(callback, pl.Callback)],
        loggers=loggers, weight_decay=train.weight_decay, fairness=config.fairness, journal=journal,
        every_steps=config.checkpoint.every_steps, every_minutes=config.checkpoint.every_minutes,
        finetuning=None if config.finetuning.peak is None else WarmupCosine(config.finetuning.peak,
                                                                            config.finetuning.warmup),
        shared_l2=config.shared_l2,
        detect_anomaly=config.detect_anomaly, limits=limits, profiles=path / "profile")
    batches = limits.batches("train", len(data.train_dataloader()))
    budget = config.budget.for_epochs_of(max(batches // limits.accumulated, 1))
    folder = RunFolder(path, schema.fingerprint(), settings_fingerprint(composed),
                       " ".join(["ameir search", named_run(config),
                                 *([setting("budget", config.budget.name)] if config.budget.name != "paper" else [])]))
    problem = Problem(schema=schema, data=data, objective=objective, engine=engine, folder=folder, journal=journal,
                      model=config.dataset.model, budget=budget, space=config.space,
                      stages=tuple(search_stages), seed=config.seed, overwrite=config.overwrite,
                      baseline=partial(make_baseline, config=config, schema=schema),
                      measure_test=config.measure_test,
                      narrowing=config.narrowing if config.interaction_search == NARROWING else None)
    check_space(problem)
    check_metrics(data, config.metrics or ())
    if purpose != "evaluate":
        check_labels(data)
        check_limits(data, limits)
    check_stages(problem, config, stages)
    return Session(problem, dataset, encoded.folder / "vocabulary.parquet", prepare_seconds, loggers,
                   partial(make_loggers, composed, loggers_of, path),
                   None if purpose == "evaluate" else OmegaConf.to_yaml(composed), encoded.manifest.get("planted"))


def checked_nodes(composed: DictConfig) -> dict[str, Any]:
    """Return what the configuration's groups of classes make; raises ``AmeirError`` for one that cannot be made."""
    nodes = {key: built(composed, key) for key in ("trainer", "optimizer", "scheduler", "callbacks", "logger")}
    check_factories(nodes)
    return nodes


def built(composed: DictConfig, key: str) -> Any:
    """Instantiate a node of the configuration; raises ``AmeirError`` naming the node and what its target said."""
    try:
        return instantiate(composed[key])
    except (InstantiationException, TypeError) as error:
        cause = error.__cause__ or error
        raise AmeirError(f"Configuration: '{key}' cannot be built: {' '.join(str(cause).split())}") from error


def make_baseline(name: str, *, config: Config, schema: Schema) -> nn.Module:
    """Return a baseline with the dataset's sizes, its pre-defined MLP, and the dropout of its MLP or, where it ranks
    items, of the building blocks."""
    model = config.dataset.model
    dropout = model.mlp_dropout if schema.task == "ctr" else model.block_dropout
    return build_baseline(name, schema, embedding_size=model.embedding_size, mlp=model.mlp, dropout=dropout,
                          options=model_options(config, name), embedding_dropout=model.embedding_dropout,
                          embedding_bound=model.embedding_bound)


def model_options(config: Config, name: str) -> dict[str, Any]:
    """Return the options of a baseline: those of ``model=``, or its defaults where another one is trained beside."""
    return config.model.options if config.model.name == name else {}


def checked_architecture(problem: Problem, name: str) -> Architecture:
    """Read an architecture file and check that it fits the dataset; raises ``AmeirError`` saying where it does not."""
    path = find_architecture(name, conf_folder())
    architecture = read_architecture(path)
    known = [i for i in architecture.interactions if set(i) <= set(problem.schema.field_names)]
    check_architecture(architecture, layers=usable_layers(problem), fields=problem.schema.field_names,
                       depth=problem.model.blocks, has_behaviors=bool(problem.schema.behaviors),
                       width=aggregation_width(problem.schema, problem.model.embedding_size, known),
                       predefined=problem.predefined, source=str(path))
    return architecture
