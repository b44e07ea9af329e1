"""Scoring candidates: what they share computed once, against each candidate by itself from ids to metric.

* step 3: all MLPs of two layers (Alimama shape), and 2000 of three (Criteo shape).
* step 2: 500 interactions, on both shapes.
* step 1: 2000 stacks of blocks (Alimama shape, and six blocks on the Beauty shape).
Step 2 scores 256 rows at a time, as the search does, the others 1024.

* racing: how much of the work it saves, and how often it loses one of the top five.
* ``--memory``: peak memory of scoring stacks of six blocks on the Beauty shape, alone; with ``--samples 2000`` and
  ``--rows 10000`` that is step 1 at budget=paper, about an hour.

One by one is timed on a sample of the candidates; ``--all`` runs every one and compares the two rankings too.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from torch import Tensor

from ameir_pl.batch import Batch
from ameir_pl.models.ameir import Ameir
from ameir_pl.models.capacity import Capacity
from ameir_pl.search.evaluator import ROWS as SCORED_ROWS
from ameir_pl.search.evaluator import CandidateScorer, evaluating
from ameir_pl.search.interaction_step import ROWS as STEP2_ROWS
from ameir_pl.search.problem import Problem
from ameir_pl.search.racing import Race
from ameir_pl.space.architecture import Architecture
from ameir_pl.space.sampling import BlockRounds, InteractionRounds, MlpRounds, Rounds
from ameir_pl.space.space import sample_distinct
from benchmarks.children import child, median
from benchmarks.shapes import FOLDER, SHAPES, application
from benchmarks.sides import json_line, pairs, ratio, show

SAMPLE = 25


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
ROWS = {"step1-alimama": 2000, "step1-beauty": 500}
"""Rows that score, where they are not 10,000: time is linear in them, and step 1 has thousands of stacks of blocks."""


def trained(problem: Problem, task: Task, epochs: int) -> Task:
    """Train the supernet a little, so that candidates differ as they do in a search."""
    if epochs:
        problem.engine.train_supernet(task.model, task.rounds, epochs=epochs, phase="benchmark")
    return task


class AtHand:
    """One by one too, but with embeddings, and the history vector of blocks that all candidates have, looked up."""

    def __init__(self, scorer: CandidateScorer) -> None:
        self.scorer = scorer
        with evaluating(scorer.model):
            self.inputs = [scorer.model.embed(b) for b in scorer.batches]
        self.history: dict[tuple, list[Tensor | None]] = {}

    def score(self, architecture: Architecture) -> float:
        """Return the fitness."""
        scorer, model, blocks = self.scorer, self.scorer.model, architecture.blocks
        with evaluating(model):
            if blocks not in self.history:
                self.history = {blocks: [model.behavior(x, blocks) for x in self.inputs]}
            statistics = None
            if any(h.activation == "dice" for h in architecture.mlp):
                statistics = model.dice_statistics(scorer._calibration, architecture)
            return scorer.objective.score([
                scorer.objective.predictions(model, model.aggregate(x, h_a, architecture, statistics), batch)
                for batch, x, h_a in zip(scorer.batches, self.inputs, self.history[blocks], strict=True)])


def measure(scorer: CandidateScorer, candidates: list[Architecture], repeats: int, every: bool) -> dict[str, Any]:
    """Time the ways in turns and compare their scores."""
    sample = candidates if every else Random(2).sample(candidates, min(SAMPLE, len(candidates)))
    at_hand = AtHand(scorer)
    taken: dict[str, list[float]] = {"one_by_one": [], "at_hand": [], "shared": []}

    def time_of(name: str, run: Callable[[], list[float]], number: int) -> list[float]:
        start = time.perf_counter()
        scores = run()
        taken[name].append(1e3 * (time.perf_counter() - start) / number)
        return scores

    for turn in range(repeats):
        some = sample if turn == 0 else sample[:SAMPLE]
        found = dict(zip(candidates, time_of("shared", lambda: scorer.scores(candidates), len(candidates)),
                         strict=True))
        alone = time_of("one_by_one", lambda: [scorer.score(a) for a in some], len(some))  # noqa: B023
        time_of("at_hand", lambda: [at_hand.score(a) for a in some[:SAMPLE]], len(some[:SAMPLE]))  # noqa: B023
        if turn == 0:
            worst = max(abs(found[a] - s) for a, s in zip(some, alone, strict=True))
            single = dict(zip(some, alone, strict=True))
            same = sorted(some, key=lambda a: -single[a]) == sorted(some, key=lambda a: -found[a])
    return {"candidates": len(candidates), **{f"{k}_ms": median(v) for k, v in taken.items()},
            "ratio": ratio(taken["one_by_one"], taken["shared"]),
            "ratios": pairs(taken["one_by_one"], taken["shared"]),
            "ratio_at_hand": ratio(taken["at_hand"], taken["shared"]),
            "worst_difference": worst, "compared": len(sample), "same_ranking": same}


class Recorder(Race):
    """A race that drops nobody and keeps what it was told."""

    def __init__(self, candidates: int, top: int) -> None:
        super().__init__(candidates, top)
        self.rows: list[Sequence[float]] = []

    def survivors(self, scores: Sequence[float]) -> list[int]:
        """Keep the scores of a group."""
        self.rows.append(scores)
        return list(range(len(scores)))


def racing(scorer: CandidateScorer, candidates: list[Architecture], top: int, races: int) -> dict[str, Any]:
    """Race halves of the candidates, drawn anew each time, on the scores of each group of rows, and compare the top
    with that of the whole scores."""
    recorder = Recorder(len(candidates), top)
    whole = np.array(scorer.scores(candidates, race=recorder))
    groups = np.array(recorder.rows)  # (groups, candidates)
    kept = work = lost = 0.0
    for seed in range(races):
        drawn = np.array(sorted(Random(seed).sample(range(len(candidates)), max(len(candidates) // 2, 2 * top))))
        race, alive = Race(len(drawn), top), drawn
        for scores in groups:
            alive = alive[race.survivors(scores[alive].tolist())]
        best = drawn[np.argsort(-whole[drawn], kind="stable")[:top]]
        found = alive[np.argsort(-whole[alive], kind="stable")[:top]]
        kept += len(set(best) & set(found)) / top / races
        lost = max(lost, float(whole[best[0]] - whole[found[0]]))
        work += race.work / races
    return {"top": top, "races": races, "top_kept": kept, "work": work, "worst_loss_of_the_best": lost}


MEMORY = """
import sys, time
from pathlib import Path
import torch
from benchmarks.score import PARTS
from benchmarks.shapes import application
from ameir_pl.search.evaluator import CandidateScorer
folder, samples, rows = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
with application("beauty", folder, f"budget.samples={samples}") as session:
    problem = session.problem
    torch.manual_seed(0)
    task = PARTS["step1-beauty"][1](problem, "beauty")
    scorer = CandidateScorer(task.model, problem.objective, problem.data.subset("valid", rows, 1))
    Path("/proc/self/clear_refs").write_text("5")  # the peak is that of scoring from here on
    start = time.perf_counter()
    scorer.scores(task.candidates)
