"""From nothing to a finished search: generate, prepare, infer, search, for every dataset that can be generated."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ameir_pl.atomic import unsealed
from ameir_pl.cli import data, evaluate, search, train
from ameir_pl.data import DATASETS
from ameir_pl.data.planted import GENERATORS
from ameir_pl.errors import AmeirError
from ameir_pl.reports.planted import against_truth, planted_lines
from tests.tiny import BUDGET

ROWS = 3000
SMALL = (*BUDGET, "budget.paths=20", "budget.samples=4", "budget.finetune_epochs=1", "dataset.train.batch_size=512",
         "dataset.model.embedding_size=4", "logger=csv")
MLP = ("dataset.model.mlp=[16,8]", "dataset.model.hidden_layers=2", "dataset.model.interactions=4")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("place")


def at(place: Path, dataset: str, *more: str) -> list[str]:
    return [f"dataset={dataset}", f"paths.data={place / 'data'}", *more]


@pytest.mark.parametrize("dataset", GENERATORS.names())
def test_generate_then_prepare(dataset: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = data.generate(at(place, dataset, f"rows={ROWS}", "seed=3", "noise=0"))
    folder = place / "data" / "raw" / dataset
    assert unsealed(json.loads((folder / "truth.json").read_text())) == truth and truth["rows"] >= ROWS * 0.9
    out = capsys.readouterr().out
    assert str(folder) in out and "The best any model can do" in out
    source = [f"dataset.source={folder}"] if dataset == "synthetic" else []
    encoded = data.prepare(at(place, dataset, *source))
    manifest = json.loads((encoded / "manifest.json").read_text())
    assert manifest["planted"]["bayes"] == truth["bayes"]
    assert manifest["planted"]["interactions"] == truth.get("interactions", [])
    if "rows" in truth["bayes"]:
        assert manifest["rows"]["test"] == truth["bayes"]["rows"], "the truth is about the rows that test"
    assert "planted truth, not the publisher's" in capsys.readouterr().err
    assert data.prepare(at(place, dataset, *source)) == encoded
    assert "up to date" in capsys.readouterr().err
    with pytest.raises(AmeirError, match="already holds"):
        data.generate(at(place, dataset, f"rows={ROWS}"))


@pytest.mark.parametrize(("dataset", "option"), [("criteo", "split_seed=2"), ("avazu", "split_seed=2"),
                                                 ("alimama", "user_share=0.5"), ("alimama", "profiled_only=true")])
def test_the_truth_of_other_test_rows_is_not_told(dataset: str, option: str, place: Path) -> None:
    if not (place / "data" / "raw" / dataset).exists():
        data.generate(at(place, dataset, f"rows={ROWS}", "seed=3", "noise=0"))
    encoded = data.prepare(at(place, dataset, f"dataset.options.{option}"))
    planted = json.loads((encoded / "manifest.json").read_text())["planted"]
    assert planted["interactions"] and "bayes" not in planted
    assert planted_lines(against_truth(planted, []))[0].startswith("Generated data; what truth.json says")


def test_results_of_other_data_are_not_taken_for_these(tmp_path: Path) -> None:
    rows = ["click,a,b", *(f"{i % 3 % 2},x{i % 5},y{i % 7}" for i in range(400))]
    (tmp_path / "c.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "c.yaml").write_text("input: c.csv\nlabel: click\nfields: [{name: a}, {name: b}]\n")
    run = [*at(tmp_path, "table", f"dataset.source={tmp_path / 'c.yaml'}"), *SMALL, f"paths.runs={tmp_path / 'runs'}",
           "dataset.train.batch_size=64", "run=r"]
    first = train.main([*run, "model=dnn"])
    assert train.main([*run, "model=dnn"]) == first, "finished"
    (tmp_path / "c.csv").write_text("\n".join([rows[0], *(f"{1 - int(r[0])}{r[1:]}" for r in rows[1:])]) + "\n")
    with pytest.raises(AmeirError, match="r has results of other data.*Choose another run"):
        train.main([*run, "model=dnn"])
    assert train.main([*run, "model=dnn", "overwrite=true"])["models"] != first["models"]
    assert train.main([*run, "model=dnn"])["models"] != first["models"]


@pytest.mark.parametrize("dataset", ["alimama", "criteo", "avazu", "synthetic"])
def test_search_on_generated_data(dataset: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if not (place / "data" / "raw" / dataset).exists():
        data.generate(at(place, dataset, f"rows={ROWS}", "seed=3", "noise=0"))
    source = [f"dataset.source={place / 'data' / 'raw' / dataset}"] if dataset == "synthetic" else []
    metrics = search.main(at(place, dataset, *source, *SMALL, *MLP, "stage=all", f"paths.runs={place / 'runs'}"))
    stages = (1, 2, 3) if dataset in ("alimama", "synthetic") else (2, 3)
    last = "AMEIR-C"
    assert last in metrics["models"] and "DNN" in metrics["models"]
    assert 0 <= metrics["models"][last]["test"]["auc"] <= 1
    assert metrics["planted"]["interactions"] and set(map(tuple, metrics["planted"]["found"])) <= set(
        map(tuple, metrics["planted"]["interactions"]))
    out = capsys.readouterr().out
    assert "best any model can do on the test rows is auc" in out and "Planted interactions: " in out
    run = place / "runs" / dataset / "default"
    assert all((run / f"stage{n}" / "summary.json").exists() == (n in stages) for n in (1, 2, 3))


def test_a_parquet_of_ones_own_from_infer_to_evaluate(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = place / "data" / "raw" / "synthetic"
    if not raw.exists():
        data.generate(at(place, "synthetic", f"rows={ROWS}", "seed=3", "noise=0"))
    description = data.infer([f"input={raw / 'clicks.parquet'}", "label=click", f"events={raw / 'events.parquet'}",
                              f"output={place / 'mine.yaml'}"])
    assert description == place / "mine.yaml"
    run = [*at(place, "table", f"dataset.source={description}"), *SMALL, *MLP, f"paths.runs={place / 'runs'}"]
    metrics = search.main([*run, "stage=all"])
    assert {"AMEIR-A", "AMEIR-B", "AMEIR-C"} <= set(metrics["models"])
    assert "planted" not in metrics  # a table may be split otherwise than the truth is told for
    assert evaluate.main(run)["models"]["AMEIR-C"]["test"]["auc"] == pytest.approx(
        metrics["models"]["AMEIR-C"]["test"]["auc"], abs=1e-6)
    with pytest.raises(AmeirError, match="mine.yaml"):
        data.infer([f"input={raw / 'clicks.parquet'}", "label=click", f"output={description}"])


def test_a_table_of_ratings_as_next_items(sequence_formats: dict[str, Path], tmp_path: Path) -> None:
    ratings = sequence_formats["ratings"]
    (tmp_path / "next.yaml").write_text(
        f"task: retrieval\ninput: {ratings}\ncolumns: [user, item, rating, time]\nuser: user\nitem: item\ntime: time\n"
        "core: 5\nbehaviors: {max_len: 6}\n")
    run = [*at(tmp_path, "table", f"dataset.source={tmp_path / 'next.yaml'}"), *SMALL,
           f"paths.runs={tmp_path / 'runs'}", "dataset.train.batch_size=64", "space.layers=[conv3,max_pool3,zero]",
           "reference=null"]
    metrics = search.main([*run, "stage=all"])
    assert set(metrics["models"]) == {"AMEIR-A"} and "hr@5" in metrics["models"]["AMEIR-A"]["test_full"]


def test_synthetic_is_made_on_the_fly(tmp_path: Path) -> None:
    options = ["dataset.options.rows=1500", "dataset.options.data_seed=5", "model=dnn"]
    metrics = train.main(at(tmp_path, "synthetic", *options, *SMALL, f"paths.runs={tmp_path / 'runs'}"))
    assert metrics["rows"] == {"train": 1200, "valid": 150, "test": 150}
    made = tmp_path / "data" / "raw" / "synthetic" / "rows-1500-seed-5-noise-0"
    assert (made / "truth.json").exists() and (made / "clicks.yaml").exists()


@pytest.mark.parametrize("dataset", [name for name in DATASETS.names() if name not in ("table", "synthetic")])
def test_missing_files_are_named_with_where_to_get_them(dataset: str, tmp_path: Path) -> None:
    more = ["dataset.options.category=Video_Games"] if dataset == "amazon" else []
    with pytest.raises(AmeirError) as error:
        data.prepare(at(tmp_path, dataset, *more))
    text = str(error.value)
    kind = DATASETS.get(dataset)
    assert kind.offered in text and kind.terms in text and str(tmp_path / "data" / "raw" / dataset) in text
    if dataset in GENERATORS.names():
        assert f"`ameir data generate dataset={dataset}`" in text
    assert not list(tmp_path.iterdir())


MISTAKES = {
    ("generate", "dataset=table"): "Unknown generator 'table'",
    ("generate", "dataset=amazon"): "Unknown generator 'amazon'",
    ("generate", "rows=10"): "rows=10",
    ("generate", "noise=1"): "noise=1",
    ("generate", "rows=many"): "rows: Value 'many'",
    ("generate", "row=5"): "Unknown configuration key 'row'. Did you mean 'rows'",
    ("infer", "label=click"): "Name the table: `ameir data infer input=",
    ("infer", "inptu=x"): "Unknown configuration key 'inptu'. Did you mean 'input'",
    ("infer", "input=/nowhere.csv"): "/nowhere.csv",
    ("prepare", "dataset.on_bad_row=skp"): "on_bad_row=skp.*mean 'skip'",
    ("prepare", "dataset=table"): "dataset.source=clicks.yaml",
    ("prepare", "dataset=criteo dataset.options.mincount=3"): "mincount",
}


@pytest.mark.parametrize(("command", "mistake"), MISTAKES)
def test_mistakes_are_answered_and_nothing_is_written(command: str, mistake: str, tmp_path: Path) -> None:
    base = [] if command == "infer" else [f"paths.data={tmp_path / 'data'}"]
    with pytest.raises(AmeirError, match=MISTAKES[command, mistake]):
        getattr(data, command)([*base, *mistake.split()])
    assert not list(tmp_path.iterdir())
