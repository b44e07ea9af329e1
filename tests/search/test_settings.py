"""Budgets count updates where epochs are short."""

from __future__ import annotations

import pytest

from ameir_pl.search.settings import Budget

BUDGET = Budget(stage1_epochs=2, cycle_epochs=1, stage3_epochs=0.5, finetune_epochs=3, patience=1, top_epochs=1,
                least_updates=1000, patient_updates=150)


@pytest.mark.parametrize(("updates", "epochs", "patience"), [(1, 1000, 150), (43, 24, 4), (156, 7, 1), (999, 2, 1)])
def test_short_epochs_are_more(updates: int, epochs: int, patience: int) -> None:
    found = BUDGET.for_epochs_of(updates)
    assert (found.stage1_epochs, found.stage3_epochs, found.patience) == (epochs, epochs, patience)
    assert found.finetune_epochs == max(epochs, 3)
    assert found.stage3_epochs * updates >= 1000 and found.patience * updates >= 150
    assert (found.cycle_epochs, found.top_epochs) == (1, 1)


def test_long_epochs_stay() -> None:
    found = BUDGET.for_epochs_of(5000)
    assert (found.stage1_epochs, found.stage3_epochs, found.finetune_epochs, found.patience) == (2, 0.5, 3, 1)
    none = Budget(stage1_epochs=0.25, patience=1)
    assert none.for_epochs_of(1) == none
