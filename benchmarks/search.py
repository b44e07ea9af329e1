"""The whole search against one training: seconds of steps 1 to 3 and of finetuning the result, over those of training
the DIN baseline to its early stop on the same data.

Each side is the command a user gives (``python search.py … stage=all reference=null``, ``python train.py … model=din``)
in a process of its own, in turns. Seconds are those of the run's metrics.json: preparation of the data and the start of
Python count for neither side. The search also finetunes the plainer variants for the closing table; only the model it
ends with counts.
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


def run(script: str, folder: Path, dataset: str, source: Path | None, *overrides: str) -> dict[str, Any]:
    """Run a command from nothing and return its metrics.json."""
    runs = folder / "runs"
    shutil.rmtree(runs, ignore_errors=True)
    given = [] if source is None else [f"dataset.source={source.resolve()}"]
    command = [sys.executable, str(ROOT / script), f"dataset={dataset}", *given, f"paths.runs={runs.resolve()}",
               f"paths.data={folder.resolve()}", "logger=csv", "run=benchmark", *overrides]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    metrics = json.loads((runs / dataset / "benchmark" / "metrics.json").read_text())
    shutil.rmtree(runs)
    return dict(metrics)


def compare(folder: Path, dataset: str, source: Path | None, repeats: int, ours: list[str], theirs: list[str]
            ) -> dict[str, Any]:
    """Search and train in turns."""
    searches: list[float] = []
    trainings: list[float] = []
    parts: list[dict[str, float]] = []
    quality: list[tuple[float, float]] = []
    for turn in range(repeats):
        seed = f"seed={turn + 1}"
        search = run("search.py", folder, dataset, source, "stage=all", "reference=null", seed, *ours)
        training = run("train.py", folder, dataset, source, "model=din", seed, *theirs)
        name = list(search["models"])[-1]
        part = {k: v for k, v in search["seconds"].items() if k.startswith("stage")}
        part["finetune"] = search["models"][name]["seconds"]
        parts.append(part)
        searches.append(sum(part.values()))
        (baseline,) = training["models"].values()
        trainings.append(baseline["seconds"])
        quality.append((search["models"][name]["test"]["auc"], baseline["test"]["auc"]))
        print(f"  {dataset} seed {turn + 1}: search {searches[-1]:.1f} s {part}, AUC {quality[-1][0]:.4f}; "
              f"DIN {trainings[-1]:.1f} s in {baseline['epochs']} epochs, AUC {quality[-1][1]:.4f}", flush=True)
    return {"search_seconds": median(searches), "din_seconds": median(trainings),
            "ratio": ratio(searches, trainings), "ratios": pairs(searches, trainings),
            "parts": {k: median([p[k] for p in parts]) for k in parts[0]},
            "auc": median([q[0] for q in quality]), "din_auc": median([q[1] for q in quality])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", default=",".join(DATASETS))
    parser.add_argument("--movielens", type=Path, default=None, help="folder with the raw files of MovieLens-100K")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--rows", type=int, default=265_000, help="generated impressions of Alimama")
    parser.add_argument("--repeats", type=int, default=5, help="each with a seed of its own")
    parser.add_argument("--budget", default="demo", help="of the search; DIN always trains to its early stop (paper)")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {}
    for dataset in options.datasets.split(","):
        source = options.movielens if dataset == "movielens" else generated(options.folder, dataset, options.rows)
        results[dataset] = compare(options.folder, dataset, source, options.repeats, [f"budget={options.budget}"],
                                   ["budget=paper"])
    show("The whole search", ("dataset", "search and finetune, s", "DIN to its early stop, s", "ratio", "of it", "AUC",
                              "AUC of DIN"),
         [(n, r["search_seconds"], r["din_seconds"], f"{r['ratio']:.2f} ({r['ratios'][0]:.2f} to {r['ratios'][1]:.2f})",
           ", ".join(f"{k} {v:.1f}" for k, v in r["parts"].items()), f"{r['auc']:.4f}", f"{r['din_auc']:.4f}")
          for n, r in results.items()])
    json_line("search", results)
