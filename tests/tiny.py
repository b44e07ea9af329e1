"""A search small enough to run in seconds: overrides, and what tests ask of its run folder."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BUDGET = ("budget.stage1_epochs=1", "budget.cycle_epochs=1", "budget.stage3_epochs=1", "budget.samples=6",
          "budget.top=2", "budget.top_epochs=1", "budget.cycles=2", "budget.keep=6", "budget.finetune_epochs=2",
          "budget.valid_rows=100", "budget.calibration_rows=100", "budget.patience=1", "budget.paths=150",
          "budget.least_updates=0", "budget.patient_updates=0",
          "inherit=true", "interaction_search=evolution", "narrowing.updates=4", "narrowing.repeats=2")
SIZES = ("dataset.model.embedding_size=4", "dataset.train.batch_size=128", "dataset.max_len=6", "logger=csv")
MODELS = {"movielens": ("dataset.model.blocks=3", "dataset.model.hidden_layers=2", "dataset.model.interactions=5",
                        "dataset.model.mlp=[32,16]", "dataset.model.block_dropout=0.1",
                        "dataset.model.mlp_dropout=0.3")}
"""What tests count on, whatever conf/ says."""


@dataclass(frozen=True)
class Tiny:
    """Overrides of a tiny search of one dataset.

    Args:
        dataset: its name.
        source: the generated raw files.
        data: where they are encoded; shared by tests.
        runs: where runs go.
    """

    dataset: str
    source: Path
    data: Path
    runs: Path

    def __call__(self, *more: str) -> list[str]:
        """Return the command line; what comes later wins."""
        return [f"dataset={self.dataset}", f"dataset.source={self.source}", f"paths.data={self.data}",
                f"paths.runs={self.runs}", *SIZES, *BUDGET, *MODELS.get(self.dataset, ()), *more]

    def folder(self, run: str = "default") -> Path:
        """Return a run's folder."""
        return self.runs / self.dataset / run

    def at(self, runs: Path) -> Tiny:
        """Return the same with runs elsewhere."""
        return Tiny(self.dataset, self.source, self.data, runs)


def contents(folder: Path) -> dict[str, str]:
    """Return the checksum of every file under ``folder``; empty where there is no folder."""
    return {f.relative_to(folder).as_posix(): hashlib.sha256(f.read_bytes()).hexdigest()
            for f in sorted(folder.rglob("*")) if f.is_file()}


def results(folder: Path) -> dict[str, str]:
    """Return the checksums of what a run decided: no logs, no times, nothing unfinished."""
    return {name: digest for name, digest in contents(folder).items()
            if name not in ("log.txt", "metrics.csv", "metrics.json", "config.yaml") and "summary.json" not in name
            and not name.startswith(".progress/")}


def numbers(metrics: dict[str, Any]) -> dict[str, Any]:
    """Return metrics without what takes a different time each time."""
    plain = json.loads(json.dumps(metrics))
    plain.pop("seconds")
    plain.pop("sha256", None)  # of the whole file, seconds and all
    for row in plain["models"].values():
        row.pop("seconds")
        row.pop("finding_seconds", None)
        row.pop("train_seconds", None)
    return plain
