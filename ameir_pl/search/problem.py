"""Problem: everything a step needs to know of the dataset, the settings and the engine that trains."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ameir_pl.batch import Batch
from ameir_pl.models.ameir import Ameir, Derived
from ameir_pl.models.capacity import aggregation_width
from ameir_pl.nn.operations import names as operation_names
from ameir_pl.objectives.base import Objective
from ameir_pl.schema import Schema
from ameir_pl.search.journal import Journal
from ameir_pl.search.run_folder import RunFolder
from ameir_pl.search.settings import Budget, ModelSettings, Narrowing, Recipe, SpaceSettings
from ameir_pl.space.architecture import Architecture, Interaction, MlpLayer
from ameir_pl.space.sampling import Rounds
from ameir_pl.space.space import BlockSpace, InteractionSpace, MlpSpace


class Data(Protocol):
    """The loaders of a dataset."""

    @property
    def rows(self) -> dict[str, int]:
        """Return the rows of each split."""
        ...

    @property
    def epoch_rows(self) -> int:
        """Return the rows that an epoch trains on: train rows, or clips of users' sequences."""
        ...

    @property
    def warnings(self) -> list[str]:
        """Return what has to be known of the data beside every number."""
        ...

    @property
    def clicks(self) -> dict[str, int]:
        """Return the clicks of each split; empty for next items."""
        ...

    @property
    def catalogue(self) -> int:
        """Return how many items are ranked; 0 for clicks."""
        ...

    def train_dataloader(self) -> Iterable[Batch]:
        """Return the training batches of an epoch."""
        ...

    def val_dataloader(self) -> Iterable[Batch]:
        """Return all validation rows."""
        ...

    def test_dataloader(self) -> Iterable[Batch]:
        """Return all test rows."""
        ...

    def subset(self, split: str, rows: int, seed: int) -> list[Batch]:
        """Return a fixed sample of a split."""
        ...

    def item_counts(self) -> Tensor:
        """Return how often each item comes in the training sequences, (V,) by id."""
        ...

    def train_sequences(self) -> tuple[Tensor, Tensor]:
        """Return the items (n,) of the training sequences, user after user, and whose each is (n,)."""
        ...


CONSTANT = "constant"
"""The schedule of a learning rate that stays as it is."""


@dataclass
class Fit:
    """What training a model gave: seconds (those of interrupted commands too), epochs run, the epoch whose weights were
    kept (0: the start's), the part of the seconds without validation, and how the learning rate went."""

    seconds: float
    epochs: int
    best_epoch: int
    train_seconds: float = 0.0
    schedule: str = CONSTANT


