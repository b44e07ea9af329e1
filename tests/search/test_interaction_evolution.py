"""Step 2's evolution: no duplicates, weights inherited from cycle to cycle; and scores that can be had again."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations

import polars as pl
import pytest
import torch

from ameir_pl.cli.compose import load_config
from ameir_pl.cli.setup import open_session
from ameir_pl.models.ameir import Ameir
from ameir_pl.search.assembly import assembled, stage_model, variant_architecture
from ameir_pl.search.evaluator import CandidateScorer
from ameir_pl.search.interaction_step import cycle_supernet
from ameir_pl.search.problem import Problem
from ameir_pl.space.architecture import Architecture
from tests.tiny import Tiny

FIRST = "mlp.linears.0.weight"


@pytest.fixture(scope="module")
def problem(finished: Tiny) -> Problem:
    """The finished run, opened to be read."""
    return open_session(*load_config("search", finished()), "evaluate").problem


def columns(model: Ameir) -> dict[str, torch.Tensor]:
    parts, start = {}, 0
    for name, width in model.segments():
        parts[name] = model.state_dict()[FIRST][:, start:start + width]
        start += width
    return parts


def test_a_cycle_crosses_what_was_kept_with_every_field(problem: Problem) -> None:
    fields = problem.schema.field_names
    _, first = cycle_supernet(problem, (), None, 1)
    assert {frozenset(c) for c in first} == {frozenset(p) for p in combinations(fields, 2)}
    _, second = cycle_supernet(problem, first[:6], None, 2)
    assert len({frozenset(c) for c in second}) == len(second)
    assert all(len(set(c)) == len(c) for c in second)
    assert set(first[:6]) <= set(second)
    assert {frozenset(c) for c in second} == {frozenset({*k, f}) for k in first[:6] for f in fields}


def test_weights_pass_from_cycle_to_cycle(problem: Problem) -> None:
    start = stage_model(problem, 1, winner=True)
    one, candidates = cycle_supernet(problem, (), start, 1)
    assert torch.equal(one.embedding.weight, start.embedding.weight)
    with torch.no_grad():
        for parameter in one.parameters():
            parameter.add_(torch.randn_like(parameter))  # as training would
    two, after = cycle_supernet(problem, candidates[:6], one, 2)
    new, old = columns(two), columns(one)
    for name, values in new.items():
        assert (name in old) == torch.equal(values, old.get(name, torch.empty(0))), name
    fresh = [v for n, v in new.items() if n not in old]
    assert len(fresh) == len(after) - 6 and all(v.std() > 0 for v in fresh)
    state = one.state_dict()
    assert all(torch.equal(v, state[n]) for n, v in two.state_dict().items() if n != FIRST)


def test_the_next_steps_begin_with_the_weights_of_the_last(problem: Problem) -> None:
    a, supernet = stage_model(problem, 1, winner=True), stage_model(problem, 2, winner=False)
    b = assembled(problem, "AMEIR-B")
    ours, blocks, interactions = columns(b), columns(a), columns(supernet)
    for name, values in ours.items():
        assert torch.equal(values, (interactions if name.startswith("interaction ") else blocks)[name]), name
    assert torch.equal(b.embedding.weight, a.embedding.weight)
    assert all(torch.equal(v, a.state_dict()[n]) for n, v in b.state_dict().items() if n.startswith("blocks."))


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_scores_can_be_had_again_from_the_supernet(problem: Problem, stage: int) -> None:
    table = pl.read_parquet(problem.folder.stage(stage) / "candidates.parquet")
    scorer = CandidateScorer(stage_model(problem, stage, winner=False), problem.objective,
                             problem.data.subset("valid", problem.budget.valid_rows, problem.seed),
                             problem.data.subset("train", problem.budget.calibration_rows, problem.seed))
    for text, score in table.select("architecture", "score").head(10).iter_rows():
        assert scorer.score(Architecture.from_dict(json.loads(text))) == pytest.approx(score, abs=1e-12)


def test_the_winner_is_the_best_finalist(problem: Problem) -> None:
    for stage in (1, 3):
        finalists = problem.folder.summary(stage)["finalists"]
        table = pl.read_parquet(problem.folder.stage(stage) / "candidates.parquet")
        assert [json.loads(a) for a in table["architecture"].head(2)] == [f["architecture"] for f in finalists]
        best = next(f for f in finalists if f["chosen"])
        found = problem.folder.architecture(stage)
        assert found == Architecture.from_dict(best["architecture"])
        assert all(f["finetuned"]["auc"] >= f["inherited"]["auc"] for f in finalists)
    b = variant_architecture(problem, "AMEIR-B")
    assert replace(b, mlp=()) == replace(variant_architecture(problem, "AMEIR-C"), mlp=())
    assert b.mlp == problem.predefined
    table = pl.read_parquet(problem.folder.stage(2) / "candidates.parquet")
    top = {tuple(json.loads(a)["interactions"][0]) for a in table["architecture"].head(5)}
    assert set(b.interactions) == top
