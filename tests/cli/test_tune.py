"""``ameir tune``: the grid of the paper, the best of the validation rows, the same again when it goes on."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from ameir_pl.cli import train, tune
from ameir_pl.cli.engine import LightningEngine
from ameir_pl.data.layouts import paper_schema
from ameir_pl.errors import AmeirError
from tests.tiny import Tiny

SHORT = ("model=dnn", "budget.finetune_epochs=1")
VALUES = ("learning_rates=[0.001,0.03]", "weight_decays=[0.0]", "dropouts=[0.0,0.3]")


def test_a_grid(tiny: Tiny, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    result = tune.main(tiny(*SHORT, *VALUES))
    points = [(t["learning_rate"], t["weight_decay"], t["dropout"]) for t in result["trials"]]
    assert points == [(0.001, 0.002, 0.3), (0.001, 0.0, 0.0), (0.001, 0.0, 0.3), (0.03, 0.0, 0.0), (0.03, 0.0, 0.3)]
    assert result["trials"][result["best"]]["valid"] == max(t["valid"] for t in result["trials"])
    best = yaml.safe_load((tiny.folder("tune-dnn") / "best.yaml").read_text())
    found = [f"{key}={value}" for key, value in best["overrides"].items()]
    assert " ".join(found) in capsys.readouterr().out.replace("\n", " ")
    again = train.main(tiny(*SHORT, "run=again", *found))
    assert again["models"]["DNN"]["valid"]["auc"] == best["valid"], "the command that is shown gives that result"
    for folder in tiny.folder().parent.glob("tune-dnn.trial-*"):
        row = json.loads((folder / "metrics.json").read_text())["models"]["DNN"]
        assert row["test"] == {} and row["valid"], "test rows are left alone"

    monkeypatch.setattr(LightningEngine, "_run", None)  # any training would fail
    assert tune.main(tiny(*SHORT, *VALUES)) == result


def test_a_trial_whose_loss_is_no_number_is_the_worst(tiny: Tiny) -> None:
    asked = tiny(*SHORT, "learning_rates=[0.01,1e20]", "weight_decays=[0.0]", "dropouts=[0.0]")
    for _ in range(2):  # the second time goes on with what is there
        result = tune.main(asked)
        assert [t["valid"] is None for t in result["trials"]] == [False, False, True]
    with pytest.raises(AmeirError, match="None of the 2 trials ended with finite numbers"):
        tune.main(tiny(*SHORT, "run=bad", "learning_rates=[1e20]", "weight_decays=[0.0]", "dropouts=[0.0]",
                       "dataset.train.learning_rate=1e19"))


@pytest.mark.parametrize("sampler", ["grid", "optuna"])
@pytest.mark.parametrize("model", ["dnn", "fm"])
def test_what_is_found_is_never_worse_than_the_present_settings(
        sampler: str, model: str, tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    shared = (f"model={model}", "budget.finetune_epochs=1", "dataset.train.learning_rate=0.01")
    result = tune.main(tiny(*shared, f"sampler={sampler}", "trials=2", "learning_rates=[1e-8,1e-7]"))
    present = train.main(tiny(*shared, "run=present"))["models"][model.upper()]["valid"]["auc"]
    assert len(result["trials"]) == 2 and result["trials"][0]["valid"] == present and result["best"] == 0
    out = capsys.readouterr().out.replace("\n", " ")
    assert "are the present settings: no trial was better" in out and "learning_rate=0.01" in out
    best = yaml.safe_load((tiny.folder(f"tune-{model}") / "best.yaml").read_text())
    assert best["valid"] == present and best["overrides"]["dataset.train.learning_rate"] == 0.01


def test_only_what_the_model_has_is_tried(tiny: Tiny, beauty: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    result = tune.main(tiny("model=fm", *VALUES, "budget.finetune_epochs=1"))
    assert [t["dropout"] for t in result["trials"]] == [0.0, 0.0, 0.0]
    said = capsys.readouterr()
    assert "fm has no dropout here" in said.err
    assert "budget.finetune_epochs=1" in said.out, "the command that is shown gives the same model"
    with pytest.raises(AmeirError, match="model=pop has nothing that a learning rate"):
        tune.main(beauty("model=pop"))


def test_optuna_repeats_itself_when_it_goes_on(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = tiny(*SHORT, "sampler=optuna", "trials=4")
    with monkeypatch.context() as patch:
        trained: list[object] = []
        main = train.main

        def some(argv: list[str]) -> Any:
            if len(trained) == 2:
                raise KeyboardInterrupt
            trained.append(argv)
            return main(argv)

        patch.setattr(train, "main", some)
        with pytest.raises(KeyboardInterrupt):
            tune.main(asked)
    whole = tune.main([*asked, "run=whole"])
    assert tune.main(asked)["trials"] == whole["trials"]
    assert len({str(t) for t in whole["trials"]}) == 4
    for trial in whole["trials"][1:]:
        assert 1e-6 <= trial["learning_rate"] <= 1e-3 and 1e-6 <= trial["weight_decay"] <= 1e-3
        assert 0 <= trial["dropout"] <= 0.5


def test_grids_are_those_of_appendix_d() -> None:
    config: Any = SimpleNamespace(learning_rates=None, weight_decays=None, dropouts=[0.1], sampler="grid", trials=None,
                                  seed=1)
    rates = {name: tune.candidates(config, paper_schema(name))["learning_rates"]
             for name in ("alimama", "beauty", "criteo")}
    assert rates == {"alimama": [1e-3, 1e-4, 1e-5, 1e-6], "beauty": [1e-3, 1e-4, 1e-5],
                     "criteo": [1e-3, 1e-4, 3e-5, 1e-5]}
    values = tune.candidates(config, paper_schema("alimama"))
    assert values["weight_decays"] == [1e-3, 1e-4, 1e-5, 1e-6] and values["dropouts"] == [0.1]
    config.trials = 5
    drawn = [tune.proposals(config, values)([((0.0, 0.0, 0.0), 0.0)] * n) for n in range(6)]
    assert drawn[5] is None and len(set(drawn[:5])) == 5 and all(p in tune.product(*values.values()) for p in drawn[:5])


def test_dropout_is_that_of_what_the_model_has() -> None:
    def keys(dataset: str, model: str) -> list[str]:
        overrides = tune.as_overrides((0.1, 0.2, 0.3), paper_schema(dataset), model)
        return [o.split("=")[0].split(".")[-1] for o in overrides]

    assert keys("alimama", "din")[2:] == ["mlp_dropout"] and keys("beauty", "sasrec")[2:] == ["block_dropout"]
    assert keys("alimama", "ameir")[2:] == ["block_dropout", "mlp_dropout"]


MISTAKES = {"sampler=bayes": "no sampler=bayes", "trials=0": "trials=0 must be at least 1",
            "learning_rates=[]": "learning_rates=", "learning_rates=[0.0]": "above 0", "dropouts=[1.0]": "below 1",
            "weight_decays=[-1.0]": "at least 0", "launcher=ray": "leave launcher=ray out"}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes(mistake: str, tiny: Tiny) -> None:
    with pytest.raises(AmeirError, match=MISTAKES[mistake]):
        tune.main(tiny(*SHORT, mistake))
    assert not tiny.runs.exists()
