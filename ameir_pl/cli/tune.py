"""``ameir tune``: a model's learning rate, L2 and dropout, chosen on the validation rows (paper, Appendix D)."""

from __future__ import annotations

import hashlib
import random
import shlex
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import torch
import yaml
from omegaconf import DictConfig
from rich.table import Table
from torch import nn

from ameir_pl import ranks
from ameir_pl.atomic import telling, write_sealed, write_text
from ameir_pl.baselines.base import Found
from ameir_pl.cli import train
from ameir_pl.cli.command import command
from ameir_pl.cli.config import Config, TuneConfig
from ameir_pl.cli.fingerprint import flat, others
from ameir_pl.cli.setup import make_baseline, make_dataset, run_path
from ameir_pl.cli.trainings import Remade, key_of, without
from ameir_pl.errors import AmeirError, NotFinite, did_you_mean
from ameir_pl.progress import console
from ameir_pl.schema import Schema

BEST = "best.yaml"
SAMPLERS = ("grid", "optuna")
OWN = ("sampler", "trials", "learning_rates", "weight_decays", "dropouts", "run", "launcher")
TUNED_WITH = ("architecture", "model.options", "dataset.max_len", "dataset.model.embedding_size", "dataset.model.mlp",
              "dataset.train.batch_size", "dataset.train.loss", "dataset.train.negatives", "optimizer", "scheduler",
              "trainer.gradient_clip_val", "trainer.gradient_clip_algorithm", "trainer.accumulate_grad_batches",
              "trainer.limit_train_batches")
"""Settings that what was found holds for."""
OPTUNA_TRIALS = 30

