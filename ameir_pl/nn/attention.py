"""LocalActivationUnit: how much one behavior matters for the target (DIN)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ameir_pl.nn.initialization import he_normal


class LocalActivationUnit(nn.Module):
    """Weigh each behavior by the target (Zhou et al. 2018, "Deep Interest Network", Sec. 4.3 and Fig. 2).

    ``a_i = w·PReLU(W [h_i, t, h_i - t, h_i * t] + b) + c``, without a softmax: the strength of an interest is kept.
    He normal, biases zero.

    Args:
        width: D.
        hidden: units of the hidden layer.
    """

    def __init__(self, width: int, hidden: int = 36) -> None:
        super().__init__()
        self.hidden = nn.Linear(4 * width, hidden)
        self.activation = nn.PReLU()
        self.output = nn.Linear(hidden, 1)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the linear layers anew; PReLU's slope starts at 0.25."""
        for linear in (self.hidden, self.output):
            he_normal(linear.weight)
            nn.init.zeros_(linear.bias)
        nn.init.constant_(self.activation.weight, 0.25)

    def forward(self, h: Tensor, mask: Tensor, target: Tensor) -> Tensor:
        """Return weights (B, T), zero at padding.

        Args:
            h: (B, T, D), finite at padding.
            mask: (B, T) bool.
            target: (B, D).
        """
        # W [h, t, h - t, h*t] = (W_h + W_d) h + W_p (h*t) + (W_t - W_d) t: half the products, and t's once a row.
        w_h, w_t, w_d, w_p = self.hidden.weight.chunk(4, dim=1)  # (hidden, D) each
        pairs = torch.cat([h, h * target.unsqueeze(1)], dim=-1)  # (B, T, 2D)
        of_target = F.linear(target, w_t - w_d, self.hidden.bias).unsqueeze(1)  # (B, 1, hidden)
        hidden = F.linear(pairs, torch.cat([w_h + w_d, w_p], dim=1)) + of_target  # (B, T, hidden)
        weights = self.output(self.activation(hidden)).squeeze(-1)  # (B, T)
        return torch.where(mask, weights, 0.0)
