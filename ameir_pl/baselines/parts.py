"""What baselines that predict clicks have in common: the input of the MLP, a plain MLP, the linear part, pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from ameir_pl.batch import Batch
from ameir_pl.errors import AmeirError
from ameir_pl.nn.elastic import ElasticMlp
from ameir_pl.nn.embedding import FieldEmbedding
from ameir_pl.nn.heads import CtrHead
from ameir_pl.nn.sequence import zero_padding
from ameir_pl.schema import Schema


def history_sum(embedding: FieldEmbedding, batch: Batch) -> Tensor:
    """Return the sum of a row's behaviors (B, N_a·K), YouTube DNN's pooling; without behaviors (B, 0)."""
    if not embedding.behavior_widths:
        return batch.dense[:, :0]
    return zero_padding(embedding.behaviors(batch.behaviors), batch.mask).sum(1)


def field_vectors(embedding: FieldEmbedding, batch: Batch) -> Tensor:
    """Return (B, N + N_a, K): the fields' embeddings, then each behavior field's sum as one more field."""
    history = history_sum(embedding, batch).reshape(len(batch), len(embedding.behavior_widths), embedding.size)
    return torch.cat([embedding.fields(batch.fields), history], 1)


def bi_interaction(e: Tensor) -> Tensor:
    """Return the sum over all pairs i < j of e_i * e_j, (B, K) from ``e`` (B, N, K) (Rendle 2010, Lemma 3.1)."""
    total = e.sum(1)  # (B, K)
    return 0.5 * (total * total - (e * e).sum(1))


class Pairs(nn.Module):
    """All pairs i < j of N fields, in the order (0, 1), (0, 2), ..., (1, 2), ...

    Args:
        fields: N.
        itself: each field with itself too, i <= j.

    Attributes:
        first: (P,) the i of each of the P pairs.
        second: (P,) the j.
    """

    first: Tensor
    second: Tensor

    def __init__(self, fields: int, *, itself: bool = False) -> None:
        super().__init__()
        first, second = torch.triu_indices(fields, fields, 0 if itself else 1)
        self.register_buffer("first", first, persistent=False)
        self.register_buffer("second", second, persistent=False)

    def __len__(self) -> int:
        return len(self.first)

    def forward(self, e: Tensor) -> Tensor:
        """Return e_i * e_j of all pairs, (B, P, K) from ``e`` (B, N, K)."""
        return e.index_select(1, self.first) * e.index_select(1, self.second)


def check_whole(model: str, option: str, value: int, least: int = 1) -> None:
    """Raise ``AmeirError`` unless an option's value is at least ``least``."""
    if value < least:
        raise AmeirError(f"model={model}: model.options.{option} must be a whole number of at least {least}, found "
                         f"{value!r}.")


def check_sizes(model: str, option: str, value: Sequence[int]) -> None:
    """Raise ``AmeirError`` unless an option's values are at least 1, and there is one."""
    if not value or any(size < 1 for size in value):
        raise AmeirError(f"model={model}: model.options.{option} must be a list of whole numbers of at least 1, say "
                         f"[128, 128], found {value!r}.")


def deep_width(schema: Schema, size: int) -> int:
    """Return how wide :func:`deep_input` is: N_a·K + N·K + D."""
    return (len(schema.behaviors) + len(schema.fields)) * size + len(schema.dense)


def deep_input(embedding: FieldEmbedding, batch: Batch, e: Tensor) -> Tensor:
    """Return [history sum, e, dense] (B, N_a·K + N·K + D), what YouTube DNN's MLP reads, with ``e`` (B, N, K)."""
    return torch.cat([history_sum(embedding, batch), e.flatten(1), batch.dense], 1)


class PlainMlp(ElasticMlp):
    """``h_l = Act(W h_{l-1} + b)`` with dropout after each, all layers of one activation.

    Args:
        in_features: of the input.
        units: of the hidden layers; without any the input is the output.
        dropout: after each hidden layer.
        activation: a name in ``ACTIVATIONS``, or ``dice``.

    Attributes:
        out_features: of the output.
    """

    def __init__(self, in_features: int, units: Sequence[int], dropout: float = 0.0, activation: str = "relu") -> None:
        super().__init__(in_features, units, [(activation,)] * len(units), dropout=dropout)
        self.out_features = units[-1] if units else in_features
        self._layers = [(n, activation) for n in units]

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        """Return (B, out_features) from ``x`` (B, in_features)."""
        return super().forward(x, self._layers)


class FirstOrder(nn.Module):
    """<w, x>: one weight for each id of each field and one for each dense value (the "wide" part).

    Args:
        schema: of the dataset.
        history: also one weight for each id of each behavior, those of shared vocabularies being the fields'.
    """

    def __init__(self, schema: Schema, *, history: bool = False) -> None:
        super().__init__()
        self._history = history and bool(schema.behaviors)
        used = {f.vocabulary for f in (*schema.fields, *(schema.behaviors if self._history else ()))}
        sizes = {name: size for name, size in schema.vocabularies.items() if name in used}
        kept = schema if self._history else replace(schema, behaviors=(), max_len=0)
        self.ids = FieldEmbedding(replace(kept, vocabularies=sizes), 1)
        self.dense = CtrHead(len(schema.dense)) if schema.dense else None

    def forward(self, batch: Batch) -> Tensor:
        """Return (B,)."""
        logit = self.ids.fields(batch.fields).sum((1, 2))
        if self._history:
            logit = logit + history_sum(self.ids, batch).sum(1)
        return logit if self.dense is None else logit + self.dense(batch.dense)
