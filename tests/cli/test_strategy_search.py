"""``ameir search strategy=random``: what it writes, that it goes on, what it is compared with, and what it refuses."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from ameir_pl.architecture_file import read_architecture
from ameir_pl.atomic import unsealed
from ameir_pl.cli import compare, derive, evaluate, export, finetune, search
from ameir_pl.cli.compose import load_config
from ameir_pl.cli.engine import LightningEngine
from ameir_pl.errors import AmeirError
from ameir_pl.export.bundle import read_bundle
from ameir_pl.reports.seeds import search_seconds
from ameir_pl.space.architecture import Architecture
from tests.tiny import Tiny, contents, numbers

RANDOM = ("strategy=random", "run=random", "budget.finetune_epochs=1", "budget.top=2")


@pytest.fixture(scope="module")
def drawn(generated: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """Three random architectures; not to be written to."""
    there = generated.at(tmp_path_factory.mktemp("drawn"))
    search.main(there(*RANDOM, "trainings=3"))
    return there


@pytest.fixture
def own(drawn: Tiny, tmp_path: Path) -> Tiny:
    """A copy of it, to be changed."""
    shutil.copytree(drawn.runs, tmp_path / "runs")
    return drawn.at(tmp_path / "runs")


def read(folder: Path, name: str = "metrics.json") -> dict[str, Any]:
    return unsealed(json.loads((folder / name).read_text()))


def trials(folder: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in one.items() if k != "seconds"} for one in read(folder, "trials.json")["trials"]]


def flat(text: str) -> str:
    return " ".join(text.split())


def test_it_leaves_what_a_run_leaves(drawn: Tiny) -> None:
    folder = drawn.folder("random")
    assert {name for name in contents(folder) if "/" not in name} == {
        "config.yaml", "log.txt", "metrics.csv", "metrics.json", "trials.json", "architecture.yaml"}
    metrics, listed = read(folder), read(folder, "trials.json")
    assert list(metrics["models"]) == ["DNN", "random"] and metrics["model"] == "random"
    assert set(metrics["seconds"]) == {"prepare", "search"} and metrics["search"]["trainings"] == 3
    assert len({one["digest"] for one in listed["trials"]}) == 3
    assert metrics["seconds"]["search"] == pytest.approx(sum(t["seconds"] for t in listed["trials"]), abs=0.01)
    assert search_seconds(metrics) == metrics["seconds"]["search"]
    kept = listed["trials"][listed["chosen"] - 1]
    bundle = read_bundle(folder / "model")
    assert (bundle.variant, bundle.state) == ("random", "trained")
    assert bundle.model.architecture == Architecture.from_dict(kept["architecture"])
    assert bundle.model.architecture == read_architecture(folder / "architecture.yaml")
    architecture = bundle.model.architecture
    assert (len(architecture.blocks), len(architecture.interactions), len(architecture.mlp)) == (3, 5, 2)
    row = metrics["models"]["random"]
    assert row["valid"] == pytest.approx(kept["valid"]) and row["params"] == kept["params"]
    assert row["start"] == "scratch" and row["schedule"] == "constant"


def test_the_best_on_validation_rows_is_kept_as_finalists_are(drawn: Tiny) -> None:
    choice, listed = read(drawn.folder("random"))["choice"], read(drawn.folder("random"), "trials.json")
    best = sorted(listed["trials"], key=lambda t: -t["fitness"])[:2]
    assert set(choice["models"]) == {f"trial {t['number']}" for t in best}
    assert choice["best"] == f"trial {best[0]['number']}" and choice["by"] == "validation"
    for one in best:
        assert choice["models"][f"trial {one['number']}"]["score"] == pytest.approx(one["fitness"])
    other = choice["models"][f"trial {best[1]['number']}"]
    takes_other = other["below_best"] < other["error"] and best[1]["params"] < best[0]["params"]
    assert listed["chosen"] == best[int(takes_other)]["number"]


def test_a_finished_one_is_shown_again(own: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(own.folder("random"))
    assert search.main(own(*RANDOM, "trainings=3"))["model"] == "random"
    shown = capsys.readouterr()
    assert "nothing was trained" in shown.err and "strategy=random trained 3 architectures" in flat(shown.out)
    assert contents(own.folder("random")) == before
    with pytest.raises(AmeirError, match=r"trainings: 3 -> 4"):
        search.main(own(*RANDOM, "trainings=4"))
    with pytest.raises(AmeirError, match=r"strategy: random -> ameir.*delete the folder"):
        search.main(own("run=random", "budget.finetune_epochs=1", "overwrite=true"))


def test_evaluate_export_and_compare_work_on_it(own: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    before = read(own.folder("random"))
    assert numbers(evaluate.main([f"run={own.folder('random')}"])) == numbers(before)
    export.main([f"run={own.folder('random')}"])
    assert (own.folder("random") / "model.onnx").is_file()
    capsys.readouterr()
    compare.main(own("models=[lr]", "runs=[random]", "plot=false", "budget.finetune_epochs=1"))
    assert "random (random) was trained in these seconds; its search took another" in flat(capsys.readouterr().out)


@pytest.mark.parametrize("command", [derive, finetune])
def test_commands_of_the_steps_refuse_it(own: Tiny, command: Any) -> None:
    before = contents(own.folder("random"))
    name = command.__name__.rpartition(".")[2]
    with pytest.raises(AmeirError, match=rf"run=random is one of strategy=random.*nothing to {name}"):
        command.main(["dataset=movielens", f"paths.runs={own.runs}", "run=random"])
    assert contents(own.folder("random")) == before


def power_out(*_: Any, **__: Any) -> None:
    raise ValueError("the power went out")


@pytest.mark.parametrize("after", [2, 4])
def test_an_interrupted_one_goes_on(drawn: Tiny, tiny: Tiny, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The baseline is the first training, so that one trial is finished; or all of them, and the choice is not."""
    fit, seen = LightningEngine.fit, []

    def some(self: LightningEngine, *rest: Any, **named: Any) -> Any:
        seen.append(named["phase"])
        if len(seen) > after:
            power_out()
        return fit(self, *rest, **named)

    with monkeypatch.context() as patch:
        patch.setattr(LightningEngine, "fit", some)
        patch.setattr("ameir_pl.search.trials.choose", power_out)
        with pytest.raises(ValueError, match="the power went out"):
            search.main(tiny(*RANDOM, "trainings=3"))
    assert "random/2" in seen and ("random/3" in seen) == (after == 4)
    losses = (tiny.folder("random") / "metrics.csv").read_text()
    search.main(tiny(*RANDOM, "trainings=3"))
    folder, whole = tiny.folder("random"), drawn.folder("random")
    assert (folder / "metrics.csv").read_text().startswith(losses), "what was finished is trained a second time"
    assert (folder / "metrics.csv").read_text() == (whole / "metrics.csv").read_text()
    assert trials(folder) == trials(whole)
    assert contents(folder / "model") == contents(whole / "model")
    mine, theirs = numbers(read(folder)), numbers(read(whole))
    for one in (mine, theirs):
        one["search"].pop("seconds")
    assert mine == theirs and not (folder / ".progress").exists()


