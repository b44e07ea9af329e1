"""ONNX: the file gives what the model gives, for every operation, any number of rows and any length of history."""

from __future__ import annotations

import importlib
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ameir_pl.batch import Batch
from ameir_pl.errors import AmeirError
from ameir_pl.export.bundle import Bundle
from ameir_pl.export.onnx import LARGEST, OnnxModel, check, export_onnx, random_batch
from ameir_pl.export.serving import ServingForm, inputs_of
from ameir_pl.models.ameir import Derived
from ameir_pl.nn.activations import ACTIVATIONS
from ameir_pl.nn.operations import OPERATIONS, names
from ameir_pl.schema import MISSING, Schema
from ameir_pl.space.architecture import Architecture, Block, MlpLayer
from tests.baselines.test_odd_input import OUTSIDE, strewn
from tests.models.examples import LENGTH, SCHEMAS, K, draws, make_batch, randomized

LENGTHS = ((0,), (LENGTH,), (0, 0, 0), (1, 0, 1), (2, 5, 0, 3, LENGTH), tuple(i % (LENGTH + 1) for i in range(40)))


def every_operation(schema: Schema) -> tuple[Block, ...]:
    """One block for each kind of operation: those that differ in numbers alone (kernel, heads) are one kind."""
    kinds = {OPERATIONS.get(name).__mro__[-4]: name for name in names(schema.has_target)}  # below Operation and Module
    activations = ACTIVATIONS.names()
    return tuple(Block(layer) if layer == "zero" else
                 Block(layer, activations[i % len(activations)], ("layer_norm", "none")[i % 2])
                 for i, layer in enumerate(kinds.values()))


def model_of(kind: str) -> Derived:
    """``target`` holds every operation; ``no history`` has interactions of several orders alone."""
    if kind == "one behavior":
        schema = replace(SCHEMAS["retrieval"], max_len=1)
        return randomized(Derived(schema, Architecture((Block("conv3", "relu", "none"),)), embedding_size=K)).eval()
    if kind == "retrieval":
        blocks = (Block("self_attention2", "gelu", "layer_norm"),)
        return randomized(Derived(SCHEMAS[kind], Architecture(blocks), embedding_size=K)).eval()
    schema = SCHEMAS["target"]
    blocks, interactions = every_operation(schema), (("item", "user"), ("city", "genres", "hour"))
    if kind == "no history":
        schema, blocks = replace(schema, behaviors=(), max_len=0), ()
    mlp = (MlpLayer(9, "dice"), MlpLayer(7, "swish"))
    return randomized(Derived(schema, Architecture(blocks, interactions, mlp), embedding_size=K)).eval()


def expected(model: Derived, batch: Batch) -> np.ndarray:
    with torch.no_grad():
        output = model(batch)
    return (torch.sigmoid(output) if model.schema.task == "ctr" else output).numpy()


def bundle_of(model: Derived) -> Bundle:
    return Bundle(model, "AMEIR-C", "finetuned", "")


def odd_batches(schema: Schema) -> list[tuple[Batch, Batch]]:
    """What a server may be sent, and a batch in the encoding that means the same."""
    batch, none = make_batch(schema, (2, 5, 0, 3, LENGTH)), make_batch(schema, (0, 0, 0))
    batches = [(replace(none, behaviors=none.behaviors[:, :0], mask=none.mask[:, :0]), none),
               (batch[:0], batch[:0]), (batch[2:3], batch[2:3])]
    for outside in OUTSIDE:
        (fields, f_known), (behaviors, b_known) = (strewn(ids, of, schema, outside) for ids, of in (
            (batch.fields, schema.fields), (batch.behaviors, schema.behaviors)))
        batches.append((replace(batch, fields=fields, behaviors=behaviors),
                        replace(batch, fields=f_known, behaviors=b_known)))
    if schema.dense:
        wrong, meant = batch.dense.clone(), batch.dense.clone()
        wrong[:3, 0], meant[:3, 0] = (torch.tensor([torch.nan, torch.inf, -torch.inf]),
                                      torch.tensor([MISSING, 1.0, -1.0]))
        batches.append((replace(batch, dense=wrong), replace(batch, dense=meant)))
    return batches


@pytest.mark.parametrize("kind", ["target", "retrieval", "no history", "one behavior"])
def test_the_file_gives_what_the_model_gives(kind: str, tmp_path: Path) -> None:
    model = model_of(kind)
    export_onnx(bundle_of(model), tmp_path / "model.onnx")
    assert [f.name for f in tmp_path.iterdir()] == ["model.onnx"]
    exported = OnnxModel(tmp_path / "model.onnx", threads=1)
    assert exported.inputs == inputs_of(model)
    assert exported.metadata["schema"] == model.schema.fingerprint()
    assert exported.metadata["architecture"] == model.architecture.digest()
    assert exported.metadata["variant"] == "AMEIR-C"
    for seed, lengths in enumerate(LENGTHS):
        batch = make_batch(model.schema, lengths, seed)
        output = exported(batch)
        (name, got), = output.items()
        assert name == ("query" if model.schema.task == "retrieval" else "probability")
        np.testing.assert_allclose(got, expected(model, batch), rtol=1e-5, atol=1e-5)
    for batch, meant in odd_batches(model.schema):
        (got,) = exported(batch).values()
        assert got.shape[0] == len(batch)
        np.testing.assert_allclose(got, expected(model, meant), rtol=1e-5, atol=1e-5)
    if "mask" in exported.inputs:
        gap = make_batch(model.schema, (3, 3))
        gap.mask[1, 0] = False
        with pytest.raises(AmeirError, match="Row 1 of the batch has padding before one of its behaviors"):
            exported(gap)
    if model.schema.task == "retrieval":
        np.testing.assert_array_equal(exported.items(), model.embedding.table("item").detach().numpy())
    else:
        with pytest.raises(AmeirError, match="no table of items"):
            exported.items()


