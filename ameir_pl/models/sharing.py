"""Many architectures on the same rows: what several of them compute alike is computed once.

Blocks are walked as a tree, depth first: architectures with the same first blocks share those blocks' outputs, and in
the next block those with the same norm and layer share the layer's. Of those with the same history vector, each set of
interactions adds its own projection to one projection of all the rest, and the hidden layers are walked as a tree
again: one product for each distinct beginning, as wide as the widest that goes on from it, of which every architecture
takes its leading columns. Nothing is approximated: the products are those that one architecture alone would make.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import TypeVar, cast

import torch
from torch import Tensor

from ameir_pl.models.ameir import Ameir, Inputs, hidden_layers
from ameir_pl.nn.block import BuildingBlock
from ameir_pl.nn.dice import Statistics, batch_statistics
from ameir_pl.nn.elastic import DICE
from ameir_pl.space.architecture import ZERO, Architecture, MlpLayer

K = TypeVar("K", bound=Hashable)
TOGETHER = 2048
"""Rows times architectures of one product of step 2: what it reads and writes stays in a processor's cache."""
Key = tuple[tuple, tuple, tuple[MlpLayer, ...]]
DiceStatistics = dict[Key, Statistics]
"""Mean and variance of a hidden layer's products, by (blocks, interactions, hidden layers before it)."""


def predict_each(model: Ameir, x: Inputs, architectures: Sequence[Architecture],
                 statistics: DiceStatistics | None = None) -> Iterator[tuple[int, Tensor]]:
    """Yield (place among the architectures, output), in the order in which they get ready.

    In eval mode, and without gradients, each output is what ``model.predict`` gives for that architecture alone.

    Args:
        model: the supernet.
        x: B embedded rows.
        architectures: distinct ones, all held by the model.
        statistics: from :func:`dice_statistics_each` for the same architectures; None uses Dice's own.
    """
    yield from _Walk(model, x, architectures, statistics).outputs()


def dice_statistics_each(model: Ameir, x: Inputs, architectures: Sequence[Architecture]) -> DiceStatistics:
    """Return the statistics of every Dice of every architecture on the given rows (see ``Ameir.dice_statistics``)."""
    walk = _Walk(model, x, [a for a in architectures if any(h.activation == DICE for h in a.mlp)], {}, collect=True)
    for _ in walk.outputs():
        pass
    return walk.statistics or {}


