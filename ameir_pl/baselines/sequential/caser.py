"""Caser (Tang and Wang, 2018): convolutions over the latest items, as over an image, and a user vector."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ameir_pl.baselines.base import BASELINES
from ameir_pl.baselines.next_item import NextItem, at_least, lengths, linear, user_vectors, window
from ameir_pl.batch import Batch
from ameir_pl.nn.dropout import Dropout
from ameir_pl.nn.initialization import embedding_uniform
from ameir_pl.schema import Schema


@BASELINES.register("caser")
class Caser(NextItem):
    """query = ReLU(W Dropout([o, o']) + b) + P_u (Tang and Wang 2018), P_u the user's vector.

    Of the latest L behaviors E (L, K), zeros in front of a shorter history: ``o`` are, for each height 1, ..., L, the
    ``horizontal`` filters (height, K), ReLU, the maximum over time; ``o'`` are the ``vertical`` filters (L, 1), a
    weighted sum of the rows of E each. The paper's Eq. 10 puts z and P_u side by side, with item vectors
    twice as wide; here they are added (AMEIR paper, Appendix C.2). Without numbered users there is no P_u.

    Args:
        schema: of a dataset of sequences.
        embedding_size: K.
        mlp: ignored.
        dropout: of the convolutions' outputs.
        length: L.
        vertical: filters; Appendix C.2 has 5 for Beauty and 8 for Steam.
        horizontal: filters of each height; 2 for Beauty and 3 for Steam.

    Raises:
        AmeirError: an option is out of range.
    """

    def __init__(self, schema: Schema, *, embedding_size: int, mlp: Sequence[int], dropout: float = 0.0,
                 length: int = 5, vertical: int = 5, horizontal: int = 2) -> None:
        super().__init__(schema, embedding_size)
        for option, value in (("length", length), ("vertical", vertical), ("horizontal", horizontal)):
            at_least("caser", option, value)
        self.length = length
        self.vertical = linear(length, vertical, bias=False)
        # A filter of height r sees r rows of E side by side.
        self.horizontal = nn.ModuleList(linear(r * embedding_size, horizontal) for r in range(1, length + 1))
        self.output = linear(vertical * embedding_size + horizontal * length, embedding_size)
        self.dropout = Dropout(dropout)
        self.users = nn.Parameter(torch.empty(schema.users, embedding_size)) if schema.users else None
        if self.users is not None:
            embedding_uniform(self.users)

    def forward(self, batch: Batch) -> Tensor:
        """Return query vectors (B, K)."""
        h, mask = self.history(batch)
        e, _ = window(h, mask, lengths(mask) - self.length, self.length)  # (B, L, K)
        found = [torch.relu(filters(_side_by_side(e, r))).amax(1) for r, filters in enumerate(self.horizontal, 1)]
        down = self.vertical(e.transpose(1, 2)).transpose(1, 2).flatten(1)  # (B, vertical · K)
        query = torch.relu(self.output(self.dropout(torch.cat([*found, down], 1))))
        return query if self.users is None else query + user_vectors(batch.users, self.users)


def _side_by_side(e: Tensor, height: int) -> Tensor:
    """Return each ``height`` neighbouring rows of ``e`` (B, L, K) as one, (B, L - height + 1, height · K)."""
    count = e.shape[1] - height + 1
    return torch.cat([e[:, j:j + count] for j in range(height)], -1)
