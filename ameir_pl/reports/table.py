"""metrics.json and the closing table."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ameir_pl import __version__
from ameir_pl.atomic import telling, write_sealed
from ameir_pl.errors import AmeirError
from ameir_pl.progress import console
from ameir_pl.ranks import barrier
from ameir_pl.reports.chance import SPLITS, chance_notes, reference, reference_rows, standard_errors, too_few
from ameir_pl.reports.comparison import LABELS
from ameir_pl.reports.fitting import print_fitting
from ameir_pl.reports.planted import planted_lines
from ameir_pl.search.problem import Problem
from ameir_pl.search.run_folder import read_sealed

METRICS = "metrics.json"
CHOSEN = " *"
"""Behind the name of the run's model in the closing table."""


def update_metrics(problem: Problem, protocol: str, models: dict[str, dict[str, Any]],
                   seconds: dict[str, float], planted: dict[str, Any] | None = None, model: str | None = None,
                   choice: dict[str, Any] | None = None, search: dict[str, Any] | None = None) -> dict[str, Any]:
    """Merge results into the run's ``metrics.json`` and return all of it; models not named stay as they were.

    Args:
        problem: of the run.
        protocol: how the dataset is split and measured.
        models: rows by name.
        seconds: of the parts of the command.
        planted: where the data were generated (:func:`~ameir_pl.reports.planted.against_truth`).
        model: the row of a search that is the run's model; None: as it was.
        choice: how it was chosen (:class:`~ameir_pl.search.choosing.Choice`).
        search: of another strategy than AMEIR's steps, what it did and what it is compared with; None: as it was.
    """
    path = problem.folder.path / METRICS
    known = read_metrics(path) if path.exists() else {}
    metrics = {
        "dataset": problem.schema.dataset, "protocol": protocol, "seed": problem.seed, "rows": problem.data.rows,
        "models": {**known.get("models", {}), **{
            name: with_errors(row, problem.data.rows, problem.data.clicks) for name, row in models.items()}},
        "seconds": {**known.get("seconds", {}), **{k: round(v, 2) for k, v in seconds.items()}},
        "versions": {"ameir_pl": __version__, "torch": version("torch"),
                     "pytorch_lightning": version("pytorch-lightning"), "python": platform.python_version()}}
    for key, value in (("model", model), ("choice", choice), ("search", search)):
        if value or key in known:
            metrics[key] = value or known[key]
    metrics |= reference(problem.data)
    if problem.data.epoch_rows != problem.data.rows["train"]:
        metrics["clips"] = problem.data.epoch_rows
    if problem.data.warnings:
        metrics["warnings"] = problem.data.warnings
    planted = planted or known.get("planted")
    if planted:
        metrics["planted"] = planted
    barrier()  # the others have read it
    with telling(path, "Models and stages are whole: make room and give the same command."):
        write_sealed(path, metrics)
    barrier()
    return metrics


def read_metrics(path: Path) -> dict[str, Any]:
    """Read a run's ``metrics.json``; raises ``AmeirError`` where it is damaged."""
    advice = " Delete it; the command that wrote it makes it again."
    metrics = read_sealed(path, advice)
    if not isinstance(metrics.get("models"), dict):
        raise AmeirError(f"{path} is damaged: it has no 'models'.{advice}")
    return metrics


def show(metrics: dict[str, Any], written: list[Path]) -> None:
    """Print the table of all models (variant, metrics, parameters, seconds) and the paths of what was written."""
    out = console(results=True)
    models = metrics["models"]
    splits = {split: names for split in SPLITS if (names := list(dict.fromkeys(
        name for row in models.values() for name in row.get(split, {}))))}
    columns = [(split, name) for split, names in splits.items() for name in names]
    header = ["model", *(f"{split.replace('_', ' ')}\n{LABELS.get(name, name.upper())}" for split, name in columns),
              "params", "embed-\nding", "seconds"]
    compared = metrics.get("search", {}).get("compared")
    beside = {} if compared is None else {f"{compared['model']} of {compared['run']}": compared["row"]}
    rows = [[model + (CHOSEN if model == metrics.get("model") else ""),
             *(_cell(metrics, row, split, name) for split, name in columns), f"{row['params']:,}",
             f"{row['embedding_params']:,}", f"{row['seconds']:.1f}"] for model, row in {**models, **beside}.items()]
    below = [_below(name, values, columns) for name, values in reference_rows(metrics).items()]
    print_fitting(out, header, [*rows, *below], groups=[*map(len, splits.values()), 3], sections=[len(rows) - 1],
                  title=f"{metrics['dataset']}, seed {metrics['seed']}, {metrics['protocol']}")
    total = sum(metrics["seconds"].values())
    parts = ", ".join(f"{name} {value:.0f}" for name, value in metrics["seconds"].items())
    out.print(f"Seconds: {parts}; together {total:.0f}.")
    if metrics.get("model") in models:
        out.print(f"{CHOSEN.strip()} The run's model: {metrics['choice']['why']}", markup=False)
    for line in search_lines(metrics):
        out.print(line, markup=False)
    for warning in metrics.get("warnings", ()):
        out.print(f"Warning: {warning}", markup=False)
    for line in chance_notes(metrics):
        out.print(line, markup=False)
    for line in planted_lines(metrics.get("planted")):
        out.print(line, markup=False)
    for path in written:
        out.print(f"Wrote {path}", markup=False)


def search_lines(metrics: Mapping[str, Any]) -> list[str]:
    """Return what to say of a search by another strategy than AMEIR's steps: its trainings, and how its model compares
    with that of another run."""
    search = metrics.get("search")
    if search is None:
        return []
    failed = f", {search['failed']} of them failed" if search["failed"] else ""
    lines = [f"strategy={search['strategy']} trained {search['trainings']} architectures in {search['seconds']:.0f} s"
             f"{failed}."]
    compared = search.get("compared")
    if compared is None:
        return lines
    metric = LABELS.get(compared["metric"], compared["metric"].upper())
    lines.append(f"run={compared['run']} took {compared['seconds']:.0f} s. {search['strategy']} minus its "
                 f"{compared['model']}: {compared['rows']} {metric} {compared['difference']:+.4f} ± "
                 f"{compared['error']:.4f} (standard error of the paired difference).")
    if compared["settings"]:
        lines.append(f"Warning: the two runs have other settings, too: {'; '.join(compared['settings'])} (there -> "
                     "here).")
    return lines


def with_errors(row: dict[str, Any], rows: dict[str, int], clicks: dict[str, int]) -> dict[str, Any]:
    """Return a model's entry with the standard errors of its metrics."""
    errors = standard_errors(row, rows, clicks)
    return {**row, "standard_errors": errors} if errors else row


def _cell(metrics: dict[str, Any], row: dict[str, Any], split: str, name: str) -> str:
    if name not in row.get(split, {}):
        return "-"
    fewer = too_few(metrics, split) if name == "auc" else None
    return f"{row[split][name]:.4f}" if fewer is None else f"too few ({fewer})"


def _below(name: str, values: dict[str, dict[str, float]], columns: list[tuple[str, str]]) -> list[str]:
    """A row of the table that is no model's."""
    return [name, *(f"{values[split][metric]:.4f}" if metric in values.get(split, {}) else ""
                    for split, metric in columns), "", "", ""]
