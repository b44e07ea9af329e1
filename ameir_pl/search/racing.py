"""Racing: stop scoring what can no longer reach the top (after Maron and Moore 1993, "Hoeffding Races")."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


class Race:
    """Decides after each group of validation rows which candidates are scored on.

    Candidates are compared with the one that holds the last place of the top, on the same rows: dropped is who lies
    behind it by more than ``deviations`` standard errors of their difference over the groups so far. The standard
    error shrinks as the rows that are left become fewer. This is not exact: how often it loses one of the top is
    measured by ``python -m benchmarks score``.

    Args:
        candidates: how many start.
        top: how many places count.
        groups: into which the rows are divided.
        deviations: larger is safer and slower.

    Attributes:
        dropped: places of the candidates that were not scored on all rows.
        work: the share of all (candidate, group) pairs that was scored.
    """

    def __init__(self, candidates: int, top: int, *, groups: int = 8, deviations: float = 4.0) -> None:
        self.top, self.groups, self.deviations = max(top, 1), groups, deviations
        self.dropped: set[int] = set()
        self._total, self._done = candidates * groups, 0
        self._alive = np.arange(candidates)
        self._scores = np.empty((0, candidates))

    @property
    def work(self) -> float:
        """The share of all (candidate, group) pairs that was scored."""
        return self._done / self._total

    def survivors(self, scores: Sequence[float]) -> list[int]:
        """Take the scores of those still alive on the next group and return the places, among them, of those that
        stay."""
        self._done += len(scores)
        self._scores = np.vstack([self._scores, scores])
        done = len(self._scores)
        if done < 2 or done == self.groups or len(self._alive) <= self.top:
            return list(range(len(self._alive)))
        order = np.argsort(-self._scores.mean(0), kind="stable")
        behind = self._scores - self._scores[:, order[self.top - 1], None]  # (groups so far, candidates)
        variance = behind.var(0, ddof=1)
        # Of two groups alone a variance may be near zero by chance: never below that of the candidates together.
        error = np.sqrt(np.maximum(variance, variance.mean()) / done) * math.sqrt(1 - done / self.groups)
        stays = ~(behind.mean(0) + self.deviations * error < 0)  # NaN stays
        stays[order[:self.top]] = True
        self.dropped |= set(self._alive[~stays].tolist())
        self._alive, self._scores = self._alive[stays], self._scores[:, stays]
        return np.flatnonzero(stays).tolist()
