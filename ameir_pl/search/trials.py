"""Trials: architectures that a strategy proposes, each trained alone, until a limit; the best is kept."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ameir_pl import ranks
from ameir_pl.errors import AmeirError, NotFinite
from ameir_pl.models.ameir import Derived
from ameir_pl.models.cost import trainable_parameters
from ameir_pl.progress import console
from ameir_pl.search.choosing import Choice, Entrant, choose, joined
from ameir_pl.search.evaluator import evaluate, predicted
from ameir_pl.search.pipeline import Result, measure
from ameir_pl.search.problem import Fit, Problem
from ameir_pl.search.strategies import Strategy, Trial
from ameir_pl.space.architecture import Architecture


@dataclass(frozen=True)
class Limit:
    """When trials end; one of the two is given. There is always one trial, and one that has begun is finished.

    Args:
        seconds: no further trial begins once that many are spent.
        trainings: number of trials.
    """

    seconds: float | None = None
    trainings: int | None = None

    def reached(self, trials: Sequence[Trial]) -> bool:
        """Return whether no further trial begins."""
        if self.trainings is not None:
            return len(trials) >= self.trainings
        return bool(trials) and total_seconds(trials) >= (self.seconds or 0.0)


@dataclass(frozen=True)
class Best:
    """The trial that is kept.

    Args:
        trial: the best on validation rows, or a smaller one that they do not tell from it.
        model: with its best weights.
        choice: how it was chosen.
        result: its row in metrics.json.
    """

    trial: Trial
    model: Derived
    choice: Choice
    result: Result


def total_seconds(trials: Sequence[Trial]) -> float:
    """Return the seconds of all trials, those of interrupted commands included."""
    return sum(trial.seconds for trial in trials)


def run_trials(problem: Problem, name: str, strategy: Strategy, limit: Limit) -> list[Trial]:
    """Train what ``strategy`` proposes, each architecture alone and from scratch as a final model is, until the limit.

    The journal keeps the numbers of every trial, and the weights of the best ``budget.top`` alone.

    Args:
        problem: dataset, settings and seed.
        name: of the strategy; part of the seed of each training.
        strategy: a fresh one.
        limit: when to end.

    Returns:
        All trials in their order.
    """
    trials: list[Trial] = []
    kept: set[int] = set()
    while not ranks.agreed(limit.reached(trials)):
        architecture = strategy.propose(trials)
        if architecture is None:
            console().print(f"All {len(trials)} architectures of the space are trained.")
            break
        trial = _run_trial(problem, name, len(trials) + 1, architecture)
        trials.append(trial)
        best = {t.number for t in best_trials(trials, problem.budget.top)}
        for number in (kept | {trial.number}) - best:
            problem.journal.forget(_phase(name, number))
        kept = best
        what = trial.failed or f"validation {problem.objective.fitness} {trial.fitness:.4f}"
        console().print(f"{name} {trial.number}: {architecture.digest()}, {what}; {total_seconds(trials):.0f} s so far",
                        markup=False)
    if limit.seconds is not None and total_seconds(trials) > limit.seconds:
        console().print(f"{total_seconds(trials):.1f} s instead of {limit.seconds:.1f}: the last training began in "
                        "time and was finished.")
    return trials


def best_trials(trials: Sequence[Trial], top: int) -> list[Trial]:
    """Return the ``top`` trials of the highest fitness, best first; of equals the smaller, then the first. Failed ones
    are left out."""
    finite = [trial for trial in trials if not trial.failed]
    return sorted(finite, key=lambda t: (-t.fitness, t.params, t.number))[:top]


def select_best(problem: Problem, name: str, trials: Sequence[Trial]) -> Best:
    """Compare the best ``budget.top`` trials on all validation rows as finalists are (:func:`choose`), and measure the
    chosen one.

    Raises:
        AmeirError: no training ended with finite numbers.
    """
    few = best_trials(trials, problem.budget.top)
    if not few:
        raise AmeirError(f"None of the {len(trials)} trainings ended with finite numbers: {trials[0].failed}")
    trained = [_train(problem, name, trial.number, trial.architecture) for trial in few]
    valid = problem.data.val_dataloader()
    choice = choose([Entrant(f"trial {trial.number}", trial.params, joined(predicted(model, valid, problem.objective)))
                     for trial, (model, _) in zip(few, trained, strict=True)], problem.objective)
    model, fit = trained[choice.place]
    on_valid, on_test, full = measure(problem, model)
    result = Result(on_valid, on_test, *trainable_parameters(model), round(fit.seconds, 2), fit.epochs, fit.best_epoch,
                    full, start="scratch", train_seconds=round(fit.train_seconds, 3), schedule=fit.schedule)
    return Best(few[choice.place], model, choice, result)


def trials_report(problem: Problem, name: str, trials: Sequence[Trial], best: Best) -> dict[str, Any]:
    """Return the content of ``trials.json``: every trial with its architecture and validation metrics."""
    return {"strategy": name, "seed": problem.seed, "metric": problem.objective.fitness, "chosen": best.trial.number,
            "seconds": round(total_seconds(trials), 2), "trials": [trial.to_dict() for trial in trials]}


def _phase(name: str, number: int) -> str:
    return f"{name}/{number}"


def _train(problem: Problem, name: str, number: int, architecture: Architecture) -> tuple[Derived, Fit]:
    """Train an architecture from scratch; weights that the journal keeps are read instead."""
    phase, budget = _phase(name, number), problem.budget
    problem.seeded(f"{phase}/{architecture.digest()}")
    model = problem.derived(architecture)
    return model, problem.engine.fit(model, epochs=budget.finetune_epochs, patience=budget.patience, start=None,
                                     phase=phase)


def _run_trial(problem: Problem, name: str, number: int, architecture: Architecture) -> Trial:
    """Return a trial, trained now unless the journal has it."""
    kept = problem.journal.phase(f"{_phase(name, number)}/result", architecture.to_json())
    done = kept.done()
    if done is not None:
        return Trial.from_dict(done[0])
    began = time.monotonic()
    try:
        model, fit = _train(problem, name, number, architecture)
        measured = time.monotonic()
        valid = evaluate(model, problem.data.val_dataloader(), problem.objective)
        if math.isnan(valid[problem.objective.fitness]):
            raise NotFinite("its predictions of validation rows are not finite")
        trial = Trial(number, architecture, trainable_parameters(model)[0], valid[problem.objective.fitness], valid,
                      fit.epochs, fit.best_epoch, round(fit.seconds + time.monotonic() - measured, 3))
    except NotFinite as error:
        if ranks.world() > 1:  # the others may be waiting for this one
            raise
        trial = Trial(number, architecture, 0, float("-inf"), {}, 0, 0, round(time.monotonic() - began, 3), str(error))
    values = ranks.agreed(trial.to_dict())  # clocks differ
    kept.finish(values, {})
    return Trial.from_dict(values)


__all__ = ["Best", "Limit", "best_trials", "run_trials", "select_best", "total_seconds", "trials_report"]
