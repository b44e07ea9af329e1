"""Scoring candidates: what they share computed once, against each candidate by itself from ids to metric.

* step 3: all MLPs of two layers (Alimama shape), and 2000 of three (Criteo shape).
* step 2: 500 interactions, on both shapes.
* step 1: 2000 stacks of blocks (Alimama shape, and six blocks on the Beauty shape).
* racing: how much of the work it saves, and how often it loses one of the top five.

One by one is timed on a sample of the candidates; ``--all`` runs every one and compares the two rankings too.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import torch

from ameir_pl.batch import Batch
from ameir_pl.models.ameir import Ameir
from ameir_pl.models.capacity import Capacity
from ameir_pl.search.evaluator import CandidateScorer
from ameir_pl.search.problem import Problem
from ameir_pl.search.racing import Race
from ameir_pl.space.architecture import Architecture
from ameir_pl.space.sampling import BlockRounds, InteractionRounds, MlpRounds, Rounds
from ameir_pl.space.space import sample_distinct
from benchmarks.children import median
from benchmarks.shapes import FOLDER, SHAPES, application
from benchmarks.sides import json_line, show

ROWS, SAMPLE = 10_000, 25


@dataclass
class Task:
    """A supernet and the candidates that are scored with it."""

    model: Ameir
    rounds: Rounds
    candidates: list[Architecture]


def mlps(problem: Problem, shape: str) -> Task:
    """Step 3: the MLPs on top of the shape's own architecture."""
    base = replace(SHAPES[shape].architecture, mlp=())
    space = problem.mlp_space(base.interactions)
    found, _ = sample_distinct(space, problem.budget.samples, Random(1))
    return Task(Ameir(problem.schema, Capacity.of(base).with_mlp(space), **problem.sizes()),
                MlpRounds(space, base, 1), [replace(base, mlp=m) for m in found])


def interactions(problem: Problem, shape: str) -> Task:
    """Step 2: 500 sets of two and three fields."""
    space, base = problem.interaction_space(), Architecture(mlp=problem.predefined)
    pairs = space.expand(())
    sets = (*pairs, *(i for i in space.expand(pairs) if len(i) == 3))[:500]
    return Task(Ameir(problem.schema, Capacity.of(base, behavior=False).with_interactions(sets), **problem.sizes()),
                InteractionRounds(sets, base, 1), [replace(base, interactions=(i,)) for i in sets])


def blocks(problem: Problem, shape: str) -> Task:
    """Step 1: 2000 stacks."""
    space, base = problem.block_space(), Architecture(mlp=problem.predefined)
    found, _ = sample_distinct(space, problem.budget.samples, Random(1))
    return Task(Ameir(problem.schema, Capacity.of(base).with_blocks(space), **problem.sizes()),
                BlockRounds(space, base, 1), [replace(base, blocks=b) for b in found])


PARTS: dict[str, tuple[str, Callable[[Problem, str], Task]]] = {
    "step3-alimama": ("alimama", mlps), "step3-criteo": ("criteo", mlps), "step2-alimama": ("alimama", interactions),
    "step2-criteo": ("criteo", interactions), "step1-alimama": ("alimama", blocks), "step1-beauty": ("beauty", blocks)}


def trained(problem: Problem, task: Task, epochs: int) -> Task:
    """Train the supernet a little, so that candidates differ as they do in a search."""
    if epochs:
        problem.engine.train_supernet(task.model, task.rounds, epochs=epochs, phase="benchmark")
    return task


def measure(scorer: CandidateScorer, candidates: list[Architecture], repeats: int, every: bool) -> dict[str, Any]:
    """Time both ways in turns and compare their scores."""
    sample = candidates if every else Random(2).sample(candidates, min(SAMPLE, len(candidates)))
    alone: list[float] = []
    shared: list[float] = []
    worst = 0.0
    for turn in range(repeats):
        start = time.perf_counter()
        found = dict(zip(candidates, scorer.scores(candidates), strict=True))
        shared.append((time.perf_counter() - start) / len(candidates))
        start = time.perf_counter()
        single = {a: scorer.score(a) for a in (sample if turn == 0 else sample[:SAMPLE])}
        alone.append((time.perf_counter() - start) / len(single))
        worst = max(worst, *(abs(found[a] - score) for a, score in single.items()))
        if turn == 0:
            chosen = sorted(single, key=lambda a: -single[a])
            same = chosen == sorted(single, key=lambda a: -found[a])
    return {"candidates": len(candidates), "one_by_one_ms": 1e3 * median(alone), "shared_ms": 1e3 * median(shared),
            "ratio": median(alone) / median(shared),
            "ratios": [round(a / b, 2) for a, b in zip(alone, shared, strict=True)], "worst_difference": worst, "compared": len(sample), "same_ranking": same}


def racing(scorer: CandidateScorer, candidates: list[Architecture], top: int, seeds: int) -> dict[str, Any]:
    """Race several subsets of the candidates and compare the top with that of the whole scores."""
    whole = dict(zip(candidates, scorer.scores(candidates), strict=True))
    kept = work = regret = 0.0
    for seed in range(seeds):
        drawn = Random(seed).sample(candidates, max(len(candidates) // 2, 2 * top))
        race = Race(len(drawn), top)
        ranking = [a for a, _, _ in scorer.rank(drawn, f"race {seed + 1}", race)]
        best = sorted(drawn, key=lambda a: -whole[a])[:top]
        kept += len(set(best) & set(ranking[:top])) / top / seeds
        regret = max(regret, whole[best[0]] - max(whole[a] for a in ranking[:top]))
        work += race.work / seeds
    return {"top": top, "races": seeds, "top_kept": kept, "work": work, "worst_loss_of_the_best": regret}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--at-once", type=int, default=None, help="rows that are scored at a time")
    parser.add_argument("--epochs", type=int, default=1, help="of the supernet before")
    parser.add_argument("--races", type=int, default=5)
    parser.add_argument("--all", action="store_true", help="one by one is run for every candidate, once")
    options = parser.parse_args()
    torch.set_grad_enabled(True)
    results: dict[str, Any] = {}
    for name in options.parts.split(","):
        shape, make = PARTS[name]
        with application(shape, options.folder, f"budget.samples={options.samples}") as session:
            problem = session.problem
            problem.seeded("benchmark")
            task = trained(problem, make(problem, shape), options.epochs)
            # Train rows serve as well: what is measured is time, and the generated validation split is small.
            split = "train" if problem.schema.task == "ctr" else "valid"
            valid: list[Batch] = problem.data.subset(split, options.rows, 1)
            more = {} if options.at_once is None else {"rows": options.at_once}
            scorer = CandidateScorer(task.model, problem.objective, valid,
                                     problem.data.subset("train", problem.budget.calibration_rows, 1)
                                     if name.startswith("step3") else (), **more)
            results[name] = measure(scorer, task.candidates, options.repeats, options.all)
            if options.races:
                results[name]["racing"] = racing(scorer, task.candidates, 5, options.races)
        print(name, results[name], flush=True)
    show("Scoring, milliseconds a candidate",
         ("part", "candidates", "one by one", "shared", "ratio", "largest difference", "same ranking"),
         [(n, r["candidates"], r["one_by_one_ms"], r["shared_ms"], r["ratio"], r["worst_difference"],
           f"{r['same_ranking']} ({r['compared']})") for n, r in results.items()])
    if options.races:
        show("Racing", ("part", "share of the work", "of the top five kept", "worst loss of the best"),
             [(n, r["racing"]["work"], r["racing"]["top_kept"], r["racing"]["worst_loss_of_the_best"])
              for n, r in results.items()])
    json_line("score", results)
