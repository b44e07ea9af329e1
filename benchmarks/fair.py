"""One fair update, its batch split among all paths, against one update of a single path on the same batch.

Single paths differ in cost (a recurrence costs more than a convolution): the single update is the mean over the paths
of a round, each timed. The scheme ``full``, in which every path sees the whole batch, is shown for comparison.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ameir_pl.batch import Batch
from ameir_pl.models.splitting import predict_split
from ameir_pl.search.problem import Problem
from ameir_pl.tasks.fit import decayed
from benchmarks.children import median
from benchmarks.score import PARTS, Task
from benchmarks.shapes import FOLDER, application
from benchmarks.sides import alternate, json_line, pairs, ratio, show


def sides(problem: Problem, task: Task, batches: list[Batch], updates: int, full: bool
          ) -> dict[str, Callable[[], float]]:
    """Return functions that give the mean seconds of an update of each kind."""
    model = task.model.train()
    optimizer = torch.optim.Adam(decayed(model, 1e-5), lr=1e-3, fused=True)
    count = iter(range(10**9))

    def update(batch: Batch, paths: tuple) -> float:
        start = time.perf_counter()
        x = model.embed(batch)
        if len(paths) == 1:
            loss = problem.objective.loss(model, model.predict(x, paths[0]), batch)
        elif paths[-1] == "full":
            loss = torch.stack([problem.objective.loss(model, model.predict(x, p), batch) for p in paths[:-1]]).mean()
        else:
            loss = problem.objective.loss(model, predict_split(model, x, paths), batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return time.perf_counter() - start

    def split() -> float:
        n = [next(count) for _ in range(updates)]
        return sum(update(batches[i % len(batches)], task.rounds.fair(i)) for i in n) / updates

    def single() -> float:
        i = next(count)
        paths = task.rounds.fair(i)[:24]  # of many interactions, all alike in cost, some
        return sum(update(batches[(i + k) % len(batches)], (p,)) for k, p in enumerate(paths)) / len(paths)

    def whole() -> float:
        i = next(count)
        return update(batches[i % len(batches)], (*task.rounds.fair(i), "full"))

    return {"split": split, "single": single, **({"full": whole} if full else {})}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--updates", type=int, default=5)
    parser.add_argument("--full", action="store_true", help="time the scheme `full` too")
    options = parser.parse_args()
    results: dict[str, Any] = {}
    for name in options.parts.split(","):
        shape, make = PARTS[name]
        with application(shape, options.folder, "budget.samples=10") as session:
            problem = session.problem
            problem.seeded("benchmark")
            task = make(problem, shape)
            batches = [b for _, b in zip(range(8), problem.data.train_dataloader(), strict=False)]
            taken = alternate(sides(problem, task, batches, options.updates, options.full), options.repeats)
        results[name] = {"paths": task.rounds.paths, "batch": len(batches[0]),
                         **{f"{k}_ms": 1e3 * median(v) for k, v in taken.items()},
                         "ratio": ratio(taken["split"], taken["single"]),
                         "ratios": pairs(taken["split"], taken["single"])}
        print(name, results[name], flush=True)
    show("A fair update", ("part", "batch", "paths", "split, ms", "single path, ms", "ratio", "full, ms"),
         [(n, r["batch"], r["paths"], r["split_ms"], r["single_ms"], f"{r['ratio']:.2f} ({r['ratios'][0]:.2f} to "
           f"{r['ratios'][1]:.2f})", r.get("full_ms", "")) for n, r in results.items()])
    json_line("fair", results)
