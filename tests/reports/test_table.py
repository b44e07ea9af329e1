"""The closing table: what was found while encoding stands beside the numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ameir_pl.atomic import unsealed
from ameir_pl.cli import train
from tests.data.test_ties import as_ratings, events
from tests.tiny import Tiny


def flat(text: str) -> str:
    return " ".join(text.split())


def test_warnings_of_the_data_stand_beside_the_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "days.csv"
    path.write_text(as_ratings(events(days=True)))
    days = Tiny("beauty", path, tmp_path / "data", tmp_path / "runs")
    asked = days("dataset.options.min_count=1", "model=pop")
    words = "the order of lines decides which items of 20 of 20 (100.0 %) users are held out"
    metrics = train.main(asked)
    assert len(metrics["warnings"]) == 1 and words in metrics["warnings"][0]
    assert unsealed(json.loads((days.folder("pop") / "metrics.json").read_text())) == metrics
    shown = capsys.readouterr()
    assert f"Warning: {words}" in flat(shown.out) and f"beauty: warning: {words}" in flat(shown.err)
    assert train.main(asked) == metrics  # finished: shown again
    assert f"Warning: {words}" in flat(capsys.readouterr().out)


def test_data_without_warnings_have_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "seconds.csv"
    path.write_text(as_ratings(events(days=False)))
    metrics = train.main(Tiny("beauty", path, tmp_path / "data", tmp_path / "runs")("dataset.options.min_count=1",
                                                                                    "model=pop"))
    assert "warnings" not in metrics and "Warning" not in capsys.readouterr().out
