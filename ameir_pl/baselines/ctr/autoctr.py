"""AutoCTR (Song et al., 2020): evolution finds a graph of hidden layers, dot products and factorization machines."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from random import Random
from typing import Any

import torch
from torch import Tensor, nn

from ameir_pl.baselines.base import BASELINES, Baseline, Finding
from ameir_pl.baselines.blocks import BlockNode, Graph, RankNet, draw, mutate, outputs, plain, read_graph
from ameir_pl.baselines.parts import Pairs, PlainMlp, bi_interaction, check_whole, field_vectors
from ameir_pl.batch import Batch
from ameir_pl.errors import AmeirError
from ameir_pl.nn.embedding import FieldEmbedding
from ameir_pl.nn.heads import CtrHead
from ameir_pl.nn.initialization import scaled_normal
from ameir_pl.progress import Meter, console
from ameir_pl.schema import Schema

START = [["dot", 64, ["sparse"]], ["fm", 64, ["sparse", 0]], ["mlp", 64, ["sparse", 0]]]
"""What is built before a graph is found; it is never trained."""
AGE, COST = 0.5, 0.25
"""How much the ranks by age and by weights count beside that by fitness when one has to leave the population."""


@BASELINES.register("autoctr")
class AutoCtr(Baseline):
    """logit = w · [outputs of the blocks that no other block reads].

    Blocks read the embeddings (the histories' sums are embeddings too), the dense values and earlier blocks. ``mlp``
    is one hidden layer of all it reads side by side. ``dot`` and ``fm`` work on vectors of K numbers, to which dense
    values and blocks' outputs are projected, and give the dot products of all pairs, and the sum over all pairs of
    their elementwise products, whose own sum is a factorization machine's second order.

    Found first, by evolution: a parent is drawn from the population by its rank, the most promising of several
    changes to it, as :class:`~ameir_pl.baselines.blocks.RankNet` has it, is trained on a part of the rows, and the
    worst of the population by fitness, age and size makes room. What its paper leaves open is decided so here.

    Args:
        schema: of a dataset of clicks.
        embedding_size: K.
        mlp: not used: the graph is all there is.
        dropout: after each hidden layer.
        size: blocks of a graph.
        trials: graphs to train.
        population: of that many; the first are drawn at random.
        proposals: changes of a parent among which the ranker chooses.
        epochs: each graph is trained for; a part of an epoch is its first batches.
        blocks: [[kind, units, [input, ...]], ...] to train with; null: they are to be found.

    Raises:
        AmeirError: an option is out of range, or the blocks are no graph.
    """

    needs = ("clicks", "fields")

    def __init__(self, schema: Schema, *, embedding_size: int, mlp: Sequence[int], dropout: float = 0.0,
                 size: int = 6, trials: int = 40, population: int = 10, proposals: int = 20, epochs: float = 0.1,
                 blocks: Sequence[Sequence[Any]] | None = None) -> None:
        super().__init__()
        for option, value in (("size", size), ("trials", trials), ("population", population),
                              ("proposals", proposals)):
            check_whole("autoctr", option, value)
        if not epochs > 0:
            raise AmeirError(f"model=autoctr: model.options.epochs must be above 0, found {epochs!r}.")
        self._raw = ("sparse", "dense") if schema.dense else ("sparse",)
        try:
            self.graph = read_graph(START if blocks is None else blocks, self._raw)
        except ValueError as error:
            raise AmeirError(f"model=autoctr: model.options.blocks: {error}.") from error
        self._search: dict[str, int] | None = None
        if blocks is None:
            self._search = {"size": size, "trials": trials, "population": population, "proposals": proposals}
        self._epochs = epochs
        self._again = partial(AutoCtr, schema, embedding_size=embedding_size, mlp=mlp, dropout=dropout)
        self.embedding = FieldEmbedding(schema, embedding_size)
        sparse = len(schema.fields) + len(schema.behaviors)  # vectors
        widths: dict[str | int, int] = {"sparse": sparse * embedding_size, "dense": len(schema.dense)}
        self.blocks = nn.ModuleList()
        for place, node in enumerate(self.graph):
            block = VirtualBlock(node, widths, sparse, embedding_size, dropout)
            self.blocks.append(block)
            widths[place] = block.out_features
        self.head = CtrHead(sum(widths[place] for place in outputs(self.graph)))

    def found(self, finding: Finding) -> tuple[nn.Module, dict[str, Any]]:
        """Search the graph, and return a new model of it."""
        if self._search is None:
            return self, {}
        best = self._evolve(finding, **self._search)
        console().print(f"autoctr found {plain(best)}.", markup=False)
        return self._again(blocks=plain(best)), {"blocks": plain(best)}

    def forward(self, batch: Batch) -> Tensor:
        """Return logits (B,)."""
        e = field_vectors(self.embedding, batch)  # (B, N + N_a, K)
        values: dict[str | int, Tensor] = {"sparse": e, "dense": batch.dense}
        for place, block in enumerate(self.blocks):
            values[place] = block(values)
        return self.head(torch.cat([values[place] for place in outputs(self.graph)], 1))

    def _evolve(self, finding: Finding, size: int, trials: int, population: int, proposals: int) -> Graph:
        random = Random(torch.initial_seed())  # of the seed of this model, the same on every rank
        scores: dict[Graph, float] = {}
        weights: dict[Graph, int] = {}
        alive: list[Graph] = []  # oldest first
        ranker = RankNet(self._raw)
        with Meter("autoctr: graphs", trials, "graphs") as meter:
            for number in range(1, trials + 1):
                graph = self._new(random, scores, size, alive if number > population else [], proposals, ranker)
                if graph is None:  # the space is exhausted
                    break
                model = self._again(blocks=plain(graph))
                weights[graph] = sum(p.numel() for name, p in model.named_parameters() if "embedding" not in name)
                score = finding.trial(model, number, self._epochs)
                scores[graph] = score if score == score else float("-inf")
                alive.append(graph)
                if number >= population:
                    ranker.learn(list(scores), list(scores.values()))
                if len(alive) > population:
                    alive.remove(_leaving(alive, scores, weights))
                meter.advance(note=f"best {max(scores.values()):.4f}")
        return max(scores, key=lambda graph: (scores[graph], -weights[graph]))

    def _new(self, random: Random, seen: dict[Graph, float], size: int, alive: Sequence[Graph], proposals: int,
             ranker: RankNet) -> Graph | None:
        """Return a graph that is not among those ``seen``: the most promising change of one ``alive``, or one drawn."""
        ranked = sorted(alive, key=lambda graph: -seen[graph])
        for _ in range(1000):
            if not ranked:
                new = {draw(random, size, self._raw): None}
            else:
                parent = random.choices(ranked, [1 / (1 + place) for place in range(len(ranked))])[0]
                new = {mutate(random, parent, self._raw): None for _ in range(proposals)}
            fresh = [graph for graph in new if graph not in seen]
            if fresh:
                return max(fresh, key=ranker.score) if ranked else fresh[0]
        return None


class VirtualBlock(nn.Module):
    """One block of a graph.

    Args:
        node: what it is.
        widths: numbers a row of what it may read.
        sparse: vectors of the embeddings.
        size: K.
        dropout: after a hidden layer.

    Attributes:
        out_features: numbers a row it gives.
    """

    def __init__(self, node: BlockNode, widths: dict[str | int, int], sparse: int, size: int, dropout: float) -> None:
        super().__init__()
        self.node = node
        self.hidden: PlainMlp | None = None
        self.project = nn.ModuleDict()
        if node.kind == "mlp":
            self.hidden = PlainMlp(sum(widths[one] for one in node.inputs), [node.units], dropout)
            self.out_features = node.units
            return
        for one in node.inputs:
            if one != "sparse":
                linear = nn.Linear(widths[one], size, bias=False)
                scaled_normal(linear.weight, widths[one])
                self.project[str(one)] = linear
        vectors = len(self.project) + sparse * ("sparse" in node.inputs)
        self.pairs = Pairs(vectors)
        self.out_features = size if node.kind == "fm" else len(self.pairs)

    def forward(self, values: dict[str | int, Tensor]) -> Tensor:
        """Return (B, out_features) from what may be read: ``sparse`` (B, M, K), all else (B, width)."""
        if self.hidden is not None:
            return self.hidden(torch.cat([values[one].flatten(1) for one in self.node.inputs], 1))
        x = torch.cat([values[one] if one == "sparse" else self.project[str(one)](values[one]).unsqueeze(1)
                       for one in self.node.inputs], 1)  # (B, V, K)
        return bi_interaction(x) if self.node.kind == "fm" else (x @ x.mT)[:, self.pairs.first, self.pairs.second]


def _leaving(alive: Sequence[Graph], scores: dict[Graph, float], weights: dict[Graph, int]) -> Graph:
    """Return who leaves a population, of which the oldest is first."""
    best_first = sorted(alive, key=lambda graph: -scores[graph])
    small_first = sorted(alive, key=lambda graph: weights[graph])
    young_first = alive[::-1]
    return max(alive, key=lambda graph: best_first.index(graph) + AGE * young_first.index(graph)
               + COST * small_first.index(graph))
