"""AutoCTR: its blocks against a formula, the graphs it draws and changes, its ranker, and its evolution."""

from __future__ import annotations

from itertools import combinations, combinations_with_replacement
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ameir_pl.baselines import build_baseline
from ameir_pl.baselines.blocks import RAW, RankNet, draw, mutate, outputs, parent, plain, read_graph, survivors
from ameir_pl.errors import AmeirError
from tests.baselines.finding import Scripted
from tests.baselines.reference import Reference, assert_equals
from tests.models.examples import ctr_schema, make_batch, no_target_schema

SIZES: dict[str, Any] = {"embedding_size": 4, "mlp": [16, 8], "dropout": 0.0}
BLOCKS = [["mlp", 16, ["sparse"]], ["dot", 16, ["sparse", 0]], ["fm", 16, [0, 1]], ["fm", 16, ["sparse", 0, 2]],
          ["mlp", 32, [1, 2]], ["dot", 16, [4]]]


def formula(r: Reference, b: int) -> float:
    values: dict[Any, np.ndarray] = {"sparse": np.stack(r.field_vectors(b)), "dense": r.dense(b)}
    for place, (kind, _, inputs) in enumerate(BLOCKS):
        name, vectors = f"blocks.{place}", list(values["sparse"]) if "sparse" in inputs else []
        flat = np.concatenate([values[one].reshape(-1) for one in inputs])
        if kind == "mlp":
            values[place] = np.maximum(r.linear(f"{name}.hidden.linears.0", flat), 0.0)
            continue
        others = [values[one] for one in inputs if one != "sparse"]
        if others and (kind == "dot" or vectors):
            vectors.append(r.linear(f"{name}.project", np.concatenate(others)))
        if kind == "dot":
            values[place] = np.array([x @ y for x, y in combinations_with_replacement(vectors, 2)])
        else:
            first_order = r.weights[f"{name}.first_order.weight_mlp"][0] @ flat
            values[place] = np.array([first_order + sum(x @ y for x, y in combinations(vectors, 2))])
    return r.head(np.concatenate([values["dense"], values[3], values[5]]))  # what no block reads


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
            assert read_graph(plain(one), raw) == one and len(one) == 6 and 5 in outputs(one, raw)
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


def test_parents_and_survivors() -> None:
    random = Random(3)
    tried = list(dict.fromkeys(draw(random, 4, RAW) for _ in range(20)))[:12]
    scores = {graph: float(number % 5) for number, graph in enumerate(tried)}
    weights = dict.fromkeys(tried, 1)
    drawn = [tried.index(parent(random, tried[:4], scores)) for _ in range(4000)]
    # Odds C(2, 2), C(3, 2), C(4, 2), C(5, 2), the last score being the best.
    np.testing.assert_allclose([drawn.count(i) / 4000 for i in range(4)], [1 / 20, 3 / 20, 6 / 20, 10 / 20], atol=0.03)
    assert survivors(tried, scores, weights, 12) == tried, "none has to leave"
    # The first four are of one age: the two that leave for the newest two are the worst of them.
    assert survivors(tried[:6], scores, weights, 4) == tried[2:6]
    assert set(survivors(tried, scores, weights, 3)) <= set(tried[-6:]), "of the latest twice as many"
    alike, heavy = dict.fromkeys(tried, 0.0), weights | {tried[1]: 9}
    assert tried[1] in survivors(tried[:5], alike, weights, 4) and tried[1] not in survivors(tried[:5], alike, heavy, 4)


def fms(model: nn.Module) -> float:
    """A fitness that only the graph decides."""
    return sum(0.1 * (node.kind == "fm") + 0.01 * len(node.inputs) for node in model.graph)  # type: ignore[union-attr]


def evolved(trials: int, seed: int) -> tuple[Scripted, nn.Module, dict[str, Any]]:
    torch.manual_seed(seed)
    finding = Scripted(score=fms)
    options = {"trials": trials, "population": 8, "proposals": 20}
    model = build_baseline("autoctr", ctr_schema(), **SIZES, options=options)
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
    ({"blocks": [["mlp", 16, 3]]}, "block 0 is not"),
    ({"blocks": []}, "no block"),
    ({"epochs": 0}, "options.epochs must be a number above 0"),
    ({"epochs": float("inf")}, "options.epochs must be a number above 0"),
    ({"trials": 0}, "options.trials must be a whole number")])
def test_options_out_of_range(options: dict[str, Any], said: str) -> None:
    with pytest.raises(AmeirError, match=said):
        build_baseline("autoctr", ctr_schema(), **SIZES, options=options)
