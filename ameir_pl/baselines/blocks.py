"""Graphs of virtual blocks: AutoCTR's space, and what its evolution draws, changes and keeps (Song et al., 2020).

What the paper's text leaves open is as in its authors' code (github.com/facebookresearch/AutoCTR).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import comb
from random import Random
from typing import Any

import torch
from torch import Tensor

KINDS = ("mlp", "dot", "fm")
"""A hidden layer; the dot products of all pairs of vectors; a factorization machine, which gives one number."""
UNITS = (32, 64, 128, 256, 512, 1024)
"""Of a hidden layer."""
RAW = ("sparse", "dense")
"""What is no block's output: the embeddings, and the dense values."""


@dataclass(frozen=True)
class BlockNode:
    """One block.

    Args:
        kind: one of ``KINDS``.
        units: of a hidden layer; not used by the others.
        inputs: ``sparse``, ``dense``, and the places of earlier blocks; at least one.
    """

    kind: str
    units: int
    inputs: tuple[str | int, ...]


Graph = tuple[BlockNode, ...]


def read_graph(values: Sequence[Sequence[Any]], raw: Sequence[str] = RAW) -> Graph:
    """Return the graph of values [[kind, units, [input, ...]], ...]; raises ``ValueError`` where they are none."""
    nodes: list[BlockNode] = []
    if not values:
        raise ValueError("there is no block")
    for place, value in enumerate(values):
        if len(value) != 3 or not isinstance(value[2], Sequence) or isinstance(value[2], str) or not value[2]:
            raise ValueError(f"block {place} is not [kind, units, [input, ...]]: {value!r}")
        kind, units, inputs = value
        if kind not in KINDS:
            raise ValueError(f"block {place} is of unknown kind {kind!r}; there are {', '.join(KINDS)}")
        if type(units) is not int or units < 1:
            raise ValueError(f"block {place} has {units!r} units")
        for one in inputs:
            if one not in raw and not (type(one) is int and 0 <= one < place):
                raise ValueError(f"block {place} reads {one!r}, which is neither of {', '.join(raw)} nor an earlier "
                                 "block")
        nodes.append(BlockNode(kind, units, _ordered(inputs)))
    return tuple(nodes)


def plain(graph: Graph) -> list[list[Any]]:
    """Return the plain values of a graph."""
    return [[node.kind, node.units, list(node.inputs)] for node in graph]


def outputs(graph: Graph, raw: Sequence[str]) -> tuple[str | int, ...]:
    """Return what no block reads, blocks and raw inputs: the logit is made of it."""
    read = {one for node in graph for one in node.inputs}
    return tuple(one for one in (*raw, *range(len(graph))) if one not in read)


def draw(random: Random, blocks: int, raw: Sequence[str]) -> Graph:
    """Return a graph drawn at random: each block reads each thing before it with a chance of one half."""
    return tuple(_drawn(random, place, raw) for place in range(blocks))


def mutate(random: Random, graph: Graph, raw: Sequence[str]) -> Graph:
    """Return a graph with one thing about one block changed: its kind, its units, or one of its inputs."""
    place = random.randrange(len(graph))
    node = graph[place]
    change = random.choice(("kind", "units", "inputs") if node.kind == "mlp" else ("kind", "inputs"))
    if change == "kind":
        node = replace(node, kind=random.choice([k for k in KINDS if k != node.kind]))
    elif change == "units":
        node = replace(node, units=random.choice([u for u in UNITS if u != node.units]))
    else:
        one = random.choice([*raw, *range(place)])
        inputs = set(node.inputs) ^ {one}
        node = replace(node, inputs=_ordered(inputs or {random.choice(raw)}))
    return (*graph[:place], node, *graph[place + 1:])


def features(graph: Graph, raw: Sequence[str]) -> Tensor:
    """Return what a ranker is told of a graph: of each block its kind, its units if it has any, and its inputs."""
    row: list[float] = []
    for place, node in enumerate(graph):
        row += [float(node.kind == kind) for kind in KINDS]
        row.append((UNITS.index(node.units) + 1) / len(UNITS) if node.kind == "mlp" else 0.0)
        row += [float(one in node.inputs) for one in (*raw, *range(place))]
    return torch.tensor(row, dtype=torch.float64)


def parent(random: Random, alive: Sequence[Graph], scores: Mapping[Graph, float]) -> Graph:
    """Return one of those ``alive``: of P, the one of place r (from 0, by its score) with odds C(P - r + c - 1, c), c
    being half of P."""
    best_first = sorted(alive, key=lambda graph: -scores[graph])
    count, drawn = len(alive), max(len(alive) // 2, 1)
    return random.choices(best_first, [comb(count - place + drawn - 1, drawn) for place in range(count)])[0]


def survivors(tried: Sequence[Graph], scores: Mapping[Graph, float], weights: Mapping[Graph, int], count: int
              ) -> list[Graph]:
    """Return the population: ``count`` of all that were ``tried``, oldest first.

    Of the latest ``2 count`` those with the least of age + 0.1 rank by score + 0.1 rank by weights, each in [0, 1]; the
    first ``count`` are of one age.
    """
    latest = tried[-2 * count:]

    def cost(graph: Graph) -> float:
        age = (len(tried) - max(tried.index(graph), count - 1)) / len(tried)
        better = sum(scores[other] > scores[graph] for other in latest)
        smaller = sum(weights[other] < weights[graph] for other in latest)
        return age + 0.1 * (better + smaller) / len(latest)

    kept = sorted(latest, key=cost)[:count]
    return [graph for graph in latest if graph in kept]


class RankNet:
    """Tells which of two graphs is better, learned from those that were trained (Burges et al. 2005).

    A linear score of :func:`features`, ``P(a before b) = sigmoid(s_a - s_b)``; the original ranks with LambdaRank on
    boosted trees.
    """

    STEPS, RATE, DECAY = 100, 0.2, 0.01

    def __init__(self, raw: Sequence[str]) -> None:
        self._raw, self._weight = raw, torch.zeros(0, dtype=torch.float64)

    def learn(self, graphs: Sequence[Graph], scores: Sequence[float]) -> None:
        """Learn the order of graphs by their scores, larger being better."""
        x = torch.stack([features(g, self._raw) for g in graphs])
        y = torch.tensor(scores, dtype=torch.float64)
        better, worse = torch.nonzero(y[:, None] > y[None, :], as_tuple=True)
        self._weight = torch.zeros(x.shape[1], dtype=torch.float64)
        if len(better) == 0:
            return
        difference = x[better] - x[worse]  # (pairs, features)
        for _ in range(self.STEPS):
            wrong = torch.sigmoid(-difference @ self._weight)
            self._weight += self.RATE * (difference.T @ wrong / len(better) - self.DECAY * self._weight)

    def score(self, graph: Graph) -> float:
        """Return the score of a graph; larger is expected to be better."""
        return float(features(graph, self._raw) @ self._weight)


def _drawn(random: Random, place: int, raw: Sequence[str]) -> BlockNode:
    inputs = {one for one in (*raw, *range(place)) if random.random() < 0.5} or {random.choice(raw)}
    return BlockNode(random.choice(KINDS), random.choice(UNITS), _ordered(inputs))


def _ordered(inputs: Iterable[str | int]) -> tuple[str | int, ...]:
    """Return inputs in one order, each once: raw ones first."""
    return (*(one for one in RAW if one in set(inputs)),
            *sorted(one for one in set(inputs) if isinstance(one, int)))
