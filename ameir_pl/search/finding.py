"""What a baseline that has to be found (AutoFIS, AutoCross, AutoCTR) is given: data, and models trained on the way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from ameir_pl import ranks
from ameir_pl.baselines.base import Found
from ameir_pl.batch import Batch
from ameir_pl.errors import NotFinite
from ameir_pl.nn.embedding import FieldEmbedding
from ameir_pl.progress import console
from ameir_pl.search.evaluator import evaluate
from ameir_pl.search.problem import Problem


class Finding:
    """The data and the engine of a problem, under the name of one baseline.

    Weights that are drawn after a model was trained do not depend on how: not on its dropout, nor on whether this
    command trained it or one that was interrupted.

    Args:
        problem: whose.
        baseline: the name.

    Attributes:
        seconds: that models were trained for, those of interrupted commands too.
        waited: seconds that this command spent on that.
    """

    def __init__(self, problem: Problem, baseline: str) -> None:
        self.seconds = self.waited = 0.0
        self._problem, self._baseline = problem, baseline

    def train(self, model: nn.Module, name: str) -> None:
        """Train a model to its early stop."""
        budget, phase = self._problem.budget, f"{name}/{self._baseline}"
        with self._seeded(phase):
            self.seconds += self._problem.engine.fit(model, epochs=budget.finetune_epochs, start=None,
                                                     patience=budget.patience, phase=phase).seconds

    def trial(self, model: nn.Module, number: int, epochs: float) -> float:
        """Train the ``number``-th of several models for ``epochs``, a part of one or several, and return its fitness on
        ``budget.valid_rows`` fixed validation rows; -inf where the loss was no number."""
        problem, phase = self._problem, f"trial/{self._baseline}"

        def fitness() -> float:
            rows = self.rows("valid", problem.budget.valid_rows)
            return evaluate(model, rows, problem.objective)[problem.objective.fitness]

        with self._seeded(f"{phase}/{number}"):
            try:
                score, seconds = problem.engine.trial(model, fitness, epochs=epochs, phase=phase, number=number)
            except NotFinite as error:
                if ranks.world() > 1:
                    raise
                console().print(f"This one is the worst: {error}", markup=False)
                score, seconds = float("-inf"), 0.0
        self.seconds += seconds
        return score

    def rows(self, split: str, count: int) -> list[Batch]:
        """Return ``count`` rows of a split (all where it has no more), the same on every rank."""
        return self._problem.data.subset(split, count, self._problem.seed)

    @contextmanager
    def _seeded(self, phase: str) -> Iterator[None]:
        began = time.monotonic()
        self._problem.seeded(f"baseline/{phase}")
        yield
        self.waited += time.monotonic() - began
        self._problem.seeded(f"baseline/{phase}/after")


def found(problem: Problem, name: str, model: nn.Module) -> tuple[nn.Module, dict[str, Any], float]:
    """Return the model to train, the options that tell what was found, and the seconds it took; of a model that has
    nothing to be found itself, none and 0."""
    if not isinstance(model, Found):
        return model, {}, 0.0
    finding, began = Finding(problem, name), time.monotonic()
    given = model
    model, options = model.found(finding)
    if model is not given and isinstance(model.embedding, FieldEmbedding):
        model.embedding.rescale(problem.model.embedding_bound)
    return model, options, time.monotonic() - began - finding.waited + finding.seconds
