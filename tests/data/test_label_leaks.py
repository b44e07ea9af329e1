"""Fields that give the label away are found before training, and others are not taken for such."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from pytest import approx

from ameir_pl.data import DATASETS
from ameir_pl.data.infer import infer_description
from ameir_pl.data.label_leaks import auc, leak_of
from ameir_pl.data.planted import GENERATORS

ROWS = 600
R = np.random.default_rng(5)
LABEL = R.random(ROWS) < 0.3
"""Of the rows of every case below."""
BOUGHT = LABEL & (R.random(ROWS) < 0.5)
SOMETHING = R.integers(2, 9, ROWS)
LEAKS = {
    "a copy": LABEL.astype(np.int64),
    "its opposite": 1 - LABEL.astype(np.int64),
    "a rating": np.where(LABEL, R.integers(4, 6, ROWS), R.integers(1, 4, ROWS)),
    "a rating as a number": np.where(LABEL, R.uniform(3.5, 5, ROWS), R.uniform(0, 3.5, ROWS)),
    "a number the other way": np.where(LABEL, R.uniform(-5, 0, ROWS), R.uniform(0, 5, ROWS)),
    "in between": np.where(LABEL, R.uniform(4, 5, ROWS), np.where(SOMETHING > 5, 9.0, 1.0)),
    "a time of viewing": np.where(LABEL, R.exponential(30, ROWS), 0.0),
    "missing without a click": np.where(LABEL, R.uniform(0, 1, ROWS), -1.0),
    "an order's number": np.where(LABEL, 10 + np.arange(ROWS), 2),
    "ids of the clicked": np.where(LABEL, R.integers(100, 140, ROWS), R.integers(200, 240, ROWS)),
    "a tag": np.stack([SOMETHING, np.where(LABEL, 9, 0)], 1),
    "a list that only clicks have": np.where(LABEL[:, None], np.stack([SOMETHING, SOMETHING], 1), 0),
}
PURE = {"a conversion": BOUGHT.astype(np.int64), "revenue": np.where(BOUGHT, R.exponential(30, ROWS), 0.0),
        "the order bought": np.where(BOUGHT, 10 + np.arange(ROWS), 2)}
CLEAN = {
    "noise": R.normal(size=ROWS), "few": R.integers(0, 4, ROWS), "users": R.integers(0, ROWS // 10, ROWS),
    "other in every row": np.arange(ROWS), "the same": np.zeros(ROWS, np.int64), "as good as they get": LABEL * 1.5
    + R.normal(size=ROWS), "a rare value": np.where(np.arange(ROWS) == np.flatnonzero(LABEL)[0], 7, SOMETHING),
    "a tag": np.stack([SOMETHING, R.integers(0, 9, ROWS)], 1)}


@pytest.mark.parametrize("name", LEAKS)
def test_a_field_that_tells_the_label(name: str) -> None:
    for train in (ROWS * 4 // 5, ROWS):
        leak = leak_of(name, LEAKS[name], LABEL, train)
        assert leak is not None and leak.field == name and leak.auc >= 0.99 and leak.rows == 0
        assert f"{name} (alone AUC {leak.auc:.4f})" in str(leak)


@pytest.mark.parametrize("name", PURE)
def test_a_value_that_clicks_alone_have(name: str) -> None:
    leak = leak_of(name, PURE[name], LABEL, ROWS * 4 // 5)
    assert leak is not None and leak.rows == BOUGHT.sum() and 0.6 < leak.auc < 0.9
    assert f"in all of its {BOUGHT.sum()} rows" in str(leak)


@pytest.mark.parametrize("name", CLEAN)
def test_a_field_that_tells_little(name: str) -> None:
    assert leak_of(name, CLEAN[name], LABEL, ROWS * 4 // 5) is None


@pytest.mark.parametrize("clicks", [0, 4, ROWS - 4, ROWS])
def test_too_few_rows_say_nothing(clicks: int) -> None:
    label = np.arange(ROWS) < clicks
    assert leak_of("x", label.astype(np.int64), label, ROWS) is None


def test_auc_by_counting_pairs() -> None:
    score, label = R.integers(0, 5, 80), R.random(80) < 0.4
    pairs = score[label][:, None] - score[~label]
    assert auc(score, label) == approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())


@pytest.mark.parametrize("name", ["movielens", "synthetic", "criteo", "avazu"])
def test_no_alarm_where_the_best_model_is_known(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    GENERATORS.get(name)(tmp_path / "raw", 3000, 1, 0.0)
    more = {"max_len": 5} if name in ("movielens", "synthetic") else {}
    encoded = DATASETS.get(name)(raw=tmp_path / "raw", encoded=tmp_path / "data", **more).prepare()
    assert encoded.manifest["warnings"] == [] and "warning" not in capsys.readouterr().err


@pytest.fixture
def clicks(tmp_path: Path) -> pl.DataFrame:
    frame = pl.DataFrame({"click": LABEL.astype(int), "ts": 1_600_000_000 + 1000 * np.arange(ROWS), "item": SOMETHING,
                          "user_id": CLEAN["users"], "rating": LEAKS["a rating"], "bought": PURE["a conversion"],
                          "dwell_time": LEAKS["a time of viewing"], "mood": np.where(LABEL, "yes", "no"),
                          "color": np.array(["red", "blue"])[R.integers(0, 2, ROWS)]})
    frame.write_csv(tmp_path / "t.csv")
    return frame


FIELDS = ("item", "user_id", "rating", "bought", "dwell_time", "mood", "color")


def test_encoding_says_them_each_time(clicks: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fields = "\n".join(f"  - {{name: {n}, type: {'dense' if n == 'dwell_time' else 'categorical'}}}" for n in FIELDS)
    (tmp_path / "t.yaml").write_text("input: t.csv\ntask: ctr\nlabel: click\nsplit: {type: time, column: ts, valid: "
                                     f"0.1, test: 0.1}}\nfields:\n{fields}\n")
    for _ in range(2):
        DATASETS.get("table")(raw=tmp_path, encoded=tmp_path / "data", source=tmp_path / "t.yaml").prepare()
        (line,) = (line for line in capsys.readouterr().err.splitlines() if "warning" in line)
        for name in ("rating (alone AUC 1.0000)", "mood (alone AUC 1.0000)", "dwell_time (alone AUC 1.0000)",
                     "bought (alone AUC 0.", "Leave them out of `fields`"):
            assert name in line
        assert not any(name in line for name in ("item", "user_id", "color"))


@pytest.mark.parametrize("label", ["click", "score"])
def test_a_guess_leaves_them_out(clicks: pl.DataFrame, tmp_path: Path, label: str) -> None:
    if label == "score":  # the label is a number from a threshold on
        clicks.with_columns(pl.Series("score", LEAKS["a rating"])).drop("click").write_csv(tmp_path / "t.csv")
    guessed = infer_description(str(tmp_path / "t.csv"), label, tmp_path / "t.yaml")
    left = {line.split("name: ")[1].split(",")[0] for line in guessed.text.splitlines()
            if "left out: it gives the label away, alone with AUC 1.0000" in line}
    assert left == {"rating", "mood", "dwell_time"}
    assert f"# left out: it has a value that clicks alone have, in all of its {BOUGHT.sum()} rows" in guessed.text
    for name in ("item", "user_id", "color"):
        assert f"  - {{name: {name}" in guessed.text
