"""What baselines that rank next items have in common: the history as vectors of size K, its latest ones, its states."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ameir_pl.baselines.base import Baseline
from ameir_pl.batch import Batch
from ameir_pl.errors import AmeirError
from ameir_pl.nn.embedding import FieldEmbedding
from ameir_pl.nn.initialization import embedding_uniform, he_normal, orthogonal_gates
from ameir_pl.nn.sequence import packed, take, unpacked, zero_padding
from ameir_pl.schema import Schema


class NextItem(Baseline):
    """A model that turns a history into a query vector; item i scores <e_i, query>.

    A behavior of several fields, say an item and a rating, is brought to size K by one matrix. A row without history
    has one learned behavior, so that networks never run on nothing.

    Args:
        schema: of a dataset of sequences.
        size: K.
        empty: whether a row may come without any behavior.
    """

    needs = ("next item",)

    def __init__(self, schema: Schema, size: int, *, empty: bool = True) -> None:
        super().__init__()
        self.embedding = FieldEmbedding(schema, size)
        # No parameter without a use: a gradient that never comes stalls DDP.
        self.project = linear(len(schema.behaviors) * size, size, bias=False) if len(schema.behaviors) > 1 else None
        if empty:
            self.empty = nn.Parameter(torch.empty(size))
            embedding_uniform(self.empty)

    def vectors(self, behaviors: Tensor) -> Tensor:
        """Return behaviors (B, T, S_a) as vectors (B, T, K)."""
        e = self.embedding.behaviors(behaviors)
        return e if self.project is None else self.project(e)

    def history(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return h (B, T, K), zero at padding, and its mask (B, T), at least one True a row and on a prefix of it."""
        first = torch.arange(batch.mask.shape[1], device=batch.mask.device) == 0  # (T,)
        placed = first & ~batch.mask.any(1, keepdim=True)  # (B, T)
        h = zero_padding(self.vectors(batch.behaviors), batch.mask)
        return torch.where(placed.unsqueeze(-1), self.empty.to(h.dtype), h), batch.mask | placed


def at_least(name: str, option: str, value: int, least: int = 1) -> None:
    """Raise ``AmeirError`` where option ``option`` of model ``name`` is below ``least``."""
    if value < least:
        raise AmeirError(f"model={name} takes `{option}` of at least {least}; found model.options.{option}={value}.")


def linear(in_features: int, out_features: int, *, bias: bool = True) -> nn.Linear:
    """Return a linear layer, He normal, bias zero."""
    layer = nn.Linear(in_features, out_features, bias=bias)
    he_normal(layer.weight)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def gru(in_features: int, units: int) -> nn.GRU:
    """Return a GRU on (B, T, in_features), orthogonal by gate, biases zero."""
    layer = nn.GRU(in_features, units, batch_first=True)
    for name, parameter in layer.named_parameters():
        if "weight" in name:
            orthogonal_gates(parameter.data, gates=3)
        else:
            nn.init.zeros_(parameter)
    return layer


def lengths(mask: Tensor) -> Tensor:
    """Return how many behaviors each row has, (B, 1) from ``mask`` (B, T)."""
    return mask.sum(1, keepdim=True)


def last(h: Tensor, mask: Tensor) -> Tensor:
    """Return each row's last valid vector, (B, K) from ``h`` (B, T, K)."""
    return take(h, lengths(mask) - 1).squeeze(1)


def window(h: Tensor, mask: Tensor, start: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the vectors (B, count, K) at ``start`` (B, 1), start + 1, ..., zero where none is, and their mask."""
    positions = start + torch.arange(count, device=h.device)  # (B, count)
    valid = (positions >= 0) & (positions < lengths(mask))
    return zero_padding(take(h, positions.clamp(0, h.shape[1] - 1)), valid), valid


def from_end(mask: Tensor) -> Tensor:
    """Return (B, T) how many behaviors follow each one: 0 for the latest, whatever the padding, and 0 at padding."""
    positions = torch.arange(mask.shape[1], device=mask.device)
    return (lengths(mask) - 1 - positions).clamp(min=0)


class Positions(nn.Module):
    """A learned vector for each place counted from the end, uniform ±0.05. Places beyond the last have its vector.

    Args:
        count: of places.
        size: K.
    """

    def __init__(self, count: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(count, size))
        embedding_uniform(self.weight)

    def forward(self, mask: Tensor) -> Tensor:
        """Return (B, T, K) from ``mask`` (B, T)."""
        return F.embedding(from_end(mask).clamp(max=self.weight.shape[0] - 1), self.weight)


def user_vectors(users: Tensor, weight: Tensor) -> Tensor:
    """Return (B, K) of the users (B,), from ``weight`` (U, K); zeros for a number that no user has."""
    there = (users >= 0) & (users < len(weight))
    return torch.where(there.unsqueeze(-1), F.embedding(torch.where(there, users, 0), weight), 0.0)


class SelfAttention(nn.Module):
    """``softmax(Q Kᵀ / sqrt(K / heads)) V`` per head (Vaswani et al. 2017), uniform ±0.05, without biases.

    Args:
        name: of the model, for the error.
        size: K.
        heads: of the attention.

    Raises:
        AmeirError: K is not a multiple of the number of heads.
    """

    def __init__(self, name: str, size: int, heads: int) -> None:
        super().__init__()
        at_least(name, "heads", heads)
        if size % heads:
            raise AmeirError(f"model={name} splits embeddings into heads, but dataset.model.embedding_size={size} is "
                             f"not a multiple of model.options.heads={heads}. Choose another of the two.")
        self.heads = heads
        self.query_key_value = nn.Linear(size, 3 * size, bias=False)
        embedding_uniform(self.query_key_value.weight)

    def forward(self, x: Tensor, mask: Tensor, *, causal: bool = False) -> Tensor:
        """Return (P, K), the heads side by side.

        Args:
            x: (P, K), what ``mask`` says is there, row after row (:func:`~ameir_pl.nn.sequence.packed`).
            mask: (B, T) bool, True on a prefix of every row, once at least.
            causal: whether a position sees only those up to itself.
        """
        projected = unpacked(self.query_key_value(x), mask).unflatten(-1, (3, self.heads, -1))  # (B, T, 3, heads, ·)
        query, key, value = projected.permute(2, 0, 3, 1, 4).unbind(0)
        # Padding follows what is valid, so what is causal needs no other mask.
        seen = None if causal else mask[:, None, None, :]  # (B, 1, 1, T)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=seen, is_causal=causal)
        return packed(mixed.transpose(1, 2).flatten(-2), mask)
