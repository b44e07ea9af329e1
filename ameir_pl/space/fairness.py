"""Fairness audit: counts what each update really activated and fails when a fair scheme is not exactly fair."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ameir_pl.space.architecture import ZERO, Architecture, Interaction
from ameir_pl.space.sampling import BlockRounds, InteractionRounds, MlpRounds, deck_period

Rule = Literal["once", "even", "cycle", "free"]


class UnfairError(RuntimeError):
    """A fair scheme activated something too often or too rarely: a fault in the sampler, not in the input."""


@dataclass
class Tally:
    """Counts the activations of one decision.

    Args:
        name: what is decided, for messages.
        choices: everything that can be chosen.
        rule: ``once``: each choice exactly once an update. ``even``: within an update counts differ by at most one,
            and after every ``period`` updates all totals are equal. ``cycle``: none comes again before each came
            as often. ``free``: only counted.
        value: what a path chose here; None where the decision means nothing.
    """

    name: str
    choices: Sequence[object]
    rule: Rule
    value: Callable[[Architecture], object | None]
    totals: Counter = field(default_factory=Counter)
    updates: int = 0

    def add(self, paths: Sequence[Architecture]) -> None:
        """Count one update; raises ``UnfairError`` when the rule is broken."""
        values = [v for v in map(self.value, paths) if v is not None]
        counts = Counter(values)
        unknown = set(counts) - set(self.choices)
        if unknown:
            raise UnfairError(f"{self.name}: {unknown} is not among the candidates")
        self.updates += 1
        if self.rule == "cycle":
            for came, v in enumerate(values, self.totals.total()):
                # While nothing came too early, the rarest came this often: no look at every candidate.
                if self.totals[v] > came // len(self.choices):
                    raise UnfairError(f"{self.name}: {v} came again before every other candidate did "
                                      f"(update {self.updates})")
                self.totals[v] += 1
            return
        self.totals += counts
        if self.rule == "once" and any(counts[c] != 1 for c in self.choices):
            raise UnfairError(f"{self.name}: update {self.updates} activated {dict(counts)}, not each choice once")
        if self.rule == "even":
            period = deck_period(len(self.choices), len(values))
            if self._spread(counts) > 1:
                raise UnfairError(f"{self.name}: counts {dict(counts)} of update {self.updates} differ by over one")
            if self.updates % period == 0 and self._spread(self.totals) > 0:
                raise UnfairError(f"{self.name}: totals {dict(self.totals)} are uneven after {self.updates} updates")

    def _spread(self, counts: Counter) -> int:
        values = [counts[c] for c in self.choices]
        return max(values) - min(values)


def _layer(i: int) -> Callable[[Architecture], object]:
    return lambda a: a.blocks[i].layer


def _of_block(i: int, part: str) -> Callable[[Architecture], object | None]:
    return lambda a: None if a.blocks[i].layer == ZERO else getattr(a.blocks[i], part)


def _of_mlp(i: int, part: str) -> Callable[[Architecture], object]:
    return lambda a: getattr(a.mlp[i], part)


def _interaction(a: Architecture) -> Interaction:
    return a.interactions[0]


def tallies(rounds: BlockRounds | InteractionRounds | MlpRounds, fair: bool) -> list[Tally]:
    """Return the tallies that the rounds of a step must satisfy; with ``fair=False`` they only count."""
    rows: list[tuple[str, Sequence[object], Rule, Callable]] = []
    if isinstance(rounds, BlockRounds):
        space = rounds.space
        for i in range(space.depth):
            rows += [(f"block {i + 1} layer", space.layers, "once", _layer(i)),
                     (f"block {i + 1} norm", space.norms, "even", _of_block(i, "norm")),
                     (f"block {i + 1} activation", space.activations, "even", _of_block(i, "activation"))]
    elif isinstance(rounds, InteractionRounds):
        rows.append(("interaction", rounds.candidates, "cycle", _interaction))
    else:
        units = [rounds.space.units(t) for t in rounds.space.tenths]
        for i in range(rounds.space.depth):
            rows += [(f"hidden layer {i + 1} units", units, "once" if i == 0 else "free", _of_mlp(i, "units")),
                     (f"hidden layer {i + 1} activation", rounds.space.activations, "even", _of_mlp(i, "activation"))]
    return [Tally(name, choices, rule if fair else "free", value) for name, choices, rule, value in rows]
