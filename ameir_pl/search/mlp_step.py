"""Step 3: the aggregation MLP, one weight matrix of the maximal size per layer, sliced (paper, Sec. 2.3)."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from ameir_pl.models.ameir import Ameir
from ameir_pl.models.capacity import Capacity
from ameir_pl.models.derive import inherit
from ameir_pl.search.assembly import assembled, variant_architecture
from ameir_pl.search.evaluator import CandidateScorer, race_of, raced, say_whole
from ameir_pl.search.finalists import best_of, write_stage
from ameir_pl.search.problem import Problem
from ameir_pl.space.sampling import MlpRounds
from ameir_pl.space.space import sample_distinct

STAGE = 3


def mlp_supernet(problem: Problem) -> tuple[Ameir, MlpRounds]:
    """Return the supernet of all MLPs on the winners of steps 1 and 2, with their weights, and the rounds that train
    it."""
    before = assembled(problem, "AMEIR-B")
    base = replace(variant_architecture(problem, "AMEIR-B"), mlp=())
    space = problem.mlp_space(base.interactions)
    problem.seeded("stage3/supernet")
    supernet = Ameir(problem.schema, Capacity.of(base).with_mlp(space), **problem.sizes())
    inherit(supernet, before)
    return supernet, MlpRounds(space, base, problem.seed)


def search_mlp(problem: Problem) -> None:
    """Train the elastic MLP fairly on the winners of steps 1 and 2, score MLPs, finetune the best, write
    ``stage3/``."""
    problem.journal.begin()
    budget = problem.budget
    supernet, rounds = mlp_supernet(problem)
    space, base = rounds.space, rounds.base
    with problem.folder.writing(STAGE) as folder:
        fit = problem.engine.train_supernet(supernet, rounds, epochs=budget.stage3_epochs, phase="stage3/supernet")
        mlps, whole = sample_distinct(space, budget.samples, Random(f"{problem.seed}/stage3/candidates"))
        scorer = CandidateScorer(supernet, problem.objective,
                                 problem.data.subset("valid", budget.valid_rows, problem.seed),
                                 problem.data.subset("train", budget.calibration_rows, problem.seed))
        say_whole("stage3", space.size(), budget.samples)
        race = race_of(budget, len(mlps), budget.top)
        ranking = scorer.rank([replace(base, mlp=m) for m in mlps], "stage3/scoring", race)
        winner, finalists = best_of(problem, supernet, ranking, STAGE)
        write_stage(problem, folder, STAGE, supernet=supernet, ranking=ranking,
                    architecture=winner.architecture, winner=winner.state_dict(), winner_model=winner,
                    summary={"space": space.size(), "scored": len(ranking), "whole_space": whole, "width": space.width,
                             "finalists": finalists, **fit.summary(), **raced(race)})
