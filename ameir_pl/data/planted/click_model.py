"""The known click model: its tables, its probabilities, and the scores that no model beats but by luck."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ameir_pl.data.planted.behavior import Behavior
from ameir_pl.data.planted.draws import Values

_TRIES = 1024


@dataclass(frozen=True)
class Dense:
    """The effect of a dense value x: ``weight · clip((log(1 + max(x, 0)) - center) / scale, -2, 2)``, 0 for a gap."""

    weight: float
    center: float
    scale: float

    def effect(self, column: np.ndarray) -> np.ndarray:
        """Return the effect (rows,) of a float column whose gaps are NaN."""
        steps = (np.log1p(np.maximum(column, 0)) - self.center) / self.scale
        return self.weight * np.nan_to_num(np.clip(steps, -2, 2))


@dataclass(frozen=True)
class Parts:
    """The logit of some rows without its bias, in three parts, each (rows,)."""

    main: np.ndarray
    interactions: np.ndarray
    behavior: np.ndarray

    @property
    def total(self) -> np.ndarray:
        """The sum (rows,)."""
        return self.main + self.interactions + self.behavior

    def __getitem__(self, rows: np.ndarray) -> Parts:
        return Parts(self.main[rows], self.interactions[rows], self.behavior[rows])


class ClickModel:
    """``p = sigmoid(bias + main effects + planted interactions + effect of the history)``.

    * A main effect is a table: a normal number for each value, of mean 0 and deviation ``weight`` under the shares.
    * A planted interaction of fields f, g, ... is ``weight · s_f · s_g · ...``. Each field of each interaction has its
      own table of signs, half of its rows -1, half +1. As the fields of a row are drawn independently, no subset of
      an interaction's fields tells anything: it is pure, and what a Hadamard product of embeddings can learn.
    * Labels are drawn from ``(1 - noise) · p + noise · base_rate``.

    Args:
        values: the tables that fields are drawn from, by the names of the schema.
        main: weights of main effects, by field.
        interactions: sets of fields with their weights.
        dense: effects of dense fields.
        behavior: effect of histories; None without.
        base_rate: the share of clicks that the bias aims at.
        noise: share of labels that do not depend on the row, 0 to 1.
        generator: draws the tables.
    """

    def __init__(self, values: Mapping[str, Values], main: Mapping[str, float],
                 interactions: Sequence[tuple[tuple[str, ...], float]], *, base_rate: float, noise: float,
                 generator: np.random.Generator, dense: Mapping[str, Dense] | None = None,
                 behavior: Behavior | None = None) -> None:
        self.values, self.interactions = values, interactions
        self.dense = dict(dense or {})
        self.behavior, self.base_rate, self.noise, self.bias = behavior, base_rate, noise, 0.0
        self.main = {name: weight * _standard(generator, values[name].shares) for name, weight in main.items()}
        self.signs = [{name: _signs(generator, values[name].shares) for name in names} for names, _ in interactions]

    def parts(self, fields: Mapping[str, np.ndarray], dense: Mapping[str, np.ndarray] | None = None,
              history: np.ndarray | None = None, target: np.ndarray | None = None) -> Parts:
        """Return the parts of the logit.

        Args:
            fields: positions (rows,) in the tables of values, by field.
            dense: float columns (rows,), gaps NaN.
            history, target: as :meth:`Behavior.effect` wants them, for a model with behaviors.
        """
        rows = len(next(iter(fields.values())))
        main, crossed, behavior = np.zeros(rows), np.zeros(rows), np.zeros(rows)
        for name, table in self.main.items():
            main += table[fields[name]]
        for name, effect in self.dense.items():
            main += effect.effect((dense or {})[name])
        for (_, weight), signs in zip(self.interactions, self.signs, strict=True):
            product = np.full(rows, weight)
            for name, table in signs.items():
                product *= table[fields[name]]
            crossed += product
        if self.behavior is not None and history is not None and target is not None:
            behavior = self.behavior.effect(history, target)
        return Parts(main, crossed, behavior)

    def calibrate(self, parts: Parts) -> None:
        """Set the bias so that the mean probability of these rows is the base rate."""
        total, low, high = parts.total, -20.0, 20.0
        for _ in range(60):
            self.bias = (low + high) / 2
            low, high = (self.bias, high) if sigmoid(total + self.bias).mean() < self.base_rate else (low, self.bias)

    def probability(self, parts: Parts) -> np.ndarray:
        """Return the probability (rows,) that labels are drawn with."""
        return (1 - self.noise) * sigmoid(parts.total + self.bias) + self.noise * self.base_rate

    def describe(self) -> dict[str, Any]:
        """Return the whole model as plain values: with the raw files, all it takes to compute each probability."""
        words = {name: table.words for name, table in self.values.items()}
        return {
            "formula": "click with (1 - noise) * sigmoid(bias + sum of main and dense effects + sum over interactions "
                       "of weight * product of signs + behavior) + noise * base_rate",
            "bias": self.bias, "base_rate": self.base_rate,
            "main": {name: _dictionary(words[name], table) for name, table in self.main.items()},
            "dense": {name: {"weight": d.weight, "center": d.center, "scale": d.scale,
                             "effect": "weight * clip((log(1 + max(x, 0)) - center) / scale, -2, 2); 0 for a gap"}
                      for name, d in self.dense.items()},
            "interactions": [{"fields": list(names), "weight": weight,
                              "signs": {name: _dictionary(words[name], table.astype(int))
                                        for name, table in signs.items()}}
                             for (names, weight), signs in zip(self.interactions, self.signs, strict=True)]}

    def truth(self, parts: Parts, labels: np.ndarray) -> dict[str, Any]:
        """Return what was planted and what it is worth on test rows.

        Args:
            parts: of the test rows.
            labels: (rows,) of the test rows, 0 or 1.
        """
        probability = self.probability(parts)
        ablations = {"without_interactions": auc(parts.main + parts.behavior, labels),
                     "without_behavior": auc(parts.main + parts.interactions, labels),
                     "main_only": auc(parts.main, labels)}
        if self.behavior is None:
            del ablations["without_behavior"]
        return {"fields": [*self.main, *self.dense],
                "interactions": [list(names) for names, _ in self.interactions],
                "behavior": None if self.behavior is None else self.behavior.describe(),
                "bayes": {"rows": len(labels), "auc": auc(probability, labels),
                          "logloss": log_loss(probability, labels)},
                "ablations": ablations, "model": self.describe()}


def sigmoid(logit: np.ndarray) -> np.ndarray:
    """Return the logistic function, in float64."""
    return 1.0 / (1.0 + np.exp(-np.asarray(logit, np.float64)))


def auc(score: np.ndarray, label: np.ndarray) -> float:
    """Return the area under the ROC curve by rank sums, a tie counting half; raises ``ValueError`` for one class."""
    ones = int(np.count_nonzero(label))
    if ones in (0, len(label)):
        raise ValueError("an AUC needs rows of both classes")
    _, place, counts = np.unique(np.asarray(score, np.float64), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return float((ranks[label == 1].sum() - ones * (ones + 1) / 2) / (ones * (len(label) - ones)))


def log_loss(probability: np.ndarray, label: np.ndarray) -> float:
    """Return the mean binary cross entropy, natural logarithm."""
    return float(-np.mean(np.log(np.where(label == 1, probability, 1 - probability))))


def _dictionary(words: list[str], table: np.ndarray) -> dict[str, Any]:
    return dict(zip(words, table.tolist(), strict=True))


def _standard(generator: np.random.Generator, shares: np.ndarray) -> np.ndarray:
    """A number for each value, mean 0 and deviation 1 under the shares."""
    table = generator.normal(size=len(shares))
    table -= shares @ table
    return table / np.sqrt(shares @ table**2)


def _signs(generator: np.random.Generator, shares: np.ndarray) -> np.ndarray:
    """A sign for each value, both about as frequent in rows: the most even of many draws."""
    signs = 2.0 * generator.integers(0, 2, (_TRIES, len(shares)), dtype=np.int8) - 1.0
    return signs[np.argmin(np.abs(signs @ shares))]
