"""Commands that continue a run take its settings from its config.yaml."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from ameir_pl.cli import derive, evaluate, train
from ameir_pl.cli.config import Config
from ameir_pl.cli.saved_settings import load_run_config
from ameir_pl.cli.setup import run_path
from ameir_pl.errors import AmeirError
from tests.tiny import Tiny, numbers


def test_a_run_is_evaluated_with_its_own_settings(copied: Tiny) -> None:
    whole = evaluate.main(copied())
    assert numbers(evaluate.main(["dataset=movielens", f"paths.runs={copied.runs}"])) == numbers(whole)
    assert numbers(evaluate.main([f"run={copied.folder()}"])) == numbers(whole)
    assert derive.main([f"run={copied.folder()}"]).is_dir()


def test_what_is_given_and_differs_is_named_in_full(copied: Tiny) -> None:
    with pytest.raises(AmeirError) as caught:
        evaluate.main([f"run={copied.folder()}", "seed=2", "dataset.train.batch_size=64", "budget.samples=7",
                       "dataset.model.mlp=[8]", "dataset.max_len=5", "fairness=full", "budget.top=1"])
    message = str(caught.value)
    for text in ("seed: 1 -> 2", "dataset.train.batch_size: 128 -> 64", "budget.samples: 6 -> 7", "budget.top: 2 -> 1",
                 "dataset.model.mlp: [32, 16] -> [8]", "dataset.max_len: 6 -> 5", "fairness: split -> full"):
        assert text in message
    assert "; …" not in message and "embedding_size" not in message


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run with settings of its own, nothing trained."""
    folder = tmp_path / "runs" / "movielens" / "mine"
    folder.mkdir(parents=True)
    _, composed = load_run_config("search", ["budget=demo", "budget.samples=6", "overwrite=true", "stage=2", "seed=4",
                                             "dataset.source=/raw", f"paths.data={tmp_path / 'data'}", "logger=csv"])
    OmegaConf.save(composed, folder / "config.yaml")
    return folder


def test_settings_of_the_command_are_not_the_runs(run: Path) -> None:
    config, _ = load_run_config("search", [f"run={run}"])
    assert (config.budget.name, config.budget.samples, config.seed) == ("demo", 6, 4)
    assert (config.dataset.source, config.paths.data) == ("/raw", str(run.parents[2] / "data"))
    assert (config.overwrite, config.stage, config.run, config.logger) == (False, "all", "mine", {})


def test_a_group_that_has_the_runs_name_is_the_runs(run: Path) -> None:
    config, _ = load_run_config("search", [f"run={run}", "budget=demo", "dataset=movielens"])
    assert (config.budget.samples, config.dataset.source) == (6, "/raw")
    assert load_run_config("search", [f"run={run}", "budget=light"])[0].budget.name == "light"
    assert load_run_config("search", [f"run={run}", "trainer=gpu"])[1].trainer.accelerator == "gpu"
    assert load_run_config("search", [f"run={run}", "budget.samples=9"])[0].budget.samples == 9


def test_the_run_of_a_table_is_found_by_its_name(run: Path) -> None:
    folder = run.parents[1] / "clicks" / "yours"
    shutil.copytree(run, folder)
    saved = OmegaConf.load(folder / "config.yaml")
    OmegaConf.update(saved, "dataset", {"name": "table", "source": "some/clicks.yaml"}, merge=True)
    OmegaConf.save(saved, folder / "config.yaml")
    for named in (["dataset=table"], []):
        config, _ = load_run_config("search", [*named, "run=yours", f"paths.runs={run.parents[1]}"])
        assert (config.dataset.source, run_path(config)) == ("some/clicks.yaml", folder)
    shutil.copytree(folder, run.parents[1] / "other" / "yours")
    with pytest.raises(AmeirError, match=r"several runs of this name: \S+clicks/yours, \S+other/yours\. Say which"):
        load_run_config("search", ["dataset=table", "run=yours", f"paths.runs={run.parents[1]}"])
    with pytest.raises(AmeirError, match=rf"Move the folder to {folder}"):
        load_run_config("search", [f"run={run.parents[1]}/other/yours"])


def test_a_path_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(AmeirError, match="there is no run in this folder"):
        load_run_config("search", [f"run={tmp_path}/nothing"])


@pytest.mark.parametrize(("name", "source", "folder"), [
    ("movielens", None, "movielens"), ("table", None, "table"), ("table", "a/clicks.yaml", "clicks"),
    ("table", "a/t 1.v2.yaml", "t-1.v2"), ("table", "Movielens.yaml", "table-Movielens"),
    ("table", "table.yml", "table"),
    ("table", "größe.yaml", "größe"), ("movielens", "a/other", "movielens")])
def test_the_folder_knows_the_table(name: str, source: str | None, folder: str) -> None:
    config = Config(run="mine")
    config.dataset.name, config.dataset.source = name, source
    assert run_path(config) == Path("runs") / folder / "mine"


def test_two_tables_keep_their_runs(tmp_path: Path) -> None:
    lines = ["click,x,y"] + [f"{i % 3 == 0:d},{i % 5},{i % 7}" for i in range(300)]
    shared = [f"paths.data={tmp_path / 'data'}", f"paths.runs={tmp_path / 'runs'}", "logger=csv", "run=r", "model=lr",
              "budget.finetune_epochs=1"]
    for name in ("one", "two"):
        (tmp_path / f"{name}.csv").write_text("\n".join([*lines, f"1,{len(name)},1"] if name == "two" else lines))
        (tmp_path / f"{name}.yaml").write_text(
            f"input: {name}.csv\ntask: ctr\nlabel: click\nsplit: {{type: random, valid: 0.2, test: 0.2}}\n"
            "fields:\n  - {name: x, type: categorical}\n  - {name: y, type: categorical}\n")
        train.main(["dataset=table", f"dataset.source={tmp_path / name}.yaml", *shared])
    assert {f.parent.parent.name for f in (tmp_path / "runs").glob("*/r/metrics.json")} == {"one", "two"}
