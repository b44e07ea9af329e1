"""``ameir compare``: several models trained on equal terms, each with several seeds, and set side by side."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig
from rich.table import Table

from ameir_pl import ranks
from ameir_pl.atomic import telling, write_sealed, write_text
from ameir_pl.baselines.base import BASELINES, baselines_for, lacking
from ameir_pl.cli import train
from ameir_pl.cli.command import command
from ameir_pl.cli.config import CompareConfig
from ameir_pl.cli.ray_jobs import run_jobs
from ameir_pl.cli.setup import make_dataset, run_path
from ameir_pl.cli.sweep import planned
from ameir_pl.cli.tune import BEST
from ameir_pl.errors import AmeirError, did_you_mean
from ameir_pl.progress import console
from ameir_pl.reports.comparison import Trained, cells, compare, markdown, notes
from ameir_pl.reports.quality_cost import write_quality_cost
from ameir_pl.reports.table import METRICS, read_metrics
from ameir_pl.schema import Schema

SEARCHED = "ameir:"
OWN = ("models", "seeds", "runs", "tuned", "plot", "run", "seed", "model", "architecture", "launcher")
"""Keys that this command says itself to what it trains, or that are its own."""


@command("compare", trains=True, commands=True)
def main(config: CompareConfig, composed: DictConfig, overrides: list[str]) -> dict[str, Any]:
    """Train models=… with seeds=… each, going on where it stopped, and write the table and the plot."""
    with ranks.in_turn():
        schema = make_dataset(config).prepare().schema
    models, seeds = chosen_models(config.models, schema), chosen_seeds(config.seeds)
    rest = [o for o in overrides if key_of(o) not in OWN]
    jobs = [(model, seed, [*rest, *_tuned(config, model), *_model(model), f"seed={seed}",
                           f"run={config.run}.{_slug(model)}.seed{seed}"]) for model in models for seed in seeds]
    failed = train_all([job for _, _, job in jobs], config.launcher)
    folder = run_path(config)
    trained = [_read(folder.with_name(job[-1].removeprefix("run=")), model, _key(model)) for model, _, job in jobs
               if job[-1] not in failed]
    trained += [one for run in config.runs for one in _searched(folder.with_name(run), run)]
    result = write_comparison(folder, trained, plot=config.plot) if trained else {}
    if failed:
        raise AmeirError(f"{len(failed)} of {len(jobs)} trainings failed; the others are in {folder}. "
                         + " | ".join(f"{run}: {message}" for run, message in failed.items()))
    return result


def chosen_models(asked: Any, schema: Schema) -> list[str]:
    """Return the models to train.

    Raises:
        AmeirError: one is unknown, is named twice, or cannot be trained on the dataset.
    """
    if asked == "all":
        return baselines_for(schema)
    names = [asked] if isinstance(asked, str) else list(asked)
    if not names or len(set(names)) != len(names):
        raise AmeirError(f"models={names} must name at least one model, each once, or be all.")
    for name in names:
        if str(name).startswith(SEARCHED):
            continue
        if name not in BASELINES.names():
            raise AmeirError(f"Unknown model '{name}'.{did_you_mean(str(name), BASELINES.names())} An architecture is "
                             f"named {SEARCHED}NAME_OR_PATH.")
        if lacking(name, schema):
            raise AmeirError(f"model={name} cannot be trained on {schema.dataset}. Models for it: "
                             f"{', '.join(baselines_for(schema))}.")
    return names


def chosen_seeds(asked: Any) -> list[int]:
    """Return the seeds: those of a list, or 1 to a number; raises ``AmeirError`` for anything else."""
    seeds = list(range(1, asked + 1)) if type(asked) is int else asked
    if not isinstance(seeds, list) or not seeds or len(set(seeds)) != len(seeds) \
            or any(type(seed) is not int or seed < 0 for seed in seeds):
        raise AmeirError(f"seeds={asked} must be how many seeds, at least 1, or a list of different whole numbers.")
    return seeds


def key_of(override: str) -> str:
    """Return the key of an override."""
    return override.lstrip("+~").split("=", 1)[0].split("@", 1)[0]


def train_all(jobs: Sequence[list[str]], launcher: str) -> dict[str, str]:
    """Train each of ``jobs``, the overrides of ``ameir train`` whose last is ``run=``; what is finished is not trained
    again. Returns the message of each that failed, by its ``run=``; with launcher=ray a failure is raised."""
    if launcher == "ray":
        run_jobs(train.__name__, planned("train", jobs))
        return {}
    failed = {}
    for number, job in enumerate(jobs, 1):
        console().print(f"Training {number} of {len(jobs)}: {job[-1]}", markup=False)
        try:
            train.main(job)
        except AmeirError as error:
            console().print(f"{job[-1]} failed: {error}", markup=False)
            failed[job[-1]] = str(error)
    return failed


def write_comparison(folder: Path, trained: Sequence[Trained], *, plot: bool) -> dict[str, Any]:
    """Show the table of ``trained`` and write it to ``folder``: comparison.json, comparison.md, quality_cost.html."""
    lines, first = compare(trained), trained[0].metrics
    result = {"dataset": first["dataset"], "protocol": first["protocol"], "rows": first["rows"],
              "models": {line.model: {
                  "seeds": list(line.seeds), "test": line.means, "deviation": line.deviations, "params": line.params,
                  "embedding_params": line.embedding_params, "seconds": line.seconds,
                  "samples_per_second": line.samples_per_second, "published": line.published,
                  **({"loss": line.loss} if line.loss else {})} for line in lines}}
    out = console(results=True)
    header, rows = cells(lines)
    table = Table(*header)
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows:
        table.add_row(*row)
    out.width = max(out.width, sum(max(len(row[i]) for row in [header, *rows]) + 3 for i in range(len(header))) + 1)
    out.print(table)
    for note in notes(lines, first):
        out.print(note, markup=False)
    if ranks.writes():
        with telling(folder, "The trained models are whole: make room and give the same command."):
            folder.mkdir(parents=True, exist_ok=True)
            write_sealed(folder / "comparison.json", result)
            write_text(folder / "comparison.md", markdown(lines, first))
        if plot:
            write_quality_cost(folder / "quality_cost.html", lines, f"{first['dataset']}, {first['protocol']}")
    out.print(f"Wrote {folder}", markup=False)
    return result


def _model(model: str) -> list[str]:
    if model.startswith(SEARCHED):
        return ["model=ameir", f"architecture={model.removeprefix(SEARCHED)}"]
    return [f"model={model}"]


def _tuned(config: CompareConfig, model: str) -> list[str]:
    """The overrides that ``ameir tune`` found, where they are asked for."""
    if not config.tuned:
        return []
    path = run_path(config).with_name(f"tune-{_key(model)}") / BEST
    try:
        values = yaml.safe_load(path.read_text())
        return [f"{key}={value}" for key, value in values["overrides"].items()]
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise AmeirError(f"tuned=true needs {path}, which is missing or damaged. Make it with `ameir tune "
                         f"dataset={config.dataset.name} model={_key(model)}`.") from error


def _key(model: str) -> str:
    return "ameir" if model.startswith(SEARCHED) else model


def _slug(model: str) -> str:
    return re.sub(r"[^\w.+-]", "-", model)


def _read(folder: Path, model: str, key: str) -> Trained:
    metrics = read_metrics(folder / METRICS)
    return Trained(model, key, metrics, next(iter(metrics["models"].values())))


def _searched(folder: Path, run: str) -> Iterable[Trained]:
    if not (folder / METRICS).is_file():
        raise AmeirError(f"runs: {folder} has no {METRICS}. Finish that search first, or leave the run out.")
    metrics = read_metrics(folder / METRICS)
    return [Trained(f"{name} ({run})", name, metrics, row) for name, row in metrics["models"].items()]