def test_as_long_as_another_run(copied: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    other = read(copied.folder())
    metrics = search.main(copied(*RANDOM, "budget.finetune_epochs=2", "as_long_as=default"))
    limit, spent = search_seconds(other), [t["seconds"] for t in read(copied.folder("random"), "trials.json")["trials"]]
    assert sum(spent) >= limit > sum(spent[:-1]), "the last one began before the time was spent"
    compared = metrics["search"]["compared"]
    assert (compared["run"], compared["model"]) == ("default", other["model"])
    assert compared["row"] == other["models"][other["model"]]
    assert compared["difference"] == pytest.approx(
        metrics["models"]["random"]["test"]["auc"] - compared["row"]["test"]["auc"], abs=1e-6)
    assert compared["error"] > 0 and compared["settings"] == []
    out = flat(capsys.readouterr().out)
    assert f"{other['model']} of default" in out and f"random minus its {other['model']}: test AUC" in out


def test_runs_that_cannot_be_compared_with(copied: Tiny, beauty: Tiny) -> None:
    before = contents(copied.runs)
    with pytest.raises(AmeirError, match="as_long_as=elsewhere: .* does not exist"):
        search.main(copied(*RANDOM, "as_long_as=elsewhere"))
    with pytest.raises(AmeirError, match="must be the name of another run"):
        search.main(copied(*RANDOM, "as_long_as=random"))
    with pytest.raises(AmeirError, match=r"as_long_as=default: .*beauty.* does not exist. \S+ is of another dataset"):
        search.main(beauty.at(copied.runs)(*RANDOM, "as_long_as=default"))
    config = copied.folder() / "config.yaml"
    text = config.read_text()
    config.write_text(re.sub(r"(data_fingerprint: ).*", r"\1of-other-files", text))
    with pytest.raises(AmeirError, match="as_long_as=default: .* is of other data .fingerprint of-other-files, here"):
        search.main(copied(*RANDOM, "as_long_as=default"))
    config.write_text(text)
    (copied.folder() / "metrics.json").unlink()
    with pytest.raises(AmeirError, match="as_long_as=default: .* is not finished"):
        search.main(copied(*RANDOM, "as_long_as=default"))
    assert {name for name in before if not name.endswith("metrics.json")} <= set(contents(copied.runs))
    assert not copied.folder("random").exists()


@pytest.mark.parametrize(("given", "said"), [
    (["trainings=3"], "trainings=3 ends a strategy that trains architectures alone: add strategy=random"),
    (["strategy=random"], "needs one limit, and none is given"),
    (["strategy=random", "trainings=3", "seconds=5"], "needs one limit, and seconds=5.0 and trainings=3 is given"),
    (["strategy=randon", "trainings=3"], "There is no strategy=randon.*random"),
    (["strategy=random", "trainings=0"], "trainings=0 must be at least 1"),
    (["strategy=random", "seconds=-1"], "seconds=-1.0 must be a number above 0"),
    (["strategy=random", "seconds=nan"], "seconds=nan must be a number above 0"),
    (["strategy=random", "trainings=3", "stage=1"], "stage=1 is a step of strategy=ameir"),
    (["strategy=random", "trainings=3", "variant=A"], "variant=A is one of strategy=ameir"),
    (["runs=0"], "runs=0 must be how many searches"), (["runs=[a]"], "must be how many searches"),
    (["runs=2", "stage=1"], "runs=2 sums up finished models: leave stage=1 out"),
])
def test_what_means_nothing_is_refused(given: list[str], said: str) -> None:
    with pytest.raises(AmeirError, match=said):
        load_config("search", ["dataset=movielens", *given])


@pytest.mark.parametrize("name", ["train", "compare", "tune", "diagnose"])
def test_other_commands_have_no_strategy(name: str) -> None:
    said = f"'strategy' is a setting of `ameir search`, not of `ameir {name}`"
    with pytest.raises(AmeirError, match=re.escape(said)):
        load_config(name, ["dataset=movielens", "strategy=random"])


def test_next_items_are_drawn_too(beauty: Tiny) -> None:
    metrics = search.main(beauty(*RANDOM, "trainings=1", "dataset.model.blocks=2", "dataset.train.negatives=20"))
    row = metrics["models"]["random"]
    assert {"hr@5", "ndcg@5"} <= {name.lower() for name in row["test"]} and row["test_full"]
    bundle = read_bundle(beauty.folder("random") / "model")
    assert len(bundle.model.architecture.blocks) == 2 and not bundle.model.architecture.interactions
    assert bundle.temperature is not None and all(torch.isfinite(p).all() for p in bundle.model.parameters())
