"""Registry of the baselines: what they are built from, what they need of a dataset, and what they may do otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ameir_pl.baselines.options import check_options, defaults
from ameir_pl.batch import Batch
from ameir_pl.errors import AmeirError
from ameir_pl.nn.embedding import FieldEmbedding
from ameir_pl.nn.initialization import EMBEDDING_BOUND
from ameir_pl.registry import Registry
from ameir_pl.schema import Schema


class Baseline(nn.Module):
    """A model to compare with, built as ``Model(schema, embedding_size=, mlp=, dropout=)``.

    Further keyword arguments, with defaults, are the model's own options: ``model.options`` of the configuration. It
    has ``forward(batch)``, which gives logits (B,) of clicks or query vectors (B, K) of next items, and a submodule
    ``embedding``, whose weights are counted apart and, for next items, give the items' vectors. With a true
    ``scores_items`` what it gives for next items are the scores (B, V) of all of them.

    Attributes:
        needs: names in ``NEEDS``, of what the model cannot do without.
    """

    needs: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        super().__init__()
        self.register_forward_pre_hook(_readable)


def _readable(model: nn.Module, inputs: tuple[Batch]) -> tuple[Batch]:
    return (inputs[0].with_position() if model.training else inputs[0].served(),)


@runtime_checkable
class OwnLoss(Protocol):
    """A model whose loss is a part of it, instead of the dataset's.

    Attributes:
        own_loss: what it is, in a few words; printed and written beside the results.
    """

    own_loss: str

    def training_loss(self, batch: Batch, own: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the mean loss of the rows of ``batch``, a scalar; ``own(output)`` gives the dataset's loss.

        Ranks average their losses, each over as many rows: a mean over rows of each row's loss is that of all of them.
        """
        ...


@runtime_checkable
class CountsItems(Protocol):
    """A model that is told how often each item comes in the training sequences, before it is trained."""

    def set_counts(self, counts: Tensor) -> None:
        """Take the counts (V,) float by item id."""
        ...


@runtime_checkable
class CountsSequences(Protocol):
    """A model that is told the training sequences, before it is trained."""

    def set_sequences(self, items: Tensor, users: Tensor) -> None:
        """Take the items (n,) of all sequences, user after user, and whose each is (n,)."""
        ...


@runtime_checkable
class OwnOptimizers(Protocol):
    """A model some of whose weights have optimizers of their own."""

    def own_optimizers(self) -> list[Optimizer]:
        """Return those optimizers; none where all weights go the common way."""
        ...


class Finding(Protocol):
    """What a model that has to be found may use on the way."""

    def train(self, model: nn.Module, name: str) -> None:
        """Train a model to its early stop."""
        ...

    def trial(self, model: nn.Module, number: int, epochs: float) -> float:
        """Train the ``number``-th of several models for ``epochs``, a part of one or several, and return its fitness on
        fixed validation rows."""
        ...

    def rows(self, split: str, count: int) -> list[Batch]:
        """Return ``count`` rows of a split (all where it has no more), always the same."""
        ...


@runtime_checkable
class Found(Protocol):
    """A model that has to be found before it is trained."""

    def found(self, finding: Finding) -> tuple[nn.Module, dict[str, Any]]:
        """Return the model to train, and the options with which it is built at once, written beside its results."""
        ...


BASELINES: Registry[type[Baseline]] = Registry("model")

NEEDS: dict[str, tuple[str, Callable[[Schema], bool]]] = {
    "clicks": ("predicts clicks", lambda s: s.task == "ctr"),
    "next item": ("ranks next items", lambda s: s.task == "retrieval"),
    "users": ("has a vector for each user", lambda s: s.users > 0),
    "fields": ("combines fields", lambda s: len(s.fields) > 1),
    "history": ("reads behaviors", lambda s: bool(s.behaviors)),
    "target": ("compares behaviors with a target that shares a vocabulary with them", lambda s: s.has_target),
    "sessions": ("divides histories into sessions", lambda s: s.sessions),
}
"""What a model does, and whether a dataset has what it takes."""


def lacking(name: str, schema: Schema) -> list[str]:
    """Return what model ``name`` needs and the dataset has not, names in ``NEEDS``."""
    return [need for need in BASELINES.get(name).needs if not NEEDS[need][1](schema)]


def baselines_for(schema: Schema) -> list[str]:
    """Return the models that can be trained on a dataset."""
    return [name for name in BASELINES.names() if not lacking(name, schema)]


def options_of(name: str) -> dict[str, Any]:
    """Return a model's own options with their defaults."""
    return defaults(BASELINES.get(name))


def build_baseline(name: str, schema: Schema, *, embedding_size: int, mlp: Sequence[int], dropout: float,
                   options: Mapping[str, Any] | None = None, embedding_dropout: float = 0.0,
                   embedding_bound: float = EMBEDDING_BOUND) -> nn.Module:
    """Return a baseline for a dataset; ``embedding_dropout`` is of its embedded history, before what the model drops
    itself. Embeddings start uniform within ± ``embedding_bound``.

    Raises:
        AmeirError: an unknown model or option, an option out of range, or a dataset that lacks what the model needs;
            the message names those that fit.
    """
    build = cast(Callable[..., nn.Module], BASELINES.get(name))
    for need in lacking(name, schema):
        raise AmeirError(f"model={name} {NEEDS[need][0]}, and {schema.dataset} is {_described(schema)}. Models for it: "
                         f"{', '.join(baselines_for(schema))}.")
    check_options(name, BASELINES.get(name), options or {})
    model = build(schema, embedding_size=embedding_size, mlp=mlp, dropout=dropout, **(options or {}))
    if isinstance(model.embedding, FieldEmbedding):  # POP's counts are no embedding
        model.embedding.dropout.p = embedding_dropout
        model.embedding.rescale(embedding_bound)
    return model


def check_baseline(name: str, schema: Schema, options: Mapping[str, Any] | None = None) -> None:
    """Raise ``AmeirError`` where :func:`build_baseline` would; takes no memory and no random number."""
    with torch.device("meta"):
        build_baseline(name, schema, embedding_size=4, mlp=[1], dropout=0.0, options=options)


def _described(schema: Schema) -> str:
    if schema.task == "retrieval":
        return "a dataset of sequences of items" + ("" if schema.users else " without numbered users")
    behaviors = "without behaviors"
    if schema.behaviors:
        behaviors = ("with behaviors" + ("" if schema.sessions else " without known times")
                     + ("" if schema.has_target else " that no field of the target shares a vocabulary with"))
    return f"a dataset of clicks with {len(schema.fields)} field{'s' * (len(schema.fields) != 1)}, {behaviors}"
