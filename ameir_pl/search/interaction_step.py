"""Step 2: feature interactions, narrowed down from all of them or evolved from the fields (paper, Sec. 2.3)."""

from __future__ import annotations

from dataclasses import replace

import torch

from ameir_pl.errors import AmeirError
from ameir_pl.models.ameir import Ameir
from ameir_pl.models.capacity import Capacity
from ameir_pl.models.cost import network_parameters
from ameir_pl.models.derive import inherit
from ameir_pl.search.assembly import stage_model
from ameir_pl.search.evaluator import CandidateScorer, race_of, raced
from ameir_pl.search.finalists import Ranking, write_stage
from ameir_pl.search.narrowing import narrow
from ameir_pl.search.problem import Problem
from ameir_pl.search.settings import Narrowing
from ameir_pl.space.architecture import Architecture, Interaction
from ameir_pl.space.sampling import InteractionRounds

STAGE = 2
ROWS = 256
"""Rows that are scored at a time; several candidates are, too."""


def search_interactions(problem: Problem) -> None:
    """Find the M interactions of the dataset by narrowing or by evolution, and write them to ``stage2/``."""
    problem.journal.begin()
    if problem.narrowing is None:
        evolve_interactions(problem)
    else:
        narrow_interactions(problem, problem.narrowing)


def narrow_interactions(problem: Problem, settings: Narrowing) -> None:
    """Narrow all interactions down to M, then train these fairly behind step 1's winner, as a cycle of evolution
    does: their columns of the first hidden layer are what AMEIR-B inherits."""
    wanted = problem.model.interactions
    with problem.folder.writing(STAGE) as folder:
        found = narrow(problem, settings, wanted)
        selected = Architecture(interactions=found.interactions)
        supernet = holding(problem, selected.interactions, earlier_model(problem), "stage2/selected")
        rounds = InteractionRounds(selected.interactions, Architecture(mlp=problem.predefined), problem.seed,
                                   problem.budget.paths)
        fit = problem.engine.train_supernet(supernet, rounds, epochs=problem.budget.cycle_epochs,
                                            phase="stage2/selected")
        alone = [replace(rounds.base, interactions=(i,)) for i in found.interactions]
        ranking = [(each, gain, network_parameters(supernet, each))
                   for each, gain in zip(alone, found.gains, strict=True)]
        write_stage(problem, folder, STAGE, supernet=supernet, ranking=ranking, architecture=selected,
                    winner=None, winner_model=None,
                    summary={"rounds": found.rounds, "selected": _scores(ranking, wanted), **fit.summary()})


def evolve_interactions(problem: Problem) -> None:
    """Evolve interactions for ``budget.cycles`` cycles, as the paper does (Sec. 2.3)."""
    budget, wanted = problem.budget, problem.model.interactions
    base = Architecture(mlp=problem.predefined)
    data = problem.data
    valid = data.subset("valid", budget.valid_rows, problem.seed)
    previous = earlier_model(problem)
    kept: tuple[Interaction, ...] = ()
    cycles, ranking = [], []  # type: ignore[var-annotated]
    with problem.folder.writing(STAGE) as folder:
        for cycle in range(1, budget.cycles + 1):
            supernet, candidates = cycle_supernet(problem, kept, previous, cycle)
            fit = problem.engine.train_supernet(supernet, cycle_rounds(problem, candidates, cycle),
                                                epochs=budget.cycle_epochs, phase=f"stage2/cycle{cycle}")
            scorer = CandidateScorer(supernet, problem.objective, valid, rows=ROWS)
            most = max(budget.keep, wanted)
            race = race_of(budget, len(candidates), most)
            ranking = scorer.rank([replace(base, interactions=(c,)) for c in candidates],
                                  f"stage2/cycle{cycle} scoring", race)
            kept = tuple(a.interactions[0] for a, _, _ in ranking[:most])
            cycles.append({"candidates": len(candidates), "kept": len(kept), "best": ranking[0][1],
                           "activations": _spread(fit.counts), "best_epoch": fit.best_epoch, **raced(race)})
            previous = supernet
        if len(kept) < wanted:
            raise AmeirError(f"The dataset's {len(problem.schema.fields)} fields give {len(kept)} interactions, fewer "
                             f"than dataset.model.interactions={wanted}.")
        selected = Architecture(interactions=kept[:wanted])
        write_stage(problem, folder, STAGE, supernet=supernet, ranking=ranking, architecture=selected,
                    winner=None, winner_model=None, summary={"cycles": cycles, "selected": _scores(ranking, wanted)})


def earlier_model(problem: Problem) -> Ameir | None:
    """Return the winner of step 1, None where the dataset has no such step."""
    return stage_model(problem, 1, winner=True) if 1 in problem.stages else None


def cycle_rounds(problem: Problem, candidates: tuple[Interaction, ...], cycle: int) -> InteractionRounds:
    """Return the rounds that train a cycle's supernet."""
    return InteractionRounds(candidates, Architecture(mlp=problem.predefined), problem.seed + 1000 * cycle,
                             problem.budget.paths)


def cycle_supernet(problem: Problem, kept: tuple[Interaction, ...], previous: Ameir | None, cycle: int
                   ) -> tuple[Ameir, tuple[Interaction, ...]]:
    """Return the supernet of a cycle and its candidates: the kept interactions crossed with every field.

    Weights of ``previous`` are inherited wherever both read the same thing, the columns of kept interactions among
    them; a new interaction's columns are fresh, and as large as its small products need.
    """
    candidates = problem.interaction_space().expand(kept)
    return holding(problem, candidates, previous, f"stage2/cycle{cycle}"), candidates


def holding(problem: Problem, candidates: tuple[Interaction, ...], previous: Ameir | None, phase: str) -> Ameir:
    """Return a supernet that holds these interactions and inherits from ``previous``."""
    problem.seeded(phase)
    base = Architecture(mlp=problem.predefined)
    supernet = Ameir(problem.schema, Capacity.of(base, behavior=False).with_interactions(candidates),
                     **problem.sizes())
    if previous is not None:
        inherit(supernet, previous)
    raise_columns(supernet, known=() if previous is None else previous.capacity.interactions)
    return supernet


@torch.no_grad()
def raise_columns(supernet: Ameir, known: tuple[Interaction, ...]) -> None:
    """Enlarge the first hidden layer's fresh columns so that interactions enter it at the scale of fields.

    A product of r embeddings of deviation s has deviation s^r: with s = 0.03 a pair would enter thirty times smaller
    than a field, and its columns would not learn in a cycle. The columns of ``known`` interactions are trained.
    """
    deviation = supernet.embedding.weight[1:].std()
    weight, start = supernet.mlp.first.weight, 0
    names = {"interaction " + " ".join(i): i for i in supernet.capacity.interactions if i not in known}
    for name, width in supernet.segments():
        if name in names:
            weight[:, start:start + width] *= deviation ** (1 - len(names[name]))
        start += width


def _spread(counts: dict[str, dict[str, int]]) -> dict[str, int]:
    values = list(counts.get("interaction", {}).values()) or [0]
    return {"fewest": min(values), "most": max(values)}


def _scores(ranking: Ranking, wanted: int) -> list[dict]:
    return [{"interaction": list(a.interactions[0]), "score": score} for a, score, _ in ranking[:wanted]]
