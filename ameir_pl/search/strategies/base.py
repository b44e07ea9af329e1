"""The interface of strategies: which architecture is trained next, given what came of those before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from ameir_pl.registry import Registry
from ameir_pl.search.problem import Problem
from ameir_pl.space.architecture import Architecture


@dataclass(frozen=True)
class Trial:
    """An architecture that was trained alone.

    Args:
        number: from 1.
        architecture: what was trained.
        params: its weights besides the embedding matrix.
        fitness: of all validation rows; -inf where the loss was not finite.
        valid: metrics of all validation rows; empty where the loss was not finite.
        epochs: trained.
        best_epoch: whose weights were kept.
        seconds: of training, with the validation after each epoch and at the end.
        failed: why it has no metrics; empty for one that has.
    """

    number: int
    architecture: Architecture
    params: int
    fitness: float
    valid: dict[str, float]
    epochs: int
    best_epoch: int
    seconds: float
    failed: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values as JSON has them, with the architecture's digest."""
        values = asdict(self) | {"architecture": self.architecture.to_dict(), "digest": self.architecture.digest()}
        if self.failed:
            values["fitness"] = None
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Trial:
        """Read what :meth:`to_dict` gave."""
        plain = {key: value for key, value in values.items() if key != "digest"}
        fitness = float("-inf") if plain["fitness"] is None else plain["fitness"]
        return cls(**plain | {"architecture": Architecture.from_dict(plain["architecture"]), "fitness": fitness})


class Strategy(Protocol):
    """Proposes architectures, one after the other: the same for the same problem and trials, so that an interrupted
    search repeats itself on what is kept and goes on."""

    def propose(self, trials: Sequence[Trial]) -> Architecture | None:
        """Return the architecture to train after ``trials``, which are all so far, in order; None where the space has
        no other."""
        ...


STRATEGIES: Registry[Callable[[Problem], Strategy]] = Registry("strategy")
