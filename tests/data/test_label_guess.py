"""What of a label is a click: guessed where the values tell, asked for where they do not, and read as written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ameir_pl.data.infer import default_output, infer_description
from ameir_pl.data.table import Table
from ameir_pl.errors import AmeirError

ROWS = 60


def write(folder: Path, values: list[Any], name: str = "a.csv") -> Path:
    """A table whose label has these values in turn."""
    labels = [values[i % len(values)] for i in range(ROWS)]
    table = pl.DataFrame({"label": labels, "user": [f"u{i % 7}" for i in range(ROWS)],
                          "item": [f"i{i % 5}" for i in range(ROWS)]}, strict=False)
    if name.endswith("parquet"):
        table.write_parquet(folder / name)
    else:
        rows = "".join(f"{'' if label is None else label},{user},{item}\n" for label, user, item in table.rows())
        (folder / name).write_text(f"label,user,item\n{rows}")
    return folder / name


def clicks(path: Path, **hints: Any) -> tuple[str, float]:
    """The description that is guessed, and the share of clicks among the rows that are encoded with it."""
    output = default_output(str(path))
    guessed = infer_description(str(path), "label", output, **hints)
    assert not guessed.error and not guessed.incomplete
    output.write_text(guessed.text)
    data = Table(raw="none", encoded=path.parent / "encoded", source=output).prepare()
    assert len(data) == ROWS
    return guessed.text, float(data.columns["label"].mean())


@pytest.mark.parametrize(("values", "share", "line"), [
    (["1", "2"], 1 / 2, "positive: [2]"), (["yes", "no", "no"], 1 / 3, "positive: ['yes']"),
    (["Y", "N", "N", "N"], 1 / 4, "positive: [Y]"), (["True", "False", "false"], 1 / 3, ""),
    (["click", "no_click", "no_click"], 1 / 3, "negative: [no_click]"), (["-1", "1", "-1"], 1 / 3, "positive: [1]"),
    (["not clicked", "clicked", "not clicked"], 1 / 3, "positive: [clicked]"), ([" 0", " 1", "1 "], 2 / 3, ""),
    (["0.0", "1.0", "0"], 1 / 3, ""), (["1", None, None], 1 / 3, "negative: ['']"),
    (["3", "4", "3"], 1 / 3, "positive"),
    (["view", "buy", "view"], 1 / 3, "positive: [buy]"), (["neg", "pos", "neg"], 1 / 3, "positive: [pos]"),
    (["1", "2", "3", "4", "5"], 2 / 5, "threshold: 4"), ([f"{i / 59:.4f}" for i in range(60)], 1 / 2, "threshold: 0.5"),
    (["0"] * 27 + ["1", "2", "1000"], 1 / 30, "threshold: 750"), (["0"] * 57 + ["1", "2", "3"], 1 / 30, "threshold: 2"),
    (["X1", "no", "no"], 1 / 3, "positive: [X1]")])
def test_labels_that_tell(values: list[Any], share: float, line: str, tmp_path: Path) -> None:
    text, found = clicks(write(tmp_path, values))
    assert found == pytest.approx(share) and line in text
    assert line or not any(key in text for key in ("positive:", "threshold:"))


@pytest.mark.parametrize(("values", "share"), [
    ([1, 2, 1], 1 / 3), ([True, False, False], 1 / 3), ([0.0, 1.0, 0.0], 1 / 3), ([1.0, 2.0, 1.0], 1 / 3),
    ([1, None, None], 1 / 3)])
def test_labels_that_parquet_stores(values: list[Any], share: float, tmp_path: Path) -> None:
    assert clicks(write(tmp_path, values, "a.parquet"))[1] == pytest.approx(share)


@pytest.mark.parametrize(("values", "expected"), [
    (["1"], "every row has the label '1'"), (["no"], "every row has the label 'no'"),
    (["A", "B"], "positive=A or positive=B"), (["won", "lost", "open"], "3 values (won, lost, open)"),
    (["0", "1", "x"], "3 values (0, 1, x)"), (["0", "1", None], "20 of 60 rows have no label"),
    (["0", None], "its only value is '0'"), ([None], "no value")])
def test_labels_that_do_not_tell_are_asked_for(values: list[Any], expected: str, tmp_path: Path) -> None:
    path = write(tmp_path, values)
    with pytest.raises(AmeirError) as caught:
        infer_description(str(path), "label", tmp_path / "a.yaml")
    assert expected in str(caught.value) and "column 'label'" in str(caught.value)


def test_the_user_says_what_a_click_is(tmp_path: Path) -> None:
    path = write(tmp_path, ["won", "lost", "open", None])
    assert clicks(path, positive=["WON"])[1] == pytest.approx(1 / 4)
    assert clicks(path, positive=["won", "open"])[1] == pytest.approx(1 / 2)
    with pytest.raises(AmeirError, match="positive=wonn is none of its values. Did you mean 'won'"):
        infer_description(str(path), "label", tmp_path / "a.yaml", positive=["wonn"])
    with pytest.raises(AmeirError, match="names all of its values"):
        infer_description(str(write(tmp_path, ["a", "b"])), "label", tmp_path / "a.yaml", positive=["a", "b"])


def test_a_line_that_repeats_the_header_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, ["0", "1"])
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:10], lines[0], *lines[10:]]) + "\n")
    with pytest.raises(AmeirError, match="row 10 repeats the header"):
        infer_description(str(path), "label", tmp_path / "a.yaml")


def test_a_label_of_later_rows_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, ["0"] * 30 + ["1"] * 30)
    monkeypatch.setattr("ameir_pl.data.column_facts.look.__defaults__", (20,))
    assert clicks(path)[1] == pytest.approx(1 / 2)


def prepared(folder: Path, label: str) -> float:
    (folder / "d.yaml").write_text("input: a.csv\n" + label + "\nfields: [{name: user}, {name: item}]\n")
    data = Table(raw="none", encoded=folder / "encoded", source=folder / "d.yaml").prepare()
    return float(data.columns["label"].mean())


def test_what_the_description_may_say(tmp_path: Path) -> None:
    write(tmp_path, ["yes", "No", "maybe"])
    assert prepared(tmp_path, "label: label\npositive: yes") == pytest.approx(1 / 3)
    assert prepared(tmp_path, "label: label\npositive: [YES, maybe]") == pytest.approx(2 / 3)
    assert prepared(tmp_path, "label: label\nnegative: [no]") == pytest.approx(2 / 3)
    for keys, expected in {"positive: yes\nnegative: no": "found 'maybe' where yes (a click), or no (none)",
                           "positive: yes\nnegative: [no, yes]": "'yes' is in `positive` too",
                           "positive: yes\nthreshold: 2": "take one of them", "positive: []": "a value of the label",
                           "positive: {a: 1}": "a value of the label",
                           "task: retrieval\npositive: yes": "is for task: ctr"}.items():
        with pytest.raises(AmeirError) as caught:
            prepared(tmp_path, f"label: label\n{keys}" if "task" not in keys else keys)
        assert expected in str(caught.value)
    write(tmp_path, ["1", "", "0"])
    with pytest.raises(AmeirError, match="found nothing"):
        prepared(tmp_path, "label: label\npositive: 1")
    assert prepared(tmp_path, "label: label\npositive: [true, 1.0]\nnegative: [0, null]") == pytest.approx(1 / 3)
