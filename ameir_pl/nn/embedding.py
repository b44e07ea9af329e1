"""FieldEmbedding: one matrix for all categorical fields; fields of one vocabulary share its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

from ameir_pl.errors import AmeirError, did_you_mean
from ameir_pl.nn.dropout import Dropout
from ameir_pl.nn.initialization import EMBEDDING_BOUND, embedding_uniform
from ameir_pl.schema import OOV, PAD, Field, Schema


class FieldEmbedding(nn.Module):
    """Embed ids with one matrix E (F, K) (paper, Sec. 2.1 stage 0), uniform ±0.05.

    Row 0 is the ``PAD`` of every vocabulary: it is zero, gets no gradient and stays zero. Id i > 0 of vocabulary v
    has row ``offset_v + i``, so F = 1 + sum over v of (V_v - 1). A multivalent field is the sum over its ids.
    In eval mode an id outside its vocabulary, below 0 or not below its size, is read as ``OOV``. In training mode it
    would read another vocabulary's rows: whoever encodes the ids has checked them, and training does not pay for it.

    Args:
        schema: fields, behaviors and vocabularies.
        size: K.
        dropout: of the embedded behaviors.

    Attributes:
        dropout: the module; its rate may be set later.
        touched: where it is a list, lookups that will have a gradient add their rows (n,) to it.
    """

    field_offsets: Tensor
    behavior_offsets: Tensor
    field_sizes: Tensor
    behavior_sizes: Tensor

    def __init__(self, schema: Schema, size: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.size = size
        self.dropout = Dropout(dropout)
        self.touched: list[Tensor] | None = None
        self.sizes = dict(schema.vocabularies)
        self.offsets: dict[str, int] = {}
        rows = 1
        for name, count in self.sizes.items():
            self.offsets[name] = rows - 1  # id 0 takes no row of its own
            rows += count - 1
        self.field_widths = [f.width for f in schema.fields]
        self.behavior_widths = [f.width for f in schema.behaviors]
        self.weight = nn.Parameter(torch.empty(rows, size))
        for name, fields in (("field", schema.fields), ("behavior", schema.behaviors)):
            self.register_buffer(f"{name}_offsets", of_slots(fields, self.offsets), persistent=False)
            self.register_buffer(f"{name}_sizes", of_slots(fields, self.sizes), persistent=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw E anew; the ``PAD`` row stays zero."""
        embedding_uniform(self.weight)
        with torch.no_grad():
            self.weight[PAD] = 0.0

    @torch.no_grad()
    def rescale(self, bound: float) -> None:
        """Make what :meth:`reset_parameters` drew uniform within ± ``bound``; the random numbers stay the same."""
        self.weight.mul_(bound / EMBEDDING_BOUND)

    def fields(self, ids: Tensor) -> Tensor:
        """Embed the non-sequential fields: ids (B, S) to (B, N, K)."""
        return _sum_slots(self._lookup(self.known(ids, self.field_sizes), self.field_offsets), self.field_widths)

    def behaviors(self, ids: Tensor) -> Tensor:
        """Embed the behaviors: ids (B, T, S_a) to (B, T, N_a·K), fields side by side in the schema's order."""
        slots = self._lookup(self.known(ids, self.behavior_sizes), self.behavior_offsets)
        return self.dropout(_sum_slots(slots, self.behavior_widths).flatten(-2))

    def rows(self, vocabulary: str, ids: Tensor) -> Tensor:
        """Embed ids (...) of one vocabulary, for item scores: (..., K). Raises ``AmeirError`` if it is unknown."""
        offset = self._offset(vocabulary)
        return self._lookup(self.known(ids, self.sizes[vocabulary]), offset)

    def table(self, vocabulary: str) -> Tensor:
        """Return the embeddings (V, K) of all ids of one vocabulary, row 0 zero, for full ranking.

        Gradients reach E, except through row 0. Raises ``AmeirError`` if the vocabulary is unknown.
        """
        start = self._offset(vocabulary)
        if self.touched is not None and torch.is_grad_enabled():
            self.touched.append(torch.arange(start + 1, start + self.sizes[vocabulary], device=self.weight.device))
        known = self.weight[start + 1:start + self.sizes[vocabulary]]  # (V - 1, K)
        return torch.cat([self.weight.new_zeros(1, self.size), known])

    def _offset(self, vocabulary: str) -> int:
        if vocabulary not in self.offsets:
            raise AmeirError(f"Unknown vocabulary '{vocabulary}'.{did_you_mean(vocabulary, self.offsets)}")
        return self.offsets[vocabulary]

    def known(self, ids: Tensor, sizes: Tensor | int) -> Tensor:
        """Return :func:`known_ids` in eval mode, ``ids`` as they are in training mode."""
        return ids if self.training else known_ids(ids, sizes)

    def _lookup(self, ids: Tensor, offsets: Tensor | int) -> Tensor:
        rows = torch.where(ids == PAD, PAD, ids + offsets)
        if self.touched is not None and torch.is_grad_enabled():
            self.touched.append(rows.detach().flatten())
        if self.weight.device.type == "cpu" and not torch.compiler.is_compiling():
            return _Lookup.apply(self.weight, rows)
        return F.embedding(rows, self.weight, padding_idx=PAD)


def of_slots(fields: Sequence[Field], values: Mapping[str, int]) -> Tensor:
    """Return (S,) the value of each slot's vocabulary."""
    return torch.tensor([values[f.vocabulary] for f in fields for _ in range(f.width)], dtype=torch.int64)


def known_ids(ids: Tensor, sizes: Tensor | int) -> Tensor:
    """Return ``ids`` with ``OOV`` in place of each that is outside its vocabulary: below 0, or not below its size.

    Args:
        ids: (..., S), or (...) of one vocabulary.
        sizes: (S,) of the slots' vocabularies, or of the one.
    """
    return torch.where((ids >= 0) & (ids < sizes), ids, OOV)


class _Lookup(torch.autograd.Function):
    """``F.embedding(rows, weight, padding_idx=PAD)`` with the same gradient, two to five times as fast on CPU: its own
    backward has each thread go through all ids, ``index_add_`` goes through them once."""

    @staticmethod
    def forward(ctx: FunctionCtx, weight: Tensor, rows: Tensor) -> Tensor:
        """Return (..., K) from weight (F, K) and rows (...)."""
        ctx.save_for_backward(rows)
        ctx.shape = weight.shape  # type: ignore[attr-defined]
        return F.embedding(rows, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        """Return the gradient (F, K) of weight."""
        (rows,) = ctx.saved_tensors
        of_weight = grad.new_zeros(ctx.shape).index_add_(0, rows.flatten(), grad.reshape(-1, ctx.shape[1]))
        of_weight[PAD] = 0.0
        return of_weight, None


def _sum_slots(slots: Tensor, widths: Sequence[int]) -> Tensor:
    """Sum the slots of each field: (..., S, K) to (..., N, K); all univalent, they are the fields already."""
    if all(width == 1 for width in widths):
        return slots
    parts = slots.split(list(widths), dim=-2)
    return torch.cat([p if p.shape[-2] == 1 else p.sum(dim=-2, keepdim=True) for p in parts], dim=-2)
