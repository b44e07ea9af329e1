"""``ameir search runs=N``: a run a seed, and what they come to together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ameir_pl.atomic import unsealed
from ameir_pl.cli import search
from ameir_pl.cli.engine import LightningEngine
from ameir_pl.errors import AmeirError
from tests.tiny import Tiny, contents

PLAIN = ("strategy=random", "trainings=1", "budget.finetune_epochs=1", "run=r")


def read(path: Path) -> dict[str, Any]:
    return unsealed(json.loads(path.read_text()))


def test_each_seed_has_a_run_and_all_have_a_summary(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    found = search.main(tiny(*PLAIN, "runs=2", "seed=5"))
    assert {p.name for p in (tiny.runs / "movielens").iterdir()} == {"r", "r.seed5", "r.seed6"}
    assert contents(tiny.folder("r")).keys() == {"summary.json"} and read(tiny.folder("r") / "summary.json") == found
    each = [read(tiny.folder(f"r.seed{s}") / "metrics.json") for s in (5, 6)]
    assert [one["seed"] for one in each] == [5, 6] and found["runs"] == {"5": "r.seed5", "6": "r.seed6"}
    scores = [one["models"]["random"]["test"]["auc"] for one in each]
    assert scores[0] != scores[1]
    assert found["models"]["random"]["test"]["auc"]["mean"] == pytest.approx(sum(scores) / 2)
    test = found["paired"]["DNN"]["auc"]
    base = [one["models"]["DNN"]["test"]["auc"] for one in each]
    assert test["n"] == 2 and test["difference"] == pytest.approx(sum(scores) / 2 - sum(base) / 2)
    out = " ".join(capsys.readouterr().out.split())
    assert "seeds 5, 6, test rows" in out and "The run's model minus DNN, paired t test: AUC" in out

    before = contents(tiny.folder("r.seed5"))
    search.main(tiny(*PLAIN, "seed=5", "run=r.seed5"))  # an ordinary run: its own command shows it again
    assert contents(tiny.folder("r.seed5")) == before

    many = search.main(tiny("strategy=random", "as_long_as=r", "budget.finetune_epochs=1", "run=s", "runs=2", "seed=5"))
    compared = [read(tiny.folder(f"s.seed{s}") / "metrics.json")["search"]["compared"]["run"] for s in (5, 6)]
    assert compared == ["r.seed5", "r.seed6"] and "model of r" in many["models"] and "model of r" in many["paired"]
    with pytest.raises(AmeirError, match="as_long_as=r has runs with the seeds 5, 6, none with 7"):
        search.main(tiny("strategy=random", "as_long_as=r", "run=t", "runs=2", "seed=6"))
    with pytest.raises(AmeirError, match="as_long_as=r: .* is several runs, one for each seed"):
        search.main(tiny("strategy=random", "as_long_as=r", "run=t", "budget.finetune_epochs=1"))


def test_an_interrupted_one_goes_on_and_a_failed_one_is_told(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    fit, seen = LightningEngine.fit, []

    def some(self: LightningEngine, *rest: Any, **named: Any) -> Any:
        seen.append(named["phase"])
        if len(seen) == 4:  # of the second seed, behind its baseline
            raise ValueError("the power went out")
        return fit(self, *rest, **named)

    with monkeypatch.context() as patch:
        patch.setattr(LightningEngine, "fit", some)
        with pytest.raises(AmeirError, match="1 of 2 searches failed.*run=r.seed2: ValueError: the power went out"):
            search.main(tiny(*PLAIN, "runs=2"))
    assert read(tiny.folder("r") / "summary.json")["runs"] == {"1": "r.seed1"}
    before = contents(tiny.folder("r.seed1"))
    found = search.main(tiny(*PLAIN, "runs=2"))
    assert found["runs"] == {"1": "r.seed1", "2": "r.seed2"} and contents(tiny.folder("r.seed1")) == before
