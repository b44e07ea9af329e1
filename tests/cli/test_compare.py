"""``ameir compare``: the table is that of the runs it trained; it goes on where it stopped; one failure is one line."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser

from ameir_pl.atomic import unsealed, write_sealed
from ameir_pl.baselines.base import BASELINES, baselines_for
from ameir_pl.cli import compare, train, tune
from ameir_pl.cli.compose import load_config
from ameir_pl.cli.engine import LightningEngine
from ameir_pl.cli.fingerprint import flat
from ameir_pl.errors import AmeirError
from tests.models.examples import ctr_schema, retrieval_schema
from tests.tiny import Tiny


def metrics(tiny: Tiny, run: str) -> dict[str, Any]:
    return dict(json.loads((tiny.folder(run) / "metrics.json").read_text()))


def test_two_models_of_one_run_folder() -> None:
    compare.check_names(["dnn", "ameir:a/b", "ameir:b/a"])
    with pytest.raises(AmeirError, match=r"ameir:a/b and ameir:a-b would be trained in one run folder"):
        compare.check_names(["ameir:a/b", "dnn", "ameir:a-b"])


def test_models_and_seeds(finished: Tiny, copied: Tiny, monkeypatch: pytest.MonkeyPatch,
                          capsys: pytest.CaptureFixture[str]) -> None:
    asked = copied("models=[dnn,din]", "seeds=[1,3]", "runs=[default]", "budget.finetune_epochs=1")
    result = compare.main(asked)
    assert set(result["models"]) == {"dnn", "din", *(f"{n} (default)" for n in ("DNN", "AMEIR-A", "AMEIR-B",
                                                                               "AMEIR-C"))}
    for model in ("dnn", "din"):
        runs = [metrics(copied, f"compare.{model}.seed{seed}") for seed in (1, 3)]
        assert [run["seed"] for run in runs] == [1, 3]
        aucs = [run["models"][model.upper()]["test"]["auc"] for run in runs]
        assert result["models"][model]["test"]["auc"] == pytest.approx(sum(aucs) / 2)
        assert result["models"][model]["seeds"] == [1, 3]
    folder = copied.folder("compare")
    assert {f.name for f in folder.iterdir()} == {"comparison.json", "comparison.md", "quality_cost.html"}
    assert unsealed(json.loads((folder / "comparison.json").read_text())) == result
    text = (folder / "comparison.md").read_text()
    assert "AMEIR-C (default) was trained in these seconds; its search took" in text
    assert "DNN (default) was finetuned" not in text, "no search found it"
    # What ran, not what the configuration has for supernets.
    assert "schedule=constant" in text and "scheduler=" not in text
    searched = "AMEIR-C (default) has schedule=WarmupCosineLR, supernets' schedule=CosineAnnealingLR"
    assert searched in text and "DNN (default) has" not in text
    for row in metrics(copied, "compare.dnn.seed1")["models"].values():
        assert row["schedule"] == "constant" and 0 < row["train_seconds"] < row["seconds"] + 0.006  # rounded to 0.01
    assert "| din |" in text and "AMEIR-C (default)" in capsys.readouterr().out
    alone = train.main(copied("model=din", "seed=3", "run=alone", "budget.finetune_epochs=1"))
    assert alone["models"]["DIN"]["test"] == metrics(copied, "compare.din.seed3")["models"]["DIN"]["test"]

    monkeypatch.setattr(LightningEngine, "_run", None)  # any training would fail
    assert compare.main(asked) == result


def test_one_that_fails_does_not_end_the_others(tiny: Tiny) -> None:
    with pytest.raises(AmeirError, match=r"1 of 2 trainings failed; .*run=compare.ameir-paper-nowhere.seed1: "):
        compare.main(tiny("models=['ameir:paper/nowhere',dnn]", "plot=false", "budget.finetune_epochs=1"))
    written = json.loads((tiny.folder("compare") / "comparison.json").read_text())
    assert list(written["models"]) == ["dnn"] and not (tiny.folder("compare") / "quality_cost.html").exists()


def test_what_tuning_found_is_used(tiny: Tiny) -> None:
    def asked(*more: str) -> list[str]:
        return [o for o in tiny("plot=false", "budget.finetune_epochs=1", *more) if "mlp_dropout" not in o]

    with pytest.raises(AmeirError, match="tuned=true needs .*tune-dnn/best.yaml.*ameir tune dataset=movielens .*"
                                         "model=dnn run=tune-dnn`"):
        compare.main(asked("models=[dnn]", "tuned=true"))
    tune.main([o for o in asked("model=dnn", "learning_rates=[0.02]", "weight_decays=[0.001]", "dropouts=[0.4]")
               if o != "plot=false"])
    compare.main(asked("models=[dnn]", "tuned=true"))
    config = (tiny.folder("compare.dnn.seed1") / "config.yaml").read_text()
    assert "learning_rate: 0.02" in config and "mlp_dropout: 0.4" in config and "weight_decay: 0.001" in config
    with pytest.raises(AmeirError, match=r"found with other settings: .*embedding_size: 4 -> 8 .*overwrite=true`"):
        compare.main(asked("models=[dnn]", "tuned=true", "run=other", "dataset.model.embedding_size=8"))
    with pytest.raises(AmeirError, match="learning_rate=0.5 would be lost: leave it out, or tuned=true"):
        compare.main(asked("models=[dnn]", "tuned=true", "run=other", "dataset.train.learning_rate=0.5"))


def test_a_model_that_learns_nothing_needs_no_tuning(beauty: Tiny) -> None:
    assert list(compare.main(beauty("models=[pop]", "tuned=true", "plot=false"))["models"]) == ["pop"]


def test_overwriting_again_after_a_failure_makes_all_anew(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs: list[list[str]] = []
    main = train.main

    def noted(job: list[str]) -> Any:
        jobs.append(job)
        return main(job)

    monkeypatch.setattr(train, "main", noted)
    for _ in range(2):
        with pytest.raises(AmeirError, match="1 of 2 trainings failed"):
            compare.main(tiny("models=[dnn,'ameir:paper/nowhere']", "plot=false", "overwrite=true",
                              "budget.finetune_epochs=1"))
    assert jobs[:2] == jobs[2:] and all("overwrite=true" in job for job in jobs)


def test_options_are_given_as_they_are() -> None:
    values = {"a": [["字", "b'"], []], "b": None, "c": 1.5, "d": True, "e": "x\\y, {z}"}
    overrides = compare.chosen_options({"dnn": values}, ["dnn"])["dnn"]
    parsed = OverridesParser.create().parse_overrides(overrides)
    assert {o.key_or_group.rsplit(".")[-1]: o.value() for o in parsed} == values


def test_an_architecture_is_not_trained_with_what_another_was_tuned_for(tiny: Tiny) -> None:
    folder = tiny.folder("tune-ameir-paper-alimama_2")
    folder.mkdir(parents=True)
    settings = {**flat(load_config("train", tiny("model=ameir", "architecture=paper/alimama_1"))[1], tune.TUNED_WITH)}
    (folder / "best.yaml").write_text(yaml.safe_dump({"overrides": {"dataset.train.learning_rate": 0.02}, "valid": 0.5,
                                                      "settings": settings}))
    with pytest.raises(AmeirError, match="architecture: paper/alimama_1 -> paper/alimama_2"):
        compare.main(tiny("models=['ameir:paper/alimama_2']", "tuned=true", "plot=false"))


def test_options_of_single_models(tiny: Tiny) -> None:
    result = compare.main(tiny("models=[dcn,dnn]", "options={dcn:{layers:1}}", "budget.finetune_epochs=1"))
    assert result["models"]["dcn"]["settings"] == {"options": {"layers": 1}} and not result["models"]["dnn"]["settings"]
    assert result["settings"]["embedding_size"] == 4 and result["settings"]["finetune_epochs"] == 1
    text = (tiny.folder("compare") / "comparison.md").read_text()
    assert "- dcn has options={'layers': 1}." in text and "batch_size=128" in text


MISTAKES = {"models=[]": "at least one model", "models=[dnn,dnn]": "each once", "models=[dnnn]": "Did you mean 'dnn'",
            "seeds=0": "seeds=0 must be", "seeds=[1,1]": "different whole numbers", "seeds=x": "seeds=x must be",
            "runs=[nowhere]": "nowhere has no metrics.json", "runs=[a/b]": "no name of a run folder",
            "runs=[a,a]": "each run once", "models=5": "at least one model", "models=null": "at least one model",
            "models=[5]": "at least one model", "measure_test=false": "leave measure_test=false out",
            "model=din": r"sets model itself, and model=din would be lost: say models=\[NAME\]",
            "seed=7": r"seed=7 would be lost: say seeds=\[NUMBER\]", "architecture=paper/alimama_1": "say models=",
            "++model.options.layers=1": "say models=", "options=3": "options=3 must be", "options={dnn:3}": "must be",
            "options={din:{units:3}}": "no such model among",
            "colour=red": "Unknown configuration key 'colour'"}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_said_before_anything_is_trained(mistake: str, tiny: Tiny,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "main", lambda _: pytest.fail("trained"))
    with pytest.raises(AmeirError, match=MISTAKES[mistake]):
        compare.main(tiny("models=[dnn]", mistake, "budget.finetune_epochs=1"))


def test_searches_without_numbers_of_test_rows(copied: Tiny) -> None:
    path = copied.folder() / "metrics.json"
    known = unsealed(json.loads(path.read_text()))
    for row in known["models"].values():
        row["test"] = {}
    write_sealed(path, known)
    with pytest.raises(AmeirError, match="default has no numbers of test rows"):
        compare.main(copied("models=[dnn]", "runs=[default]", "plot=false"))


def test_no_plotly(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotly.subplots", None)
    monkeypatch.setattr(train, "main", lambda _: pytest.fail("trained"))
    with pytest.raises(AmeirError, match="needs Plotly.*plot=false"):
        compare.main(tiny("models=[dnn]"))


def test_all_are_those_that_the_dataset_allows(tmp_path: Path) -> None:
    for schema in (ctr_schema(), retrieval_schema()):
        assert compare.chosen_models("all", schema) == baselines_for(schema)
        for name in set(BASELINES.names()) - set(baselines_for(schema)):
            with pytest.raises(AmeirError, match=f"model={name} cannot be trained on {schema.dataset}"):
                compare.chosen_models([name], schema)


def test_multirun_is_refused(tiny: Tiny) -> None:
    with pytest.raises(AmeirError, match="give it without --multirun"):
        compare.main(["--multirun", *tiny("models=[dnn]")])
