"""What a model that has to be found is given, without an engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import nn

from ameir_pl.batch import Batch


@dataclass
class Scripted:
    """Training is a function of the model; so is a trial's score; rows are given.

    Args:
        trained: what is done to a model in place of training it.
        score: of a model on trial.
        splits: the rows of each split.

    Attributes:
        names: of what was trained.
        tried: the models on trial, in their order.
    """

    trained: Callable[[nn.Module], None] = lambda model: None
    score: Callable[[nn.Module], float] = lambda model: 0.5
    splits: dict[str, Batch] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    tried: list[nn.Module] = field(default_factory=list)

    def train(self, model: nn.Module, name: str) -> None:
        self.names.append(name)
        self.trained(model)

    def trial(self, model: nn.Module, number: int, epochs: float) -> float:
        self.tried.append(model)
        assert number == len(self.tried)
        return self.score(model)

    def rows(self, split: str, count: int) -> list[Batch]:
        whole = self.splits[split][slice(count)]
        return [whole[slice(i, i + 1000)] for i in range(0, len(whole), 1000)]
