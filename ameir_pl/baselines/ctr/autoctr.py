"""AutoCTR (Song et al., 2020): evolution finds a graph of hidden layers, dot products and factorization machines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from random import Random
from typing import Any

import torch
from torch import Tensor, nn

from ameir_pl.baselines import blocks as graphs
from ameir_pl.baselines.base import BASELINES, Baseline, Finding
from ameir_pl.baselines.blocks import BlockNode, Graph, RankNet, plain
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
ATTEMPTS = 50
"""At a graph that was not tried yet."""


@BASELINES.register("autoctr")
class AutoCtr(Baseline):
    """logit = w · [all blocks' outputs and raw inputs that no block reads].

    Blocks read the embeddings (the histories' sums are embeddings too), the dense values and earlier blocks. ``mlp`` is
    a hidden layer of all that side by side. To ``dot`` and ``fm`` all but the embeddings is one vector more, projected
    to K: they give the dot products of all pairs of vectors, each with itself too, and a factorization machine's sum
    of first and second order.

    Found first, by evolution: a parent is drawn from the population by its rank; the most promising of many changes to
    it, as :class:`~ameir_pl.baselines.blocks.RankNet` has it, is trained on a part of the rows; and the population is
    chosen anew by fitness, age and size. In place of smaller samples with fewer ids, parts of an epoch.

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
                 size: int = 7, trials: int = 100, population: int = 20, proposals: int = 100, epochs: float = 0.1,
                 blocks: Sequence[Sequence[Any]] | None = None) -> None:
        super().__init__()
        for option, value in (("size", size), ("trials", trials), ("population", population),
                              ("proposals", proposals)):
            check_whole("autoctr", option, value)
        if not 0 < epochs < math.inf:
            raise AmeirError(f"model=autoctr: model.options.epochs must be a number above 0, found {epochs!r}.")
        self._raw = ("sparse", "dense") if schema.dense else ("sparse",)
        try:
            self.graph = graphs.read_graph(START if blocks is None else blocks, self._raw)
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
        self.read = graphs.outputs(self.graph, self._raw)
        self.head = CtrHead(sum(widths[one] for one in self.read))

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
        return self.head(torch.cat([values[one].flatten(1) for one in self.read], 1))

    def _evolve(self, finding: Finding, size: int, trials: int, population: int, proposals: int) -> Graph:
        random = Random(torch.initial_seed())  # of the seed of this model, the same on every rank
        scores: dict[Graph, float] = {}
        weights: dict[Graph, int] = {}
        ranker = RankNet(self._raw)

        def proposed() -> list[Graph]:
            """Return graphs to choose from: one drawn, or changes of a parent."""
            if len(scores) < population:
                return [graphs.draw(random, size, self._raw)]
            ranker.learn(list(scores), list(scores.values()))
            one = graphs.parent(random, graphs.survivors(list(scores), scores, weights, population), scores)
            return [graphs.mutate(random, one, self._raw) for _ in range(proposals)]

        with Meter("autoctr: graphs", trials, "graphs") as meter:
            for number in range(1, trials + 1):
                new = next((new for _ in range(ATTEMPTS) if (new := [g for g in proposed() if g not in scores])), None)
                if new is None:  # the space is exhausted
                    break
                graph = new[0] if len(new) == 1 else max(new, key=ranker.score)
                model = self._again(blocks=plain(graph))
                weights[graph] = sum(p.numel() for name, p in model.named_parameters() if "embedding" not in name)
                score = finding.trial(model, number, self._epochs)
                scores[graph] = score if score == score else float("-inf")
                meter.advance(note=f"best {max(scores.values()):.4f}")
        return max(scores, key=lambda graph: (scores[graph], -weights[graph]))


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
        self.project: nn.Linear | None = None
        self.first_order: CtrHead | None = None
        inputs = sum(widths[one] for one in node.inputs)
        if node.kind == "mlp":
            self.hidden = PlainMlp(inputs, [node.units], dropout)
            self.out_features = node.units
            return
        others = sum(widths[one] for one in node.inputs if one != "sparse")
        vectors = sparse * ("sparse" in node.inputs) + bool(others)
        if others and (vectors > 1 or node.kind == "dot"):  # a vector alone has no second order
            self.project = nn.Linear(others, size)
            scaled_normal(self.project.weight, others)
            nn.init.zeros_(self.project.bias)
        if node.kind == "fm":
            self.first_order = CtrHead(inputs)
        self.pairs = Pairs(vectors, itself=True)
        self.out_features = 1 if node.kind == "fm" else len(self.pairs)

    def forward(self, values: dict[str | int, Tensor]) -> Tensor:
        """Return (B, out_features) from what may be read: ``sparse`` (B, M, K), all else (B, width)."""
        flat = torch.cat([values[one].flatten(1) for one in self.node.inputs], 1)
        if self.hidden is not None:
            return self.hidden(flat)
        parts = [values["sparse"]] if "sparse" in self.node.inputs else []
        if self.project is not None:
            others = torch.cat([values[one] for one in self.node.inputs if one != "sparse"], 1)
            parts.append(self.project(others).unsqueeze(1))
        if self.first_order is None:
            x = torch.cat(parts, 1)  # (B, V, K)
            return (x @ x.mT)[:, self.pairs.first, self.pairs.second]
        logit = self.first_order(flat)
        return (logit + bi_interaction(torch.cat(parts, 1)).sum(1) if parts else logit).unsqueeze(1)