class _Walk:
    def __init__(self, model: Ameir, x: Inputs, architectures: Sequence[Architecture],
                 statistics: DiceStatistics | None, collect: bool = False) -> None:
        self.model, self.x, self.architectures = model, x, architectures
        self.statistics, self.collect = statistics, collect

    def outputs(self) -> Iterator[tuple[int, Tensor]]:
        members = list(range(len(self.architectures)))
        if self.x.history is None:
            yield from self._aggregate(members, None)
        else:
            yield from self._blocks(members, 0, self.x.history)

    def _grouped(self, members: list[int], key: Callable[[Architecture], K]) -> list[tuple[K, list[int]]]:
        groups: dict[K, list[int]] = {}
        for i in members:
            groups.setdefault(key(self.architectures[i]), []).append(i)
        return list(groups.items())

    def _blocks(self, members: list[int], depth: int, h: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Go on with those that share the first ``depth`` blocks, whose output is ``h`` (B, T, D)."""
        x, mask = self.x, cast(Tensor, self.x.mask)
        if depth == len(self.model.blocks):
            yield from self._aggregate(members, self.model.pooling(h, mask, x.target))
            return
        module = cast(BuildingBlock, self.model.blocks[depth])
        zero = [i for i in members if self.architectures[i].blocks[depth].layer == ZERO]
        if zero:
            yield from self._blocks(zero, depth + 1, h)
        others = [i for i in members if self.architectures[i].blocks[depth].layer != ZERO]
        for norm, of_norm in self._grouped(others, lambda a: a.blocks[depth].norm):
            normed = module.normed(h, mask, norm)
            for layer, of_layer in self._grouped(of_norm, lambda a: a.blocks[depth].layer):
                y = module.layers[layer](normed, mask, x.target)
                for activation, group in self._grouped(of_layer, lambda a: a.blocks[depth].activation):
                    yield from self._blocks(group, depth + 1, module.activate(y, h, activation))

    def _aggregate(self, members: list[int], h_a: Tensor | None) -> Iterator[tuple[int, Tensor]]:
        """Go on with those that share all blocks."""
        model, x = self.model, self.x
        units = max((self.architectures[i].mlp[0].units for i in members if self.architectures[i].mlp), default=0)
        rest: Tensor | None = None
        groups = self._grouped(members, lambda a: a.interactions)
        if len(groups) == len(members) > 1 and self._differ_in_interactions(members):
            yield from self._interactions(members, model.without_interactions(x, h_a, units))
            return
        for interactions, group in groups:
            which = model.which(interactions)
            p_b = model.interactions(x.fields, which)
            if which is None:
                h_0 = model.h0(x, h_a, p_b)
                first = model.mlp.first(h_0, units) if units else h_0
            else:
                rest = model.without_interactions(x, h_a, units) if rest is None else rest
                first = model.with_interactions(rest, p_b, which)
            shortcut = model.shortcut(torch.cat([x.fields, p_b], 1)) if model.capacity.shortcut else None
            yield from self._layers(group, (), first, shortcut)

    def _differ_in_interactions(self, members: list[int]) -> bool:
        """Return whether they have one MLP, without Dice, and as many interactions each (step 2)."""
        chosen = [self.architectures[i] for i in members]
        return (len({(a.mlp, len(a.interactions)) for a in chosen}) == 1 and bool(chosen[0].mlp)
                and all(h.activation != DICE for h in chosen[0].mlp)
                and all(a.interactions != self.model.capacity.interactions for a in chosen))

    def _interactions(self, members: list[int], rest: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Run architectures that differ in interactions alone, several in one product."""
        model, fields = self.model, self.x.fields
        rows, units = rest.shape
        together = max(1, TOGETHER // max(rows, 1))
        layers = hidden_layers(self.architectures[members[0]].mlp)
        for start in range(0, len(members), together):
            some = members[start:start + together]
            which = model.places([i for m in some for i in self.architectures[m].interactions])
            products = model.interactions(fields, which).view(rows, len(some), -1).transpose(0, 1)  # (C, B, M·K)
            weights = model.projections(which, units).reshape(len(some), -1, units)  # (C, M·K, U)
            first = torch.baddbmm(rest.expand(len(some), rows, units), products, weights)  # (C, B, U)
            out = model.head(model.mlp.forward_from(first.flatten(0, 1), layers), None)
            yield from zip(some, out.unflatten(0, (len(some), rows)), strict=True)

    def _layers(self, members: list[int], before: tuple[MlpLayer, ...], product: Tensor, shortcut: Tensor | None
                ) -> Iterator[tuple[int, Tensor]]:
        """Go on with those that share blocks, interactions and the hidden layers ``before``; ``product`` (B, U) is
        that of the next layer, U its most units."""
        depth = len(before)
        ends = [i for i in members if len(self.architectures[i].mlp) == depth]
        if ends:
            out = self.model.head(product, shortcut)
            yield from ((i, out) for i in ends)
            members = [i for i in members if len(self.architectures[i].mlp) > depth]
        for activation, group in self._grouped(members, lambda a: a.mlp[depth].activation):
            widest = max(self.architectures[i].mlp[depth].units for i in group)
            h = self._activate(group[0], before, product[:, :widest], activation)
            for layer, same in self._grouped(group, lambda a: a.mlp[depth]):
                wider = [self.architectures[i].mlp[depth + 1].units for i in same
                         if len(self.architectures[i].mlp) > depth + 1]
                own = h[:, :layer.units]
                if wider:
                    if len(wider) < len(same):
                        raise ValueError("architectures of one model have one number of hidden layers")
                    own = self.model.mlp.layer(depth + 1)(own, max(wider))
                yield from self._layers(same, (*before, layer), own, shortcut)

    def _activate(self, member: int, before: tuple[MlpLayer, ...], product: Tensor, activation: str) -> Tensor:
        architecture = self.architectures[member]
        key = (architecture.blocks, architecture.interactions, before)
        given = None
        if activation == DICE and self.statistics is not None:
            if self.collect:
                self.statistics[key] = batch_statistics(product)
            mean, variance = self.statistics[key]
            given = (mean[:product.shape[1]], variance[:product.shape[1]])
        return self.model.mlp.activate(product, len(before), activation, given)
