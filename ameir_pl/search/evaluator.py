"""Scoring: candidates on a fixed validation subset with inherited weights, models on whole splits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from ameir_pl import ranks
from ameir_pl.batch import Batch
from ameir_pl.errors import AmeirError
from ameir_pl.models.ameir import Ameir, Inputs
from ameir_pl.models.cost import network_parameters
from ameir_pl.models.sharing import DiceStatistics, dice_statistics_each, predict_each
from ameir_pl.objectives.base import Objective
from ameir_pl.progress import Meter, console
from ameir_pl.search.journal import Phase
from ameir_pl.search.racing import Race
from ameir_pl.search.settings import Budget
from ameir_pl.space.architecture import Architecture

KEEP = 250
"""Candidates after which the scores so far are kept."""
ROWS = 1024
"""Rows that are scored at a time: what one block or layer reads and writes of them stays in a processor's cache."""

SAME = 0.1
"""Share of candidates with scores of their own up to which it is said that ties decide."""
PERFECT = 0.99
"""An AUC that no model of clicks has, unless a field gives the label away."""


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Run in eval mode without gradients and put the mode back."""
    was = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was)


def evaluate(model: nn.Module, batches: Iterable[Batch], objective: Objective, full: bool = False) -> dict[str, float]:
    """Return the metrics of ``model(batch)`` over all rows of ``batches``; ranks share the rows of each batch."""
    return objective.metrics(predicted(model, batches, objective, full))


def predicted(model: nn.Module, batches: Iterable[Batch], objective: Objective, full: bool = False
              ) -> list[dict[str, Tensor]]:
    """Return the predictions of ``model(batch)`` for all rows of each of ``batches``, on every rank."""
    device = next(chain(model.parameters(), model.buffers())).device
    with evaluating(model):
        predictions = []
        for batch in batches:
            part = batch[ranks.own_rows(len(batch))].to(device)
            own = objective.predictions(model, model(part), part, full=full)
            predictions.append(ranks.shared_rows(own, len(batch)))
    return predictions


class CandidateScorer:
    """Scores children of one supernet on fixed rows.

    :meth:`rank` computes once what candidates have in common (:mod:`ameir_pl.models.sharing`), some rows at a time and
    those with short histories apart from those with long ones; its scores are those of :meth:`score`, which runs one
    child from ids to metric.

    Args:
        model: the supernet; its weights must not change while this scores.
        objective: its ``fitness`` is the score.
        valid: the rows that score.
        calibration: training rows on which a child's Dice statistics are recomputed; none means the first of ``valid``.
        rows: scored at a time.
    """

    def __init__(self, model: Ameir, objective: Objective, valid: Sequence[Batch], calibration: Sequence[Batch] = (),
                 *, rows: int = ROWS) -> None:
        self.model, self.objective, self._rows = model, objective, rows
        device = model.embedding.weight.device
        self.batches = [b.to(device) for b in valid]
        with evaluating(model):
            self._calibration = Inputs.join([model.embed(b.to(device)) for b in calibration or self.batches[:1]])

    def score(self, architecture: Architecture) -> float:
        """Return the fitness of one child, sharing nothing with any other."""
        with evaluating(self.model):
            statistics = None
            if any(layer.activation == "dice" for layer in architecture.mlp):
                statistics = self.model.dice_statistics(self._calibration, architecture)
            predictions = []
            for batch in self.batches:
                output = self.model.predict(self.model.embed(batch), architecture, statistics)
                predictions.append(self.objective.predictions(self.model, output, batch))
        return self.objective.score(predictions)

    def scores(self, candidates: Sequence[Architecture], meter: Meter | None = None, race: Race | None = None
               ) -> list[float]:
        """Return the fitness of each of the distinct candidates; what ``race`` drops has that of the rows it saw."""
        found = Predictions(len(candidates), sum(len(batch) for batch in self.batches))
        alive = list(range(len(candidates)))
        groups = 1 if race is None else race.groups
        outputs, expected, counted = 0, 0, 0
        with evaluating(self.model):
            statistics = dice_statistics_each(self.model, self._calibration, candidates)
            for group in range(groups):
                parts = [p for b in self.batches for p in by_length(b[slice(group, None, groups)], self._rows)]
                if not parts:  # fewer rows than groups
                    continue
                expected = max(expected, len(parts) * groups)
                begin = found.seen(alive[0]) if alive else 0
                for part in parts:
                    for place, prediction in self._predictions(part, [candidates[i] for i in alive], statistics):
                        found.add(alive[place], prediction, part)
                        outputs += 1
                        if meter is not None and outputs % expected == 0:
                            meter.advance()
                            counted += 1
                if race is not None:
                    own = [self._group_score(found.of(i, begin)) for i in alive]
                    alive = [alive[k] for k in race.survivors(own)]
        if meter is not None:
            meter.advance(len(candidates) - counted)
        return [self.objective.score([found.of(i)]) for i in range(len(candidates))]

    def _group_score(self, predictions: dict[str, Tensor]) -> float:
        try:
            return self.objective.score([predictions])
        except AmeirError:  # a group of one class alone says nothing about who is better
            return float("nan")

    def _predictions(self, part: Batch, candidates: Sequence[Architecture], statistics: DiceStatistics
                     ) -> Iterator[tuple[int, dict[str, Tensor]]]:
        x = self.model.embed(part)
        for place, output in predict_each(self.model, x, candidates, statistics):
            yield place, self.objective.predictions(self.model, output, part)

    def rank(self, candidates: Sequence[Architecture], description: str, race: Race | None = None,
             phase: Phase | None = None) -> list[tuple[Architecture, float, int]]:
        """Return (candidate, score, parameters), best first; of equal scores the smaller model, then the name.

        With a ``race`` those that it dropped come behind all others. Without one, a ``phase`` keeps the scores so far,
        :data:`KEEP` candidates at a time.
        """
        with Meter(description, len(candidates), "candidates") as meter:
            if race is not None:
                scores = self.scores(candidates, meter, race)
            else:
                scores = self._shared(candidates, meter, phase)
        if race is None or not race.dropped:
            self._say_ties(scores, description)
        dropped = set() if race is None else race.dropped
        rows = [(i in dropped, a, score, network_parameters(self.model, a))
                for i, (a, score) in enumerate(zip(candidates, scores, strict=True))]
        rows.sort(key=lambda r: (r[0], -r[2] if r[2] == r[2] else float("inf"), r[3], r[1].to_json()))
        return [row[1:] for row in rows]

    def _say_ties(self, scores: Sequence[float], description: str) -> None:
        """Say where scores do not tell candidates apart, and why."""
        distinct, rows = len(set(scores)), sum(len(batch) for batch in self.batches)
        if len(scores) < 2 or distinct > max(1, SAME * len(scores)):
            return
        if distinct == 1:
            what = (f"all {len(scores)} candidates have the same score, {scores[0]:.4f}: the one-shot model tells none "
                    "from another")
        else:
            what = f"the {len(scores)} candidates have {distinct} distinct scores; of equal ones the smaller is taken"
        if self.objective.fitness == "auc" and max(scores) >= PERFECT:
            why = ("A field gives the label away (`ameir data prepare` says which): training longer changes nothing. "
                   "Leave that field out.")
        elif distinct == 1:
            why = ("Train it longer (the epochs of budget), or with another dataset.train.learning_rate or "
                   "weight_decay.")
        else:
            why = f"The {rows} rows that score tell few apart: raise budget.valid_rows, or take more data."
        console().print(f"{description}: {what}. {why}", markup=False)

    def _shared(self, candidates: Sequence[Architecture], meter: Meter, phase: Phase | None) -> list[float]:
        """Return the scores: each rank scores a part of the candidates, and all get all of them."""
        # Neighbours in this order share their first blocks.
        order = sorted(range(len(candidates)), key=lambda i: candidates[i].to_json())
        found = [] if phase is None else phase.scores()
        meter.skip(len(found))
        at_once = len(order) if phase is None else KEEP
        for start in range(len(found), len(order), at_once):
            some = [candidates[i] for i in order[start:start + at_once]]
            each = -(-len(some) // ranks.world())
            own = some[ranks.rank() * each:][:each] if ranks.world() > 1 else some
            found += [s for part in ranks.gather_lists(self.scores(own, meter) if own else []) for s in part]
            meter.advance(len(some) - len(own))
            if phase is not None:
                phase.keep_scores(found)
        scores = [0.0] * len(order)
        for place, score in zip(order, found, strict=True):
            scores[place] = score
        return scores


class Predictions:
    """What candidates predict of the same rows, row after row, in arrays made beforehand.

    Thousands of small results that are kept between large ones that are not would leave holes in the heap that nothing
    fits: gigabytes on the rows of a search.

    Args:
        candidates: their number.
        rows: the most of each.
    """

    def __init__(self, candidates: int, rows: int) -> None:
        self._rows, self._seen = rows, [0] * candidates
        self._own: dict[str, Tensor] = {}  # (candidates, rows)
        self._shared: dict[str, Tensor] = {}  # (rows,): of the rows themselves, such as labels

    def seen(self, candidate: int) -> int:
        """Return how many rows a candidate has."""
        return self._seen[candidate]

    def add(self, candidate: int, prediction: dict[str, Tensor], part: Batch) -> None:
        """Add what a candidate predicts of the rows of ``part``; all candidates see the parts in the same order."""
        begin = self._seen[candidate]
        rows = slice(begin, begin + len(part))
        for name, values in prediction.items():
            if values is part.label or values is part.users:
                self._made(self._shared, name, values, ())[rows] = values
            else:
                self._made(self._own, name, values, (len(self._seen),))[candidate, rows] = values
        self._seen[candidate] = rows.stop

    def of(self, candidate: int, begin: int = 0) -> dict[str, Tensor]:
        """Return what a candidate predicted, each (its rows from ``begin`` on,)."""
        rows = slice(begin, self._seen[candidate])
        return {name: values[rows] for name, values in self._shared.items()} | {
            name: values[candidate, rows] for name, values in self._own.items()}

    def _made(self, arrays: dict[str, Tensor], name: str, like: Tensor, shape: tuple[int, ...]) -> Tensor:
        if name not in arrays:
            arrays[name] = like.new_empty((*shape, self._rows))
        return arrays[name]


def by_length(batch: Batch, rows: int) -> Iterator[Batch]:
    """Yield the rows of ``batch`` in parts of at most ``rows``, by the length of their histories and cut to it."""
    if len(batch) == 0 or batch.mask.shape[0] == 0 or batch.mask.shape[1] == 0:
        for start in range(0, len(batch), rows):
            yield batch[slice(start, start + rows)]
        return
    lengths = batch.mask.sum(1)
    for chosen in torch.argsort(lengths, stable=True).split(rows):
        longest = max(int(lengths[chosen[-1]]), 1)
        part = batch[chosen]
        yield replace(part, behaviors=part.behaviors[:, :longest], mask=part.mask[:, :longest],
                      starts=part.starts[:, :longest])


def race_of(budget: Budget, candidates: int, top: int) -> Race | None:
    """Return the race that ``budget.racing`` asks for, None without."""
    return Race(candidates, top) if budget.racing else None


def raced(race: Race | None) -> dict[str, Any]:
    """Return what a stage's summary says of a race; nothing without one."""
    return {} if race is None else {"racing": {"dropped": len(race.dropped), "work": round(race.work, 4)}}


def say_whole(stage: str, size: int, samples: int) -> None:
    """Say that a space is not sampled, where it is no larger than the number of samples."""
    if size <= samples:
        console().print(f"{stage}: the space has {size} architectures, no more than the {samples} to sample: all of "
                        "them are scored.")


__all__ = ["CandidateScorer", "Predictions", "by_length", "evaluate", "evaluating", "predicted", "race_of", "raced",
           "say_whole"]
