"""Recurrent layer: bigru."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ameir_pl.errors import AmeirError
from ameir_pl.nn.bidirectional_gru import BidirectionalGru
from ameir_pl.nn.initialization import orthogonal_gates
from ameir_pl.nn.operations.base import OPERATIONS, Operation
from ameir_pl.nn.sequence import reversal, take


@OPERATIONS.register("bigru")
class BiGru(Operation):
    """Bidirectional GRU (Cho et al. 2014): ceil(D/2) forward and floor(D/2) backward units, side by side.

    Padding follows the valid positions, so the forward direction never sees it before them; for the backward one
    each row is reversed within its own length, run, and reversed back. Orthogonal by gate, biases zero.

    On CPU, with D even, both directions run in one recurrence (:class:`BidirectionalGru`), two to four times as
    fast on small batches. Elsewhere, under autocast, and where a graph is traced, :class:`torch.nn.GRU` runs.

    Raises:
        AmeirError: ``width`` is 1, which leaves the backward direction no unit.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width)
        if width < 2:
            raise AmeirError(f"bigru needs a width of at least 2, one unit for each direction; found {width}. "
                             "Use an embedding size of 2 or more, or leave bigru out of the space.")
        self.forward_gru = nn.GRU(width, width - width // 2, batch_first=True)
        self.backward_gru = nn.GRU(width, width // 2, batch_first=True)
        for name, parameter in self.named_parameters():
            if "weight" in name:
                orthogonal_gates(parameter.data, gates=3)
            else:
                nn.init.zeros_(parameter)

    def forward(self, x: Tensor, mask: Tensor, target: Tensor | None) -> Tensor:
        """See :class:`Operation`."""
        if self._runs_as_one(x):
            ahead, back = self.forward_gru.all_weights[0], self.backward_gru.all_weights[0]
            return BidirectionalGru.apply(x, mask, *(torch.stack(pair) for pair in zip(ahead, back, strict=True)))
        order = reversal(mask)  # (B, T)
        ahead, _ = self.forward_gru(x)  # (B, T, ceil(D/2))
        back, _ = self.backward_gru(take(x, order))  # (B, T, floor(D/2))
        return torch.cat([ahead, take(back, order)], dim=-1)

    def _runs_as_one(self, x: Tensor) -> bool:
        """Whether both directions have the same number of units, and nothing but eager CPU kernels is asked for."""
        return (self.width % 2 == 0 and x.device.type == "cpu" and not torch.is_autocast_enabled("cpu")
                and not torch.compiler.is_compiling())
