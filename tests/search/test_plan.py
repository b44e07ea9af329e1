"""What a search says before it begins."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ameir_pl.search.plan import plan_line, warning_of_updates
from ameir_pl.search.settings import Budget, Narrowing

WIDE = "1,560 updates, up to 2,000 candidates, then the best 5 up to 780 updates each"
ROWS = "on 80,000 train rows, scoring on 9,000 validation rows"


@pytest.mark.parametrize(("name", "stages", "finetunes", "expected"), [
    ("paper", (1, 2, 3), True, f"budget=paper {ROWS}: stage 1: {WIDE}; stage 2: 4 cycles of 312 updates; stage 3: "
     f"{WIDE}; finetuning: up to 3,120 updates a model. This is the paper's effort: budget=demo takes minutes."),
    ("demo", (2,), False, f"budget=demo {ROWS}: stage 2: 4 cycles of 312 updates.")])
def test_the_line(name: str, stages: tuple[int, ...], finetunes: bool, expected: str) -> None:
    data = SimpleNamespace(rows={"train": 80_000, "valid": 9_000})
    problem: Any = SimpleNamespace(narrowing=None, budget=Budget(name=name), data=data)
    assert plan_line(problem, stages, 512, finetunes=finetunes) == expected


def test_few_rows_are_one_batch() -> None:
    problem: Any = SimpleNamespace(narrowing=None, budget=Budget(name="light", stage1_epochs=0.5, top_epochs=0),
                                   data=SimpleNamespace(rows={"train": 40, "valid": 5}))
    assert "stage 1: 1 updates, up to 2,000 candidates." in plan_line(problem, (1,), 512, finetunes=False)


def test_limits_count() -> None:
    problem: Any = SimpleNamespace(narrowing=None,
                                   budget=Budget(name="light", stage1_epochs=2, top_epochs=1, finetune_epochs=3),
                                   data=SimpleNamespace(rows={"train": 5_000, "valid": 500}))
    line = plan_line(problem, (1,), 500, finetunes=True, batches=5, accumulated=2, most=8)
    assert "stage 1: 6 updates" in line and "up to 3 updates each" in line and "up to 8 updates a model" in line


@pytest.mark.parametrize(("fields", "wanted", "expected"), [
    (10, 5, "stage 2: 165 interactions narrowed down in 14 trainings of up to 250 updates."),
    (2, 1, "stage 2: 1 interactions narrowed down in 4 trainings of up to 250 updates."),
    (40, 5, "stage 2: 780 interactions narrowed down in at least 22 trainings of up to 250 updates.")])
def test_narrowing_says_its_trainings(fields: int, wanted: int, expected: str) -> None:
    problem: Any = SimpleNamespace(narrowing=Narrowing(), budget=Budget(name="demo"),
                                   schema=SimpleNamespace(field_names=tuple(f"f{i}" for i in range(fields))),
                                   model=SimpleNamespace(interactions=wanted),
                                   data=SimpleNamespace(rows={"train": 80_000, "valid": 9_000}))
    assert plan_line(problem, (2,), 512, finetunes=False).endswith(expected)


def next_items(task: str = "retrieval", clips: int = 22_000, **budget: float) -> Any:
    return SimpleNamespace(narrowing=None, budget=Budget(**budget), schema=SimpleNamespace(task=task),  # type: ignore[arg-type]
                           data=SimpleNamespace(rows={"train": 22_000}, epoch_rows=clips))


def test_too_few_updates_for_next_items_are_said_with_what_makes_them_enough() -> None:
    few = next_items(stage1_epochs=8, finetune_epochs=15)
    line = warning_of_updates(few, (1,), 43, finetunes=True)
    assert line == ("Warning: 344 updates of the supernet and 645 updates of a final model are too few to learn next "
                    "items, which takes 1,000 or more: recipe=best (or dataset.train.clips=auto) makes an epoch of all "
                    "places of a user's sequence, not of one; or take a larger budget.")
    line = warning_of_updates(few, (1,), 43, finetunes=False)
    assert line is not None and "344 updates of the supernet are too few" in line
    line = warning_of_updates(next_items(clips=130_000, stage1_epochs=0.5), (1,), 512, finetunes=False)
    assert line is not None and "or more: Take a larger budget." in line
    assert warning_of_updates(next_items(clips=130_000, stage1_epochs=2, finetune_epochs=3), (1,), 512,
                              finetunes=True) is None
    assert warning_of_updates(next_items("ctr", stage1_epochs=8), (1,), 43, finetunes=True) is None
