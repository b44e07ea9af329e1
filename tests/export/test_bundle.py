"""Bundles: what is read is what was written, and nothing else is taken for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from ameir_pl.cli.compose import load_config
from ameir_pl.cli.setup import open_session
from ameir_pl.errors import AmeirError
from ameir_pl.export.bundle import read_bundle, write_bundle
from ameir_pl.models.ameir import Derived
from tests.tiny import Tiny, contents


def test_reading_gives_what_was_written(finished: Tiny, tmp_path: Path) -> None:
    problem = open_session(*load_config("search", finished()), "evaluate").problem
    batch = next(iter(problem.data.test_dataloader()))
    bundle = read_bundle(finished.folder() / "model")
    assert not bundle.model.training and bundle.state == "finetuned"
    assert bundle.variant == json.loads((finished.folder() / "metrics.json").read_text())["model"]
    write_bundle(tmp_path / "model", bundle.model, finished.folder() / "model/vocabulary.parquet",
                 variant=bundle.variant, state=bundle.state, made_from=bundle.made_from)
    again = read_bundle(tmp_path / "model")
    with torch.no_grad():
        assert torch.equal(again.model(batch), bundle.model(batch))
    assert again.model.state_dict().keys() == bundle.model.state_dict().keys()
    assert again.model.architecture == bundle.model.architecture and again.model.schema == bundle.model.schema
    assert again.model.mlp_dropout == 0.3 and again.model.block_dropout == 0.1
    assert contents(tmp_path / "model") == contents(finished.folder() / "model")
    assert set(contents(tmp_path)) == {f"model/{n}" for n in contents(finished.folder() / "model")}


def test_a_bundle_keeps_the_dropout_of_the_embedded_history(finished: Tiny, tmp_path: Path) -> None:
    bundle = read_bundle(finished.folder() / "model")
    for rate in (0.0, 0.25):
        model = Derived(bundle.model.schema, bundle.model.architecture, embedding_size=bundle.model.embedding_size,
                        embedding_dropout=rate)
        write_bundle(tmp_path / f"model{rate}", model, finished.folder() / "model/vocabulary.parquet",
                     variant=bundle.variant, state="trained", made_from=bundle.made_from)
        again = read_bundle(tmp_path / f"model{rate}").model
        assert again.embedding_dropout == again.embedding.dropout.p == rate


def test_a_bundle_keeps_how_queries_are_compared_with_items(finished: Tiny, tmp_path: Path) -> None:
    bundle = read_bundle(finished.folder() / "model")
    assert bundle.temperature is None
    write_bundle(tmp_path / "model", bundle.model, finished.folder() / "model/vocabulary.parquet",
                 variant=bundle.variant, state="trained", made_from=bundle.made_from, temperature=0.07)
    assert read_bundle(tmp_path / "model").temperature == 0.07


@pytest.mark.parametrize("change", ["missing", "extra", "shape", "value"])
def test_other_tensors_are_refused(copied: Tiny, change: str) -> None:
    folder = copied.folder() / "model"
    path = folder / "weights.safetensors"
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    name = sorted(tensors)[0]
    if change == "missing":
        del tensors[name]
    elif change == "extra":
        tensors["mine"] = torch.zeros(2)
    elif change == "shape":
        tensors[name] = torch.zeros(3, 3, 3)
    else:
        tensors[name] = tensors[name] + 1
    save_file(tensors, path, metadata)
    with pytest.raises(AmeirError, match="weights.safetensors is damaged or does not fit .*ameir derive overwrite=tr"):
        read_bundle(folder)


@pytest.mark.parametrize("content", [b"\x80\x04K\x01.", b"", b"PK\x03\x04", b"\xff" * 64])
def test_only_safetensors_are_read(copied: Tiny, content: bytes) -> None:
    (copied.folder() / "model/weights.safetensors").write_bytes(content)
    with pytest.raises(AmeirError, match="weights.safetensors is damaged"):
        read_bundle(copied.folder() / "model")


def test_a_failed_write_leaves_the_old_bundle(copied: Tiny, tmp_path: Path) -> None:
    folder = copied.folder() / "model"
    before, bundle = contents(copied.folder()), read_bundle(folder)
    with pytest.raises(FileNotFoundError):
        write_bundle(folder, bundle.model, tmp_path / "none.parquet", variant="AMEIR-C", state="derived", made_from="")
    assert contents(copied.folder()) == before


@pytest.mark.parametrize("name", ["weights.safetensors", "architecture.yaml", "schema.json", "vocabulary.parquet"])
def test_a_missing_file_is_named(copied: Tiny, name: str) -> None:
    (copied.folder() / "model" / name).unlink()
    with pytest.raises(AmeirError, match=f"{name} is missing"):
        read_bundle(copied.folder() / "model")


def test_metadata_is_plain_text(finished: Tiny) -> None:
    with safe_open(finished.folder() / "model/weights.safetensors", framework="pt") as file:
        about = json.loads(file.metadata()["bundle"])
    assert about["embedding_size"] == "4" and about["state"] == "finetuned"
