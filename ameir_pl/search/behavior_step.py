"""Step 1: the behavior network, with a pre-defined MLP on [h_a, e_b] (paper, Sec. 2.3)."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from ameir_pl.models.ameir import Ameir
from ameir_pl.models.capacity import Capacity
from ameir_pl.search.evaluator import CandidateScorer, race_of, raced, say_whole
from ameir_pl.search.finalists import best_of, write_stage
from ameir_pl.search.problem import Problem
from ameir_pl.space.architecture import Architecture
from ameir_pl.space.sampling import BlockRounds
from ameir_pl.space.space import sample_distinct

STAGE = 1


def behavior_supernet(problem: Problem) -> tuple[Ameir, BlockRounds]:
    """Return the untrained supernet of all stacks, with the pre-defined MLP, and the rounds that train it."""
    space, base = problem.block_space(), Architecture(mlp=problem.predefined)
    problem.seeded("stage1/supernet")
    supernet = Ameir(problem.schema, Capacity.of(base).with_blocks(space), **problem.sizes())
    return supernet, BlockRounds(space, base, problem.seed)


def search_behavior(problem: Problem) -> None:
    """Train the supernet of blocks fairly, score sampled stacks, finetune the best, write ``stage1/``."""
    problem.journal.begin()
    budget = problem.budget
    supernet, rounds = behavior_supernet(problem)
    space, base = rounds.space, rounds.base
    with problem.folder.writing(STAGE) as folder:
        fit = problem.engine.train_supernet(supernet, rounds, epochs=budget.stage1_epochs, phase="stage1/supernet")
        stacks, whole = sample_distinct(space, budget.samples, Random(f"{problem.seed}/stage1/candidates"))
        scorer = CandidateScorer(supernet, problem.objective,
                                 problem.data.subset("valid", budget.valid_rows, problem.seed))
        say_whole("stage1", space.size(), budget.samples)
        race = race_of(budget, len(stacks), budget.top)
        candidates = [replace(base, blocks=s) for s in stacks]
        scores = problem.journal.phase("stage1/scoring", *candidates)
        ranking = scorer.rank(candidates, "stage1/scoring", race, scores)
        winner, finalists = best_of(problem, supernet, ranking, STAGE)
        write_stage(problem, folder, STAGE, supernet=supernet, ranking=ranking,
                    architecture=winner.architecture, winner=winner.state_dict(), winner_model=winner,
                    summary={"space": space.size(), "scored": len(ranking), "whole_space": whole,
                             "finalists": finalists, **fit.summary(), **raced(race)})
