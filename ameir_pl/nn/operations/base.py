"""Operation: what a layer of a building block is, and the registry of them."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor, nn

from ameir_pl.registry import Registry


class Operation(nn.Module):
    """A layer (B, T, D) to (B, T, D), stride 1, output width = input width.

    Contract: ``x`` is zero at padding (the block sees to it) and every row has at least one valid position. Valid
    outputs never depend on what the padding holds or how long it is; outputs at padding are unspecified but finite.

    Args:
        width: D.
    """

    needs_target = False
    """Whether :meth:`forward` needs the target."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    @abstractmethod
    def forward(self, x: Tensor, mask: Tensor, target: Tensor | None) -> Tensor:
        """Return (B, T, D) from ``x`` (B, T, D), ``mask`` (B, T) bool and ``target`` (B, D) or None."""
        raise NotImplementedError


OPERATIONS: Registry[type[Operation]] = Registry("layer")
"""Operations by name, in the paper's order; added ones follow."""


def names(has_target: bool) -> list[str]:
    """Return the operations' names in order, without those that need a target where there is none."""
    return [name for name in OPERATIONS.names() if has_target or not OPERATIONS.get(name).needs_target]
