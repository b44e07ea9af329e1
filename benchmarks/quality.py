"""Whether models are as good as they were: small configurations of ``quality.yaml`` are run and their metrics compared
with the mean and deviation that several seeds gave.

Each run is the command a user gives, in a process of its own. Metrics are of validation rows, so that looking often
does not wear the test rows out. MovieLens-100K is fetched, or read from ``--movielens FOLDER``; a configuration whose
data are not to be had is said to be left out.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from benchmarks.children import ROOT

FILE = Path(__file__).with_suffix(".yaml")


def outside(found: float, mean: float, sd: float, *, sds: float, least: float) -> bool:
    """Return whether a metric differs from the mean of several seeds by more than their deviation explains: by more
    than ``sds`` deviations and by more than ``least``. A metric that is no number always does."""
    return math.isnan(found) or abs(found - mean) > max(sds * sd, least)


def metric(folder: Path, name: str) -> float:
    """Return a metric of a run: the share of planted interactions that step 2 found, or one of the run's model."""
    if name == "planted":
        chosen = yaml.safe_load((folder / "stage2/architecture.yaml").read_text())["interactions"]
        planted = json.loads(next((folder.parents[2] / "data").rglob("truth.json")).read_text())["interactions"]
        have = {frozenset(interaction) for interaction in chosen}
        return sum(frozenset(interaction) in have for interaction in planted) / len(planted)
    metrics = json.loads((folder / "metrics.json").read_text())
    row = metrics["models"][metrics.get("model", next(iter(metrics["models"])))]
    split, measure = name.split(".")
    return float(row[split][measure])


def run(configuration: dict[str, Any], seed: int, folder: Path, movielens: Path | None) -> float | None:
    """Run one configuration with a seed and return its metric; None where its data are not to be had."""
    overrides = list(configuration["overrides"])
    dataset = overrides[0].removeprefix("dataset=")
    if dataset == "movielens" and movielens is not None:
        overrides.append(f"dataset.source={movielens.resolve()}")
    runs = folder / "runs"
    shutil.rmtree(runs, ignore_errors=True)
    command = [sys.executable, str(ROOT / f"{configuration['command']}.py"), *overrides, f"seed={seed}", "run=quality",
               f"paths.runs={runs}", f"paths.data={folder / 'data'}", "logger=csv"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    if done.returncode == 2 and "are missing" in done.stderr:
        return None
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    return metric(runs / dataset / "quality", configuration["metric"])


def main() -> None:
    """Run what is asked for, print a line each, and exit with 1 where a metric is outside its tolerance."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only what takes little time, with one seed")
    parser.add_argument("--measure", action="store_true", help="all seeds; write mean and sd into quality.yaml")
    parser.add_argument("--movielens", type=Path, help="the folder of MovieLens-100K; else data/raw/movielens here")
    args = parser.parse_args()
    whole = yaml.safe_load(FILE.read_text())
    movielens = args.movielens or (ROOT / "data/raw/movielens" if (ROOT / "data/raw/movielens").exists() else None)
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        for name, configuration in whole["configurations"].items():
            if args.quick and not configuration["quick"]:
                continue
            seeds = configuration["seeds"] if args.measure else configuration["seeds"][:1]
            found = [run(configuration, seed, Path(folder), movielens) for seed in seeds]
            values = [value for value in found if value is not None]
            if not values:
                print(f"{name}: left out, its data are not here (ameir data fetch dataset=movielens)", flush=True)
                continue
            if args.measure:
                configuration["mean"] = round(statistics.fmean(values), 5)
                configuration["sd"] = round(statistics.stdev(values), 5)
                print(f"{name}: {configuration['metric']} {configuration['mean']} ± {configuration['sd']}", flush=True)
                continue
            bad = outside(values[0], configuration["mean"], configuration["sd"], sds=whole["sds"], least=whole["least"])
            wrong += [name] * bad
            print(f"{name}: {configuration['metric']} {values[0]:.5f}, measured {configuration['mean']} ± "
                  f"{configuration['sd']}{': OUTSIDE' if bad else ''}", flush=True)
    if args.measure:
        write(whole)
    if wrong:
        raise SystemExit(f"Outside of what was measured: {', '.join(wrong)}. Where the change is wanted, measure anew "
                         "with --measure and say why.")


def write(whole: dict[str, Any]) -> None:
    """Put the measured mean and sd into quality.yaml, whose comments stay."""
    lines = [line for line in FILE.read_text().splitlines() if not line.startswith(("    mean: ", "    sd: "))]
    for name, configuration in whole["configurations"].items():
        if "mean" in configuration:
            place = next(i for i, line in enumerate(lines) if line.startswith(f"  {name}:"))
            lines[place + 1:place + 1] = [f"    mean: {configuration['mean']}", f"    sd: {configuration['sd']}"]
    FILE.write_text("\n".join(lines) + "\n")
