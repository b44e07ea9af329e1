"""Elastic layers: one weight matrix of the maximal size, of which every child uses a top-left part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ameir_pl.errors import AmeirError, did_you_mean
from ameir_pl.nn.activations import ACTIVATIONS
from ameir_pl.nn.dice import Dice, Statistics, batch_statistics
from ameir_pl.nn.dropout import Dropout
from ameir_pl.nn.initialization import he_normal

DICE = "dice"


class ElasticLinear(nn.Module):
    """``W[:units, :in]·x + b[:units]`` for an input of ``in`` columns (paper, Sec. 2.3 step 3); He normal, b zero.

    Args:
        in_features: the most columns an input has; also the fan-in of the initialization.
        out_features: the most units.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features))
        he_normal(self.weight)

    def forward(self, x: Tensor, units: int | None = None, columns: Tensor | None = None) -> Tensor:
        """Return (B, units) from ``x`` (B, in); ``units`` None gives all. Raises ``AmeirError`` beyond its size.

        ``columns`` (in,) names the columns of W that ``x`` meets; None means the first ones.
        """
        units = self.out_features if units is None else units
        if not 0 < units <= self.out_features or x.shape[-1] > self.in_features:
            raise AmeirError(f"ElasticLinear of {self.in_features} inputs and {self.out_features} units was asked "
                             f"for {units} units on {x.shape[-1]} inputs.")
        weight = self.weight[:units]
        weight = weight[:, :x.shape[-1]] if columns is None else weight.index_select(1, columns)
        return F.linear(x, weight, self.bias[:units])


class ElasticMlp(nn.Module):
    """``h_l = Act(W h_{l-1} + b)`` (paper, Eq. 4), whose units and activations are an argument of every call.

    Args:
        in_features: width of h0.
        units: the most units of each layer.
        activations: for each layer the names that may be asked for: those of ``ACTIVATIONS``, and ``dice``, for
            which the layer gets weights.
        dropout: probability of zeroing an element after each activation.
    """

    def __init__(self, in_features: int, units: Sequence[int], activations: Sequence[Sequence[str]],
                 dropout: float = 0.0) -> None:
        super().__init__()
        known = [*ACTIVATIONS.names(), DICE]
        if len(activations) != len(units):
            raise AmeirError(f"{len(activations)} sets of activations for {len(units)} layers of the MLP.")
        for name in (name for names in activations for name in names):
            if name not in known:
                raise AmeirError(f"Unknown activation '{name}' of the MLP.{did_you_mean(name, known)}")
        self.in_features = in_features
        self.activations = tuple(tuple(names) for names in activations)
        self.linears = nn.ModuleList(ElasticLinear(a, b) for a, b in zip([in_features, *units], units, strict=False))
        self.dices = nn.ModuleDict({str(i): Dice(n) for i, (n, names) in
                                    enumerate(zip(units, activations, strict=True)) if DICE in names})
        self.dropout = Dropout(dropout)

    @property
    def first(self) -> ElasticLinear:
        """The first layer, for those who compute its product themselves and go on with :meth:`forward_from`."""
        return self.layer(0)

    def forward(self, h0: Tensor, layers: Sequence[tuple[int, str]],
                statistics: Sequence[Statistics | None] | None = None) -> Tensor:
        """Return h (B, units of the last layer); without layers ``h0``.

        Args:
            h0: (B, in_features).
            layers: (units, activation) of each layer, at most as many as the MLP has.
            statistics: what :meth:`statistics` gave for the same layers; None uses Dice's own.

        Raises:
            AmeirError: more layers or units than the MLP has, or an activation it was not made for.
        """
        if not layers:
            return h0
        return self.forward_from(self.first(h0, layers[0][0]), layers, statistics)

    def forward_from(self, first: Tensor, layers: Sequence[tuple[int, str]],
                     statistics: Sequence[Statistics | None] | None = None) -> Tensor:
        """Go on after the first layer's product, ``first`` = W h0 + b (B, u) with u the first layer's units.

        The rest is as in :meth:`forward`.
        """
        if statistics is not None and len(statistics) != len(layers):
            raise AmeirError(f"{len(statistics)} statistics for {len(layers)} layers.")
        self._check(first, layers)
        x = first
        for index, (units, activation) in enumerate(layers):
            if index > 0:
                x = self.layer(index)(x, units)  # (B, units)
            given = None if statistics is None else statistics[index]
            x = self.dropout(self.activate(x, index, activation, given))
        return x

    def statistics(self, h0: Tensor, layers: Sequence[tuple[int, str]]) -> list[Statistics | None]:
        """Return each Dice's mean and variance over the rows of ``h0`` (B, in_features) for one child.

        Layer by layer, each with the statistics of those before it, without dropout; None where the activation is
        not Dice. A child's inherited running statistics are those of all children: with these it is scored alone.
        """
        if not layers:
            return []
        with torch.no_grad():
            return self.statistics_from(self.first(h0, layers[0][0]), layers)

    @torch.no_grad()
    def statistics_from(self, first: Tensor, layers: Sequence[tuple[int, str]]) -> list[Statistics | None]:
        """As :meth:`statistics`, from the first layer's product ``first`` = W h0 + b (B, u)."""
        self._check(first, layers)
        found: list[Statistics | None] = []
        x = first
        for index, (units, activation) in enumerate(layers):
            if index > 0:
                x = self.layer(index)(x, units)  # (B, units)
            found.append(batch_statistics(x) if activation == DICE else None)
            x = self.activate(x, index, activation, found[-1])
        return found

    @torch.no_grad()
    def set_statistics(self, statistics: Sequence[Statistics | None]) -> None:
        """Make what :meth:`statistics` gave Dice's running statistics."""
        for index, given in enumerate(statistics):
            if given is not None:
                dice = self.dices[str(index)]
                dice.mean[:len(given[0])].copy_(given[0])  # type: ignore[union-attr, operator, index]
                dice.variance[:len(given[1])].copy_(given[1])  # type: ignore[union-attr, operator, index]

    def layer(self, index: int) -> ElasticLinear:
        """Return a hidden layer's linear part; raises ``AmeirError`` beyond the last."""
        if index >= len(self.linears):
            raise AmeirError(f"This MLP has {len(self.linears)} layers and was asked for one more.")
        return cast(ElasticLinear, self.linears[index])

    def _check(self, first: Tensor, layers: Sequence[tuple[int, str]]) -> None:
        if len(layers) > len(self.linears):
            raise AmeirError(f"This MLP has {len(self.linears)} layers and was asked for {len(layers)}.")
        if layers and first.shape[-1] != layers[0][0]:
            raise AmeirError(f"The first layer's product has {first.shape[-1]} columns, its layer "
                             f"{layers[0][0]} units.")

    def activate(self, x: Tensor, index: int, activation: str, statistics: Statistics | None = None) -> Tensor:
        """Return the activation of layer ``index`` of its product ``x`` (B, u), without dropout.

        Raises ``AmeirError`` for one the layer was not made for. ``statistics`` are Dice's, as in :meth:`forward`.
        """
        if activation not in self.activations[index]:
            raise AmeirError(f"Layer {index + 1} of this MLP was not made for the activation '{activation}'; it holds: "
                             f"{', '.join(self.activations[index]) or 'none'}.")
        if activation == DICE:
            return self.dices[str(index)](x, statistics)
        return ACTIVATIONS.get(activation)(x)
