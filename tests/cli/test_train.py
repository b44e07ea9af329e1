"""``train.py``: a baseline, an architecture, and what a second call does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ameir_pl.baselines.blocks import plain
from ameir_pl.cli import compare, derive, evaluate, search, train
from ameir_pl.cli.engine import LightningEngine
from ameir_pl.errors import AmeirError, NotFinite
from ameir_pl.export.bundle import read_bundle
from tests.tiny import Tiny, contents, numbers


def test_a_baseline(tiny: Tiny, finished: Tiny) -> None:
    metrics = train.main(tiny("model=dnn"))
    assert set(contents(tiny.folder("dnn"))) == {"config.yaml", "log.txt", "metrics.csv", "metrics.json"}
    reference = json.loads((finished.folder() / "metrics.json").read_text())
    assert numbers(metrics)["models"] == {"DNN": numbers(reference)["models"]["DNN"]}
    with pytest.raises(AmeirError, match="weights.safetensors is missing"):
        evaluate.main(tiny("run=dnn"))
    with pytest.raises(AmeirError, match="model.name: dnn -> None"):
        search.main(tiny("run=dnn"))


def test_an_architecture(tiny: Tiny, finished: Tiny, monkeypatch: pytest.MonkeyPatch,
                         capsys: pytest.CaptureFixture[str]) -> None:
    path = tiny.runs.parent / "mine.yaml"
    path.write_text((finished.folder() / "architecture.yaml").read_text())
    command = tiny("model=ameir", f"architecture={path}")
    metrics = train.main(command)
    assert list(metrics["models"]) == ["AMEIR"]
    bundle = read_bundle(tiny.folder("ameir") / "model")
    assert bundle.state == "trained" and bundle.model.architecture.to_yaml() == path.read_text()
    before = contents(tiny.folder("ameir"))
    assert numbers(evaluate.main(tiny("run=ameir"))) == numbers(metrics)
    assert contents(tiny.folder("ameir"))["config.yaml"] == before["config.yaml"]

    monkeypatch.setattr("ameir_pl.cli.engine.LightningEngine._run", None)  # any training would fail
    capsys.readouterr()
    assert numbers(train.main(command)) == numbers(metrics)
    assert "nothing was trained" in capsys.readouterr().err
    with pytest.raises(AmeirError, match="architecture: .*mine.yaml -> None; model.name: ameir -> dnn|model.name"):
        train.main(tiny("model=dnn", "run=ameir"))
    with pytest.raises(AmeirError, match="results of other settings"):
        derive.main(tiny("run=ameir"))
    path.write_text(path.read_text().split("mlp:")[0] + "mlp: []\n")
    with pytest.raises(AmeirError, match="trained from another architecture.*overwrite=true"):
        train.main(command)


PARTS = """blocks:
  - {layer: conv3, activation: relu, norm: layer_norm}
  - zero
  - zero
interactions:
  - [age, hour]
mlp:
  - {units: 8, activation: relu}
"""


@pytest.mark.parametrize(("variant", "blocks", "interactions", "units"), [
    ("AMEIR-A", 3, 0, [32, 16]), ("B", 3, 1, [32, 16]), ("AMEIR-C", 3, 1, [8])])
def test_a_variant_is_made_of_its_parts(tiny: Tiny, variant: str, blocks: int, interactions: int,
                                        units: list[int]) -> None:
    path = tiny.runs.parent / "parts.yaml"
    path.write_text(PARTS)
    run = f"run=part-{variant}"
    command = tiny("model=ameir", f"architecture={path}", f"variant={variant}", run, "budget.finetune_epochs=1")
    name = variant if len(variant) > 1 else f"AMEIR-{variant}"
    assert list(train.main(command)["models"]) == [name]
    bundle = read_bundle(tiny.folder(run.removeprefix("run=")) / "model")
    made = bundle.model.architecture
    assert bundle.variant == name and len(made.blocks) == blocks and len(made.interactions) == interactions
    assert [layer.units for layer in made.mlp] == units
    with pytest.raises(AmeirError, match=f"variant: {variant} -> None"):
        train.main([o for o in command if not o.startswith("variant=")])


@pytest.mark.bad_input
def test_a_variant_that_there_is_not_is_refused(tiny: Tiny) -> None:
    path = tiny.runs.parent / "mlp.yaml"
    path.write_text("blocks: []\ninteractions: []\nmlp:\n  - {units: 8, activation: relu}\n")
    run = "run=no-part"
    with pytest.raises(AmeirError, match="variant=AMEIR-A is a part of an architecture, and model=dnn has none"):
        train.main(tiny("model=dnn", "variant=AMEIR-A", run))
    for variant, lacks in (("A", "blocks"), ("B", "interactions")):
        with pytest.raises(AmeirError, match=f"mlp.yaml has no {lacks}, which AMEIR-{variant} is made of"):
            train.main(tiny("model=ameir", f"architecture={path}", f"variant={variant}", run))
    with pytest.raises(AmeirError, match="AMEIR-D does not exist on movielens.*AMEIR-A, AMEIR-B, AMEIR-C"):
        train.main(tiny("model=ameir", f"architecture={path}", "variant=D", run))
    with pytest.raises(AmeirError, match="This command sets variant itself.*runs="):
        compare.main(tiny("models=[dnn]", "variant=A", run))
    assert not tiny.folder("no-part").exists()


def test_a_graph_whose_loss_is_no_number_is_the_worst(tiny: Tiny, monkeypatch: pytest.MonkeyPatch,
                                                      capsys: pytest.CaptureFixture[str]) -> None:
    trial, seen = LightningEngine.trial, []

    def broken(self: LightningEngine, model: Any, score: Any, *, number: int, **more: Any) -> tuple[float, float]:
        seen.append(model)
        if number == 1:
            raise NotFinite("trial/autoctr: the loss was NaN")
        return trial(self, model, score, number=number, **more)

    monkeypatch.setattr(LightningEngine, "trial", broken)
    metrics = train.main(tiny("model=autoctr", "model.options.trials=2", "model.options.population=2",
                              "model.options.epochs=0.5"))
    assert metrics["models"]["AUTOCTR"]["found"]["blocks"] == plain(seen[1].graph) != plain(seen[0].graph)
    assert "This one is the worst: trial/autoctr" in capsys.readouterr().err
