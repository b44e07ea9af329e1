"""Every fairness scheme runs all stages; what was activated is in the summaries."""

from __future__ import annotations

import json

import pytest

from ameir_pl.cli import search
from tests.tiny import Tiny, contents


@pytest.mark.parametrize("fairness", ["full", "uniform"])  # split is the default, which every other test runs
def test_other_schemes(fairness: str, tiny: Tiny, finished: Tiny) -> None:
    for stage in (1, 2, 3):
        search.main(tiny(f"stage={stage}", f"fairness={fairness}"))
    assert (contents(tiny.folder())["stage3/supernet.ckpt"] != contents(finished.folder())["stage3/supernet.ckpt"])
    counts = json.loads((tiny.folder() / "stage1/summary.json").read_text())["activations"]["block 1 layer"]
    assert sum(counts.values()) == (9 * 12 if fairness == "full" else 9)


def test_a_fair_scheme_activates_everything_equally(finished: Tiny) -> None:
    activations = json.loads((finished.folder() / "stage1/summary.json").read_text())["activations"]
    for block in (1, 2, 3):
        assert set(activations[f"block {block} layer"].values()) == {9}  # updates
    stage2 = json.loads((finished.folder() / "stage2/summary.json").read_text())["cycles"]
    assert [c["candidates"] for c in stage2][0] == 45 and all(
        c["activations"]["most"] - c["activations"]["fewest"] <= 1 for c in stage2)
    ratios = json.loads((finished.folder() / "stage3/summary.json").read_text())["activations"]
    assert set(ratios["hidden layer 1 units"].values()) == {9}