@dataclass
class SupernetFit:
    """What training a supernet gave.

    Args:
        counts: how often each choice was activated, by decision.
        best_epoch: whose weights are kept; 0 where it was not validated (less than two epochs).
        validated: the children's mean fitness by epoch.
        scores: of the candidates that were watched, by epoch.
    """

    counts: dict[str, Any]
    best_epoch: int = 0
    validated: dict[int, float] = field(default_factory=dict)
    scores: dict[int, list[float]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values as JSON has them, whose keys are text."""
        return {"counts": self.counts, "best_epoch": self.best_epoch,
                "validated": {str(epoch): value for epoch, value in self.validated.items()},
                "scores": {str(epoch): values for epoch, values in self.scores.items()}}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> SupernetFit:
        """Read what :meth:`to_dict` gave."""
        return cls(value["counts"], value["best_epoch"], *({int(epoch): found for epoch, found in value[name].items()}
                                                           for name in ("validated", "scores")))

    def summary(self) -> dict[str, Any]:
        """Return what a stage's summary says of it."""
        return {"activations": self.counts, "best_epoch": self.best_epoch, "validated": self.to_dict()["validated"]}


class Engine(Protocol):
    """Trains; built from the trainer, callbacks and loggers that the user chose."""

    def train_supernet(self, model: Ameir, rounds: Rounds, *, epochs: float, phase: str,
                       watched: Callable[[], Sequence[float]] | None = None) -> SupernetFit:
        """Train shared weights fairly and keep those of the epoch at which children validate best; ``watched`` is
        asked for scores after every epoch."""
        ...

    def fit(self, model: nn.Module, *, epochs: float, patience: int, start: float | None, phase: str,
            recipe: Recipe | None = None) -> Fit:
        """Train a model with early stopping; ``start`` is the fitness of its weights if they are inherited."""
        ...

    def epochs_of(self, updates: int) -> float:
        """Return how many epochs hold that many updates: a part of one, or more."""
        ...

    def trial(self, model: nn.Module, score: Callable[[], float], *, epochs: float, phase: str, number: int
              ) -> tuple[float, float]:
        """Train the ``number``-th model of a phase for a while; returns what ``score`` says of it then, and the seconds
        of training."""
        ...


@dataclass
class Problem:
    """One search: a dataset, its settings, a seed and a run folder.

    Args:
        schema: of the dataset.
        data: its loaders.
        objective: loss and metrics.
        engine: what trains.
        folder: where results go.
        journal: what is done of an unfinished command.
        model: sizes.
        budget: effort.
        space: operation sets.
        stages: which of 1, 2, 3 this dataset has.
        seed: of everything random.
        overwrite: whether finished results may be replaced.
        baseline: builds a named baseline.
        measure_test: whether test rows are measured.
        narrowing: how step 2 narrows its candidates; None: it evolves them (the paper's cycles).
    """

    schema: Schema
    data: Data
    objective: Objective
    engine: Engine
    folder: RunFolder
    journal: Journal
    model: ModelSettings
    budget: Budget
    space: SpaceSettings
    stages: tuple[int, ...]
    seed: int
    overwrite: bool = False
    baseline: Callable[[str], nn.Module] | None = None
    measure_test: bool = True
    narrowing: Narrowing | None = None

    @property
    def layers(self) -> tuple[str, ...]:
        """Layer operations this dataset can use."""
        allowed = operation_names(self.schema.has_target)
        return tuple(allowed if self.space.layers is None else self.space.layers)

    @property
    def predefined(self) -> tuple[MlpLayer, ...]:
        """The pre-defined MLP."""
        return tuple(MlpLayer(units, "relu") for units in self.model.mlp)

    def block_space(self) -> BlockSpace:
        """Return the subspace of step 1."""
        return BlockSpace(self.model.blocks, self.layers, tuple(self.space.norms), tuple(self.space.block_activations))

    def interaction_space(self) -> InteractionSpace:
        """Return the subspace of step 2."""
        return InteractionSpace(self.schema.field_names)

    def mlp_space(self, interactions: tuple[Interaction, ...]) -> MlpSpace:
        """Return the subspace of step 3, whose widths are ratios of K0."""
        width = aggregation_width(self.schema, self.model.embedding_size, interactions)
        return MlpSpace(self.model.hidden_layers, width, tuple(self.space.mlp_activations))

    def sizes(self) -> dict[str, Any]:
        """Return the keyword arguments every AMEIR model of this problem shares."""
        return {"embedding_size": self.model.embedding_size, "block_dropout": self.model.block_dropout,
                "mlp_dropout": self.model.mlp_dropout, "embedding_dropout": self.model.embedding_dropout,
                "embedding_bound": self.model.supernet_bound}

    def derived(self, architecture: Architecture) -> Derived:
        """Return a fresh model of ``architecture``."""
        sizes = self.sizes() | {"embedding_bound": self.model.embedding_bound}
        return Derived(self.schema, architecture, **sizes)

    def seeded(self, phase: str) -> int:
        """Seed torch's generator (initial weights, dropout) for a phase and return the seed: the same whichever
        phases ran before in this process."""
        digest = hashlib.sha256(f"{self.seed}/{phase}".encode()).digest()
        seed = int.from_bytes(digest[:7], "big")
        torch.manual_seed(seed)
        return seed
