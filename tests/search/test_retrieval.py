"""The next item: all file formats and both losses, from a file to metrics of both protocols."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ameir_pl.atomic import unsealed
from ameir_pl.cli import search
from ameir_pl.errors import AmeirError
from tests.data.make import write_sequences
from tests.tiny import Tiny, contents

NAMES = {"hr@1", "hr@5", "ndcg@5", "hr@10", "ndcg@10"}
FAST = ("dataset.model.blocks=2", "dataset.train.batch_size=32")


@pytest.mark.parametrize(("form", "loss", "negatives"), [("lines", "sampled_bce", 5), ("pairs", "sampled_softmax", 20),
                                                         ("ratings", "sampled_bce", 3)])
def test_from_file_to_metrics(form: str, loss: str, negatives: int, beauty: Tiny,
                              sequence_formats: dict[str, Path]) -> None:
    command = beauty(*FAST, f"dataset.source={sequence_formats[form]}", f"dataset.train.loss={loss}",
                     f"dataset.train.negatives={negatives}", "reference=null" if form == "pairs" else "seed=1")
    inherited = search.main([*command, "stage=1"])["models"]["AMEIR-A, inherited"]
    assert all(set(inherited[split]) == NAMES for split in ("valid", "test", "test_full"))
    assert search.main([*command, "stage=1"])["models"]["AMEIR-A, inherited"] == inherited  # finished: shown again
    stage = contents(beauty.folder())["stage1/winner.ckpt"]
    metrics = search.main([*command, "stage=all"])
    assert contents(beauty.folder())["stage1/winner.ckpt"] == stage
    assert "leave one out" in metrics["protocol"]
    assert list(metrics["models"]) == (["AMEIR-A"] if form == "pairs" else ["DNN", "AMEIR-A"])
    for row in metrics["models"].values():
        for split in ("valid", "test", "test_full"):
            assert set(row[split]) == NAMES
            assert all(0 <= v <= 1 for v in row[split].values())
            assert row[split]["hr@1"] <= row[split]["ndcg@5"] <= row[split]["hr@5"] <= row[split]["hr@10"]
    assert unsealed(json.loads((beauty.folder() / "metrics.json").read_text())) == metrics
    assert set(metrics["seconds"]) == {"prepare", "stage1", "finetune"}
    assert not (beauty.folder() / "stage2").exists()


def test_too_small_a_catalogue_is_refused_before_training(tmp_path: Path) -> None:
    source = write_sequences(tmp_path / "small", users=60, items=50)["lines"]
    small = Tiny("beauty", source, tmp_path / "data", tmp_path / "runs")
    with pytest.raises(AmeirError, match="100 items that a user never touched"):
        search.main(small(*FAST, "stage=1"))
    assert not small.runs.exists()
