"""What docs/adding-a-model.md shows works as it stands there."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest
import yaml

from ameir_pl.baselines import BASELINES, build_baseline
from ameir_pl.baselines.base import options_of
from tests.baselines import test_every_baseline as every
from tests.models.examples import SCHEMAS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "adding-a-model.md"


@pytest.fixture
def fwfm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict:
    blocks = dict(re.findall(r"```(python|yaml)\n(.*?)```", PAGE.read_text(), re.DOTALL))
    monkeypatch.setattr(BASELINES, "_items", dict(BASELINES._items))
    (tmp_path / "fwfm.py").write_text(blocks["python"])
    spec = importlib.util.spec_from_file_location("fwfm_of_the_page", tmp_path / "fwfm.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "fwfm_of_the_page", module)
    spec.loader.exec_module(module)
    return dict(yaml.safe_load(blocks["yaml"]))


def test_the_model_of_the_page(fwfm: dict) -> None:
    assert fwfm == {"name": "fwfm", "options": options_of("fwfm")}
    assert every.refused("fwfm", SCHEMAS["retrieval"])
    for kind in ("target", "no target"):
        every.test_shapes_and_gradients("fwfm", kind)
        every.test_learns_a_batch_by_heart("fwfm", kind)
        every.test_padding_never_matters("fwfm", kind)
        every.test_rows_without_history("fwfm", kind)
        every.test_dropout_is_for_training_only("fwfm", kind)
    build_baseline("fwfm", SCHEMAS["target"], embedding_size=4, mlp=[], dropout=0.0, options={"start": 0.5})
