"""Scoring: candidates on a fixed validation subset with inherited weights, models on whole splits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ameir_pl.batch import Batch
from ameir_pl.models.ameir import Ameir, Inputs
from ameir_pl.models.cost import network_parameters
from ameir_pl.objectives.base import Objective
from ameir_pl.progress import Meter
from ameir_pl.space.architecture import Architecture


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
    """Return the metrics of ``model(batch)`` over all rows of ``batches``."""
    device = next(model.parameters()).device
    with evaluating(model):
        predictions = []
        for batch in batches:
            batch = batch.to(device)
            predictions.append(objective.predictions(model, model(batch), batch, full=full))
    return objective.metrics(predictions)


class CandidateScorer:
    """Scores children of one supernet on fixed rows, one after the other; embeddings are looked up once.

    Args:
        model: the supernet.
        objective: its ``fitness`` is the score.
        valid: the rows that score.
        calibration: training rows on which a child's Dice statistics are recomputed.
    """

    def __init__(self, model: Ameir, objective: Objective, valid: Sequence[Batch], calibration: Sequence[Batch] = ()
                 ) -> None:
        self.model, self.objective = model, objective
        device = model.embedding.weight.device
        self.batches = [b.to(device) for b in valid]
        with evaluating(model):
            self._inputs = [model.embed(b) for b in self.batches]
            self._calibration = (Inputs.join([model.embed(b.to(device)) for b in calibration]) if calibration
                                 else self._inputs[0])
        self._shared: dict[tuple, list[Tensor | None]] = {}

    def score(self, architecture: Architecture) -> float:
        """Return the fitness of one child."""
        with evaluating(self.model):
            statistics = None
            if any(layer.activation == "dice" for layer in architecture.mlp):
                statistics = self.model.dice_statistics(self._calibration, architecture)
            predictions = []
            for batch, x, h_a in zip(self.batches, self._inputs, self._history(architecture), strict=True):
                output = self.model.aggregate(x, h_a, architecture, statistics)
                predictions.append(self.objective.predictions(self.model, output, batch))
        return self.objective.metrics(predictions)[self.objective.fitness]

    def _history(self, architecture: Architecture) -> list[Tensor | None]:
        """Return h_a of every batch; candidates with the same blocks (steps 2 and 3) share it."""
        if architecture.blocks not in self._shared:
            self._shared = {architecture.blocks: [self.model.behavior(x, architecture.blocks) for x in self._inputs]}
        return self._shared[architecture.blocks]

    def rank(self, candidates: Sequence[Architecture], description: str) -> list[tuple[Architecture, float, int]]:
        """Return (candidate, score, parameters), best first; of equal scores the smaller model, then the name."""
        rows = []
        with Meter(description, len(candidates), "candidates") as meter:
            for candidate in candidates:
                score = self.score(candidate)
                rows.append((candidate, score, network_parameters(self.model, candidate)))
                meter.advance()
        return sorted(rows, key=lambda r: (-r[1] if r[1] == r[1] else float("inf"), r[2], r[0].to_json()))


__all__ = ["CandidateScorer", "evaluate", "evaluating"]
