"""STAMP (Liu et al., 2018): attention over the history by its last item and its mean, without recurrence."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ameir_pl.baselines.base import BASELINES
from ameir_pl.baselines.next_item import NextItem, last, lengths, linear
from ameir_pl.batch import Batch
from ameir_pl.nn.dropout import Dropout
from ameir_pl.nn.sequence import zero_padding
from ameir_pl.schema import Schema


@BASELINES.register("stamp")
class Stamp(NextItem):
    """query = h_s * h_t, so that item i scores the trilinear product <h_s, h_t, e_i> (Liu et al. 2018).

    With the last behavior x_t and the mean m_s of all: ``a_i = W0 sigmoid(W1 x_i + W2 x_t + W3 m_s + b_a)``,
    ``m_a = sum over i of a_i x_i``, ``h_s = tanh(W_s m_a + b_s)`` and ``h_t = tanh(W_t x_t + b_t)``. The
    paper's sigmoid around the product belongs to its loss.

    Args:
        schema: of a dataset of sequences.
        embedding_size: K.
        mlp: ignored; the two networks have one layer of K units each, as in the paper.
        dropout: of the embeddings.
    """

    def __init__(self, schema: Schema, *, embedding_size: int, mlp: Sequence[int], dropout: float = 0.0) -> None:
        super().__init__(schema, embedding_size)
        size = embedding_size
        self.of_each = linear(size, size)
        self.of_last, self.of_mean = linear(size, size, bias=False), linear(size, size, bias=False)
        self.weight = linear(size, 1, bias=False)
        self.general, self.current = linear(size, size), linear(size, size)
        self.dropout = Dropout(dropout)

    def forward(self, batch: Batch) -> Tensor:
        """Return query vectors (B, K)."""
        h, mask = self.history(batch)
        h = self.dropout(h)
        latest, mean = last(h, mask), h.sum(1) / lengths(mask)  # (B, K) each
        context = (self.of_last(latest) + self.of_mean(mean)).unsqueeze(1)
        attention = self.weight(torch.sigmoid(self.of_each(h) + context))  # (B, T, 1)
        memory = zero_padding(attention * h, mask).sum(1)
        return torch.tanh(self.general(memory)) * torch.tanh(self.current(latest))
