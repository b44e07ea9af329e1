"""``ameir compare``: several models trained on equal terms, each with several seeds, and set side by side."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.types import Quote, QuotedString
from omegaconf import DictConfig

from ameir_pl import ranks
from ameir_pl.atomic import telling, write_sealed, write_text
from ameir_pl.baselines.base import BASELINES, baselines_for, lacking, options_of
from ameir_pl.cli.command import command
from ameir_pl.cli.compose import load_config
from ameir_pl.cli.config import CompareConfig
from ameir_pl.cli.fingerprint import differences, flat
from ameir_pl.cli.run_settings import result_settings, saved_config
from ameir_pl.cli.setup import make_dataset, run_path
from ameir_pl.cli.trainings import Remade, refuse, run_of, train_all, without
from ameir_pl.cli.tune import BEST, learns, sketch, tuned_with
from ameir_pl.errors import AmeirError, did_you_mean
from ameir_pl.progress import console
from ameir_pl.reports.comparison import (
    Trained,
    cells,
    common_settings,
    compare,
    markdown,
    notes,
    own_settings,
    unequal,
)
from ameir_pl.reports.fitting import print_fitting
from ameir_pl.reports.quality_cost import check_plotly, write_quality_cost
from ameir_pl.reports.table import METRICS, read_metrics
from ameir_pl.schema import Schema

SEARCHED = "ameir:"
MOST_SEEDS = 1000
OWN = ("models", "seeds", "runs", "tuned", "options", "plot", "run", "launcher")
"""Keys that are this command's own, or that it says itself to what it trains."""
INSTEAD = {"model": "say models=[NAME], and options={NAME:{KEY:VALUE}}", "seed": "say seeds=[NUMBER]",
           "architecture": f"say models=['{SEARCHED}NAME']",
           "variant": "train it with `ameir train model=ameir architecture=NAME variant=… run=RUN` and say runs=[RUN]"}


@command("compare", trains=True, commands=True)
def main(config: CompareConfig, composed: DictConfig, overrides: list[str]) -> dict[str, Any]:
    """Train models=… with seeds=… each, going on where it stopped, and write the table and the plot."""
    refuse(overrides, INSTEAD)
    with ranks.in_turn():
        encoded = make_dataset(config).prepare()
    schema = encoded.schema
    models, seeds = chosen_models(config.models, schema), chosen_seeds(config.seeds)
    folder = run_path(config)
    if not config.measure_test:
        raise AmeirError("ameir compare sets numbers of test rows side by side: leave measure_test=false out.")
    if config.plot:
        check_plotly()
    searched = [one for run in chosen_runs(config.runs) for one in _searched(folder.with_name(run), run)]
    rest = without(overrides, *OWN)
    options = chosen_options(config.options, models)
    own = {model: [*_model(model), *options[model]] for model in models}
    settings = {model: _tuned(config, model, schema, [*rest, *own[model]]) for model in models}
    jobs = [(model, [*rest, *own[model], *settings[model], f"seed={seed}",
                     f"run={config.run}.{_slug(model)}.seed{seed}"]) for model in models for seed in seeds]
    check_names(models)
    remade = Remade(folder, config.overwrite, encoded.fingerprint)
    failed = train_all([job for _, job in jobs], config.launcher, remade)
    remade.end()
    trained = [_read(folder.with_name(run_of(job).removeprefix("run=")), model) for model, job in jobs
               if run_of(job) not in failed]
    result = write_comparison(folder, [*trained, *searched], plot=config.plot) if trained or searched else {}
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
    names = [asked] if isinstance(asked, str) else asked
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names) \
            or len(set(names)) != len(names):
        raise AmeirError(f"models={names} must name at least one model, each once, or be all.")
    for name in names:
        if name.startswith(SEARCHED):
            continue
        if name not in BASELINES.names():
            raise AmeirError(f"Unknown model '{name}'.{did_you_mean(name, BASELINES.names())} An architecture is "
                             f"named {SEARCHED}NAME_OR_PATH.")
        if lacking(name, schema):
            raise AmeirError(f"model={name} cannot be trained on {schema.dataset}. Models for it: "
                             f"{', '.join(baselines_for(schema))}.")
    return names


def check_names(models: Sequence[str]) -> None:
    """Raise ``AmeirError`` for two models whose trainings would have one run folder."""
    first: dict[str, str] = {}
    for model in models:
        other = first.setdefault(_slug(model), model)
        if other != model:
            raise AmeirError(f"models: {other} and {model} would be trained in one run folder, …{_slug(model)}.seed1. "
                             "Copy one of the architecture files to another name.")


def chosen_seeds(asked: Any) -> list[int]:
    """Return the seeds: those of a list, or 1 to a number; raises ``AmeirError`` for anything else."""
    seeds = list(range(1, asked + 1)) if type(asked) is int and asked <= MOST_SEEDS else asked
    if not isinstance(seeds, list) or not seeds \
            or any(type(seed) is not int or not 0 <= seed < 2**32 for seed in seeds) or len(set(seeds)) != len(seeds):
        raise AmeirError(f"seeds={asked} must be how many seeds, at least 1, or a list of different whole numbers.")
    return seeds


