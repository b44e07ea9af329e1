"""Several seeds of a search: means, deviations and paired tests over them."""

from __future__ import annotations

import math
import statistics
from typing import Any

import pytest

from ameir_pl.reports.seeds import CHOSEN, paired_test, search_seconds, show_summary, summarize, two_sided_p

TABLE = [(1, 12.706, 0.05), (2, 4.303, 0.05), (3, 3.182, 0.05), (4, 2.776, 0.05), (5, 2.571, 0.05), (9, 2.262, 0.05),
         (4, 4.604, 0.01), (10, 3.169, 0.01), (30, 1.697, 0.1), (120, 1.980, 0.05)]
"""Degrees of freedom, t, two-sided p, as every table of Student's t has them."""


@pytest.mark.parametrize(("degrees", "t", "p"), TABLE)
def test_p_is_that_of_the_tables(degrees: int, t: float, p: float) -> None:
    assert two_sided_p(t, degrees) == two_sided_p(-t, degrees) == pytest.approx(p, rel=2e-3)


@pytest.mark.parametrize("degrees", [1, 2, 7, 8])
def test_p_is_the_area_under_both_tails(degrees: int) -> None:
    scale = math.gamma((degrees + 1) / 2) / math.sqrt(degrees * math.pi) / math.gamma(degrees / 2)
    steps = 20_000
    inside = sum(scale * (1 + (1.3 * (i + 0.5) / steps) ** 2 / degrees) ** (-(degrees + 1) / 2)
                 for i in range(steps)) * 1.3 / steps * 2
    assert two_sided_p(1.3, degrees) == pytest.approx(1 - inside, abs=1e-8) and two_sided_p(0.0, degrees) == 1.0


def test_a_paired_test() -> None:
    first, second = [0.75, 0.77, 0.76, 0.78], [0.74, 0.75, 0.75, 0.76]  # .01, .02, .01, .02
    found = paired_test(first, second)
    assert found["n"] == 4 and found["difference"] == pytest.approx(0.015)
    assert found["sd"] == pytest.approx(0.0057735, rel=1e-4) and found["t"] == pytest.approx(5.19615, rel=1e-4)
    assert found["p"] == pytest.approx(0.01385, rel=1e-3)
    alike = paired_test([0.5, 0.5], [0.5, 0.5])
    assert alike["difference"] == 0 and alike["t"] is None and alike["p"] is None


def run(seed: int, chosen: str, **scores: float) -> dict[str, Any]:
    """metrics.json of a search."""
    return {"dataset": "movielens", "protocol": "time split", "seed": seed, "rows": {"train": 9}, "model": chosen,
            "seconds": {"prepare": 100.0, "stage1": 10.0, "finetune": 4.0 + seed},
            "models": {name.replace("_", "-"): {
                "test": {"auc": score, "logloss": 1 - score}, "valid": {"auc": 0.5}, "params": 1000 * (1 + place),
                "embedding_params": 40, "seconds": 1.0 * seed} for place, (name, score) in enumerate(scores.items())}}


RUNS = {"r.seed1": run(1, "AMEIR-A", DNN=0.70, AMEIR_A=0.75, AMEIR_C=0.74),
        "r.seed2": run(2, "AMEIR-C", DNN=0.71, AMEIR_A=0.74, AMEIR_C=0.78),
        "r.seed3": run(3, "AMEIR-C", DNN=0.72, AMEIR_A=0.73, AMEIR_C=0.75)}


def test_each_row_and_what_was_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    found = summarize(RUNS, "DNN")
    assert found["runs"] == {"1": "r.seed1", "2": "r.seed2", "3": "r.seed3"} and found["split"] == "test"
    assert found["chosen"] == {"1": "AMEIR-A", "2": "AMEIR-C", "3": "AMEIR-C"}
    assert list(found["models"]) == ["DNN", "AMEIR-A", "AMEIR-C", CHOSEN]
    assert found["models"]["DNN"]["test"]["auc"] == pytest.approx({"mean": 0.71, "sd": 0.01})
    best = found["models"][CHOSEN]
    assert best["test"]["auc"]["mean"] == pytest.approx((0.75 + 0.78 + 0.75) / 3)
    assert best["test"]["auc"]["sd"] == pytest.approx(statistics.stdev([0.75, 0.78, 0.75]))
    assert best["params"]["mean"] == pytest.approx((2000 + 3000 + 3000) / 3)
    assert best["seconds"] == pytest.approx({"mean": 16.0, "sd": 1.0}), "of the whole search, without preparing data"
    assert found["paired"]["DNN"]["auc"] == paired_test([0.75, 0.78, 0.75], [0.70, 0.71, 0.72])
    show_summary(found)
    out = " ".join(capsys.readouterr().out.split())
    assert "0.7100 ± 0.0100" in out and "seed 1 AMEIR-A; seed 2 AMEIR-C" in out
    assert "minus DNN, paired t test: AUC +0.0500 ± 0.0200, t(2) = 4.33, p = 0.049" in out


def test_one_seed_has_no_deviation_and_no_test(capsys: pytest.CaptureFixture[str]) -> None:
    found = summarize({"r.seed1": RUNS["r.seed1"]}, "DNN")
    assert found["models"]["DNN"]["test"]["auc"] == {"mean": 0.70} and found["paired"] == {}
    show_summary(found)
    assert "±" not in capsys.readouterr().out.replace("mean ± deviation", "")


def test_models_of_the_compared_runs_are_tested_against_seed_by_seed() -> None:
    every = {f"random.seed{s}": {**run(s, "random", DNN=0.70, random=0.73 + s / 100),
                                 "search": {"compared": {"run": f"mine.seed{s}", "row": one["models"]["AMEIR-C"],
                                                         "seconds": 50.0}}}
             for s, one in zip((1, 2, 3), RUNS.values(), strict=True)}
    found = summarize(every, "DNN")
    assert found["models"]["model of mine"]["test"]["auc"]["mean"] == pytest.approx((0.74 + 0.78 + 0.75) / 3)
    assert found["paired"]["model of mine"]["auc"] == paired_test([0.74, 0.75, 0.76], [0.74, 0.78, 0.75])


def test_seconds_of_a_search() -> None:
    assert search_seconds(RUNS["r.seed1"]) == 15.0 and search_seconds({"seconds": {"prepare": 3.0, "fit": 2.0}}) == 0.0
    assert search_seconds({"seconds": {"prepare": 3.0, "search": 2.0}}) == 2.0
