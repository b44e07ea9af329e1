"""Choosing among trained models by validation rows alone: the best, or a smaller one that is not told from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ameir_pl.objectives.base import Objective

VALIDATION = "validation"
"""What chose, in ``metrics.json``; ``setting`` and ``only`` are choices that no rows made."""


@dataclass(frozen=True)
class Entrant:
    """One of the models to choose from.

    Args:
        name: what it is called.
        params: weights besides the embedding matrix, which all have alike.
        predictions: of all validation rows, as the objective gives them; the same rows for all.
    """

    name: str
    params: int
    predictions: dict[str, Tensor]


@dataclass(frozen=True)
class Choice:
    """What was chosen, and why.

    Args:
        place: of the chosen one among the entrants.
        best: name of the one with the best score.
        metric: by which it is the best.
        scores: of each entrant, by name: ``score``, ``params``, and for all but the best ``below_best`` with the
            standard ``error`` of that difference, where one can be told.
        why: a sentence.
    """

    place: int
    best: str
    metric: str
    scores: dict[str, dict[str, float]]
    why: str

    def to_dict(self) -> dict[str, Any]:
        """Return what metrics.json has of it."""
        return {"by": VALIDATION, "metric": self.metric, "best": self.best, "models": self.scores, "why": self.why}


def choose(entrants: Sequence[Entrant], objective: Objective) -> Choice:
    """Return the entrant with the fewest parameters among those whose score is below the best one's by less than the
    standard error of that difference over the rows; the best itself is among them, and so are equals of it.

    Of equals the better, then the first. A score that is no number is never the best.
    """
    found = [objective.score([e.predictions]) for e in entrants]
    scores = [-math.inf if math.isnan(score) else score for score in found]
    best = min(range(len(entrants)), key=lambda i: (-scores[i], entrants[i].params, i))
    said: dict[str, dict[str, float]] = {}
    alike = []
    for place, entrant in enumerate(entrants):
        said[entrant.name] = {"score": found[place], "params": entrant.params}
        if place == best:
            alike.append(place)
        elif not math.isnan(found[place]):
            below, error = objective.difference(entrants[best].predictions, entrant.predictions)
            said[entrant.name] |= {"below_best": below, **({} if math.isnan(error) else {"error": error})}
            if below == 0 or below < error:
                alike.append(place)
    chosen = min(alike, key=lambda i: (entrants[i].params, -scores[i], i))
    return Choice(chosen, entrants[best].name, objective.fitness, said,
                  _why(entrants[chosen], entrants[best], said, objective.fitness.upper()))


def joined(predictions: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return the predictions of several batches as those of one."""
    return {name: torch.cat([p[name] for p in predictions]) for name in predictions[0]}


def _why(chosen: Entrant, best: Entrant, said: dict[str, dict[str, float]], metric: str) -> str:
    mine = said[chosen.name]
    if chosen is best:
        return f"{best.name} has the best validation {metric}, {mine['score']:.4f}" + _told(best, said) + "."
    if mine["below_best"] == 0:
        return (f"{chosen.name} and {best.name} have the same validation {metric}, {mine['score']:.4f}, and "
                f"{chosen.name} has no more weights ({chosen.params:,} and {best.params:,} besides embeddings).")
    return (f"{chosen.name} has {chosen.params:,} weights besides embeddings where {best.name} has {best.params:,}, "
            f"and its validation {metric} of {mine['score']:.4f} is below by {mine['below_best']:.4f}, less than the "
            f"standard error of that difference, {mine['error']:.4f}.")


def _told(best: Entrant, said: dict[str, dict[str, float]]) -> str:
    """By how much the best is above each smaller one, which is why none of them was taken."""
    smaller = [f"{name} is below by {of['below_best']:.4f}" + (f" ± {of['error']:.4f}" if "error" in of else "")
               for name, of in said.items() if "below_best" in of and of["params"] < best.params]
    return f" ({'; '.join(smaller)})" if smaller else ""
