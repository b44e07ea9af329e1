"""BuildingBlock: one residual block of the behavior network, holding every layer and norm it may be asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from ameir_pl.errors import AmeirError
from ameir_pl.nn.activations import ACTIVATIONS
from ameir_pl.nn.dropout import Dropout
from ameir_pl.nn.operations import OPERATIONS
from ameir_pl.registry import Registry

NORMS: Registry[Callable[[int], nn.Module]] = Registry("norm")
"""Norms of a block by name; each is made from the width D."""

GAIN = 0.05 / 3**0.5
"""A layer norm's first gain: the deviation of embeddings drawn from ±0.05. With a gain of one, a normed block would
start at thirty times the scale of an unnormed one, and a supernet's shared weights could not serve both."""


def layer_norm(width: int) -> nn.LayerNorm:
    """Return a layer norm over D whose output starts at the scale of the embeddings."""
    norm = nn.LayerNorm(width)
    nn.init.constant_(norm.weight, GAIN)
    return norm


NORMS.register("layer_norm")(layer_norm)
NORMS.register("none")(lambda width: nn.Identity())


class BuildingBlock(nn.Module):
    """``h' = Act(Layer(Norm(h))) + h`` (paper, Sec. 2.1 stage 1); which three is an argument of every call.

    A supernet's block holds all candidates, a derived model's block the one it uses: the same module, the same
    parameter names.

    Args:
        width: D.
        layers: names of the operations to hold.
        norms: names of the norms to hold.
        dropout: probability of zeroing an element after the activation.
    """

    def __init__(self, width: int, layers: Sequence[str], norms: Sequence[str], dropout: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.ModuleDict({name: OPERATIONS.get(name)(width) for name in layers})
        self.norms = nn.ModuleDict({name: NORMS.get(name)(width) for name in norms})
        self.dropout = Dropout(dropout)

    def forward(self, h: Tensor, mask: Tensor, target: Tensor | None, layer: str, activation: str,
                norm: str) -> Tensor:
        """Return h' (B, T, D); with the layer ``zero`` that is ``h``, whatever the activation and norm.

        Args:
            h: (B, T, D), finite at padding.
            mask: (B, T) bool, True on a prefix of every row, at least one True.
            target: (B, D), or None without one.
            layer: name of a layer this block holds.
            activation: name in ``ACTIVATIONS``.
            norm: name of a norm this block holds.

        Raises:
            AmeirError: the block does not hold the layer or norm, or the activation is unknown.
        """
        operation = _held(self.layers, "layer", layer)
        if layer == "zero":
            return h
        return self.activate(operation(self.normed(h, mask, norm), mask, target), h, activation)

    def normed(self, h: Tensor, mask: Tensor, norm: str) -> Tensor:
        """Return what the layer is fed: Norm(h) (B, T, D), zero at padding."""
        # Zero after the norm: its bias would fill the padding, and what padding holds must not reach the layer.
        # A product, not torch.where: padding is finite here, and the product and its gradient are twice as fast.
        return _held(self.norms, "norm", norm)(h) * mask.unsqueeze(-1)

    def activate(self, y: Tensor, h: Tensor, activation: str) -> Tensor:
        """Return Act(y) + h (B, T, D) from the layer's output ``y``."""
        return self.dropout(ACTIVATIONS.get(activation)(y)) + h


def _held(modules: nn.ModuleDict, kind: str, name: str) -> nn.Module:
    if name not in modules:
        raise AmeirError(f"This block does not hold the {kind} '{name}'; it holds: {', '.join(modules) or 'none'}.")
    return modules[name]
