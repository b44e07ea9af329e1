"""Diagnosis: whether a supernet ranks architectures as training each alone does, epoch by epoch."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, cast

import numpy as np

from ameir_pl import ranks
from ameir_pl.atomic import telling, write_sealed
from ameir_pl.errors import AmeirError
from ameir_pl.models.ameir import Ameir, Derived
from ameir_pl.progress import console
from ameir_pl.search.behavior_step import behavior_supernet
from ameir_pl.search.evaluator import CandidateScorer, evaluate
from ameir_pl.search.interaction_step import cycle_rounds, cycle_supernet
from ameir_pl.search.interaction_step import earlier_model as before_interactions
from ameir_pl.search.mlp_step import mlp_supernet
from ameir_pl.search.problem import Problem
from ameir_pl.search.rank_agreement import agreement, kendall_tau
from ameir_pl.search.run_folder import read_sealed
from ameir_pl.space.architecture import ZERO, Architecture
from ameir_pl.space.sampling import BlockRounds, MlpRounds, Rounds
from ameir_pl.space.space import sample_distinct


@dataclass(frozen=True)
class Subject:
    """A supernet and candidates of its space.

    Args:
        supernet: untrained.
        rounds: which train it.
        candidates: drawn at random; the first n of a seed are the same for every n.
        alone: an untrained model of one of them.
        epochs: of the supernet.
        calibration: whether Dice's statistics are recomputed for a scored child.
    """

    supernet: Ameir
    rounds: Rounds
    candidates: list[Architecture]
    alone: Callable[[Architecture], Derived]
    epochs: float
    calibration: bool = False


def subject(problem: Problem, stage: int, n: int) -> Subject:
    """Return what there is to diagnose of a step; steps 2 and 3 need the finished steps before them."""
    draw = Random(f"{problem.seed}/stage{stage}/diagnosis")
    if stage == 1:
        supernet, rounds = behavior_supernet(problem)
        stacks, _ = sample_distinct(rounds.space, n, draw)
        return Subject(supernet, rounds, [replace(rounds.base, blocks=s) for s in stacks], problem.derived,
                       problem.budget.stage1_epochs)
    if stage == 2:
        supernet, pairs = cycle_supernet(problem, (), before_interactions(problem), 1)
        chosen = pairs if len(pairs) <= n else tuple(draw.sample(pairs, n))
        base = Architecture(mlp=problem.predefined)
        return Subject(supernet, cycle_rounds(problem, pairs, 1), [replace(base, interactions=(p,)) for p in chosen],
                       lambda a: Derived(problem.schema, a, behavior=False, shortcut=False, **problem.sizes()),
                       problem.budget.cycle_epochs)
    supernet, mlp_rounds = mlp_supernet(problem)
    mlps, _ = sample_distinct(mlp_rounds.space, n, draw)
    return Subject(supernet, mlp_rounds, [replace(mlp_rounds.base, mlp=m) for m in mlps], problem.derived,
                   problem.budget.stage3_epochs, calibration=True)


class TrainedAlone:
    """What architectures reach when each is trained by itself; kept beside the runs, and used again by later diagnoses.

    Args:
        folder: where results are kept.
        identity: of everything the results depend on besides the architecture and the seed.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        self._folder, self._identity = folder, identity

    def fitness(self, problem: Problem, make: Callable[[Architecture], Derived], architecture: Architecture,
                stage: int, seed: int) -> float:
        """Return the validation fitness of an architecture, trained now unless it was before.

        Raises:
            AmeirError: a kept result is damaged, or the disk is full.
        """
        key = hashlib.sha256(f"{self._identity} {stage} {seed} {architecture.to_json()}".encode()).hexdigest()[:16]
        path = self._folder / f"{key}.json"
        known = ranks.agreed(read_sealed(path, " Delete it.") if ranks.writes() and path.exists() else None)
        if known is None:
            phase = f"alone/{key}"
            problem.seeded(f"alone/stage{stage}/{seed}/{architecture.digest()}")
            model = make(architecture)
            fit = problem.engine.fit(model, epochs=problem.budget.finetune_epochs, patience=problem.budget.patience,
                                     start=None, phase=phase)
            valid = evaluate(model, problem.data.val_dataloader(), problem.objective)
            known = {"architecture": architecture.to_dict(), "seed": seed, "valid": valid, "epochs": fit.epochs,
                     "best_epoch": fit.best_epoch, "seconds": round(fit.seconds, 2)}
            if ranks.writes():
                with telling(path, "What was trained is kept: make room and give the same command."):
                    self._folder.mkdir(parents=True, exist_ok=True)
                    write_sealed(path, known)
        return float(known["valid"][problem.objective.fitness])


