"""The run's model is the variant that validation rows say, in every file and for every command after it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from ameir_pl.atomic import unsealed, write_sealed
from ameir_pl.cli import derive, evaluate, export, finetune, search
from ameir_pl.cli.compose import load_config
from ameir_pl.cli.setup import open_session
from ameir_pl.errors import AmeirError
from ameir_pl.export.bundle import read_bundle
from ameir_pl.models.cost import trainable_parameters
from ameir_pl.search.choosing import Choice, Entrant
from ameir_pl.search.pipeline import measure
from tests.tiny import Tiny, numbers, results

VARIANTS = ("AMEIR-A", "AMEIR-B", "AMEIR-C")


def metrics_of(tiny: Tiny) -> dict[str, Any]:
    return dict(unsealed(json.loads((tiny.folder() / "metrics.json").read_text())))


def falls_on(place: int) -> Callable[..., Choice]:
    def choose(entrants: list[Entrant], objective: Any) -> Choice:
        scores = {e.name: {"score": objective.score([e.predictions]), "params": e.params} for e in entrants}
        return Choice(place, entrants[place].name, objective.fitness, scores, f"it fell on {entrants[place].name}.")

    return choose


@pytest.fixture
def kept_b(copied: Tiny, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    """A finished search whose model is AMEIR-B."""
    with monkeypatch.context() as patch:
        patch.setattr(finetune, "choose", falls_on(1))
        derive.main(copied("overwrite=true"))
        finetune.main(copied())
    return copied


def test_the_choice_is_that_of_the_rule_and_is_said(finished: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = metrics_of(finished)
    name, choice, rows = metrics["model"], metrics["choice"], metrics["models"]
    assert choice["by"] == "validation" and choice["metric"] == "auc" and tuple(choice["models"]) == VARIANTS
    assert choice["best"] == max(VARIANTS, key=lambda v: rows[v]["valid"]["auc"])
    for variant, told in choice["models"].items():
        assert told["score"] == pytest.approx(rows[variant]["valid"]["auc"])
        assert told["params"] == rows[variant]["params"]
    alike = [v for v, told in choice["models"].items()
             if v == choice["best"] or told["below_best"] < told["error"] or told["below_best"] == 0]
    assert name == min(alike, key=lambda v: rows[v]["params"])
    bundle = read_bundle(finished.folder() / "model")
    assert (bundle.variant, bundle.state) == (name, "finetuned")
    config, composed = load_config("search", finished())
    session = open_session(config, composed, "evaluate")
    assert measure(session.problem, bundle.model)[0] == rows[name]["valid"]
    assert trainable_parameters(bundle.model)[0] == rows[name]["params"]
    search.main(finished())
    out = capsys.readouterr().out
    assert f"{name} *" in out and choice["why"] in " ".join(out.split())


def test_every_file_is_of_the_chosen_variant(kept_b: Tiny, finished: Tiny, capsys: pytest.CaptureFixture[str],
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    metrics, before = metrics_of(kept_b), results(kept_b.folder())
    assert metrics["model"] == "AMEIR-B" and metrics["choice"]["why"] == "it fell on AMEIR-B."
    assert metrics["models"] == {**metrics["models"], **{
        name: {**row, **{key: metrics["models"][name][key] for key in ("seconds", "train_seconds")}}
        for name, row in metrics_of(finished)["models"].items()}}, "what is chosen changes no training"
    bundle = read_bundle(kept_b.folder() / "model")
    assert bundle.variant == "AMEIR-B" and bundle.state == "finetuned" and len(bundle.made_from.split()) == 2
    written = yaml.safe_load((kept_b.folder() / "architecture.yaml").read_text())
    assert written == bundle.model.architecture.to_dict() and written["interactions"]
    assert [layer["units"] for layer in written["mlp"]] == [32, 16], "the pre-defined MLP"

    with monkeypatch.context() as patch:
        patch.setattr("ameir_pl.cli.engine.LightningEngine._run", None)  # any training would fail
        assert search.main(kept_b()) == metrics
        for stage in (1, 2, 3):
            search.main(kept_b(f"stage={stage}"))
        capsys.readouterr()
        derive.main(kept_b())
        assert "AMEIR-B is derived" in capsys.readouterr().err
        finetune.main(kept_b())
        assert "AMEIR-B is finetuned" in capsys.readouterr().err
        assert numbers(evaluate.main(kept_b())) == numbers(metrics)
        assert results(kept_b.folder()) == before
        export.main(kept_b())
        assert "Exported AMEIR-B (finetuned)" in capsys.readouterr().err


@pytest.mark.parametrize("point", ["write_bundle", "write_result", "update_metrics", "show"])
def test_killed_around_the_choice_it_goes_on_to_the_same(copied: Tiny, finished: Tiny, point: str,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    derive.main(copied("overwrite=true"))
    with monkeypatch.context() as patch:
        patch.setattr(finetune, point, None)
        with pytest.raises(TypeError):
            finetune.main(copied())
    if point != "show":  # that one is killed when all was written
        assert (copied.folder() / ".progress").exists()
    search.main(copied())
    assert results(copied.folder()) == results(finished.folder())
    assert numbers(metrics_of(copied)) == numbers(metrics_of(finished))


def test_a_variant_that_is_asked_for_is_kept_and_asking_for_none_chooses_again(kept_b: Tiny) -> None:
    with pytest.raises(AmeirError, match=r"model holds AMEIR-B, not AMEIR-A\. Replace it: ameir derive "
                                         r"dataset=movielens .*variant=AMEIR-A overwrite=true"):
        search.main(kept_b("variant=A"))
    derive.main(kept_b("variant=A", "overwrite=true"))
    metrics = finetune.main(kept_b())  # the run's settings ask for A now
    assert metrics["model"] == "AMEIR-A"
    assert metrics["choice"] == {"by": "setting", "why": "variant=AMEIR-A was asked for."}
    assert read_bundle(kept_b.folder() / "model").variant == "AMEIR-A"
    assert yaml.safe_load((kept_b.folder() / "architecture.yaml").read_text())["interactions"] == []

    again = search.main(kept_b())  # A, B and C are all in metrics.json, but nothing chose among them
    assert again["choice"]["by"] == "validation"
    assert read_bundle(kept_b.folder() / "model").variant == again["model"]


def test_without_the_ablation_the_most_complete_one_is_trained_and_that_is_said(copied: Tiny) -> None:
    derive.main(copied("overwrite=true"))
    metrics = finetune.main(copied("ablation=false"))
    assert metrics["model"] == "AMEIR-C" and metrics["choice"]["by"] == "only"
    assert "ablation=true trains AMEIR-A, AMEIR-B too" in metrics["choice"]["why"]


def test_a_run_of_before_there_was_a_choice_is_finished(copied: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    path = copied.folder() / "metrics.json"
    known = metrics_of(copied)
    write_sealed(path, {key: value for key, value in known.items() if key not in ("model", "choice")})
    monkeypatch.setattr("ameir_pl.cli.engine.LightningEngine._run", None)  # any training would fail
    assert "model" not in search.main(copied())


def test_the_only_variant_of_a_dataset(beauty: Tiny) -> None:
    metrics = search.main(beauty("reference=null", "budget.top=1", "budget.finetune_epochs=1"))
    assert (metrics["model"], metrics["choice"]["by"]) == ("AMEIR-A", "only") and "ablation" not in \
        metrics["choice"]["why"]


def test_finalists_are_chosen_by_the_same_rule(finished: Tiny) -> None:
    for stage in (1, 3):
        summary = json.loads((finished.folder() / f"stage{stage}/summary.json").read_text())
        finalists = summary["finalists"]
        best = max(finalists, key=lambda f: f["finetuned"]["auc"])
        assert "below_best" not in best and [f["chosen"] for f in finalists].count(True) == 1
        alike = [f for f in finalists if f is best or f["below_best"] == 0 or f["below_best"] < f["error"]]
        chosen = next(f for f in finalists if f["chosen"])
        assert chosen["params"] == min(f["params"] for f in alike)
        written = yaml.safe_load((finished.folder() / f"stage{stage}/architecture.yaml").read_text())
        assert written == chosen["architecture"]
