"""What a configuration must be for a run to begin: everything is checked before anything is written."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce
from typing import Any

import numpy as np
import torch
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from ameir_pl.baselines import BASELINES
from ameir_pl.cli.config import Config
from ameir_pl.cli.search_keys import AMEIR
from ameir_pl.cli.trainer_keys import Limits
from ameir_pl.data import AmeirDataModule
from ameir_pl.data.clips import check_clips
from ameir_pl.data.encoded_sequences import DRAWN_BY
from ameir_pl.errors import AmeirError, did_you_mean
from ameir_pl.nn.operations import names as operation_names
from ameir_pl.objectives.base import SIMILARITIES
from ameir_pl.progress import console
from ameir_pl.reports.chance import FEW, auc_error
from ameir_pl.search.problem import Problem
from ameir_pl.space.architecture import Architecture
from ameir_pl.space.sampling import FAIRNESS
from ameir_pl.space.space import MLP_ACTIVATIONS, check_architecture

LEAST = {
    "seed": 0, "dataset.max_len": 0, "dataset.train.batch_size": 1, "dataset.train.eval_batch_size": 1,
    "dataset.train.negatives": 0, "dataset.train.learning_rate": 0, "dataset.train.weight_decay": 0,
    "dataset.model.embedding_size": 1, "dataset.model.blocks": 0, "dataset.model.hidden_layers": 0,
    "dataset.model.interactions": 0, "dataset.model.block_dropout": 0, "dataset.model.mlp_dropout": 0,
    "dataset.model.embedding_dropout": 0, "recipe.batch_size": 1, "recipe.negatives": 0, "recipe.weight_decay": 0,
    "recipe.embedding_dropout": 0, "recipe.block_dropout": 0,
    "dataset.train.temperature": 0.001, "recipe.temperature": 0.001,
    "budget.stage1_epochs": 0.01, "budget.cycle_epochs": 0.01, "budget.stage3_epochs": 0.01, "budget.samples": 1,
    "budget.valid_rows": 1, "budget.calibration_rows": 1, "budget.top": 1, "budget.top_epochs": 0, "budget.cycles": 1,
    "budget.keep": 1, "budget.paths": 1, "budget.finetune_epochs": 1, "budget.patience": 1, "budget.least_updates": 0,
    "budget.patient_updates": 0,
    "dataset.model.embedding_bound": 0.001, "dataset.model.supernet_bound": 0.001,
    "narrowing.highest_order": 2, "narrowing.most_candidates": 1,
    "narrowing.updates": 1, "narrowing.repeats": 1,
    "narrowing.size": 1, "narrowing.rate": 0, "narrowing.l2": 0, "narrowing.most_rows": 1,
    "finetuning.warmup": 0, "checkpoint.every_steps": 1, "checkpoint.every_minutes": 0}
"""The least value of every number of the configuration."""
INHERIT = (True, False, "best")
"""What final models may start from."""
NARROWING = "narrowing"
INTERACTION_SEARCHES = (NARROWING, "evolution")
"""How step 2 comes to its interactions."""
PLACES = ("local", "ray")
"""Where jobs run and parts of data are prepared."""


def check_values(config: Config) -> None:
    """Raise ``AmeirError`` for a value that its type admits and that can mean nothing; the data are not needed."""
    for key, least in LEAST.items():
        value = reduce(getattr, key.split("."), config)
        if not (math.isfinite(value) and value >= least):  # type: ignore[arg-type, operator]
            raise AmeirError(f"Configuration: {key}={value} must be at least {least}.")
    model = config.dataset.model
    for name in ("block_dropout", "mlp_dropout", "embedding_dropout"):
        if getattr(model, name) >= 1:
            raise AmeirError(f"Configuration: dataset.model.{name}={getattr(model, name)} must be below 1.")
    if any(units < 1 for units in model.mlp):
        raise AmeirError(f"Configuration: dataset.model.mlp={model.mlp}: a hidden layer has at least 1 unit.")
    check_drawing(config)
    if config.dataset.stages is not None:
        check_stage_settings(config)
    peak = config.finetuning.peak
    if peak is not None and not (math.isfinite(peak) and peak > 0):
        raise AmeirError(f"Configuration: finetuning.peak={peak} must be above 0, or null for a constant rate.")
    if config.finetuning.warmup > 1:
        raise AmeirError(f"Configuration: finetuning.warmup={config.finetuning.warmup} must be at most 1: it is a "
                         "share of the updates.")
    if config.inherit not in INHERIT or type(config.inherit) not in (str, bool):
        raise AmeirError(f"There is no inherit={config.inherit}: the final models start from inherited weights (true), "
                         "from scratch (false), or both, and the better is kept (best).")
    if config.interaction_search not in INTERACTION_SEARCHES:
        raise AmeirError(f"There is no interaction_search={config.interaction_search}."
                         f"{did_you_mean(config.interaction_search, INTERACTION_SEARCHES)}")
    if config.fairness not in FAIRNESS:
        raise AmeirError(f"There is no fairness={config.fairness}.{did_you_mean(config.fairness, FAIRNESS)}")
    for key, where in (("launcher", config.launcher), ("preparation", config.preparation)):
        if where not in PLACES:
            raise AmeirError(f"There is no {key}={where}.{did_you_mean(where, PLACES)}")
    for name in filter(None, (config.reference, None if config.model.name == "ameir" else config.model.name)):
        BASELINES.get(name)


def check_drawing(config: Config) -> None:
    """Raise ``AmeirError`` for settings of next-item training that do not exist or do not go together."""
    train = config.dataset.train
    check_clips(train.clips)
    if train.drawn_by not in DRAWN_BY:
        raise AmeirError(f"There is no dataset.train.drawn_by={train.drawn_by}."
                         f"{did_you_mean(train.drawn_by, DRAWN_BY)}")
    if train.log_q and train.drawn_by != "popularity":
        raise AmeirError("dataset.train.log_q=true corrects for negatives that are drawn by popularity; uniformly all "
                         "are as likely. Add dataset.train.drawn_by=popularity, or leave it out.")
    if train.similarity not in SIMILARITIES:
        raise AmeirError(f"There is no dataset.train.similarity={train.similarity}."
                         f"{did_you_mean(train.similarity, SIMILARITIES)}")
    recipe = config.recipe
    if train.loss == "sampled_bce" != recipe.loss and train.negatives == recipe.negatives:
        raise AmeirError("dataset.train.loss=sampled_bce takes negatives for each row, and "
                         f"negatives={train.negatives} of recipe={recipe.name} are shared by a batch. Add "
                         "recipe=paper, or dataset.train.negatives=5.")
    if train.loss == "sampled_bce" and train.drawn_by != "uniform":
        raise AmeirError("dataset.train.drawn_by=popularity is for the shared negatives of "
                         "dataset.train.loss=sampled_softmax; those of sampled_bce are uniform.")


def check_stage_settings(config: Config) -> None:
    """Raise ``AmeirError`` for stages that do not exist or lack a setting."""
    model, stages = config.dataset.model, config.dataset.stages or []
    if not stages or sorted(set(stages)) != stages or not set(stages) <= {1, 2, 3}:
        raise AmeirError(f"Configuration: dataset.stages={stages} must be some of 1, 2, 3, in that order.")
    for stage, missing, key in ((1, model.blocks < 1, "blocks"), (2, not model.mlp, "mlp"),
                                (2, model.interactions < 1, "interactions"), (3, model.hidden_layers < 1,
                                                                              "hidden_layers")):
        if stage in stages and missing:
            raise AmeirError(f"Configuration: stage {stage} needs dataset.model.{key}, which is "
                             f"{getattr(model, key)}. Set it, or take {stage} out of dataset.stages={stages}.")
    if 3 in stages and 2 not in stages:
        raise AmeirError(f"Configuration: dataset.stages={stages}: stage 3 builds on stage 2.")


def check_factories(nodes: Mapping[str, Any]) -> None:
    """Raise ``AmeirError`` for an optimizer, scheduler or Trainer that cannot be made: each is made once, on nothing.

    Args:
        nodes: ``optimizer``, ``scheduler`` and ``trainer``, as Hydra gave them.
    """
    optimizer = _tried("optimizer", nodes["optimizer"], [torch.nn.Parameter(torch.zeros(1))])
    _tried("scheduler", nodes["scheduler"], optimizer, T_max=1)
    trainer = _tried("trainer", nodes["trainer"], max_epochs=1, logger=False, enable_checkpointing=False,
                     enable_progress_bar=False, enable_model_summary=False)
    asked = str(getattr(nodes["trainer"], "keywords", {}).get("precision", ""))
    fused = getattr(optimizer, "_step_supports_amp_scaling", False)
    if fused and trainer.gradient_clip_val and "mixed" in trainer.precision:
        raise AmeirError(f"Configuration: trainer.gradient_clip_val={trainer.gradient_clip_val} in mixed precision "
                         f"(trainer.precision={trainer.precision}) needs an optimizer that is not fused: add "
                         "optimizer.fused=false.")
    if asked in ("16", "16-mixed") and trainer.precision != "16-mixed":  # Lightning would take bf16
        raise AmeirError(f"Configuration: trainer.precision={asked} (fp16) needs a GPU. On a CPU use 32-true, or "
                         "bf16-mixed where it has instructions for it.")


def _tried(key: str, make: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
    if isinstance(make, partial):
        known = inspect.signature(make.func).parameters
        for name in make.keywords:
            if name not in known:
                raise AmeirError(f"Configuration: Unknown configuration key '{key}.{name}'.{did_you_mean(name, known)}")
    try:
        return make(*arguments, **more)
    except (TypeError, ValueError, RuntimeError, MisconfigurationException) as error:
        raise AmeirError(f"Configuration: '{key}' cannot be built: {' '.join(str(error).split())}") from error


def check_space(problem: Problem) -> None:
    """Raise ``AmeirError`` for operation names that do not exist or that this dataset cannot use."""
    space, layers = problem.space, problem.layers
    for key, values in (("layers", layers), ("norms", space.norms), ("block_activations", space.block_activations),
                        ("mlp_activations", space.mlp_activations)):
        if not values or len(set(values)) != len(values):
            raise AmeirError(f"Configuration: space.{key}={list(values)} must name at least one operation, each once.")
    for name in space.mlp_activations:
        if name not in MLP_ACTIVATIONS:
            raise AmeirError(f"Configuration: space.mlp_activations: unknown activation '{name}'."
                             f"{did_you_mean(name, MLP_ACTIVATIONS)}")
    for layer in layers:
        for activation in space.block_activations:
            for norm in space.norms:
                blocks = [{"layer": layer, "activation": activation, "norm": norm}]
                check_architecture(Architecture.from_dict({"blocks": blocks}, "space"), layers=usable_layers(problem),
                                   fields=(), depth=1, has_behaviors=True, width=1, source="Configuration: space")


def usable_layers(problem: Problem) -> tuple[str, ...]:
    """Return every registered layer operation that the dataset allows."""
    return tuple(operation_names(problem.schema.has_target))


def check_stages(problem: Problem, config: Config, stages: Sequence[int]) -> None:
    """Raise ``AmeirError`` when the data cannot feed the given stages: a batch with fewer rows than an update has
    paths, a dataset without what a stage searches, a validation subset that cannot score."""
    schema, budget = problem.schema, problem.budget
    if 1 in stages and not schema.behaviors:
        raise AmeirError(f"{schema.dataset} has no behaviors for stage 1; take 1 out of dataset.stages.")
    if 2 in stages and len(schema.fields) < 2:
        raise AmeirError(f"{schema.dataset} has {len(schema.fields)} fields, too few to interact; take 2 and 3 out "
                         "of dataset.stages.")
    if config.strategy != AMEIR:  # no supernet, no candidates that share its weights
        return
    kept, fields = max(budget.keep, problem.model.interactions), len(schema.fields)
    candidates = max(fields * (fields - 1) // 2, kept * (fields - 1) if budget.cycles > 1 else 0)
    if problem.narrowing is not None:
        candidates = problem.model.interactions
    paths = {1: len(problem.layers), 2: min(budget.paths, candidates), 3: 10}
    rows = min(config.dataset.train.batch_size, problem.data.epoch_rows)
    for stage in stages:
        if config.fairness == "split" and rows < paths[stage]:
            smaller = ", or lower budget.paths" if stage == 2 else ""
            all_rows = problem.data.epoch_rows
            held, larger = f"a batch has {rows} rows", "Raise dataset.train.batch_size, use"
            if all_rows < paths[stage]:  # no batch is large enough
                held, larger = f"there are only {all_rows} train rows, so no batch has more", "Take more data, use"
            raise AmeirError(f"fairness=split shares each batch out among the paths of an update: stage {stage} has "
                             f"{paths[stage]} paths and {held}. {larger} fairness=full or fairness=uniform{smaller}.")
    if stages:
        scoring = problem.data.subset("valid", budget.valid_rows, problem.seed)  # raises where negatives run out
    if stages and schema.task == "ctr":
        labels = torch.cat([b.label for b in scoring])
        if labels.min() == labels.max():
            raise AmeirError(f"The {len(labels)} validation rows that would score candidates all have the label "
                             f"{int(labels[0])}; AUC needs both. Raise budget.valid_rows={budget.valid_rows}.")
        fewer = int(min(labels.sum(), len(labels) - labels.sum()))
        if fewer < FEW:
            more = (f"Raise budget.valid_rows={budget.valid_rows}" if len(labels) < problem.data.rows["valid"] else
                    "Take more data, or a larger share of them for validation")
            which = "clicks" if labels.mean() <= 0.5 else "no clicks"
            error = auc_error(0.5, fewer, len(labels) - fewer)
            console().print(f"Warning: of the {len(labels):,} validation rows that score candidates {fewer} are "
                            f"{which}: the AUC of a candidate has a standard error of up to {error:.2f}, more than "
                            f"candidates differ. {more}.", markup=False)


def check_limits(data: AmeirDataModule, limits: Limits) -> None:
    """Raise ``AmeirError`` for a share of batches that is none, and for validation batches with one label alone."""
    limits.batches("train", len(data.train_dataloader()))
    used = limits.batches("valid", len(data.val_dataloader()))
    if data.schema.task == "ctr" and limits.valid_batches is not None:
        rows = data.encoded.splits["valid"]
        labels = data.encoded.columns["label"][rows.start:min(rows.stop, rows.start + used * data.eval_batch_size)]
        if labels.min() == labels.max():
            raise AmeirError(f"The {used} validation batches of trainer.limit_val_batches or trainer.overfit_batches "
                             f"have the label {labels[0]:g} alone; AUC needs both. Raise it.")


def check_labels(data: AmeirDataModule) -> None:
    """Raise ``AmeirError`` where clicks cannot be measured because validation or test hold one class alone: before a
    model is trained for hours, not after."""
    if data.schema.task != "ctr":
        return
    labels = {split: data.encoded.columns["label"][slice(part.start, part.stop)]
              for split, part in data.encoded.splits.items() if split != "train"}
    for name, values in labels.items():
        if len(values) and values.min() == values.max():
            raise AmeirError(f"{data.schema.dataset}: all {len(values)} {name} rows have the label {values[0]:g}; "
                             "AUC needs both. Use more rows, or split the data otherwise.")


def check_metrics(data: AmeirDataModule, metrics: Sequence[str]) -> None:
    """Raise ``AmeirError`` for a metric that the data cannot give: grouped AUC without users, or where no user has both
    labels."""
    if "gauc" not in metrics:
        return
    columns, name = data.encoded.columns, data.schema.dataset
    if "users" not in columns:
        raise AmeirError(f"metrics=[gauc] is the mean of each user's AUC, and {name} does not say whose a row is."
                         + (" Name the column in the description: user: COLUMN." if name == "table" else ""))
    for split, part in data.encoded.splits.items():
        users, label = (columns[key][part.start:part.stop] for key in ("users", "label"))
        numbers, label = users[users >= 0], label[users >= 0]
        rows, clicks = np.bincount(numbers), np.bincount(numbers, label)
        if split != "train" and not ((clicks > 0) & (clicks < rows)).any():
            raise AmeirError(f"metrics=[gauc]: no user of the {len(users)} {split} rows of {name} has rows with and "
                             "without a click. Use more rows, or leave gauc out.")
