"""metrics.json and the closing table."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.table import Table

from ameir_pl import __version__
from ameir_pl.atomic import telling, write_sealed
from ameir_pl.errors import AmeirError
from ameir_pl.progress import console
from ameir_pl.ranks import barrier
from ameir_pl.reports.planted import planted_lines
from ameir_pl.search.problem import Problem
from ameir_pl.search.run_folder import read_sealed

METRICS = "metrics.json"


def update_metrics(problem: Problem, protocol: str, models: dict[str, dict[str, Any]],
                   seconds: dict[str, float], planted: dict[str, Any] | None = None) -> dict[str, Any]:
    """Merge results into the run's ``metrics.json`` and return all of it; models not named stay as they were.
    ``planted`` is there where the data were generated (:func:`~ameir_pl.reports.planted.against_truth`)."""
    path = problem.folder.path / METRICS
    known = read_metrics(path) if path.exists() else {}
    metrics = {
        "dataset": problem.schema.dataset, "protocol": protocol, "seed": problem.seed, "rows": problem.data.rows,
        "models": {**known.get("models", {}), **models},
        "seconds": {**known.get("seconds", {}), **{k: round(v, 2) for k, v in seconds.items()}},
        "versions": {"ameir_pl": __version__, "torch": version("torch"),
                     "pytorch_lightning": version("pytorch-lightning"), "python": platform.python_version()}}
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
    table = Table(title=f"{metrics['dataset']}, seed {metrics['seed']}, {metrics['protocol']}", title_justify="left")
    columns = [(split, name) for split in ("valid", "test", "test_full")
               for name in next(iter(models.values())).get(split, {})]
    table.add_column("model")
    labels = {"auc": "AUC", "logloss": "log loss", "gauc": "gAUC"}
    for split, name in columns:
        table.add_column(f"{split.replace('_', ' ')}\n{labels.get(name, name.upper())}", justify="right")
    for name in ("parameters", "embedding", "seconds"):
        table.add_column(name, justify="right")
    for model, row in models.items():
        table.add_row(model, *(f"{row[split][name]:.4f}" if name in row.get(split, {}) else "-"
                               for split, name in columns),
                      f"{row['params']:,}", f"{row['embedding_params']:,}", f"{row['seconds']:.1f}")
    # On a narrow or absent terminal a table would be cut: it is as wide as it needs to be.
    out.width = max(out.width, 40 + 10 * (len(columns) + 4))
    out.print(table)
    total = sum(metrics["seconds"].values())
    parts = ", ".join(f"{name} {value:.0f}" for name, value in metrics["seconds"].items())
    out.print(f"Seconds: {parts}; together {total:.0f}.")
    for warning in metrics.get("warnings", ()):
        out.print(f"Warning: {warning}", markup=False)
    for line in planted_lines(metrics.get("planted")):
        out.print(line, markup=False)
    for path in written:
        out.print(f"Wrote {path}", markup=False)
