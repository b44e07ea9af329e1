"""The whole pipeline: what it writes, that steps one by one give the same, and that seeds decide everything."""

from __future__ import annotations

import csv
import json
import math

import polars as pl
import pytest
import yaml
from torch import nn

from ameir_pl.atomic import unsealed
from ameir_pl.cli import derive, evaluate, finetune, search
from ameir_pl.cli.engine import LightningEngine
from ameir_pl.errors import AmeirError
from ameir_pl.search import behavior_step, finalists, interaction_step, mlp_step
from ameir_pl.search.problem import Fit
from ameir_pl.space.architecture import Architecture
from tests.tiny import Tiny, contents, numbers, results

STAGE = {"supernet.ckpt", "candidates.parquet", "architecture.yaml", "summary.json"}
BUNDLE = {"weights.safetensors", "architecture.yaml", "schema.json", "vocabulary.parquet"}
EXPECTED = {"config.yaml", "log.txt", "metrics.csv", "architecture.yaml", "metrics.json",
            *(f"stage{n}/{name}" for n in (1, 2, 3) for name in STAGE), "stage1/winner.ckpt", "stage3/winner.ckpt",
            *(f"model/{name}" for name in BUNDLE)}


def test_a_whole_search_writes_exactly_the_run_folder(finished: Tiny) -> None:
    assert set(contents(finished.folder())) == EXPECTED
    assert [p.name for p in finished.folder().iterdir() if p.name.startswith(".")] == []


def test_metrics_json_has_the_documented_keys(finished: Tiny) -> None:
    metrics = json.loads((finished.folder() / "metrics.json").read_text())
    assert list(metrics)[-1] == "sha256"
    assert set(unsealed(metrics)) == {"dataset", "protocol", "seed", "rows", "models", "seconds", "versions", "clicks",
                                      "constant", "model", "choice"}
    assert (metrics["dataset"], metrics["protocol"], metrics["seed"]) == ("movielens", "time split 80/10/10", 1)
    assert metrics["rows"] == {"train": 1200, "valid": 150, "test": 150}
    assert list(metrics["models"]) == ["DNN", "AMEIR-A", "AMEIR-B", "AMEIR-C"]
    for name, row in metrics["models"].items():
        searched = {"start", "starts"} if name != "DNN" else set()
        assert set(row) == {"valid", "test", "params", "embedding_params", "seconds", "epochs", "best_epoch",
                            "standard_errors", "train_seconds", "schedule", *searched}
        assert row["schedule"] == ("constant" if name == "DNN" else "WarmupCosineLR")
        assert 0 < row["train_seconds"] < row["seconds"] + 0.006
        assert set(row["standard_errors"]["test"]) == {"auc"} and 0 < row["standard_errors"]["test"]["auc"] < 0.1
        for split in ("valid", "test"):
            assert set(row[split]) == {"auc", "logloss"}
            assert all(math.isfinite(v) for v in row[split].values())
        assert row["params"] > 0 and row["seconds"] > 0
    assert set(metrics["seconds"]) == {"prepare", "stage1", "stage2", "stage3", "finetune"}
    assert "torch" in metrics["versions"]


