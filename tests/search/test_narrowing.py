"""Narrowing: which candidates it begins with, that it halves them, and that a run with it is whole."""

from __future__ import annotations

import json
from itertools import combinations

import polars as pl
import pytest

from ameir_pl.cli import search
from ameir_pl.errors import AmeirError
from ameir_pl.search.narrowing import children, first_candidates
from ameir_pl.search.settings import Narrowing
from ameir_pl.space.architecture import Interaction
from tests.tiny import Tiny

FIELDS = ("a", "b", "c", "d", "e", "f")


def sets(*orders: int) -> set[frozenset[str]]:
    return {frozenset(c) for n in orders for c in combinations(FIELDS, n)}


def as_sets(found: tuple[Interaction, ...]) -> set[frozenset[str]]:
    assert len({frozenset(i) for i in found}) == len(found)
    return {frozenset(i) for i in found}


def test_it_begins_with_all_sets_of_few_fields() -> None:
    found, whole = first_candidates(FIELDS, Narrowing())
    assert whole and as_sets(found) == sets(2, 3)


def test_of_too_many_it_begins_with_the_pairs() -> None:
    found, whole = first_candidates(FIELDS, Narrowing(most_candidates=34))
    assert not whole and as_sets(found) == sets(2)
    grown = children([("a", "b")], FIELDS, Narrowing())
    assert as_sets(grown) == {frozenset("ab"), *(frozenset(("a", "b", f)) for f in "cdef")}


@pytest.mark.parametrize("fields", [FIELDS[:2], FIELDS[:1]])
def test_few_fields_have_few_sets(fields: tuple[str, ...]) -> None:
    found, _ = first_candidates(fields, Narrowing())
    assert as_sets(found) == ({frozenset(fields)} if len(fields) == 2 else set())


def test_a_run_is_whole_and_the_same_each_time(tiny: Tiny) -> None:
    args = tiny("interaction_search=narrowing", "seed=3")
    metrics = search.main([*args, "run=one", "stage=all"])
    assert {"AMEIR-A", "AMEIR-B", "AMEIR-C"} <= set(metrics["models"])
    folder = tiny.folder("one")
    summary = json.loads((folder / "stage2/summary.json").read_text())
    counts = [r["candidates"] for r in summary["rounds"]]
    assert counts[0] == 45 + 120 and summary["rounds"][-1]["kept"] == 5
    assert all(after == max(before // 2, 5) for before, after in zip(counts, counts[1:], strict=False))
    table = pl.read_parquet(folder / "stage2/candidates.parquet")
    assert table["score"].to_list() == sorted(table["score"], reverse=True)
    chosen = {tuple(json.loads(a)["interactions"][0]) for a in table["architecture"]}
    architecture = json.loads(json.dumps(summary["selected"]))
    assert {tuple(i["interaction"]) for i in architecture} == chosen and len(chosen) == 5
    for stage in (1, 2):
        search.main([*args, "run=two", f"stage={stage}"])
    again = json.loads((tiny.folder("two") / "stage2/summary.json").read_text())
    assert again["digest"] == summary["digest"]


def test_more_than_there_are_is_refused(tiny: Tiny) -> None:
    args = tiny("interaction_search=narrowing", "dataset.model.interactions=166", "budget.paths=10")
    search.main([*args, "stage=1"])
    with pytest.raises(AmeirError, match="165 interactions, fewer than dataset.model.interactions=166"):
        search.main([*args, "stage=2"])
