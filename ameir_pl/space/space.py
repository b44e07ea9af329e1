"""SearchSpace: what may be chosen in each of the three subspaces (paper, Sec. 2.2), their sizes and checks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations_with_replacement, product
from math import comb
from random import Random

from ameir_pl.errors import AmeirError, did_you_mean
from ameir_pl.space.architecture import (
    ZERO,
    Architecture,
    Block,
    Interaction,
    MlpLayer,
    canonical_interactions,
)

NORMS = ("layer_norm", "none")
BLOCK_ACTIVATIONS = ("relu", "gelu", "swish", "identity")
MLP_ACTIVATIONS = ("relu", "swish", "identity", "dice")
TENTHS = tuple(range(1, 11))
"""The ratios 0.1 ... 1.0 of K0, in tenths: whole numbers keep floor(ratio * K0) exact."""


@dataclass(frozen=True)
class BlockSpace:
    """``depth`` blocks, each a layer operation, an activation and a norm; ``zero`` drops the block."""

    depth: int
    layers: tuple[str, ...]
    norms: tuple[str, ...] = NORMS
    activations: tuple[str, ...] = BLOCK_ACTIVATIONS

    def __post_init__(self) -> None:
        if self.depth:
            _check_sets({"layers": self.layers, "norms": self.norms, "activations": self.activations})

    def choices(self) -> list[Block]:
        """Return every distinct block."""
        return sorted({Block(*c) for c in product(self.layers, self.activations, self.norms)})

    def size(self) -> int:
        """Return the number of distinct stacks of blocks."""
        return len(self.choices()) ** self.depth

    def enumerate(self) -> Iterator[tuple[Block, ...]]:
        """Yield every distinct stack."""
        yield from product(self.choices(), repeat=self.depth)

    def sample(self, rng: Random) -> tuple[Block, ...]:
        """Draw a stack: layer, activation and norm each uniform over its operation set."""
        return tuple(Block(rng.choice(self.layers), rng.choice(self.activations), rng.choice(self.norms))
                     for _ in range(self.depth))


@dataclass(frozen=True)
class InteractionSpace:
    """All sets of two and more distinct categorical non-sequential fields."""

    fields: tuple[str, ...]

    def expand(self, kept: Iterable[Interaction]) -> tuple[Interaction, ...]:
        """Cross every kept set with every field (paper, Step 2a): the kept interactions and their children, without
        repeated fields and duplicates. An empty ``kept`` stands for the fields themselves."""
        parents = [tuple(k) for k in kept] or [(f,) for f in self.fields]
        children = [(*p, f) for p in parents for f in self.fields if f not in p]
        return canonical_interactions([*(p for p in parents if len(p) > 1), *children])

    def size(self, highest_order: int) -> int:
        """Return the number of interactions of at most ``highest_order`` fields."""
        return sum(comb(len(self.fields), order) for order in self._orders(highest_order))

    def sets(self, count: int, highest_order: int) -> int:
        """Return the number of sets of ``count`` distinct interactions of at most ``highest_order`` fields."""
        return comb(self.size(highest_order), count)

    def sample(self, count: int, highest_order: int, rng: Random) -> tuple[Interaction, ...]:
        """Draw a set of ``count`` distinct interactions, uniformly over all such sets. There must be as many."""
        orders = self._orders(highest_order)
        weights = [comb(len(self.fields), order) for order in orders]
        drawn: set[Interaction] = set()
        while len(drawn) < count:
            place = rng.randrange(sum(weights))
            order = next(o for i, o in enumerate(orders) if place < sum(weights[:i + 1]))
            drawn.add(tuple(sorted(rng.sample(self.fields, order))))
        return canonical_interactions(drawn)

    def _orders(self, highest_order: int) -> range:
        return range(2, min(highest_order, len(self.fields)) + 1)


@dataclass(frozen=True)
class MlpSpace:
    """``depth`` hidden layers of non-increasing width, each a tenth-ratio of ``width`` = K0 and an activation."""

    depth: int
    width: int
    activations: tuple[str, ...] = MLP_ACTIVATIONS
    tenths: tuple[int, ...] = TENTHS

    def __post_init__(self) -> None:
        if self.depth and self.width < 10:
            raise AmeirError(f"The MLP's input has {self.width} numbers; ratios of a tenth need at least 10. "
                             "Raise the embedding size.")
        if self.depth:
            _check_sets({"activations": self.activations, "ratios": self.tenths})

    def units(self, tenth: int) -> int:
        """Return floor(ratio * K0)."""
        return self.width * tenth // 10

    def ratios(self) -> list[tuple[int, ...]]:
        """Return every sequence of non-increasing ratios, in tenths."""
        return list(combinations_with_replacement(sorted(self.tenths, reverse=True), self.depth))

    def size(self) -> int:
        """Return the number of distinct MLPs (880 for two layers)."""
        return len(self.ratios()) * len(self.activations) ** self.depth

    def enumerate(self) -> Iterator[tuple[MlpLayer, ...]]:
        """Yield every distinct MLP."""
        for ratios in self.ratios():
            for activations in product(self.activations, repeat=self.depth):
                yield self.layers(ratios, activations)

    def sample(self, rng: Random) -> tuple[MlpLayer, ...]:
        """Draw an MLP uniformly over all of them."""
        return self.layers(rng.choice(self.ratios()), [rng.choice(self.activations) for _ in range(self.depth)])

    def layers(self, ratios: Iterable[int], activations: Iterable[str]) -> tuple[MlpLayer, ...]:
        """Return the hidden layers of the given ratios (in tenths) and activations."""
        return tuple(MlpLayer(self.units(t), a) for t, a in zip(ratios, activations, strict=True))


def sample_distinct(space: BlockSpace | MlpSpace, number: int, rng: Random) -> tuple[list[tuple], bool]:
    """Draw ``number`` distinct members of ``space``, or return all of it when it is not larger.

    Returns:
        The members, and whether they are the whole space.
    """
    if space.size() <= number:
        return list(space.enumerate()), True
    drawn: dict[tuple, None] = {}
    while len(drawn) < number:
        drawn.setdefault(space.sample(rng))
    return list(drawn), False


def check_architecture(architecture: Architecture, *, layers: Iterable[str], fields: Iterable[str], depth: int,
                       has_behaviors: bool, width: int, predefined: tuple[MlpLayer, ...] = (),
                       source: str = "architecture") -> None:
    """Raise ``AmeirError`` if ``architecture`` does not fit a dataset.

    Args:
        architecture: what is checked.
        layers: the layer operations the dataset allows (target attention needs a target).
        fields: its categorical non-sequential fields.
        depth: L_a, the most blocks.
        has_behaviors: whether there is a history for the blocks to read.
        width: K0 of this architecture, the most units of a searched layer.
        predefined: the dataset's own MLP, whose units are allowed whatever its width.
        source: named in the message.
    """
    layers, fields = tuple(layers), tuple(fields)
    if architecture.blocks and not has_behaviors:
        raise AmeirError(f"{source}: it has {len(architecture.blocks)} blocks, but the dataset has no behaviors.")
    if len(architecture.blocks) > depth and has_behaviors:
        raise AmeirError(f"{source}: it has {len(architecture.blocks)} blocks, the dataset's models have {depth}. "
                         "Set dataset.model.blocks, or take the surplus out.")
    for i, block in enumerate(architecture.blocks):
        where = f"{source}, blocks[{i}]"
        if block.layer not in layers:
            if block.layer == "target_attention":
                raise AmeirError(f"{where}: target_attention needs a target among the fields, and this dataset "
                                 "has none.")
            raise AmeirError(f"{where}: unknown layer '{block.layer}'.{did_you_mean(block.layer, layers)}")
        _known(block.activation, BLOCK_ACTIVATIONS, f"{where}: unknown activation")
        _known(block.norm, NORMS, f"{where}: unknown norm")
    for interaction in architecture.interactions:
        for name in interaction:
            if name not in fields:
                raise AmeirError(f"{source}: interaction {list(interaction)} names an unknown field "
                                 f"'{name}'.{did_you_mean(name, fields)}")
    previous = width
    for i, layer in enumerate(architecture.mlp):
        _known(layer.activation, MLP_ACTIVATIONS, f"{source}, mlp[{i}]: unknown activation")
        if [each.units for each in architecture.mlp] == [each.units for each in predefined]:
            continue
        if layer.units > width:
            raise AmeirError(f"{source}, mlp[{i}]: {layer.units} units, more than K0 = {width}, the width of the "
                             "MLP's input on this dataset.")
        if layer.units > previous:
            raise AmeirError(f"{source}, mlp[{i}]: {layer.units} units after {previous}; widths must not increase.")
        previous = layer.units


def _check_sets(sets: Mapping[str, tuple[object, ...]]) -> None:
    """Raise ``AmeirError`` for an empty operation set, or one that has a member twice (no round could be fair)."""
    for name, members in sets.items():
        if not members or len(set(members)) < len(members):
            raise AmeirError(f"The {name} of a search space must be one or more, each once; found {list(members)}.")


def _known(name: str, names: tuple[str, ...], what: str) -> None:
    if name not in names:
        raise AmeirError(f"{what} '{name}'.{did_you_mean(name, names)}")


__all__ = ["BLOCK_ACTIVATIONS", "MLP_ACTIVATIONS", "NORMS", "ZERO", "BlockSpace", "InteractionSpace", "MlpSpace",
           "check_architecture", "sample_distinct"]
