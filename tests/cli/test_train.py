"""``train.py``: a baseline, an architecture, and what a second call does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from ameir_pl.baselines.blocks import plain
from ameir_pl.cli import compare, derive, evaluate, search, train
from ameir_pl.cli.compose import load_config
from ameir_pl.cli.engine import LightningEngine
from ameir_pl.cli.setup import make_dataset
from ameir_pl.errors import AmeirError, NotFinite
from ameir_pl.export.bundle import read_bundle
from tests.data.noise import write_noise
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
    again = evaluate.main(tiny(run, "budget.finetune_epochs=1", "metrics=[gauc]"))
    assert "gauc" in again["models"][name]["test"], "of a model that is there"
    with pytest.raises(AmeirError, match=f"variant: {variant} -> None"):
        train.main([o for o in command if not o.startswith("variant=")])


def test_grouped_auc_where_it_is_asked_for(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    asked = tiny("model=dnn", "run=grouped", "metrics=[gauc]", "budget.finetune_epochs=1")
    row = train.main(asked)["models"]["DNN"]
    assert list(row["valid"]) == list(row["test"]) == ["auc", "logloss", "gauc"]
    assert 0 < row["test"]["gauc"] < 1 and row["test"]["gauc"] != row["test"]["auc"]
    assert "gAUC" in capsys.readouterr().out
    plain = [o for o in asked if not o.startswith("metrics=")]
    with pytest.raises(AmeirError, match="metrics: .*gauc.* -> None"):
        train.main(plain)
    rest = [o for o in plain if not o.startswith("run=")]
    same = train.main([*rest, "run=plain"])["models"]["DNN"]["test"]
    assert same == {name: row["test"][name] for name in ("auc", "logloss")}


def test_grouped_auc_of_a_table_goes_by_its_user(tmp_path: Path) -> None:
    rows = [f"{i * 7 % 5 % 2},{'' if i % 11 == 0 else 'u' + str(i % 6)},x{i % 5},y{i % 7}" for i in range(400)]
    (tmp_path / "c.csv").write_text("\n".join(["click,who,a,b", *rows]) + "\n")
    place = ["dataset=table", f"paths.data={tmp_path / 'data'}", f"paths.runs={tmp_path / 'runs'}", "logger=csv",
             "model=dnn", "budget=demo", "budget.finetune_epochs=1", "dataset.train.batch_size=64", "metrics=[gauc]"]
    for name, user in (("with", "user: who\n"), ("without", "")):
        text = f"input: c.csv\nlabel: click\n{user}fields: [{{name: a}}, {{name: b}}]\n"
        (tmp_path / f"{name}.yaml").write_text(text)
    command = [*place, f"dataset.source={tmp_path / 'with.yaml'}"]
    assert "gauc" in train.main(command)["models"]["DNN"]["test"]
    encoded = make_dataset(load_config("train", command)[0]).prepare()
    numbers = encoded.columns["users"]
    assert sorted(set(numbers.tolist())) == [-1, *range(6)] and (numbers == -1).sum() == 37
    with pytest.raises(AmeirError, match="table does not say whose a row is. Name the column in the description"):
        train.main([*place, f"dataset.source={tmp_path / 'without.yaml'}"])


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


@pytest.mark.parametrize(("recipe", "loss"), [("best", "sampled_softmax"), ("paper", "sampled_bce")])
def test_a_table_of_next_items_is_trained_as_its_recipe_says(recipe: str, loss: str, tmp_path: Path,
                                                             capsys: pytest.CaptureFixture[str]) -> None:
    source = write_noise(tmp_path, "table", 20, 150, 12)
    arguments = ["dataset=table", f"dataset.source={source}", f"recipe={recipe}", "model=pop", "run=pop", "logger=csv",
                 f"paths.data={tmp_path / 'data'}", f"paths.runs={tmp_path / 'runs'}"]
    metrics = train.main(arguments)
    (config,) = (tmp_path / "runs").rglob("config.yaml")
    saved = OmegaConf.load(config)
    assert saved.dataset.train.loss == loss and saved.recipe.name == recipe
    assert metrics.get("clips") == (20 * 9 if recipe == "best" else None)  # of 12 items two are held out
    train.main(arguments)
    assert "This run is finished" in capsys.readouterr().err
