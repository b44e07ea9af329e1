"""Heads: h_c = [h_mlp, h_se] to a logit (click-through rate) or to a query that scores items (retrieval)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ameir_pl.errors import AmeirError
from ameir_pl.nn.initialization import scaled_normal


class ElasticHead(nn.Module):
    """``W_mlp[:, :u]·h_mlp + W_se·h_se``: a linear layer on [h_mlp, h_se] without bias, for MLPs of any last width.

    Normal with deviation sqrt(1 / all its inputs).

    Args:
        in_features_mlp: the most columns of the MLP's output.
        in_features_shortcut: columns of the SE shortcut; 0 without one.
        out_features: outputs.
    """

    def __init__(self, in_features_mlp: int, in_features_shortcut: int, out_features: int) -> None:
        super().__init__()
        fan_in = in_features_mlp + in_features_shortcut
        self.weight_mlp = nn.Parameter(torch.empty(out_features, in_features_mlp))
        self.weight_shortcut = (nn.Parameter(torch.empty(out_features, in_features_shortcut))
                                if in_features_shortcut else None)
        for weight in self.parameters():
            scaled_normal(weight, fan_in)

    def forward(self, mlp_part: Tensor, shortcut: Tensor | None = None) -> Tensor:
        """Return (B, out_features).

        Args:
            mlp_part: (B, u), u at most ``in_features_mlp``: the first u columns of the weights are used.
            shortcut: (B, in_features_shortcut), or None for a child without one.

        Raises:
            AmeirError: ``mlp_part`` is too wide, or a shortcut comes to a head that was made without.
        """
        width = mlp_part.shape[-1]
        if width > self.weight_mlp.shape[1]:
            raise AmeirError(f"The head takes {self.weight_mlp.shape[1]} columns of the MLP and got {width}.")
        out = F.linear(mlp_part, self.weight_mlp[:, :width])
        if shortcut is None:
            return out
        if self.weight_shortcut is None:
            raise AmeirError(f"The head was made without a shortcut (in_features_shortcut=0) and got one of "
                             f"{shortcut.shape[-1]} columns.")
        return out + F.linear(shortcut, self.weight_shortcut)


class CtrHead(ElasticHead):
    """``logit = w·h_c`` (paper, Eq. 6, before the sigmoid).

    Args:
        in_features_mlp: the most columns of the MLP's output.
        in_features_shortcut: columns of the SE shortcut; 0 without one.
    """

    def __init__(self, in_features_mlp: int, in_features_shortcut: int = 0) -> None:
        super().__init__(in_features_mlp, in_features_shortcut, 1)

    def forward(self, mlp_part: Tensor, shortcut: Tensor | None = None) -> Tensor:
        """Return logits (B,); see :meth:`ElasticHead.forward`."""
        return super().forward(mlp_part, shortcut).squeeze(-1)


class RetrievalHead(ElasticHead):
    """``query = W h_c`` (B, K), so that item i scores e_i · query (paper, Eq. 7).

    Args:
        in_features_mlp: the most columns of the MLP's output.
        in_features_shortcut: columns of the SE shortcut; 0 without one.
        size: K.
    """

    def __init__(self, in_features_mlp: int, in_features_shortcut: int, size: int) -> None:
        super().__init__(in_features_mlp, in_features_shortcut, size)

    @torch.no_grad()
    def start_as_items(self, shares: Mapping[int, float]) -> None:
        """Have the query start as a sum of items' own embeddings that the input holds.

        Items that come after one another are alike, so that this is a good query from the first update on; a random W
        has to learn first that queries and items live in one space.

        Args:
            shares: by the column where an embedding (K columns) begins, how much of it.
        """
        size = self.weight_mlp.shape[0]
        for column, share in shares.items():
            self.weight_mlp[:, column:column + size] = share * torch.eye(size)