def test_logs_tell_what_happened(finished: Tiny) -> None:
    log = (finished.folder() / "log.txt").read_text()
    for words in ("stage1/supernet: 9 batches", "Stage 2 uses", "stage3/scoring: 6 candidates", "Derived AMEIR-C",
                  "AMEIR-B", "log loss", "Seconds:"):
        assert words in log
    assert "\x1b" not in log
    with (finished.folder() / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = {row["name"] for row in rows}
    assert {"stage1/supernet/train_loss", "stage2/cycle2/train_loss", "stage3/finalist2/valid_auc",
            "finetune/AMEIR-C/valid_auc", "finetune/DNN/train_loss"} <= names
    assert all(math.isfinite(float(row["value"])) for row in rows)


def test_the_assembled_architecture_is_that_of_the_stages(finished: Tiny) -> None:
    parts = [yaml.safe_load((finished.folder() / f"stage{n}/architecture.yaml").read_text()) for n in (1, 2, 3)]
    whole = {"blocks": parts[0]["blocks"], "interactions": parts[1]["interactions"], "mlp": parts[2]["mlp"]}
    last = json.loads((finished.folder() / "metrics.json").read_text())["model"]
    predefined = [{"units": units, "activation": "relu"} for units in (32, 16)]
    parts_of = {"AMEIR-A": whole | {"interactions": [], "mlp": predefined}, "AMEIR-B": whole | {"mlp": predefined},
                "AMEIR-C": whole}
    for name in ("architecture.yaml", "model/architecture.yaml"):
        assert yaml.safe_load((finished.folder() / name).read_text()) == parts_of[last]
    assert len(whole["blocks"]) == 3 and len(whole["interactions"]) == 5 and len(whole["mlp"]) == 2


def test_step_by_step_gives_what_all_gives(finished: Tiny, tiny: Tiny) -> None:
    for stage, variant in enumerate(("AMEIR-A", "AMEIR-B", "AMEIR-C"), 1):
        assert list(search.main(tiny(f"stage={stage}"))["models"]) == [f"{variant}, inherited"]
    derive.main(tiny())
    tuned = finetune.main(tiny())
    assert results(tiny.folder()) == results(finished.folder())
    whole = json.loads((finished.folder() / "metrics.json").read_text())
    assert numbers(tuned) == numbers(whole)
    assert numbers(evaluate.main(tiny())) == numbers(whole)
    assert set(contents(tiny.folder())) == EXPECTED


def test_the_same_seed_twice_is_the_same_bit_for_bit_and_another_is_not(finished: Tiny, tiny: Tiny) -> None:
    search.main(tiny("stage=1"))
    search.main(tiny("stage=1", "seed=2", "run=other"))
    first = {n: d for n, d in results(finished.folder()).items() if n.startswith("stage1")}
    assert first.items() <= results(tiny.folder()).items()
    ours, theirs = results(tiny.folder()), results(tiny.folder("other"))
    assert ours["stage1/supernet.ckpt"] != theirs["stage1/supernet.ckpt"]
    assert ours["stage1/candidates.parquet"] != theirs["stage1/candidates.parquet"]


def test_a_finished_run_trains_nothing(copied: Tiny, monkeypatch: pytest.MonkeyPatch,
                                       capsys: pytest.CaptureFixture[str]) -> None:
    before = results(copied.folder())
    metrics = (copied.folder() / "metrics.json").read_text()
    monkeypatch.setattr("ameir_pl.cli.engine.LightningEngine._run", None)  # any training would fail
    assert search.main(copied("stage=all")) == unsealed(json.loads(metrics))
    out, err = capsys.readouterr()
    assert "nothing was trained" in err and "overwrite=true" in err and "AMEIR-C" in out
    model = json.loads(metrics)["model"]
    for stage in (1, 2, 3):
        search.main(copied(f"stage={stage}"))
        assert f"Stage {stage} is finished" in capsys.readouterr().err
    derive.main(copied())
    assert f"{model} is derived" in capsys.readouterr().err
    finetune.main(copied())
    assert f"{model} is finetuned" in capsys.readouterr().err
    assert results(copied.folder()) == before
    assert (copied.folder() / "metrics.json").read_text() == metrics


LIGHT = ("budget.stage1_epochs=0.5", "budget.cycle_epochs=0.25", "budget.stage3_epochs=1.5", "budget.top_epochs=0",
         "ablation=false", "reference=null")


def test_parts_of_epochs_and_finalists_as_they_inherit(tiny: Tiny) -> None:
    assert list(search.main(tiny("stage=all", *LIGHT))["models"]) == ["AMEIR-C"]
    log = (tiny.folder() / "log.txt").read_text()
    for words in ("stage1/supernet: 4 batches", "stage2/cycle1: 2 batches", "stage3/supernet: 14 batches"):
        assert words in log  # an epoch has 9; 1.5 are two, of three quarters each
    assert "stage1/finalist" not in log
    for stage in (1, 3):
        finalists = json.loads((tiny.folder() / f"stage{stage}/summary.json").read_text())["finalists"]
        assert len(finalists) == 2
        assert all(f["finetuned"] == f["inherited"] and f["epochs"] == 0 for f in finalists)
        best = next(f for f in finalists if f["chosen"])
        chosen = yaml.safe_load((tiny.folder() / f"stage{stage}/architecture.yaml").read_text())
        part = "blocks" if stage == 1 else "mlp"
        assert chosen[part] == best["architecture"][part]


def test_the_better_of_inherited_weights_and_none_is_kept(copied: Tiny) -> None:
    before = json.loads((copied.folder() / "metrics.json").read_text())["models"]["AMEIR-C"]
    runs = {inherit: search.main(copied("stage=all", *LIGHT, "finetuning.peak=0.3", f"inherit={inherit}",
                                        f"run=start-{inherit}"))["models"]["AMEIR-C"]
            for inherit in ("best", "true", "false")}
    both = runs["best"]["starts"]
    assert both == {"inherited": runs["true"]["starts"]["inherited"], "scratch": runs["false"]["starts"]["scratch"]}
    best = max(both, key=lambda start: both[start]["valid"]["auc"])
    assert runs["best"]["start"] == best and runs["best"]["valid"] == both[best]["valid"]
    assert runs["best"]["test"] == runs["true" if best == "inherited" else "false"]["test"]
    assert runs["best"]["schedule"] == runs["true" if best == "inherited" else "false"]["schedule"]
    assert (runs["true"]["schedule"], runs["false"]["schedule"]) == ("WarmupCosineLR", "constant")
    assert before["start"] == "inherited" and list(before["starts"]) == ["inherited"]
    with pytest.raises(AmeirError, match="There is no inherit=maybe"):
        search.main(copied("stage=all", "inherit=maybe"))


def test_the_ablation_can_be_made_up_for(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = search.main(tiny("stage=all", *LIGHT))["models"]["AMEIR-C"]["test"]
    models = search.main(tiny("stage=all", *LIGHT, "ablation=true"))["models"]
    assert set(models) == {"AMEIR-A", "AMEIR-B", "AMEIR-C"} and models["AMEIR-C"]["test"] == alone
    monkeypatch.setattr("ameir_pl.cli.engine.LightningEngine._run", None)  # any training would fail
    assert list(search.main(tiny("stage=all", *LIGHT))["models"]) == list(models)


def test_overwrite_makes_a_stage_again_and_the_later_ones_stale(copied: Tiny) -> None:
    before = results(copied.folder())
    search.main(copied("stage=1", "overwrite=true"))
    assert results(copied.folder()) == before  # the same seed: the later stages still fit
    search.main(copied("stage=all"))

    search.main(copied("stage=1", "overwrite=true", "seed=2"))
    after = results(copied.folder())
    assert {n for n in before if before[n] != after[n]} >= {"stage1/supernet.ckpt", "stage1/winner.ckpt"}
    assert {n: d for n, d in before.items() if n.startswith(("stage2", "stage3", "model"))}.items() <= after.items()
    for command in (search.main, derive.main, finetune.main):
        with pytest.raises(AmeirError, match=r"stage2 was made with other settings.* run=default stage=2 overwrite=tr"):
            command(copied("seed=2"))
    with pytest.raises(AmeirError, match="overwrite=true"):
        evaluate.main(copied("seed=2"))
    assert results(copied.folder()) == after


def test_a_stage_made_from_another_one_is_named(copied: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finalists, "_digest", lambda *_: "another")  # as if stage 1 had come out differently
    search.main(copied("stage=1", "overwrite=true"))
    for command, stage in ((search.main, "stage=2"), (search.main, "stage=3"), (search.main, "stage=all"),
                           (derive.main, "stage=all"), (finetune.main, "stage=all"), (evaluate.main, "stage=all")):
        with pytest.raises(AmeirError, match=r"stage2 was made from another stage 1 .* stage=2 overwrite=true"):
            command(copied(stage))
    monkeypatch.undo()
    search.main(copied("stage=2", "overwrite=true"))
    search.main(copied("stage=3", "overwrite=true"))
    for command in (search.main, derive.main, finetune.main, evaluate.main):
        with pytest.raises(AmeirError, match=r"model was derived from other stages .*ameir derive .*overwrite=true"):
            command(copied())
    derive.main(copied("overwrite=true"))
    assert set(finetune.main(copied())["models"]) == {"DNN", "AMEIR-A", "AMEIR-B", "AMEIR-C"}


@pytest.mark.parametrize(("stage", "module"), [(1, behavior_step), (2, interaction_step), (3, mlp_step)])
def test_a_failing_stage_leaves_what_was_there(copied: Tiny, monkeypatch: pytest.MonkeyPatch, stage: int,
                                               module: object) -> None:
    before = results(copied.folder())

    def fail(*_: object, **__: object) -> None:
        raise ValueError("the power went out")

    monkeypatch.setattr(module, "write_stage", fail)
    with pytest.raises(ValueError, match="the power went out"):
        search.main(copied(f"stage={stage}", "overwrite=true"))
    assert results(copied.folder()) == before
    assert [p.name for p in copied.folder().iterdir() if p.name.startswith(".")] == [".progress"]
    monkeypatch.undo()
    search.main(copied(f"stage={stage}", "overwrite=true"))
    assert results(copied.folder()) == before
    assert not [p for p in copied.folder().iterdir() if p.name.startswith(".")]


def test_a_restart_with_other_settings_that_fails_does_not_pass_the_old_results_for_new(
        copied: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(behavior_step, "write_stage", None)
    with pytest.raises(TypeError):
        search.main(copied("stage=all", "overwrite=true", "seed=2"))
    monkeypatch.undo()
    with pytest.raises(AmeirError, match="stage1 was made with other settings"):
        search.main(copied("stage=all", "seed=2"))


def test_a_first_stage_that_fails_leaves_no_result_and_binds_no_settings(tiny: Tiny, monkeypatch: pytest.MonkeyPatch
                                                                         ) -> None:
    monkeypatch.setattr(behavior_step, "Ameir", None)
    with pytest.raises(TypeError):
        search.main(tiny("stage=1"))
    assert set(contents(tiny.folder())) == {"config.yaml", "log.txt", ".progress/journal.json"}
    monkeypatch.undo()
    search.main(tiny("stage=1", "seed=3"))
    assert (tiny.folder() / "stage1/summary.json").exists()


def test_every_model_is_trained_in_training_mode(copied: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    modes = []

    def fit(self: LightningEngine, model: nn.Module, *, phase: str, **_: object) -> Fit:
        modes.append((phase, model.training))
        return Fit(0.0, 1, 1)

    monkeypatch.setattr(LightningEngine, "fit", fit)
    derive.main(copied("overwrite=true"))
    finetune.main(copied())  # AMEIR-C is read from the bundle, which gives it in eval mode: no dropout
    assert modes == [(f"finetune/{n}", True) for n in ("DNN", "AMEIR-A", "AMEIR-B", "AMEIR-C")]


def test_candidates_are_ranked_by_score_then_size(finished: Tiny) -> None:
    for stage, rows in ((1, 6), (2, None), (3, 6)):
        table = pl.read_parquet(finished.folder() / f"stage{stage}/candidates.parquet")
        assert table.columns == ["architecture", "score", "params", "rank"]
        assert table["rank"].to_list() == list(range(1, len(table) + 1))
        assert rows is None or len(table) == rows
        keys = [(-score, params) for score, params in table.select("score", "params").iter_rows()]
        assert keys == sorted(keys)
        architectures = [Architecture.from_dict(json.loads(a)) for a in table["architecture"]]
        assert len(set(architectures)) == len(architectures)
