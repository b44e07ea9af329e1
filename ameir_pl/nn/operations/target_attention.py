"""Target attention: each behavior weighed by the target."""

from __future__ import annotations

from torch import Tensor

from ameir_pl.errors import AmeirError
from ameir_pl.nn.attention import LocalActivationUnit
from ameir_pl.nn.operations.base import OPERATIONS, Operation


@OPERATIONS.register("target_attention")
class TargetAttention(Operation):
    """``y_i = a_i x_i`` with a_i from DIN's local activation unit (Zhou et al. 2018; paper, Sec. 2.2)."""

    needs_target = True

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.attention = LocalActivationUnit(width)

    def forward(self, x: Tensor, mask: Tensor, target: Tensor | None) -> Tensor:
        """See :class:`Operation`; raises ``AmeirError`` without a target."""
        if target is None:
            raise AmeirError("target_attention needs a target, and this dataset's behaviors have none: no target "
                             "field shares their vocabulary. Leave target_attention out of the space.")
        return self.attention(x, mask, target).unsqueeze(-1) * x
