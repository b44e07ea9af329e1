"""``strategy=random``: distinct architectures drawn from the dataset's whole space, whatever came of those before."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from ameir_pl.search.problem import Problem
from ameir_pl.search.strategies.base import STRATEGIES, Trial
from ameir_pl.search.whole_space import whole_space
from ameir_pl.space.architecture import Architecture


@STRATEGIES.register("random")
class RandomSearch:
    """Draws architectures without replacement.

    Args:
        problem: whose seed and space they are drawn with.
    """

    def __init__(self, problem: Problem) -> None:
        self._space, self._random = whole_space(problem), Random(f"{problem.seed}/random")
        self._drawn: set[Architecture] = set()

    def propose(self, trials: Sequence[Trial]) -> Architecture | None:
        """Return the next draw; None where the whole space was drawn."""
        if len(self._drawn) == self._space.size():
            return None
        while (architecture := self._space.sample(self._random)) in self._drawn:
            pass
        self._drawn.add(architecture)
        return architecture