"""


def memory(folder: Path, samples: int, rows: int) -> None:
    """Show the peak of scoring half and all of the candidates on half and all of the rows: it must not grow with
    either by more than the arrays that hold their results."""
    found = [(n, r, child(MEMORY, str(folder), str(n), str(r))) for n in (samples // 2, samples)
             for r in (rows // 2, rows)]
    show("Scoring step 1 on the Beauty shape", ("candidates", "rows", "peak, MB", "seconds", "results, MB"),
         [(n, r, c["peak_mb"], c["seconds"], n * r * 4 / 1e6) for n, r, c in found])
    json_line("score memory", {"points": [{"candidates": n, "rows": r, **c} for n, r, c in found]})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    quick = [part for part in PARTS if part != "step1-beauty"]  # which takes longer than all others together
    parser.add_argument("--parts", default=",".join(quick), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--rows", type=int, default=None, help="that score; 10,000, fewer in step 1")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--at-once", type=int, default=None, help="rows that are scored at a time")
    parser.add_argument("--epochs", type=int, default=1, help="of the supernet before")
    parser.add_argument("--races", type=int, default=20)
    parser.add_argument("--all", action="store_true", help="one by one is run for every candidate, once")
    parser.add_argument("--memory", action="store_true", help="peak memory of step 1 on the Beauty shape, alone")
    options = parser.parse_args()
    if options.memory:
        memory(options.folder, options.samples, options.rows or 10_000)
        return
    results: dict[str, Any] = {}
    for name in options.parts.split(","):
        shape, make = PARTS[name]
        with application(shape, options.folder, f"budget.samples={options.samples}") as session:
            problem = session.problem
            problem.seeded("benchmark")
            task = trained(problem, make(problem, shape), options.epochs)
            # Train rows serve as well: what is measured is time, and the generated validation split is small.
            split = "train" if problem.schema.task == "ctr" else "valid"
            valid: list[Batch] = problem.data.subset(split, options.rows or ROWS.get(name, 10_000), 1)
            at_once = options.at_once or (STEP2_ROWS if name.startswith("step2") else SCORED_ROWS)
            scorer = CandidateScorer(task.model, problem.objective, valid,
                                     problem.data.subset("train", problem.budget.calibration_rows, 1)
                                     if name.startswith("step3") else (), rows=at_once)
            results[name] = measure(scorer, task.candidates, options.repeats, options.all)
            if options.races:
                results[name]["racing"] = racing(scorer, task.candidates, 5, options.races)
        print(name, results[name], flush=True)
    show("Scoring, milliseconds a candidate",
         ("part", "candidates", "one by one", "with embeddings and history at hand", "shared", "one by one / shared",
          "at hand / shared", "largest difference", "same ranking"),
         [(n, r["candidates"], r["one_by_one_ms"], r["at_hand_ms"], r["shared_ms"],
           f"{r['ratio']:.1f} ({r['ratios'][0]:.1f} to {r['ratios'][1]:.1f})", r["ratio_at_hand"],
           r["worst_difference"], f"{r['same_ranking']} ({r['compared']})") for n, r in results.items()])
    if options.races:
        show("Racing", ("part", "share of the work", "of the top five kept", "worst loss of the best"),
             [(n, r["racing"]["work"], r["racing"]["top_kept"], r["racing"]["worst_loss_of_the_best"])
              for n, r in results.items()])
    json_line("score", results)
