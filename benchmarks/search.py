"""The whole search against one training: seconds of steps 1 to 3 and of finetuning the result, over those of training
the DIN baseline to its early stop on the same data, and of training what was found from scratch, to its early stop too.

Each side is the command a user gives (``python search.py … stage=all reference=null ablation=false``, ``python train.py
… model=din``, ``python train.py … model=ameir architecture=FOUND``) in a process of its own, in turns. Seconds are
those of the run's metrics.json: preparation of the data and the start of Python count for no side.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.children import ROOT, median
from benchmarks.prepare import generated
from benchmarks.shapes import FOLDER
from benchmarks.sides import json_line, pairs, ratio, show

DATASETS = ("movielens", "alimama")
FOUND = "found.yaml"


def run(script: str, folder: Path, dataset: str, source: Path | None, *overrides: str) -> dict[str, Any]:
    """Run a command from nothing, keep its architecture as FOUND where there is one, and return its metrics.json."""
    runs = folder / "runs"
    shutil.rmtree(runs, ignore_errors=True)
    given = [] if source is None else [f"dataset.source={source.resolve()}"]
    command = [sys.executable, str(ROOT / script), f"dataset={dataset}", *given, f"paths.runs={runs.resolve()}",
               f"paths.data={folder.resolve()}", "logger=csv", "run=benchmark", *overrides]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    results = runs / dataset / "benchmark"
    metrics = json.loads((results / "metrics.json").read_text())
    if script == "search.py":
        (results / "architecture.yaml").replace(folder / FOUND)
    shutil.rmtree(runs)
    return dict(metrics)


def compare(folder: Path, dataset: str, source: Path | None, repeats: int, budget: str) -> dict[str, Any]:
    """Search, train DIN, and train what was found from scratch, in turns, each turn with its own seed."""
    seconds: dict[str, list[float]] = {"search": [], "din": [], "scratch": []}
    auc: dict[str, list[float]] = {name: [] for name in seconds}
    parts: list[dict[str, float]] = []
    for turn in range(1, repeats + 1):
        search = run("search.py", folder, dataset, source, "stage=all", "reference=null", "ablation=false",
                     f"seed={turn}", f"budget={budget}")
        (model,) = search["models"].values()
        parts.append({k: v for k, v in search["seconds"].items() if k.startswith("stage")}
                     | {"finetune": model["seconds"]})
        rows = {"search": (sum(parts[-1].values()), model)}
        found = f"architecture={(folder / FOUND).resolve()}"
        for name, choice in (("din", ["model=din"]), ("scratch", ["model=ameir", found])):
            trained = run("train.py", folder, dataset, source, f"seed={turn}", "budget=paper", *choice)
            (row,) = trained["models"].values()
            rows[name] = (row["seconds"], row)
        for name, (taken, row) in rows.items():
            seconds[name].append(taken)
            auc[name].append(row["test"]["auc"])
        print(f"  {dataset} seed {turn}: " + "; ".join(
            f"{n} {s:.1f} s, {r['epochs']} epochs, AUC {r['test']['auc']:.4f}" for n, (s, r) in rows.items())
            + f"; {parts[-1]}", flush=True)
    (folder / FOUND).unlink()
    return {"seconds": {n: median(s) for n, s in seconds.items()}, "auc": {n: median(a) for n, a in auc.items()},
            "ratio": ratio(seconds["search"], seconds["din"]), "ratios": pairs(seconds["search"], seconds["din"]),
            "scratch_ratio": ratio(seconds["search"], seconds["scratch"]),
            "scratch_ratios": pairs(seconds["search"], seconds["scratch"]),
            "parts": {k: median([p[k] for p in parts]) for k in parts[0]}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", default=",".join(DATASETS))
    parser.add_argument("--movielens", type=Path, default=None, help="folder with the raw files of MovieLens-100K")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--rows", type=int, default=200_000, help="generated impressions of Alimama")
    parser.add_argument("--repeats", type=int, default=5, help="each with a seed of its own")
    parser.add_argument("--budget", default="light", help="of the search; the others train to their early stop (paper)")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {}
    for dataset in options.datasets.split(","):
        source = options.movielens if dataset == "movielens" else generated(options.folder, dataset, options.rows)
        results[dataset] = compare(options.folder, dataset, source, options.repeats, options.budget)
    for name, ratio_of in (("DIN", "ratio"), ("what was found, from scratch", "scratch_ratio")):
        key = "din" if name == "DIN" else "scratch"
        show(f"The whole search against {name}",
             ("dataset", "search and finetune, s", "of it", f"{name}, s", "ratio", "AUC of the search", "AUC"),
             [(n, r["seconds"]["search"], ", ".join(f"{k} {v:.1f}" for k, v in r["parts"].items()), r["seconds"][key],
               f"{r[ratio_of]:.2f} ({r[ratio_of + 's'][0]:.2f} to {r[ratio_of + 's'][1]:.2f})",
               f"{r['auc']['search']:.4f}", f"{r['auc'][key]:.4f}") for n, r in results.items()])
    json_line("search", results)