def test_products_of_the_file_are_the_scores_of_a_model_that_compares_by_cosine(tmp_path: Path) -> None:
    model, temperature = model_of("retrieval"), 0.05
    export_onnx(replace(bundle_of(model), temperature=temperature), tmp_path / "model.onnx")
    exported = OnnxModel(tmp_path / "model.onnx", threads=1)
    table = model.embedding.table("item").detach().double().numpy()
    lengths = np.linalg.norm(table, axis=1, keepdims=True)
    assert lengths[0] == 0
    batch = make_batch(model.schema, (2, 5, 0, 3, LENGTH))
    query = expected(model, batch).astype(float)
    cosines = (query / np.linalg.norm(query, axis=1, keepdims=True)) @ (table / np.maximum(lengths, 1e-12)).T
    (got,) = exported(batch).values()
    np.testing.assert_allclose(got @ exported.items().T, cosines / temperature, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", [*SCHEMAS, "mlp"])
def test_the_serving_form_gives_what_the_model_gives(kind: str) -> None:
    supernet, architectures, _ = draws(kind, 10)
    for seed, architecture in enumerate(architectures):
        model = randomized(Derived(supernet.schema, architecture, embedding_size=K), seed).eval()
        form = ServingForm(model)
        for lengths in LENGTHS:
            batch = make_batch(model.schema, lengths, seed)
            with torch.no_grad():
                got = form(*(getattr(batch, name) for name in form.inputs)).numpy()
            np.testing.assert_allclose(got, expected(model, batch), rtol=1e-5, atol=1e-5)
        for batch, meant in odd_batches(model.schema)[2:]:
            with torch.no_grad():
                got = form(*(getattr(batch, name) for name in form.inputs)).numpy()
            np.testing.assert_allclose(got, expected(model, meant), rtol=1e-5, atol=1e-5)


def test_what_stands_at_padding_does_not_matter() -> None:
    model = model_of("target")
    form, batch = ServingForm(model), make_batch(model.schema, (0, 2, LENGTH))
    filled = replace(batch, behaviors=torch.where(batch.mask[..., None], batch.behaviors, 3))
    with torch.no_grad():
        one, other = (form(*(getattr(b, name) for name in form.inputs)) for b in (batch, filled))
    assert torch.equal(one, other)


def test_the_model_is_not_changed() -> None:
    model = model_of("target")
    before = {k: v.clone() for k, v in model.state_dict().items()}
    ServingForm(model)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert before.keys() == model.state_dict().keys()


def test_other_numbers_are_refused() -> None:
    model, other = model_of("no history"), model_of("no history")
    form = ServingForm(other)

    def exported(batch: Batch) -> dict[str, np.ndarray]:
        with torch.no_grad():
            return {"probability": form(*(getattr(batch, name) for name in form.inputs)).numpy()}

    check(model, exported)  # type: ignore[arg-type]
    with torch.no_grad():
        model.head.weight_mlp.add_(0.1)
    with pytest.raises(AmeirError, match="does not give what the model gives.*Nothing was written"):
        check(model, exported)  # type: ignore[arg-type]


def test_random_rows_have_what_may_go_wrong() -> None:
    batch = random_batch(SCHEMAS["target"], 7, LENGTH, seed=1)
    assert not batch.mask[0].any() and batch.mask[-1].all() and batch.fields.shape == (7, 7)
    assert (batch.behaviors[~batch.mask] == 0).all() and (batch.fields[:, 0] > 0).all()


@pytest.mark.parametrize("name", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.import_module

    def without(wanted: str, *more: str) -> object:
        if wanted == name:
            raise ModuleNotFoundError(wanted)
        return real(wanted, *more)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(AmeirError, match=rf"needs the package {name}, .*pip install 'ameir-pl\[onnx\]'"):
        export_onnx(bundle_of(model_of("no history")), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_what_is_not_onnx_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(AmeirError, match="cannot be read as an ONNX model"):
        OnnxModel(tmp_path / "model.onnx")
    assert LARGEST < 2**31


def test_a_flipped_bit_or_a_cut_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    export_onnx(bundle_of(model_of("no history")), path)
    content, generator = path.read_bytes(), random.Random(1)
    OnnxModel(path, threads=1)
    for bit in generator.sample(range(8 * len(content)), 20):
        path.write_bytes(content[:bit // 8] + bytes([content[bit // 8] ^ 1 << bit % 8]) + content[bit // 8 + 1:])
        with pytest.raises(AmeirError, match=r"model\.onnx .*Export it again: ameir export"):
            OnnxModel(path, threads=1)
    for at in [0, *generator.sample(range(len(content)), 5)]:
        path.write_bytes(content[:at])
        with pytest.raises(AmeirError, match=r"model\.onnx .*Export it again: ameir export"):
            OnnxModel(path, threads=1)
    path.write_bytes(content)
    path.with_name("model.onnx.data").write_bytes(b"weights of another model")
    with pytest.raises(AmeirError, match="is damaged"):
        OnnxModel(path, threads=1)
