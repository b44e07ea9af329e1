"""Narrowing: step 2 by halving. All interactions of two and three fields are trained side by side, and the half that
adds least is left out, until M are left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Any

import torch

from ameir_pl.errors import AmeirError
from ameir_pl.models.interaction_ranker import InteractionRanker
from ameir_pl.progress import console
from ameir_pl.search.problem import Problem
from ameir_pl.search.settings import Narrowing, Recipe
from ameir_pl.space.architecture import Interaction, canonical_interactions

PATIENCE = 3
"""Validations without a better one before a round's training ends."""
FEW = 24
"""With no more candidates a ranker is cheap, and what decides is small: a round trains more of them."""
LINEAR_RATE = 2.0
"""The rate of rankers without an MLP, as a multiple: they have fewer weights, and less to undo."""


@dataclass
class Narrowed:
    """What is left: the interactions, best first, with their gains, and what each round did."""

    interactions: tuple[Interaction, ...]
    gains: tuple[float, ...]
    rounds: list[dict[str, Any]]


def narrow(problem: Problem, settings: Narrowing, wanted: int) -> Narrowed:
    """Return the ``wanted`` interactions that add most to the rest.

    Each round trains fresh rankers of the candidates that are left and keeps the half with the highest mean marginal
    gain on validation rows. Every other ranker has the pre-defined MLP beside the candidates, and asks what they add
    to it; the others have only the fields' first order there, because an MLP learns a strong interaction of few values
    by itself, which is then missed. Weights are not handed on: those of a round have begun to overfit.

    Raises:
        AmeirError: the fields give fewer than ``wanted`` interactions.
    """
    fields = problem.schema.field_names
    candidates, grown = first_candidates(fields, settings)
    if len(candidates) < wanted:
        raise AmeirError(f"The dataset's {len(fields)} fields give {len(candidates)} interactions, fewer "
                         f"than dataset.model.interactions={wanted}.")
    valid = problem.data.subset("valid", settings.most_rows, problem.seed)
    rounds: list[dict[str, Any]] = []
    gains: tuple[float, ...] = ()
    while True:
        number = len(rounds) + 1
        repeats = trainings_of(len(candidates), settings)
        found = [gains_of(problem, settings, candidates, valid, f"stage2/round{number}.{repeat}", linear=not repeat % 2)
                 for repeat in range(1, repeats + 1)]
        mean = torch.stack(found).mean(0).tolist()
        order = sorted(range(len(candidates)), key=lambda c: (-mean[c], len(candidates[c]), candidates[c]))
        keep = max(len(candidates) // 2, wanted)
        last = grown and keep == wanted
        rounds.append({"candidates": len(candidates), "kept": keep, "trainings": repeats,
                       "best": mean[order[0]], "least_kept": mean[order[keep - 1]]})
        console().print(f"stage2/round{number}: {len(candidates)} interactions, the {keep} that add most are kept")
        ranked = [candidates[c] for c in order[:keep]]
        gains = tuple(mean[c] for c in order[:keep])
        if last:
            return Narrowed(tuple(ranked), gains, rounds)
        if not grown and keep <= problem.budget.keep:
            candidates, grown = children(ranked, fields, settings), True
        else:
            candidates = canonical_interactions(ranked)


def first_candidates(fields: Sequence[str], settings: Narrowing) -> tuple[tuple[Interaction, ...], bool]:
    """Return the candidates to begin with, and whether all orders are among them: all sets of at most
    ``highest_order`` fields, or the pairs alone where those are too many."""
    orders = range(2, min(settings.highest_order, len(fields)) + 1)
    whole = sum(comb(len(fields), order) for order in orders) <= settings.most_candidates
    chosen = orders if whole else range(2, 3)
    return canonical_interactions([c for order in chosen for c in combinations(fields, order)]), whole


def children(parents: Sequence[Interaction], fields: Sequence[str], settings: Narrowing) -> tuple[Interaction, ...]:
    """Return the parents and all that one or more further fields make of them, up to ``highest_order``."""
    made = list(parents)
    newest = list(parents)
    for _ in range(3, settings.highest_order + 1):
        newest = [(*parent, field) for parent in newest for field in fields if field not in parent]
        made += newest
    return canonical_interactions(made)


def trainings_of(candidates: int, settings: Narrowing) -> int:
    """Return how many rankers a round of so many candidates trains."""
    return settings.repeats if candidates <= FEW else min(settings.repeats, 2)


def gains_of(problem: Problem, settings: Narrowing, candidates: Sequence[Interaction], valid: Sequence[Any],
             phase: str, *, linear: bool) -> torch.Tensor:
    """Train a ranker of the candidates, with the pre-defined MLP or ``linear``, and return their marginal gains (C,) on
    the rows of ``valid``, on CPU."""
    problem.seeded(phase)
    rate = settings.rate * (LINEAR_RATE if linear else 1.0)
    ranker = InteractionRanker(problem.schema, candidates, mlp=() if linear else problem.predefined,
                               embedding_size=settings.size, dropout=problem.model.mlp_dropout)
    problem.engine.fit(ranker, epochs=problem.engine.epochs_of(settings.updates), patience=PATIENCE, start=None,
                       phase=phase, recipe=Recipe(rate, settings.l2))
    return ranker.marginal_gains(valid).cpu()