def diagnose(problem: Problem, stage: int, n: int, seeds: int, alone: TrainedAlone) -> dict[str, Any]:
    """Train ``n`` architectures alone with each of ``seeds`` seeds, the supernet once, and compare.

    Returns:
        ``alone`` and ``shared`` scores of each architecture, ``by_epoch`` and ``kept`` agreement of the supernet's
        scores with the mean over seeds of training alone, ``noise`` of training alone, and ``effects`` of each
        choice.

    Raises:
        AmeirError: there are fewer than four architectures to compare.
    """
    about = subject(problem, stage, n)
    if len(about.candidates) < 4:
        raise AmeirError(f"Ranks of {len(about.candidates)} architectures say nothing: n must be at least 4, and "
                         f"stage {stage} must have as many.")
    everyone = []
    for number, architecture in enumerate(about.candidates, 1):
        console().print(f"Alone, {number} of {len(about.candidates)}: {architecture.digest()}", markup=False)
        everyone.append([alone.fitness(problem, about.alone, architecture, stage, problem.seed + i)
                         for i in range(seeds)])
    table = np.array(everyone)  # (n, seeds)
    truth = [float(v) for v in table.mean(1)]

    rows = problem.data.subset("valid", problem.data.rows["valid"], problem.seed)
    calibration = problem.data.subset("train", problem.budget.calibration_rows, problem.seed) \
        if about.calibration else ()

    def score() -> list[float]:
        return CandidateScorer(about.supernet, problem.objective, rows, calibration).scores(about.candidates)

    fit = problem.engine.train_supernet(about.supernet, about.rounds, epochs=about.epochs,
                                        phase=f"diagnosis/stage{stage}", watched=score)
    shared = score()
    return {"stage": stage, "seed": problem.seed, "n": len(truth), "seeds": seeds, "metric": problem.objective.fitness,
            "architectures": [a.to_dict() for a in about.candidates],
            "alone": truth, "shared": shared, "noise": noise(table),
            "by_epoch": {str(epoch): agreement(truth, scores, problem.seed) for epoch, scores in fit.scores.items()},
            "best_epoch": fit.best_epoch, "validated": {str(e): v for e, v in fit.validated.items()},
            "kept": agreement(truth, shared, problem.seed),
            "effects": effects(about, truth, shared)}


def noise(table: np.ndarray) -> dict[str, Any]:
    """Return how training alone spreads: over architectures, over seeds of one, and tau between two seeds.

    Args:
        table: fitness (n, seeds).
    """
    said = {"mean": float(table.mean()), "architectures_sd": float(table.mean(1).std(ddof=1))}
    if table.shape[1] > 1:
        said["seeds_sd"] = float(np.sqrt(table.var(1, ddof=1).mean()))
        said["tau_between_seeds"] = kendall_tau(table[:, 0], table[:, 1])
    return said


def effects(about: Subject, alone: Sequence[float], shared: Sequence[float]) -> list[dict[str, Any]]:
    """Return for each choice the mean difference of the architectures that have it from all, alone and shared."""
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, architecture in enumerate(about.candidates):
        for decision, choice in decisions(about.rounds, architecture):
            if place not in groups[decision, choice]:
                groups[decision, choice].append(place)
    a, s = np.asarray(alone), np.asarray(shared)
    return [{"decision": decision, "choice": choice, "count": len(places),
             "alone": float(a[places].mean() - a.mean()), "shared": float(s[places].mean() - s.mean())}
            for (decision, choice), places in sorted(groups.items()) if 1 < len(places) < len(a)]


def decisions(rounds: Rounds, architecture: Architecture) -> list[tuple[str, str]]:
    """Return (decision, choice) of everything that an architecture chose in a step."""
    if isinstance(rounds, BlockRounds):
        blocks = architecture.blocks
        return [("layer", b.layer) for b in blocks] + [(kind, getattr(b, kind)) for b in blocks if b.layer != ZERO
                                                       for kind in ("norm", "activation")]
    if isinstance(rounds, MlpRounds):
        return [(f"hidden layer {i} {kind}", str(getattr(layer, kind))) for i, layer in enumerate(architecture.mlp, 1)
                for kind in ("units", "activation")]
    return [("field", name) for name in cast(Any, architecture.interactions[0])]