_L2, _DROPOUT = [1e-3, 1e-4, 1e-5, 1e-6], [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
APPENDIX_D: dict[str, dict[str, list[float]]] = {
    "history and fields": {"learning_rates": [1e-3, 1e-4, 1e-5, 1e-6], "weight_decays": _L2, "dropouts": _DROPOUT},
    "sequences": {"learning_rates": [1e-3, 1e-4, 1e-5], "weight_decays": _L2, "dropouts": _DROPOUT},
    "fields": {"learning_rates": [1e-3, 1e-4, 3e-5, 1e-5], "weight_decays": _L2, "dropouts": _DROPOUT},
}
"""The candidate sets of Appendix D.1, D.2 and D.3, by what a dataset has."""

Point = tuple[float, float, float]
"""Learning rate, L2, dropout."""
Trials = list[tuple[Point, float]]
"""Points and their fitness on the validation rows, ``FAILED`` where the loss was no number."""
FAILED = float("-inf")


@command("tune", trains=True, commands=True)
def main(config: TuneConfig, composed: DictConfig, overrides: list[str]) -> dict[str, Any]:
    """Try settings of model=…, going on where it stopped, and write the best as overrides."""
    if config.sampler not in SAMPLERS:
        raise AmeirError(f"There is no sampler={config.sampler}.{did_you_mean(config.sampler, SAMPLERS)}")
    if config.launcher == "ray":
        raise AmeirError("ameir tune runs its trials one after the other; leave launcher=ray out. A grid side by side: "
                         "`ameir train --multirun launcher=ray model=… dataset.train.learning_rate=1e-3,1e-4 "
                         "run='${model.name}-${dataset.train.learning_rate}'`.")
    with ranks.in_turn():
        encoded = make_dataset(config).prepare()
    schema = encoded.schema
    values = learned(config, schema, candidates(config, schema))
    if without(overrides, "measure_test") != overrides:
        console().print("measure_test is not used: test rows are left alone.")
    own = present_settings(config, schema, values)
    present = own[0]
    rest = without(overrides, *(key_of(o) for o in own[1]), "measure_test", *OWN)
    folder = run_path(config)
    remade, trials = Remade(folder, config.overwrite, encoded.fingerprint), Trials()
    propose = proposals(config, values, present)

    def settings_of(number: int, point: Point) -> list[str]:
        return as_overrides(point, schema, config.model.name) if number else own[1]

    while (point := propose(trials)) is not None:
        settings = settings_of(len(trials), point)
        console().print(f"Trial {len(trials) + 1}{'' if trials else ', the present settings'}: {' '.join(settings)}",
                        markup=False)
        job = [*rest, *settings, "measure_test=false", f"run={folder.name}.trial-{_digest(*point)}"]
        try:
            valid = next(iter(train.main(remade.rest(job))["models"].values()))["valid"]
            remade.add(job)
            trials.append((point, valid["auc"] if "auc" in valid else valid["ndcg@5"]))
        except NotFinite as error:
            if ranks.world() > 1:
                raise
            console().print(f"Trial {len(trials) + 1} failed: {error}", markup=False)
            trials.append((point, FAILED))
    remade.end()
    best = max(range(len(trials)), key=lambda i: trials[i][1])
    if trials[best][1] == FAILED:
        raise AmeirError(f"None of the {len(trials)} trials ended with finite numbers. Give smaller learning_rates=….")
    chosen = settings_of(best, trials[best][0])
    result = {"dataset": schema.dataset, "model": config.model.name, "seed": config.seed, "sampler": config.sampler,
              "trials": [{"learning_rate": p[0], "weight_decay": p[1], "dropout": p[2],
                          "valid": None if score == FAILED else score} for p, score in trials], "best": best}
    if ranks.writes():
        with telling(folder, "The trials are whole: make room and give the same command."):
            folder.mkdir(parents=True, exist_ok=True)
            write_sealed(folder / "trials.json", result)
            plain = {key: yaml.safe_load(value) for key, value in (text.split("=", 1) for text in chosen)}
            write_text(folder / BEST, yaml.safe_dump({"overrides": plain, "valid": trials[best][1],
                                                      "settings": tuned_with(composed)}, sort_keys=False))
    _show(trials, schema)
    out = console(results=True)
    out.print(f"Wrote {folder}. The best, chosen on validation rows alone"
              f"{'' if best else ', are the present settings: no trial was better'}:", markup=False)
    out.print(f"  ameir train {shlex.join([*without(rest, 'overwrite', 'debug'), *chosen])}", markup=False,
              soft_wrap=True)
    return result


def tuned_with(composed: DictConfig) -> dict[str, Any]:
    """Return the settings that what is found with a configuration holds for."""
    return flat(composed, TUNED_WITH) | others(composed)


def candidates(config: TuneConfig, schema: Schema) -> dict[str, list[float]]:
    """Return the values of each setting; raises ``AmeirError`` for an empty list or a value out of range."""
    kind = "sequences" if schema.task == "retrieval" else "history and fields" if schema.behaviors else "fields"
    found = {}
    for key, default in APPENDIX_D[kind].items():
        asked = getattr(config, key)
        values = default if asked is None else list(asked)
        low = 0.0 if key != "learning_rates" else 1e-30
        if not values or len(set(values)) != len(values) or not all(low <= v < (1 if key == "dropouts" else 1e30)
                                                                    for v in values):
            raise AmeirError(f"Configuration: {key}={values} must be different numbers"
                             + (" from 0 to below 1." if key == "dropouts" else " above 0." if low else
                                " of at least 0."))
        found[key] = values
    return found


def learned(config: TuneConfig, schema: Schema, values: dict[str, list[float]]) -> dict[str, list[float]]:
    """Return the values to try with model=…: of dropout only the first where the model has none.

    Raises:
        AmeirError: the model is not trained by gradients.
    """
    if config.model.name == "ameir":
        return values
    if not learns(sketch(config, config.model.name, schema)):
        raise AmeirError(f"model={config.model.name} has nothing that a learning rate, L2 or dropout could change.")
    if has_dropout(config, schema):
        return values
    console().print(f"{config.model.name} has no dropout here: it is left out.", markup=False)
    return {**values, "dropouts": values["dropouts"][:1]}


def has_dropout(config: TuneConfig, schema: Schema) -> bool:
    """Return whether a dropout rate changes model=…."""
    if config.model.name == "ameir":
        return True
    model = sketch(config, config.model.name, schema)
    return isinstance(model, Found) or any(isinstance(part, nn.Dropout) and part.p > 0 for part in model.modules())


def learns(model: nn.Module) -> bool:
    """Return whether any weight is trained by its gradient."""
    return any(p.requires_grad for p in model.parameters())


def sketch(config: Config, name: str, schema: Schema) -> nn.Module:
    """Return a baseline without memory for its weights, with dropout if it has any."""
    model = replace(config.dataset.model, mlp_dropout=0.5, block_dropout=0.5, embedding_dropout=0.0)
    with torch.device("meta"):
        return make_baseline(name, config=replace(config, dataset=replace(config.dataset, model=model)), schema=schema)


def present_settings(config: TuneConfig, schema: Schema, values: dict[str, list[float]]) -> tuple[Point, list[str]]:
    """Return the settings that the model has without tuning, as a point and as overrides: the first trial, so that
    what is found is never worse on validation rows."""
    train_, model = config.dataset.train, config.dataset.model
    keys = [key_of(o) for o in as_overrides((0.0, 0.0, 0.0), schema, config.model.name)]
    own = {"dataset.train.learning_rate": train_.learning_rate, "dataset.train.weight_decay": train_.weight_decay,
           "dataset.model.block_dropout": model.block_dropout, "dataset.model.mlp_dropout": model.mlp_dropout}
    # Where a model has no dropout any rate is its own: that of the grid, so that no point is tried twice.
    dropout = own[keys[-1]] if has_dropout(config, schema) else values["dropouts"][0]
    return (train_.learning_rate, train_.weight_decay, dropout), [f"{key}={own[key]}" for key in keys]


def proposals(config: TuneConfig, values: dict[str, list[float]], present: Point | None = None
              ) -> Callable[[Trials], Point | None]:
    """Return what gives the next point from the trials so far, None at the end: the same for the same trials and seed,
    so that an interrupted search repeats itself on finished runs and goes on. The first is ``present``, if given."""
    if config.trials is not None and config.trials < 1:
        raise AmeirError(f"Configuration: trials={config.trials} must be at least 1.")
    if config.sampler == "optuna":
        return _optuna(config, values, present)
    first = [] if present is None else [present]
    grid = [point for point in product(*values.values()) if point != present]
    if config.trials is not None and config.trials - len(first) < len(grid):
        grid = random.Random(config.seed).sample(grid, config.trials - len(first))
    grid = [*first, *grid]  # type: ignore[list-item]
    return lambda trials: grid[len(trials)] if len(trials) < len(grid) else None  # type: ignore[return-value]


def _optuna(config: TuneConfig, values: dict[str, list[float]], present: Point | None
            ) -> Callable[[Trials], Point | None]:
    try:
        import optuna
    except ImportError as error:
        raise AmeirError(f"sampler=optuna needs Optuna, which is not installed ({error}). Install it with `pip "
                         "install 'ameir-pl[tune]'`, or use sampler=grid.") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    spaces: dict[str, Any] = {key: optuna.distributions.FloatDistribution(min(v), max(v), log=min(v) > 0)
                              for key, v in values.items()}
    count = config.trials or OPTUNA_TRIALS

    def propose(trials: Trials) -> Point | None:
        if len(trials) >= count:
            return None
        if present is not None and not trials:
            return present
        # A study and a sampler of its own for each proposal: what it says depends on the trials and the seed alone.
        study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(
            seed=int(_digest(config.seed, len(trials)), 16), n_startup_trials=min(10, count // 3 + 1)))
        for point, score in trials:
            if not all(min(v) <= x <= max(v) for x, v in zip(point, values.values(), strict=True)):
                continue  # the present settings may lie outside
            study.add_trial(optuna.trial.create_trial(params=dict(zip(spaces, point, strict=True)),
                                                      distributions=spaces, value=max(score, 0.0)))
        asked = study.ask(spaces)
        return tuple(float(f"{asked.params[key]:.4g}") for key in spaces)  # type: ignore[return-value]

    return propose


def as_overrides(point: Point, schema: Schema, model: str) -> list[str]:
    """Return the overrides of a point; dropout is that of the building blocks, the MLP, or both, as the model has."""
    rate, decay, dropout = point
    keys = [key for key, used in (("block_dropout", schema.task == "retrieval" or model == "ameir"),
                                  ("mlp_dropout", schema.task == "ctr")) if used]
    return [f"dataset.train.learning_rate={rate}", f"dataset.train.weight_decay={decay}",
            *(f"dataset.model.{key}={dropout}" for key in keys)]


def _digest(*values: float) -> str:
    """Eight hex digits of some numbers."""
    return hashlib.sha256(repr(values).encode()).hexdigest()[:8]


def _show(trials: Trials, schema: Schema) -> None:
    table = Table("learning rate", "L2", "dropout", "valid AUC" if schema.task == "ctr" else "valid NDCG@5",
                  title=f"{schema.dataset}: the ten best of {len(trials)} trials", title_justify="left")
    for (rate, decay, dropout), score in sorted(trials, key=lambda t: -t[1])[:10]:
        table.add_row(f"{rate:g}", f"{decay:g}", f"{dropout:g}", f"{score:.4f}" if score > FAILED else "-")
    console(results=True).print(table)
