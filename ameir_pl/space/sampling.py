"""Fair rounds: which children one update of the supernet trains (FairNAS, Chu et al. 2019; paper, Sec. 2.3).

One update is one round of m paths whose gradients add up. What a round holds is a pure function of the seed and the
step, so every rank and every resumed run draws the same; nothing is carried in state.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import count
from math import gcd
from random import Random
from typing import Protocol, TypeVar

from ameir_pl.errors import AmeirError
from ameir_pl.space.architecture import ZERO, Architecture, Block, Interaction
from ameir_pl.space.space import BlockSpace, MlpSpace

C = TypeVar("C")


class Rounds(Protocol):
    """Draws the paths of each update."""

    @property
    def paths(self) -> int:
        """m, the paths of a fair update."""
        ...

    @property
    def active_share(self) -> float:
        """The share of the rows in which a weight that is a choice is active."""
        ...

    @property
    def alternating(self) -> str:
        """The beginning of the names of the weights that are choices; empty where all paths use all weights."""
        ...

    def fair(self, step: int) -> tuple[Architecture, ...]:
        """Return the m paths of update ``step`` under a fair scheme."""
        ...

    def single(self, step: int) -> tuple[Architecture, ...]:
        """Return the one uniformly sampled path of update ``step`` (SPOS: fair in expectation)."""
        ...


def shuffled(items: Sequence[C], rng: Random) -> list[C]:
    """Return the items in a random order."""
    return rng.sample(list(items), len(items))


def deck_period(choices: int, paths: int) -> int:
    """Return the number of updates after which every choice came exactly equally often."""
    return choices // gcd(choices, paths)


@lru_cache(maxsize=256)
def _deck(key: str, choices: tuple[str, ...], paths: int) -> tuple[tuple[str, ...], ...]:
    """Return the cards of one whole deck, a tuple an update: within an update the counts differ by at most one, over
    the deck they are equal."""
    rng = Random(key)
    whole, extras = divmod(paths, len(choices))
    updates: list[tuple[str, ...]] = []
    rest: list[str] = []
    for _ in range(deck_period(len(choices), paths)):
        cards, rest = rest[:extras], rest[extras:]
        missing = extras - len(cards)
        if missing:
            # The new pile starts with cards this update does not have yet, so that none comes twice among its extras.
            first = rng.sample([c for c in choices if c not in cards], missing)
            rest = shuffled([c for c in choices if c not in first], rng)
            cards = [*cards, *first]
        updates.append(tuple(shuffled([*choices * whole, *cards], rng)))
    return tuple(updates)


@lru_cache(maxsize=8)
def _permutation(candidates: tuple[Interaction, ...], key: str) -> tuple[Interaction, ...]:
    """Return the candidates in an order of the key's own; it lasts for many updates."""
    return tuple(shuffled(candidates, Random(key)))


def deal(key: str, choices: Sequence[str], paths: int, step: int) -> tuple[str, ...]:
    """Return the choices dealt to the ``paths`` of update ``step``.

    Counts within an update differ by at most one and are exactly even over each deck of ``deck_period`` updates.
    """
    deck, position = divmod(step, deck_period(len(choices), paths))
    return _deck(f"{key}/{deck}", tuple(choices), paths)[position]


@dataclass(frozen=True)
class BlockRounds:
    """Rounds of step 1: in every block each layer operation once; norms and activations dealt to the others than
    zero (they mean nothing there)."""

    space: BlockSpace
    base: Architecture
    seed: int

    @property
    def paths(self) -> int:
        """m, the number of layer operations."""
        return len(self.space.layers)

    @property
    def active_share(self) -> float:
        """One path's: operations alternate."""
        return 1 / self.paths

    @property
    def alternating(self) -> str:
        """The blocks' operations and norms."""
        return "blocks."

    def fair(self, step: int) -> tuple[Architecture, ...]:
        """Return the paths of one round."""
        columns = []
        for b in range(self.space.depth):
            key = f"{self.seed}/block{b}"
            layers = shuffled(self.space.layers, Random(f"{key}/layers/{step}"))
            others = sum(layer != ZERO for layer in layers)
            norms = iter(deal(f"{key}/norms", self.space.norms, others, step))
            activations = iter(deal(f"{key}/activations", self.space.activations, others, step))
            columns.append([Block(ZERO) if layer == ZERO else Block(layer, next(activations), next(norms))
                            for layer in layers])
        return tuple(replace(self.base, blocks=blocks) for blocks in zip(*columns, strict=True))

    def single(self, step: int) -> tuple[Architecture, ...]:
        """Return one path drawn uniformly."""
        rng = Random(f"{self.seed}/blocks/{step}")
        return (replace(self.base, blocks=self.space.sample(rng)),)


