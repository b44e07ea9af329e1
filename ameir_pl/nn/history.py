"""HistoryInput: what the behavior network is fed. Padding is zero, no history is empty, the target has width D."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ameir_pl.nn.initialization import embedding_uniform
from ameir_pl.nn.sequence import zero_padding
from ameir_pl.schema import Schema


class HistoryInput(nn.Module):
    """Prepare raw behavior embeddings for the blocks (paper, Sec. 2.1 stages 0 and 1).

    Padding is zeroed; a row without any history gets one learned "empty" token; the target is laid out like a
    behavior: for each behavior field the embedding of the target field of the same meaning, or a learned K-vector
    where there is none (say, a rating bucket, unknown before the click).

    Args:
        schema: its behaviors and target fields.
        size: K.
    """

    def __init__(self, schema: Schema, size: int) -> None:
        super().__init__()
        self.size = size
        self.target_of = schema.target_of
        self.has_target = schema.has_target
        lacking = sum(i is None for i in self.target_of) if self.has_target else 0
        self.empty = nn.Parameter(torch.empty(len(schema.behaviors) * size))  # (D,)
        # No parameter without a use: a gradient that never comes stalls DDP.
        self.missing = nn.Parameter(torch.empty(lacking, size)) if lacking else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the empty token and the missing target fields anew, uniform ±0.05."""
        embedding_uniform(self.empty)
        if self.missing is not None:
            embedding_uniform(self.missing)

    def forward(self, behaviors: Tensor, mask: Tensor, fields: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return (h, mask, target).

        Args:
            behaviors: (B, T, D) raw embeddings, T >= 1; what stands at padding does not matter, NaN included.
            mask: (B, T) bool, True on a prefix of every row.
            fields: (B, N, K) embeddings of the non-sequential fields.

        Returns:
            h (B, T, D), zero at padding; mask (B, T), at least one True a row; target (B, D), None without one.
        """
        first = torch.arange(mask.shape[1], device=mask.device) == 0  # (T,)
        placed = first & ~mask.any(dim=1, keepdim=True)  # (B, T)
        h = zero_padding(behaviors, mask)
        h = torch.where(placed.unsqueeze(-1), self.empty.to(h.dtype), h)  # (B, T, D)
        return h, mask | placed, self.target(fields)

    def target(self, fields: Tensor) -> Tensor | None:
        """Return the target (B, D) in the behaviors' layout from fields (B, N, K); None without a target."""
        if not self.has_target:
            return None
        parts = []
        lacking = 0
        for index in self.target_of:
            if index is not None:
                parts.append(fields[:, index])
            elif self.missing is not None:
                parts.append(self.missing[lacking].to(fields.dtype).expand(fields.shape[0], -1))
                lacking += 1
        return torch.cat(parts, dim=-1)  # (B, D)
