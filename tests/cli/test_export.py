"""`ameir export`: from the run's bundle to a file in the run folder."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ameir_pl.cli import export
from ameir_pl.errors import AmeirError
from ameir_pl.export.bundle import read_bundle
from ameir_pl.export.onnx import OnnxModel, random_batch
from tests.tiny import Tiny, contents


def test_the_file_gives_what_the_bundle_gives(copied: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(copied.folder())
    path = export.main(copied("format=onnx"))
    assert path == copied.folder() / "model.onnx" and str(path) in capsys.readouterr().err.replace("\n", "")
    after = contents(copied.folder())
    assert {k: v for k, v in after.items() if k != "model.onnx"} == before
    model, exported = read_bundle(copied.folder() / "model").model, OnnxModel(path, threads=1)
    for rows, length in ((1, 1), (20, 6)):
        batch = random_batch(model.schema, rows, length, seed=rows)
        with torch.no_grad():
            expected = torch.sigmoid(model(batch)).numpy()
        np.testing.assert_allclose(exported(batch)["probability"], expected, rtol=1e-5, atol=1e-5)


def test_what_cannot_be_exported_is_said(tiny: Tiny) -> None:
    with pytest.raises(AmeirError, match="no model to export.*ameir derive dataset=movielens .*run=default"):
        export.main(tiny())
    with pytest.raises(AmeirError, match="There is no format=onxn. Did you mean 'onnx'"):
        export.main(tiny("format=onxn"))
    assert not contents(tiny.runs)


def test_a_damaged_bundle_is_not_exported(copied: Tiny) -> None:
    (copied.folder() / "model/weights.safetensors").write_bytes(b"")
    with pytest.raises(AmeirError, match="weights.safetensors is damaged"):
        export.main(copied())
    assert not (copied.folder() / "model.onnx").exists()