@dataclass(frozen=True)
class InteractionRounds:
    """Rounds of step 2: one candidate a path, in permutations of all candidates that go on across updates."""

    candidates: tuple[Interaction, ...]
    base: Architecture
    seed: int
    most_paths: int = 128

    @property
    def paths(self) -> int:
        """m, all candidates or ``most_paths``."""
        return min(len(self.candidates), self.most_paths)

    @property
    def active_share(self) -> float:
        """One path's: the candidates' columns alternate."""
        return 1 / self.paths

    @property
    def alternating(self) -> str:
        """None as a whole: the candidates' columns are part of the first hidden layer's matrix."""
        return ""

    def _order(self, deck: int) -> tuple[Interaction, ...]:
        return _permutation(self.candidates, f"{self.seed}/interactions/{deck}")

    def fair(self, step: int) -> tuple[Architecture, ...]:
        """Return the paths of one round."""
        first, size = step * self.paths, len(self.candidates)
        decks = {d: self._order(d) for d in range(first // size, (first + self.paths - 1) // size + 1)}
        return tuple(replace(self.base, interactions=(decks[i // size][i % size],))
                     for i in range(first, first + self.paths))

    def single(self, step: int) -> tuple[Architecture, ...]:
        """Return one path drawn uniformly."""
        rng = Random(f"{self.seed}/interaction/{step}")
        return (replace(self.base, interactions=(rng.choice(self.candidates),)),)


def ratio_period(stacks: Sequence[tuple[int, ...]]) -> int:
    """Return the updates after which step 3 has come through a deck of ratios: in as many whole copies of all
    ``stacks`` each first ratio has room for every stack that begins with it."""
    firsts = Counter(stack[0] for stack in stacks)
    copies = next(c for c in count(1) if c * len(stacks) % len(firsts) == 0
                  and c * len(stacks) // len(firsts) >= max(firsts.values()))
    return copies * len(stacks) // len(firsts)


@lru_cache(maxsize=8)
def _ratio_deck(key: str, stacks: tuple[tuple[int, ...], ...]) -> dict[int, tuple[tuple[int, ...], ...]]:
    """Return by first ratio the stacks of one whole deck, one an update.

    Each first ratio comes as often as any other, though few stacks begin with a small one. So each stack comes once,
    and what is missing keeps the first ratio in the second layer: of two layers the second has exactly the ratios
    that it has among all stacks, of more it comes near, as an even first layer has no room for so few narrow ones.
    """
    rng, updates = Random(key), ratio_period(stacks)
    deck: dict[int, tuple[tuple[int, ...], ...]] = {}
    for first in sorted({stack[0] for stack in stacks}):
        own = [stack for stack in stacks if stack[0] == first]
        level = [stack for stack in own if stack[1:2] in ((), (first,))]
        whole, extras = divmod(updates - len(own), len(level))
        deck[first] = tuple(shuffled([*own, *level * whole, *rng.sample(level, extras)], rng))
    return deck


@dataclass(frozen=True)
class MlpRounds:
    """Rounds of step 3: each ratio of the first layer once, deeper ratios as they are among all MLPs, which scoring
    draws from; activations by deck."""

    space: MlpSpace
    base: Architecture
    seed: int

    @property
    def paths(self) -> int:
        """m, the number of ratios."""
        return len(self.space.tenths)

    @property
    def active_share(self) -> float:
        """All: paths use nested parts of the same matrices."""
        return 1.0

    @property
    def alternating(self) -> str:
        """None."""
        return ""

    def fair(self, step: int) -> tuple[Architecture, ...]:
        """Return the paths of one round."""
        everything = tuple(self.space.ratios())
        number, position = divmod(step, ratio_period(everything))
        deck = _ratio_deck(f"{self.seed}/ratios/{number}", everything)
        stacks = [deck[first][position]
                  for first in shuffled(self.space.tenths, Random(f"{self.seed}/ratios/{step}"))]
        activations = zip(*(deal(f"{self.seed}/mlp{i}", self.space.activations, self.paths, step)
                            for i in range(self.space.depth)), strict=True)
        return tuple(replace(self.base, mlp=self.space.layers(stack, chosen))
                     for stack, chosen in zip(stacks, activations, strict=True))

    def single(self, step: int) -> tuple[Architecture, ...]:
        """Return one path drawn uniformly."""
        return (replace(self.base, mlp=self.space.sample(Random(f"{self.seed}/mlp/{step}"))),)


FAIRNESS = ("split", "full", "uniform")
"""split: the batch is split among the m paths; full: every path sees the whole batch; uniform: one path an update."""


def draw(rounds: Rounds, fairness: str, step: int) -> tuple[Architecture, ...]:
    """Return the paths of update ``step`` under the scheme ``fairness``."""
    if fairness not in FAIRNESS:
        raise AmeirError(f"fairness must be one of {', '.join(FAIRNESS)}, found '{fairness}'.")
    return rounds.single(step) if fairness == "uniform" else rounds.fair(step)
