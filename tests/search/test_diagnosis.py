"""Diagnosis: each step's candidates alone and shared; what was trained alone is used again."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from ameir_pl.atomic import unsealed
from ameir_pl.cli import diagnose
from ameir_pl.cli.engine import LightningEngine
from ameir_pl.errors import AmeirError
from ameir_pl.search.diagnosis import noise
from ameir_pl.search.rank_agreement import kendall_tau
from tests.tiny import Tiny

FEW = ("n=4", "budget.finetune_epochs=1", "plot=false")


def test_every_epoch_is_compared_with_training_alone_and_that_is_kept(
        tiny: Tiny, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    found = diagnose.main(tiny(*FEW, "seeds=2", "run=diagnose", "budget.stage1_epochs=2"))
    assert list(found["by_epoch"]) == ["1", "2"] and found["n"] == len(found["alone"]) == len(found["shared"]) == 4
    assert found["kept"]["tau"] == pytest.approx(kendall_tau(found["alone"], found["shared"]), nan_ok=True)
    assert found["kept"] in (found["by_epoch"]["1"], found["by_epoch"]["2"])  # the epoch whose weights are kept
    assert found["noise"]["seeds_sd"] > 0 and len({json.dumps(a) for a in found["architectures"]}) == 4
    assert {e["decision"] for e in found["effects"]} <= {"layer", "norm", "activation"}
    assert "tau" in capsys.readouterr().out
    saved = json.loads((tiny.folder("diagnose") / "diagnosis-stage1.json").read_text())
    assert unsealed(saved) == json.loads(json.dumps(found))
    assert not [p for p in tiny.folder("diagnose").iterdir() if p.name.startswith(".")]

    # Another supernet and more architectures: what was trained alone is not trained again.
    fitted = []
    fit = LightningEngine.fit
    monkeypatch.setattr(LightningEngine, "fit", lambda self, *a, **k: fitted.append(k["phase"]) or fit(self, *a, **k))
    again = diagnose.main(tiny("n=5", "budget.finetune_epochs=1", "plot=false", "run=other", "seeds=2",
                               "fairness=uniform"))
    assert len(fitted) == 2 and again["alone"][:4] == found["alone"]
    diagnose.main(tiny(*FEW, "run=third", "seeds=1", "dataset.train.learning_rate=0.01"))
    assert len(fitted) == 6  # another rate is another training


def test_later_steps_look_at_a_run(copied: Tiny) -> None:
    for stage in (2, 3):
        found = diagnose.main(copied(*FEW, f"stage={stage}", "run=default", "budget.finetune_epochs=2"))
        assert found["stage"] == stage and all(math.isfinite(v) for v in found["alone"] + found["shared"])
        assert (copied.folder() / f"diagnosis-stage{stage}.json").exists()


def test_the_page_shows_it(tiny: Tiny) -> None:
    diagnose.main(tiny("n=4", "budget.finetune_epochs=1"))
    page = (tiny.folder("diagnose") / "diagnosis-stage1.html").read_text()
    assert "Kendall" in page and "self_attention" in page


@pytest.mark.parametrize(("override", "message"), [
    ("n=3", "fewer than 4"), ("seeds=0", "at least one seed"), ("stage=all", "looks at one step"),
    ("stage=2", "needs the result of stage 1")])
def test_what_cannot_be_diagnosed(tiny: Tiny, override: str, message: str) -> None:
    with pytest.raises(AmeirError, match=message):
        diagnose.main(tiny("plot=false", override))


def test_noise_is_that_of_seeds() -> None:
    table = np.array([[0.1, 0.3], [0.5, 0.7], [0.9, 0.9]])
    said = noise(table)
    assert said["seeds_sd"] == pytest.approx(math.sqrt((0.02 + 0.02 + 0.0) / 3))
    assert said["architectures_sd"] == pytest.approx(np.std([0.2, 0.6, 0.9], ddof=1))
    assert said["tau_between_seeds"] == 1.0
