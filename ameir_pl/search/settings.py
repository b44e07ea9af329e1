"""What a search is told: the sizes of its models, its effort, its operation sets, and how step 2 narrows."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

from ameir_pl.nn.initialization import EMBEDDING_BOUND
from ameir_pl.space.space import BLOCK_ACTIVATIONS, MLP_ACTIVATIONS, NORMS


@dataclass
class ModelSettings:
    """Sizes of a dataset's models (the paper's table of settings).

    Args:
        embedding_size: K.
        blocks: L_a, building blocks of the behavior network.
        hidden_layers: L_c, hidden layers of the searched MLP.
        mlp: units of the pre-defined MLP of steps 1 and 2.
        interactions: M, interactions selected by step 2.
        block_dropout: dropout in the building blocks.
        mlp_dropout: dropout in the MLP.
        embedding_dropout: dropout of the embedded history, also in baselines.
        embedding_bound: embeddings of models trained alone start uniform within ± this, also in baselines.
        supernet_bound: the same of supernets, which need more updates to come back from a large one.
    """

    embedding_size: int = 16
    blocks: int = 0
    hidden_layers: int = 0
    mlp: list[int] = field(default_factory=list)
    interactions: int = 0
    block_dropout: float = 0.0
    mlp_dropout: float = 0.0
    embedding_dropout: float = 0.0
    embedding_bound: float = EMBEDDING_BOUND
    supernet_bound: float = EMBEDDING_BOUND


@dataclass
class Budget:
    """How much a search may spend.

    Args:
        name: ``paper``, ``demo`` or ``light``.
        stage1_epochs: epochs over the training rows of step 1's supernet; like all epochs of a search any number
            above 0, a part of an epoch being its first batches.
        cycle_epochs: epochs of each cycle of step 2.
        stage3_epochs: epochs of step 3's supernet.
        samples: architectures scored in steps 1 and 3 (all of a space that is not larger).
        valid_rows: rows of the fixed validation subset that scores candidates.
        calibration_rows: training rows on which Dice statistics are recomputed for a scored child.
        top: candidates that are finetuned and compared on the whole validation set.
        top_epochs: at most that many epochs for each of them; 0 compares them with the weights they inherit.
        cycles: cycles of step 2.
        keep: interactions kept after each cycle.
        paths: the most paths of one update of step 2.
        racing: stop scoring candidates that can no longer reach the top. Not exact; see docs/performance.md.
        finetune_epochs: at most that many epochs for the final models and the baseline.
        patience: epochs without a better validation before finetuning stops.
        least_updates: the supernets of steps 1 and 3, the final models and the baseline have as many epochs as hold
            that many updates, where the epochs above hold fewer; 0: never more than those.
        patient_updates: the epochs that are waited for hold at least that many updates.
    """

    name: str = "paper"
    stage1_epochs: float = 10
    cycle_epochs: float = 2
    stage3_epochs: float = 10
    samples: int = 2000
    valid_rows: int = 10000
    calibration_rows: int = 4096
    top: int = 5
    top_epochs: float = 5
    cycles: int = 4
    keep: int = 50
    paths: int = 128
    racing: bool = False
    finetune_epochs: int = 20
    patience: int = 2
    least_updates: int = 0
    patient_updates: int = 0

    def for_epochs_of(self, updates: int) -> Budget:
        """Return the budget for data whose epoch has that many updates: learning takes updates, whatever the rows."""
        def enough(epochs: Any) -> Any:
            least = self.least_updates
            return epochs if epochs * updates >= least else max(epochs, math.ceil(least / updates))

        return replace(self, stage1_epochs=enough(self.stage1_epochs), stage3_epochs=enough(self.stage3_epochs),
                       finetune_epochs=enough(self.finetune_epochs),
                       patience=max(self.patience, math.ceil(self.patient_updates / updates)))


@dataclass
class SpaceSettings:
    """The operation sets; None means every registered operation the dataset allows."""

    layers: list[str] | None = None
    norms: list[str] = field(default_factory=lambda: list(NORMS))
    block_activations: list[str] = field(default_factory=lambda: list(BLOCK_ACTIVATIONS))
    mlp_activations: list[str] = field(default_factory=lambda: list(MLP_ACTIVATIONS))


@dataclass
class Narrowing:
    """How the candidates of step 2 are trained. These sizes and rates are of the rankers alone, not of the models.

    Args:
        highest_order: the most fields of an interaction.
        most_candidates: with more than so many, orders above two are made of the best pairs alone.
        updates: of one training.
        repeats: the most trainings of a round, every other one without an MLP, whose gains are averaged; a round of
            many candidates has two.
        size: K of the rankers.
        rate: Adam's, at the start of a cosine.
        l2: on weights and embeddings.
        most_rows: the most validation rows that judge.
    """

    highest_order: int = 3
    most_candidates: int = 4096
    updates: int = 250
    repeats: int = 4
    size: int = 16
    rate: float = 0.01
    l2: float = 3e-4
    most_rows: int = 50_000


@dataclass(frozen=True)
class Recipe:
    """How a model is trained that has not the dataset's own settings: Adam's rate at the start of a cosine, and L2."""

    learning_rate: float
    weight_decay: float
