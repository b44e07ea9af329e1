"""The interface of objectives and the choice of one by task and loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor

from ameir_pl.batch import Batch
from ameir_pl.errors import AmeirError, did_you_mean
from ameir_pl.schema import Schema

METRICS = {"ctr": ("gauc",), "retrieval": ()}
"""What may be asked for beside the metrics that every run has, by task."""
SIMILARITIES = ("dot", "cosine")
"""How queries are compared with items."""
LOSSES = {"ctr": ("logloss",), "retrieval": ("sampled_bce", "sampled_softmax")}


class Objective(Protocol):
    """A loss, and the metrics computed once on all rows."""

    fitness: str
    """The metric, higher is better, that ranks candidates and stops training."""
    temperature: float | None
    """Queries and items are compared by their cosine over this; None: by their product, or there are none."""

    def loss(self, model: Any, output: Tensor, batch: Batch) -> Tensor:
        """Return the mean loss over the rows of ``batch``, a scalar."""
        ...

    def predictions(self, model: Any, output: Tensor, batch: Batch, full: bool = False) -> dict[str, Tensor]:
        """Return what the metrics need of each row, each (B,). ``full`` adds the ranking of the whole catalogue."""
        ...

    def metrics(self, predictions: Sequence[dict[str, Tensor]]) -> dict[str, float]:
        """Return the metrics over all rows of all batches."""
        ...

    def score(self, predictions: Sequence[dict[str, Tensor]]) -> float:
        """Return ``fitness`` alone, over all rows of all batches."""
        ...

    def difference(self, first: dict[str, Tensor], second: dict[str, Tensor]) -> tuple[float, float]:
        """Return the ``fitness`` of a model minus that of another one on the same rows, and its standard error."""
        ...


def make_objective(schema: Schema, loss: str, metrics: Sequence[str] = (), item_shares: Tensor | None = None,
                   temperature: float | None = None) -> Objective:
    """Return the objective of a dataset; raises ``AmeirError`` for a loss or metrics that do not fit its task.

    ``item_shares`` (V,): how likely each item is drawn as a negative, where the loss corrects for that;
    ``temperature``: of the cosine that compares queries with items, None for their product.
    """
    from ameir_pl.objectives.ctr import Ctr
    from ameir_pl.objectives.retrieval import Retrieval

    known = LOSSES[schema.task]
    if loss not in known:
        raise AmeirError(f"dataset.train.loss={loss} does not fit {schema.dataset}, a {schema.task} dataset."
                         f"{did_you_mean(loss, known)}")
    for name in metrics:
        if name not in METRICS[schema.task]:
            there = did_you_mean(name, METRICS[schema.task]) if METRICS[schema.task] else " There are none to ask for."
            raise AmeirError(f"metrics=[{name}] is not one of {schema.dataset}, a {schema.task} dataset.{there}")
    return Ctr(metrics) if schema.task == "ctr" else Retrieval(
        item=schema.item, loss=loss, item_shares=item_shares, temperature=temperature)
