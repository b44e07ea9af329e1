"""AutoCTR: its blocks against a formula, the graphs it draws and changes, its ranker, and its evolution."""

from __future__ import annotations

from itertools import combinations
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ameir_pl.baselines import build_baseline
from ameir_pl.baselines.blocks import RAW, RankNet, draw, mutate, outputs, plain, read_graph
from ameir_pl.errors import AmeirError
from tests.baselines.finding import Scripted
from tests.baselines.reference import Reference, assert_equals
from tests.models.examples import ctr_schema, make_batch, no_target_schema

SIZES: dict[str, Any] = {"embedding_size": 4, "mlp": [16, 8], "dropout": 0.0}
BLOCKS = [["mlp", 16, ["dense", "sparse"]], ["dot", 16, ["sparse", "dense", 0]], ["fm", 16, [0, 1]],
          ["fm", 16, ["sparse"]], ["mlp", 32, [1, 2]]]


def formula(r: Reference, b: int) -> float:
    values: dict[Any, np.ndarray] = {"sparse": np.stack(r.field_vectors(b)), "dense": r.dense(b)}
    for place, (kind, _, inputs) in enumerate(BLOCKS):
        ordered = [one for one in ("sparse", "dense", *range(place)) if one in inputs]
        if kind == "mlp":
            x = np.concatenate([values[one].reshape(-1) for one in ordered])
            values[place] = np.maximum(r.linear(f"blocks.{place}.hidden.linears.0", x), 0.0)
            continue
        vectors: list[np.ndarray] = []
        for one in ordered:
            vectors += list(values[one]) if one == "sparse" \
                else [r.weights[f"blocks.{place}.project.{one}.weight"] @ values[one]]
        pairs = list(combinations(vectors, 2))
        values[place] = np.array([x @ y for x, y in pairs]) if kind == "dot" else sum(x * y for x, y in pairs)
    return r.head(np.concatenate([values[3], values[4]]))


def test_equals_its_formula() -> None:
    assert_equals("autoctr", ctr_schema(), formula, blocks=BLOCKS)


@pytest.mark.parametrize("schema", [ctr_schema(), no_target_schema()], ids=["dense", "no target"])
def test_every_graph_is_a_model_all_of_whose_weights_learn(schema: Any) -> None:
    random, batch = Random(0), make_batch(schema)
    for _ in range(30):
        graph = draw(random, 5, RAW)
        torch.manual_seed(0)
        model = build_baseline("autoctr", schema, **SIZES, options={"blocks": plain(graph)})
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.uniform_(-0.5, 0.5)
        model(batch).square().sum().backward()
        assert all(p.grad is not None for p in model.parameters()), plain(graph)


@pytest.mark.parametrize("raw", [RAW, RAW[:1]])
def test_changes_are_graphs_that_differ_in_one_block(raw: tuple[str, ...]) -> None:
    random = Random(1)
    for _ in range(300):
        graph = draw(random, 6, raw)
        changed = mutate(random, graph, raw)
        for one in (graph, changed):
            assert read_graph(plain(one), raw) == one and len(one) == 6 and outputs(one)
        assert sum(a != b for a, b in zip(graph, changed, strict=True)) <= 1


def test_ranker_tells_what_it_was_taught() -> None:
    random = Random(2)
    graphs = [draw(random, 5, RAW) for _ in range(220)]

    def quality(graph: Any) -> float:
        return sum(node.kind == "fm" for node in graph) - 0.5 * ("dense" in graph[0].inputs)

    ranker = RankNet(RAW)
    ranker.learn(graphs[:200], [quality(g) for g in graphs[:200]])
    pairs = [(a, b) for a, b in combinations(graphs[200:], 2) if quality(a) != quality(b)]
    right = sum((ranker.score(a) > ranker.score(b)) == (quality(a) > quality(b)) for a, b in pairs)
    assert right / len(pairs) > 0.9
    ranker.learn(graphs[:3], [0.5, 0.5, 0.5])
    assert ranker.score(graphs[0]) == 0.0, "no order, no preference"


def fms(model: nn.Module) -> float:
    """A fitness that only the graph decides."""
    return sum(0.1 * (node.kind == "fm") + 0.01 * len(node.inputs) for node in model.graph)  # type: ignore[union-attr]


def evolved(trials: int, seed: int) -> tuple[Scripted, nn.Module, dict[str, Any]]:
    torch.manual_seed(seed)
    finding = Scripted(score=fms)
    model = build_baseline("autoctr", ctr_schema(), **SIZES, options={"trials": trials, "population": 8})
    found, options = model.found(finding)
    return finding, found, options


def test_evolution() -> None:
    finding, found, options = evolved(40, 0)
    graphs = [model.graph for model in finding.tried]
    assert len(graphs) == 40 == len(set(graphs)), "none is tried twice"
    scores = [fms(model) for model in finding.tried]
    assert fms(found) == max(scores) and plain(found.graph) == options["blocks"]
    assert np.mean(scores[-10:]) > np.mean(scores[:8]) + 0.1 and max(scores) > max(scores[:8])
    assert found.found(finding) == (found, {})
    again = build_baseline("autoctr", ctr_schema(), **SIZES, options=options)
    assert again.graph == found.graph and len(again(make_batch(ctr_schema()))) == 16


def test_the_same_seed_takes_the_same_turns() -> None:
    one, two, other = (evolved(14, seed)[0].tried for seed in (0, 0, 1))
    assert [m.graph for m in one] == [m.graph for m in two] != [m.graph for m in other]


def test_a_fitness_that_is_no_number_is_never_the_best() -> None:
    finding = Scripted(score=lambda model: float("nan") if "dense" in model.graph[0].inputs else 0.1)
    torch.manual_seed(0)
    model = build_baseline("autoctr", ctr_schema(), **SIZES, options={"trials": 12, "population": 4, "size": 2})
    found, _ = model.found(finding)
    assert "dense" not in found.graph[0].inputs


def test_a_small_space_is_tried_whole() -> None:
    finding = Scripted()
    schema = no_target_schema()
    model = build_baseline("autoctr", schema, **SIZES, options={"size": 1, "trials": 100, "population": 100})
    model.found(finding)
    # One block: 6 widths of a hidden layer or 2 kinds of pairs, each of three choices of inputs; pairs need embeddings.
    assert len(finding.tried) < 100
    assert {n.kind for m in finding.tried for n in m.graph} == {"mlp", "dot", "fm"}


@pytest.mark.parametrize(("options", "said"), [
    ({"blocks": [["mlp", 16, ["sparse", 0]]]}, "block 0 reads 0, which is neither of sparse, dense nor an earlier"),
    ({"blocks": [["conv", 16, ["sparse"]]]}, "block 0 is of unknown kind 'conv'"),
    ({"blocks": [["mlp", 0, ["sparse"]]]}, "block 0 has 0 units"),
    ({"blocks": [["mlp", 16, []]]}, "block 0 is not"),
    ({"blocks": ["mlp"]}, "block 0 is not"),
    ({"blocks": [["fm", 16, ["dense"]]]}, "one vector alone"),
    ({"blocks": []}, "no block"),
    ({"epochs": 0}, "options.epochs must be above 0"),
    ({"trials": 0}, "options.trials must be a whole number")])
def test_options_out_of_range(options: dict[str, Any], said: str) -> None:
    with pytest.raises(AmeirError, match=said):
        build_baseline("autoctr", ctr_schema(), **SIZES, options=options)
