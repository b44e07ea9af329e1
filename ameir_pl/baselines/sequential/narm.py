"""NARM (Li et al., 2017): a GRU over the whole history, and attention over the states of one on its end."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ameir_pl.baselines.base import BASELINES
from ameir_pl.baselines.next_item import NextItem, at_least, gru, last, lengths, linear, window
from ameir_pl.batch import Batch
from ameir_pl.nn.dropout import Dropout
from ameir_pl.nn.sequence import zero_padding
from ameir_pl.schema import Schema


@BASELINES.register("narm")
class Narm(NextItem):
    """query = B Dropout([c_g, c_l]), the bilinear decoder of Li et al. 2017.

    ``c_g`` is the last state of the global GRU. The local GRU reads the latest ``local`` behaviors only (AMEIR
    paper, Appendix C.2) and ``c_l = sum over j of a_j h_j`` of its states h, with
    ``a_j = v·sigmoid(A1 h_last + A2 h_j)``, without a softmax.

    Args:
        schema: of a dataset of sequences.
        embedding_size: K.
        mlp: ignored.
        dropout: of the embeddings and before the decoder.
        local: behaviors that the local encoder reads.
        units: of each GRU.

    Raises:
        AmeirError: an option is out of range.
    """

    def __init__(self, schema: Schema, *, embedding_size: int, mlp: Sequence[int], dropout: float = 0.0,
                 local: int = 5, units: int = 100) -> None:
        super().__init__(schema, embedding_size)
        at_least("narm", "local", local)
        at_least("narm", "units", units)
        self.local = local
        self.global_gru, self.local_gru = gru(embedding_size, units), gru(embedding_size, units)
        self.of_last, self.of_each = linear(units, units, bias=False), linear(units, units, bias=False)
        self.weight = linear(units, 1, bias=False)
        self.decoder = linear(2 * units, embedding_size, bias=False)
        self.dropout = Dropout(dropout)

    def forward(self, batch: Batch) -> Tensor:
        """Return query vectors (B, K)."""
        h, mask = self.history(batch)
        h = self.dropout(h)
        ahead, _ = self.global_gru(h)
        latest, valid = window(h, mask, (lengths(mask) - self.local).clamp(min=0), self.local)
        states, _ = self.local_gru(latest)  # (B, local, units)
        attention = self.weight(torch.sigmoid(self.of_last(last(states, valid)).unsqueeze(1) + self.of_each(states)))
        purpose = zero_padding(attention * states, valid).sum(1)
        return self.decoder(self.dropout(torch.cat([last(ahead, mask), purpose], 1)))
