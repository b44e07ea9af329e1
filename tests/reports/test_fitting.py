"""Closing tables fit the terminal: nothing is cut, nothing wraps, every number is there."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest

from ameir_pl.reports.fitting import split_columns
from ameir_pl.reports.table import show

RANKED = {f"{m}@{k}": 0.1234 for m, k in (("hr", 1), ("hr", 5), ("ndcg", 5), ("hr", 10), ("ndcg", 10))}
CLICKS = {"auc": 0.7654, "logloss": 0.4321}


def metrics(names: tuple[str, ...], splits: dict[str, dict[str, float]], params: int = 57_960, below: str = "constant"
            ) -> dict[str, Any]:
    row = {**splits, "params": params, "embedding_params": 40_880, "seconds": 11.6,
           "standard_errors": {split: dict.fromkeys(values, 0.0042) for split, values in splits.items()}}
    rule = "leave one out; test item ranked among 100 uniform negatives, ties half a rank"
    return {"dataset": "movielens", "seed": 1, "protocol": rule, "seconds": {"prepare": 1.0},
            "models": {name: copy.deepcopy(row) for name in names},
            "rows": {"valid": 900, "test": 900}, below: dict(splits),
            **({"clicks": {"valid": 300, "test": 300}} if below == "constant" else {})}


TABLES = {
    "next item": metrics(("POP", "AMEIR-A"), {"valid": RANKED, "test": RANKED, "test_full": RANKED}, below="chance"),
    "clicks": metrics(("DNN", "AMEIR-A", "AMEIR-B", "AMEIR-C"), {"valid": CLICKS, "test": CLICKS}),
    "many parameters": metrics(("GRU4REC_PLUS", "AMEIR-A, inherited"), {"valid": CLICKS, "test": CLICKS},
                               1_234_567_890),
    "no test rows": metrics(("DNN",), {"valid": CLICKS, "test": {}, "test_full": {}})}


@pytest.mark.parametrize("width", [60, 80, 100, 200])
@pytest.mark.parametrize("name", TABLES)
def test_no_line_wraps(name: str, width: int, monkeypatch: pytest.MonkeyPatch,
                       capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    table = TABLES[name]
    show(table, [])
    out = capsys.readouterr().out
    lines = [line for line in out.splitlines() if line[:1] in "┏┃┡│├└"]
    assert lines and max(map(len, lines)) <= width and "…" not in out
    for model, row in table["models"].items():
        mine = " ".join(line for line in lines if line.startswith(f"│ {model} "))
        for values in row.values():
            for value in values.values() if isinstance(values, dict) and values is not row["standard_errors"] else ():
                assert f"{value:.4f}" in mine
        assert f"{row['params']:,}" in mine and "11.6" in mine
        metrics_there = sum(len(row[split]) for split in ("valid", "test", "test_full") if split in row)
        assert len(re.findall(r"\b0\.\d{4}\b", mine)) == metrics_there
    assert out.count("± 1 s.e.") >= 1


def test_a_wide_terminal_has_one_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "240")
    show(TABLES["next item"], [])
    assert capsys.readouterr().out.count("┏") == 1
    monkeypatch.setenv("COLUMNS", "80")
    show(TABLES["clicks"], [])
    assert capsys.readouterr().out.count("┏") == 1


def test_groups_stay_together() -> None:
    assert split_columns([7, 6, 6, 6, 6], 80, [2, 2]) == [[1, 2, 3, 4]]
    assert split_columns([7, 6, 6, 6, 6], 40, [2, 2]) == [[1, 2], [3, 4]]
    assert split_columns([7, 6, 6, 6, 6], 22, [2, 2]) == [[1], [2], [3], [4]]
    assert split_columns([7, 60, 6], 20, [1, 1]) == [[1], [2]]


@pytest.mark.parametrize("clicks", [1, 4, 5])
def test_one_click_is_no_measure(clicks: int, capsys: pytest.CaptureFixture[str]) -> None:
    table = {**TABLES["clicks"], "clicks": {"valid": 300, "test": clicks}, "rows": {"valid": 900, "test": 900}}
    show(table, [])
    out = capsys.readouterr().out
    assert out.count(f"too few ({clicks})") == (4 if clicks < 5 else 0)
    assert out.count("0.7654") == (6 if clicks < 5 else 10) and "too few to measure" in out
