"""The configurations of benchmarks/quality.yaml, and what counts as outside of what was measured."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import yaml

from ameir_pl.cli.compose import load_config
from benchmarks import quality

WHOLE = yaml.safe_load(quality.FILE.read_text())


@pytest.mark.parametrize("name", WHOLE["configurations"])
def test_a_configuration_composes_and_was_measured(name: str) -> None:
    configuration = WHOLE["configurations"][name]
    config, _ = load_config(configuration["command"], configuration["overrides"])
    assert config.dataset.name == configuration["overrides"][0].removeprefix("dataset=")
    assert configuration["sd"] >= 0 and 0 < configuration["mean"] <= 1 and len(configuration["seeds"]) > 1


@pytest.mark.parametrize(("found", "sd", "expected"), [
    (0.740, 0.001, False), (0.7371, 0.001, False), (0.736, 0.001, True), (0.744, 0.001, True),
    (0.7385, 0.0, False), (0.737, 0.0, True), (math.nan, 1.0, True)])
def test_outside_is_beyond_three_deviations_and_the_least(found: float, sd: float, expected: bool) -> None:
    assert quality.outside(found, 0.740, sd, sds=3, least=0.002) == expected


def test_what_is_measured_is_written_where_it_belongs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "quality.yaml"
    copy.write_text(quality.FILE.read_text())
    monkeypatch.setattr(quality, "FILE", copy)
    whole = yaml.safe_load(copy.read_text())
    names = list(whole["configurations"])
    for place, name in enumerate(names):
        whole["configurations"][name] |= {"mean": 0.5 + place / 100, "sd": 0.01}
    quality.write(whole)
    quality.write(whole)
    again = yaml.safe_load(copy.read_text())
    assert again == whole and copy.read_text().count("mean: ") == len(names)
    assert copy.read_text().startswith("# One small configuration")
