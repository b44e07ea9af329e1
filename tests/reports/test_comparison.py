"""The table of a comparison: means and deviations as NumPy has them, the best first, the paper's numbers where they
belong."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from ameir_pl.baselines import BASELINES
from ameir_pl.data.bars import SPLITS
from ameir_pl.errors import AmeirError
from ameir_pl.reports.benchmarks import BENCHMARKS, OTHERS
from ameir_pl.reports.comparison import (
    Trained,
    cells,
    common_settings,
    compare,
    markdown,
    notes,
    own_settings,
    unequal,
)
from ameir_pl.reports.published import PUBLISHED


def trained(model: str, seed: int, auc: float, *, seconds: float = 2.0, dataset: str = "criteo", rows: int = 100,
            loss: str = "", settings: dict[str, Any] | None = None, **more: Any) -> Trained:
    row = {"valid": {}, "test": {"auc": auc, "logloss": 1 - auc}, "params": 10, "embedding_params": 20,
           "seconds": seconds, "train_seconds": seconds, "epochs": 3, "best_epoch": 2}
    row |= {"loss": loss} if loss else {}
    metrics = {"dataset": dataset, "protocol": "time split", "rows": {"train": rows, "test": 10}, "seed": seed, **more}
    return Trained(model, model, metrics, row, settings or {})


AUCS = {"dnn": [0.7, 0.71, 0.73], "xdeepfm": [0.8, 0.79, 0.805], "mine": [0.5]}


def test_means_and_deviations() -> None:
    lines = compare([trained(m, i + 1, a, seconds=1.0 + i) for m, aucs in AUCS.items() for i, a in enumerate(aucs)])
    assert [line.model for line in lines] == ["xdeepfm", "dnn", "mine"], "the best first"
    for line in lines:
        aucs = AUCS[line.model]
        assert line.seeds == tuple(range(1, len(aucs) + 1))
        assert line.means["auc"] == pytest.approx(np.mean(aucs))
        if len(aucs) > 1:
            assert line.deviations["auc"] == pytest.approx(np.std(aucs, ddof=1))
        assert line.seconds == pytest.approx(np.mean([1.0 + i for i in range(len(aucs))]))
        assert line.samples_per_second == pytest.approx(np.mean([300 / (1.0 + i) for i in range(len(aucs))]))
    assert lines[2].deviations == {}


def test_speed_is_of_training_without_finding_and_validation() -> None:
    one = trained("autofis", 1, 0.7, seconds=10.0)
    assert isinstance(one.row, dict)
    one.row.update(finding_seconds=7.0, train_seconds=2.0)
    line = compare([one])[0]
    assert line.seconds == 10.0 and line.samples_per_second == pytest.approx(300 / 2)
    del one.row["train_seconds"]
    line = compare([one])[0]
    assert line.samples_per_second == 0.0, "a run of before says nothing of it"
    assert cells([line])[1][0][-2] == "-"


def test_speed_counts_whole_batches() -> None:
    line = compare([trained("dnn", 1, 0.7, seconds=3.0, settings={"batch_size": 40})])[0]
    assert line.samples_per_second == pytest.approx(80), "3 epochs of 2 batches of 40 of 100 rows"
    assert compare([trained("dnn", 1, 0.7, settings={"batch_size": 200})])[0].samples_per_second == pytest.approx(150)


def test_settings_are_said_once_and_what_differs_by_model() -> None:
    usual = {"batch_size": 4, "learning_rate": 0.1}
    lines = compare([trained("a", 1, 0.7, settings=usual), trained("b", 1, 0.6, settings=usual),
                     trained("c", 1, 0.5, settings={**usual, "learning_rate": 0.2, "options": {"units": 3}})])
    assert common_settings(lines) == usual
    assert [own_settings(line, usual) for line in lines] == [{}, {}, {"learning_rate": 0.2, "options": {"units": 3}}]
    said = notes(lines, trained("a", 1, 0.7).metrics)
    assert "Settings: batch_size=4, learning_rate=0.1." in said
    assert "c has learning_rate=0.2, options={'units': 3}." in said


def test_other_seeds_and_searches_are_said() -> None:
    found = dataclasses.replace(trained("AMEIR-C", 2, 0.8), search_seconds=1234.0)
    said = " ".join(notes(compare([trained("dnn", 1, 0.7), found]), found.metrics))
    assert "Seeds are not the same: AMEIR-C 2; dnn 1." in said and "its search took another 1,234" in said


def test_the_paper_s_numbers_stand_beside_ours_but_not_beside_generated_data() -> None:
    lines = compare([trained("dnn", 1, 0.7), trained("mine", 1, 0.6)])
    assert lines[0].published == {"auc": 0.7983, "logloss": 0.4549} and lines[1].published == {}
    header, rows = cells(lines)
    assert dict(zip(header, rows[0], strict=True))["paper's AUC"] == "0.7983" and rows[1][3] == "-"
    generated = compare([trained("dnn", 1, 0.7, planted={})])
    assert generated[0].published == {} and "paper" not in " ".join(cells(generated)[0])
    assert compare([trained("dnn", 1, 0.7, dataset="movielens")])[0].published == {}


def test_published_numbers_are_plausible_and_those_of_the_tables() -> None:
    for table in PUBLISHED.values():
        for row in table.values():
            assert all(0.1 < value < 0.9 for value in row.values())
            assert "hr@5" not in row or row["ndcg@5"] < row["hr@5"]
    assert PUBLISHED["beauty"]["pop"] == {"hr@5": 0.175, "ndcg@5": 0.114}
    assert PUBLISHED["steam"]["AMEIR-A"] == {"hr@5": 0.681, "ndcg@5": 0.517}
    assert {name: len(table) for name, table in PUBLISHED.items()} == {
        "alimama": 9, "beauty": 10, "steam": 10, "criteo": 13, "avazu": 13}


@pytest.mark.parametrize("other", [{"dataset": "avazu"}, {"rows": 99}])
def test_different_data_are_not_compared(other: dict[str, Any]) -> None:
    with pytest.raises(AmeirError, match="din and dnn cannot be compared: their (dataset|rows) are"):
        compare([trained("dnn", 1, 0.7), trained("din", 1, 0.7, **other)])


def test_markdown_says_what_is_different_about_a_model() -> None:
    lines = compare([trained("bpr", 1, 0.7, loss="pairwise"), trained("dnn", 1, 0.6, seconds=0.0)])
    text = markdown(lines, trained("dnn", 1, 0.6).metrics)
    assert "| bpr * | 0.7000 |" in text and "- * bpr is trained with its own loss: pairwise." in text
    assert "rows: 100 train, 10 test" in text
    dnn = next(line for line in text.splitlines() if line.startswith("| dnn"))
    assert dnn.split("|")[-3].strip() == "-", "nothing was trained: no speed"


def test_warnings_of_the_data_are_among_the_notes() -> None:
    lines = compare([trained("dnn", 1, 0.6)])
    assert not any("Warning" in note for note in notes(lines, trained("dnn", 1, 0.6).metrics))
    found = notes(lines, trained("dnn", 1, 0.6, warnings=["a column tells the label."]).metrics)
    assert "Warning: a column tells the label." in found


def whole(name: str) -> dict[str, int]:
    """The rows that a run of all rows of a benchmark has."""
    rows = dict(SPLITS[name].rows)
    return rows if "valid" in rows else {"train": rows["train"] - 1000, "valid": 1000, "test": rows["test"]}


@pytest.mark.parametrize(("name", "model", "auc"), [
    ("criteo_x4", "dcnv2", 0.8145), ("criteo_x4", "deepfm", 0.8143), ("criteo_x1", "finalmlp", 0.8149),
    ("avazu_x1", "dcnv2", 0.7656), ("avazu_x4", "fibinet", 0.7953), ("taobaoad_x1", "din", 0.6524),
    ("taobaoad_x1", "dien", 0.6529)])
def test_a_benchmark_s_numbers_stand_beside_its_whole_files_alone(name: str, model: str, auc: float) -> None:
    def said(rows: dict[str, int], **more: Any) -> tuple[str, str]:
        one = trained(model, 1, 0.7, dataset=name, **more)
        one.metrics["rows"] = rows  # type: ignore[index]
        lines = compare([one])
        return " ".join(cells(lines)[0]), " ".join([*cells(lines)[1][0], *notes(lines, one.metrics)])

    header, text = said(whole(name))
    assert "BARS's AUC" in header and f" {auc:g} " in text and "tuned for it" in text
    if name == "criteo_x4":
        assert "FinalNet 0.8150, QNN-α 0.8163" in text
    fewer = whole(name) | {"test": whole(name)["test"] - 1}
    header, text = said(fewer)
    assert "BARS's" not in header and "BARS' numbers are of its whole files" in text
    header, text = said(whole(name), planted={"interactions": []})
    assert "BARS's" not in header and "generated data" in text


def test_numbers_of_benchmarks_are_of_models_that_there_are() -> None:
    for name, numbers in BENCHMARKS.items():
        assert set(numbers) <= set(BASELINES.names()) and name in SPLITS and name in OTHERS
        assert all(0.5 < row["auc"] < 0.83 and 0.15 < row.get("logloss", 0.2) < 0.47 for row in numbers.values())


def test_what_is_not_on_equal_terms_is_marked() -> None:
    usual = {"batch_size": 4, "finetune_epochs": 20, "data_fingerprint": "abc"}
    found = [trained(m, seed, 0.7, settings=usual) for m in ("a", "b", "c") for seed in (1, 2)]
    found += [trained("short", seed, 0.9, settings=usual | {"finetune_epochs": 1}) for seed in (1, 2)]
    found += [trained("lucky", 7, 0.8, settings=usual), trained("own", 1, 0.75, settings=usual | {"options": {"x": 1}}),
              trained("own", 2, 0.75, settings=usual)]
    lines = compare(found)
    assert unequal(lines) == {"short": ["finetune_epochs"], "lucky": ["seeds"]}
    assert [(row[0], row[-1]) for row in cells(lines)[1]] == [("short", "2 †"), ("lucky", "1 †"), ("own", "2"),
                                                              ("a", "2"), ("b", "2"), ("c", "2")]
    note = next(note for note in notes(lines, found[0].metrics) if note.startswith("†"))
    assert "short differs in finetune_epochs; lucky differs in seeds" in note
    assert note in markdown(lines, found[0].metrics)
    assert unequal(lines[2:]) == {} and not any("†" in n for n in notes(lines[2:], found[0].metrics))


def test_a_constant_and_too_few_clicks_are_said_beside_the_models() -> None:
    known = {"clicks": {"train": 10, "valid": 2, "test": 2}, "constant": {"test": {"auc": 0.5, "logloss": 0.2}}}
    found = [trained("dnn", 1, 0.6, **known), trained("lr", 1, 0.9, **known)]
    said = " ".join(notes(compare(found), found[0].metrics))
    assert "On the test rows a constant has AUC 0.5000, log loss 0.2000; the standard error is, of AUC 0." in said
    assert "Warning: 2 of the 10 test rows are clicks, too few" in said
    assert "dnn does not beat a constant on the test rows: its log loss 0.4000 is worse than the 0.2000" in said
    assert "lr does not beat" not in said
