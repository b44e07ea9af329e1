"""Standard errors as measured by drawing again, and what is said of numbers that mean nothing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from pytest import approx

from ameir_pl.reports.chance import auc_error, chance_notes, mean_error, reference, reference_rows, standard_errors

R = np.random.default_rng(3)


@pytest.mark.parametrize(("shift", "clicks", "others"), [(0.0, 40, 200), (0.7, 40, 200), (1.5, 100, 100)])
def test_the_error_of_an_auc_is_that_of_drawing_again(shift: float, clicks: int, others: int) -> None:
    # Exponential scores, for which Hanley and McNeil's formula is made: P(click above another) = r / (1 + r).
    ratio = math.exp(shift)
    drawn = [np.mean(R.exponential(ratio, clicks)[:, None] > R.exponential(1.0, others)) for _ in range(1500)]
    assert np.mean(drawn) == approx(ratio / (1 + ratio), abs=0.01)
    assert auc_error(ratio / (1 + ratio), clicks, others) == approx(np.std(drawn), rel=0.08)


def test_errors_without_meaning_are_none() -> None:
    assert all(math.isnan(error) for error in (auc_error(0.5, 0, 10), auc_error(math.nan, 5, 5), mean_error(0.1, 0)))
    assert auc_error(0.5, 1, 10**6) == approx(1 / math.sqrt(12), abs=1e-3)  # one click: uniform
    assert mean_error(0.2, 100) == approx(0.04)


class Rows:
    def __init__(self, rows: int, train: int, test: int, items: int = 0) -> None:
        self.rows = {"train": rows, "valid": rows, "test": rows}
        self.clicks = {} if items else {"train": train, "valid": test, "test": test}
        self.catalogue = items


def metrics(data: Rows, **models: dict[str, float]) -> dict[str, Any]:
    rows = {name: {"valid": test, "test": test, "standard_errors": standard_errors(
        {"test": test}, data.rows, data.clicks)} for name, test in models.items()}
    return {"rows": data.rows, "models": rows, **reference(data)}  # type: ignore[arg-type]


def test_a_constant_predicts_the_click_rate_of_train_rows() -> None:
    known = metrics(Rows(1000, 100, 300))
    assert known["clicks"] == {"train": 100, "valid": 300, "test": 300}
    assert known["constant"]["test"] == {"auc": 0.5, "logloss": approx(-0.3 * math.log(0.1) - 0.7 * math.log(0.9))}


def test_chance_order_is_that_of_drawing() -> None:
    chance = reference(Rows(10, 0, 0, items=400))["chance"]  # type: ignore[arg-type]
    for split, candidates in (("valid", 101), ("test", 101), ("test_full", 400)):
        ranks = np.arange(1, candidates + 1)
        for k in (1, 5, 10):
            assert chance[split][f"hr@{k}"] == approx(np.mean(ranks <= k))
        assert chance[split]["ndcg@10"] == approx(np.mean((ranks <= 10) / np.log2(ranks + 1)))


@pytest.mark.parametrize(("auc", "logloss", "said"), [
    (0.46, 0.3, f"AUC 0.4600 ± {auc_error(0.46, 300, 2700):.4f} is not above the 0.5"), (0.51, 0.3, "AUC 0.5100"),
    (0.51, 0.3, "is not above the 0.5 of a constant by two standard errors"),
    (0.7, 0.9, "log loss 0.9000 is worse than the 0.3251 of always predicting the click rate"), (0.7, 0.3, "")])
def test_a_model_below_chance_is_said(auc: float, logloss: float, said: str) -> None:
    notes = chance_notes(metrics(Rows(3000, 300, 300), DNN={"auc": auc, "logloss": logloss}))
    assert (said in " ".join(notes) and "ameir compare models=[lr" in notes[-1] and "DNN does not beat a constant" in
            notes[0]) if said else notes == []


def test_next_items_below_chance_are_said() -> None:
    data = Rows(2000, 0, 0, items=500)
    poor, good = ({f"{m}@{k}": value for m in ("hr", "ndcg") for k in (1, 5, 10)} for value in (0.09, 0.2))
    assert "HR@10 0.0900 is not above 0.0990" in chance_notes(metrics(data, POP=poor))[0]
    assert chance_notes(metrics(data, POP=good)) == []


@pytest.mark.parametrize("clicks", [1, 8, 49, 50, 2951, 2999])
def test_too_few_clicks_are_said(clicks: int) -> None:
    notes = chance_notes(metrics(Rows(3000, 300, clicks), DNN={"auc": 0.9, "logloss": 0.0001}))
    few = min(clicks, 3000 - clicks)
    found = [note for note in notes if "too few to measure" in note]
    assert len(found) == (2 if few < 50 else 0)
    for note in found:
        assert f"Warning: {few} of the 3,000" in note
        assert {1: "is a click,", 2999: "is no click,", 2951: "are no clicks,"}.get(clicks, "are clicks,") in note


def test_log_loss_is_compared_whatever_the_clicks() -> None:
    notes = chance_notes(metrics(Rows(400, 10, 1), DNN={"auc": 0.02, "logloss": 0.439}))
    assert any("its log loss 0.4390 is worse than the 0.0" in note and "its AUC" not in note for note in notes)


def test_an_auc_of_one_is_no_merit() -> None:
    notes = chance_notes(metrics(Rows(3000, 300, 300), DNN={"auc": 0.9991, "logloss": 0.9}))
    assert len(notes) == 1 and "a field gives the label away" in notes[0]


def test_rows_below_the_models() -> None:
    rows = reference_rows(metrics(Rows(3000, 300, 300), A={"auc": 0.8, "logloss": 1}, B={"auc": 0.6, "logloss": 1}))
    assert list(rows) == ["constant", "± 1 s.e."]
    assert rows["± 1 s.e."]["test"] == {"auc": approx(auc_error(0.6, 300, 2700), abs=1e-6)}
    assert reference_rows({"models": {"A": {"test": {"auc": 0.5}}}}) == {}  # of an earlier version