def chosen_runs(asked: list[str]) -> list[str]:
    """Return the names of finished runs; raises ``AmeirError`` for a path, or one that is named twice."""
    for run in asked:
        if run in ("", ".", "..") or Path(run).name != run:
            raise AmeirError(f"runs={asked}: '{run}' is no name of a run folder, which lie side by side.")
    if len(set(asked)) != len(asked):
        raise AmeirError(f"runs={asked} must name each run once.")
    return asked


def chosen_options(asked: Any, models: Sequence[str]) -> dict[str, list[str]]:
    """Return the overrides of each model's own options; raises ``AmeirError`` for a model that is not compared."""
    options = {} if asked is None else asked
    if not isinstance(options, dict) or not all(isinstance(values, dict) for values in options.values()):
        raise AmeirError(f"options={asked} must be {{MODEL: {{KEY: VALUE}}}}.")
    for name in options:
        if name not in models or str(name).startswith(SEARCHED):
            raise AmeirError(f"options={{{name}: …}}: there is no such model among models={list(models)}."
                             + did_you_mean(str(name), models))
    return {model: [f"++model.options.{key}={_written(value)}" for key, value in options.get(model, {}).items()]
            for model in models}


def write_comparison(folder: Path, trained: Sequence[Trained], *, plot: bool) -> dict[str, Any]:
    """Show the table of ``trained`` and write it to ``folder``: comparison.json, comparison.md, quality_cost.html."""
    lines, first = compare(trained), trained[0].metrics
    common, marked = common_settings(lines), unequal(lines)
    result = {"dataset": first["dataset"], "protocol": first["protocol"], "rows": first["rows"], "settings": common,
              "models": {line.model: {
                  "seeds": list(line.seeds), "test": line.means, "deviation": line.deviations, "params": line.params,
                  "embedding_params": line.embedding_params, "seconds": line.seconds,
                  "samples_per_second": line.samples_per_second, "published": line.published,
                  "settings": own_settings(line, common), **({"loss": line.loss} if line.loss else {}),
                  **({"unequal": marked[line.model]} if line.model in marked else {})}
                  for line in lines}}
    out = console(results=True)
    header, rows = cells(lines)
    print_fitting(out, header, rows)
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


def _written(value: Any) -> str:
    """Write a value as Hydra reads it."""
    if isinstance(value, str):
        return QuotedString(text=value, quote=Quote.single).with_quotes()
    if isinstance(value, list):
        return f"[{','.join(map(_written, value))}]"
    return json.dumps(value)


def _tuned(config: CompareConfig, model: str, schema: Schema, job: Sequence[str]) -> list[str]:
    """The overrides that ``ameir tune`` found, where they are asked for and the model learns."""
    if not config.tuned or not model.startswith(SEARCHED) and not learns(sketch(config, model, schema)):
        return []
    path = run_path(config).with_name(f"tune-{_slug(model)}") / BEST
    again = "ameir tune " + shlex.join([*without(job, "overwrite", "tuned"), f"run={path.parent.name}"])
    try:
        best = yaml.safe_load(path.read_text())
        chosen, with_ = dict(best["overrides"]), dict(best["settings"])
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise AmeirError(f"tuned=true needs {path}, which is missing or damaged. Make it with `{again}`.") from error
    refuse(job, {key: "leave it out, or tuned=true" for key in chosen})
    others = differences(with_, tuned_with(load_config("train", list(job))[1]))
    if others:
        raise AmeirError(f"tuned=true: {path} was found with other settings: {'; '.join(others)} (there -> asked "
                         f"for). Repeat its settings, or tune again: `{again} overwrite=true`.")
    return [f"{key}={value}" for key, value in chosen.items()]


def _slug(model: str) -> str:
    return re.sub(r"[^\w.+-]", "-", model)


def _read(folder: Path, model: str) -> Trained:
    metrics = read_metrics(folder / METRICS)
    row = next(iter(metrics["models"].values()))
    settings, defaults = result_settings(folder, row), {} if model.startswith(SEARCHED) else options_of(model)
    given = {key.removeprefix("model.options."): value
             for key, value in flat(saved_config(folder), ["model.options"]).items()}
    usual = {name: list(value) if isinstance(value, tuple) else value for name, value in defaults.items()}
    options = {name: value for name, value in given.items() if value is not None and value != usual.get(name)}
    return Trained(model, model, metrics, row,
                   settings | ({"options": options} if options else {}))


def _searched(folder: Path, run: str) -> Iterable[Trained]:
    if not (folder / METRICS).is_file():
        raise AmeirError(f"runs: {folder} has no {METRICS}. Finish that search first, or leave the run out.")
    metrics = read_metrics(folder / METRICS)
    if not all(row.get("test") for row in metrics["models"].values()):
        raise AmeirError(f"runs: {folder} has no numbers of test rows (measure_test=false). Leave the run out, or "
                         "search again without that.")
    took = sum(seconds for part, seconds in metrics["seconds"].items() if part.startswith("stage"))
    seconds = {name: took for name in metrics["models"] if name.startswith("AMEIR")}
    if "search" in metrics:  # by another strategy, which trained the row's model and others
        name = metrics["model"]
        seconds[name] = metrics["search"]["seconds"] - metrics["models"][name]["seconds"]
    return [Trained(f"{name} ({run})", name if name in seconds else name.lower(), metrics, row,
                    result_settings(folder, row, searched=name.startswith("AMEIR")),
                    search_seconds=seconds.get(name, 0.0))
            for name, row in metrics["models"].items()]
