"""What padding holds and how long it is changes nothing, whatever the operation and wherever it stands."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from ameir_pl.batch import Batch
from ameir_pl.models import ameir
from ameir_pl.models.ameir import Ameir
from ameir_pl.nn.operations import OPERATIONS
from ameir_pl.schema import Schema
from ameir_pl.space.architecture import Architecture, Block

from .examples import LENGTHS, SCHEMAS, block_base, block_supernet, make_batch


def padded(batch: Batch, schema: Schema, by: int, seed: int = 3) -> Batch:
    """The same rows with ``by`` more positions, and other ids and starts at all padding."""
    rng = torch.Generator().manual_seed(seed)
    other = copy.copy(batch)
    shape = (len(batch), batch.mask.shape[1] + by)
    sizes = [schema.vocabularies[f.vocabulary] for f in schema.behaviors for _ in range(f.width)]
    other.behaviors = torch.stack([torch.randint(0, size, shape, generator=rng) for size in sizes], -1)
    other.behaviors[:, :batch.mask.shape[1]][batch.mask] = batch.behaviors[batch.mask]
    if schema.sessions:
        other.starts = torch.rand(shape, generator=rng) < 0.5
        other.starts[:, :batch.mask.shape[1]][batch.mask] = batch.starts[batch.mask]
    other.mask = torch.cat([batch.mask, torch.zeros(len(batch), by, dtype=torch.bool)], 1)
    return other


def trimmed(batch: Batch, row: int) -> Batch:
    """One row alone, its history cut to its own length."""
    one = batch[row:row + 1]
    longest = max(int(one.mask.sum()), 1)
    one.behaviors, one.mask, one.starts = (x[:, :longest] for x in (one.behaviors, one.mask, one.starts))
    return one


def assert_ignores_padding(model: nn.Module, batch: Batch, schema: Schema, *arguments: object) -> None:
    out = model(batch, *arguments)
    assert out.isfinite().all() and out.std() > 1e-3
    for by in (0, 1, 7):
        torch.testing.assert_close(model(padded(batch, schema, by), *arguments), out, atol=2e-6, rtol=2e-5)
    for row in (LENGTHS.index(0), LENGTHS.index(1), LENGTHS.index(6), LENGTHS.index(3)):
        torch.testing.assert_close(model(trimmed(batch, row), *arguments), out[row:row + 1], atol=2e-6, rtol=2e-5)


@pytest.mark.parametrize("kind", SCHEMAS)
@torch.no_grad()
def test_every_operation_in_every_block(kind: str) -> None:
    schema = SCHEMAS[kind]
    batch = make_batch(schema)
    supernet = block_supernet(schema, depth=2).eval()
    layers = supernet.capacity.blocks[0]
    assert set(layers) == {n for n in OPERATIONS.names() if kind == "target" or n != "target_attention"}
    for layer in layers:
        for other in ("conv3", "self_attention2"):
            for blocks in ((Block(layer, "gelu", "layer_norm"), Block(other, "identity", "layer_norm")),
                           (Block(other, "swish"), Block(layer, "relu"))):
                architecture = Architecture(blocks, mlp=block_base(schema).mlp)
                assert_ignores_padding(supernet, batch, schema, architecture)


def test_gradients_ignore_padding() -> None:
    schema = SCHEMAS["target"]
    supernet = block_supernet(schema, depth=2)
    architecture = Architecture((Block("bigru", "swish", "layer_norm"), Block("max_pool3")), mlp=block_base(schema).mlp)
    gradients = []
    for batch in (make_batch(schema), padded(make_batch(schema), schema, 4)):
        supernet.zero_grad()
        supernet(batch, architecture).square().sum().backward()
        gradients.append({n: p.grad.clone() for n, p in supernet.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, atol=1e-5, rtol=1e-4, msg=name)


def test_rows_without_history_share_one_behavior_vector() -> None:
    schema = SCHEMAS["no target"]
    supernet: Ameir = block_supernet(schema, depth=1).eval()
    x = supernet.embed(make_batch(schema, (0, 4, 0)))
    h_a = supernet.behavior(x, (Block("conv3"),))
    assert h_a is not None and torch.equal(h_a[0], h_a[2]) and not torch.equal(h_a[0], h_a[1])
    assert h_a[0].abs().sum() > 0
    assert x.history is not None and x.mask is not None
    assert x.mask.sum(1).tolist() == [1, 4, 1] and not x.history[~x.mask].any(), "the empty token, then zeros"


SHORT = (1, 0, 2, 1, 6, 1, 0, 2, 1, 1, 0, 3)
"""Mostly short histories, in no order."""


@pytest.mark.parametrize("kind", SCHEMAS)
def test_groups_by_length_change_nothing(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ameir, "GROUP_ROWS", 3)
    schema = SCHEMAS[kind]
    supernet = block_supernet(schema, depth=2)
    architecture = Architecture((Block("bigru", "swish", "layer_norm"), Block("self_attention2", "relu")),
                                mlp=block_base(schema).mlp)
    batch = make_batch(schema, SHORT)
    grouped = supernet.embed(batch).by_length()
    assert grouped is not None and len(grouped[0]) == ameir.GROUPS
    results = []
    for together in (False, True):
        if together:
            monkeypatch.setattr(ameir.Inputs, "by_length", lambda self: None)
        supernet.zero_grad()
        out = supernet(batch, architecture)
        out.square().sum().backward()
        gradients = {n: p.grad.clone() for n, p in supernet.named_parameters() if p.grad is not None}
        results.append((out.detach(), gradients))
    torch.testing.assert_close(*(out for out, _ in results), atol=1e-6, rtol=1e-5)
    assert results[0][1].keys() == results[1][1].keys()
    for name, gradient in results[0][1].items():
        torch.testing.assert_close(results[1][1][name], gradient, atol=1e-5, rtol=1e-4, msg=name)


def test_groups_by_length_are_only_made_where_they_spare_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ameir, "GROUP_ROWS", 3)
    supernet = block_supernet(SCHEMAS["target"], depth=1)
    assert supernet.embed(make_batch(SCHEMAS["target"], (6, 6, 5, 6, 4, 6))).by_length() is None
    parts, places = supernet.embed(make_batch(SCHEMAS["target"], SHORT)).by_length()  # type: ignore[misc]
    assert [p.mask.shape for p in parts] == [(3, 1), (3, 1), (3, 2), (3, 6)]
    whole = supernet.embed(make_batch(SCHEMAS["target"], SHORT))
    assert torch.equal(torch.cat([p.target for p in parts])[places], whole.target)
    monkeypatch.setattr(ameir, "GROUP_ROWS", 7)
    assert whole.by_length() is None, "12 rows are not two groups of 7"


def test_no_rows_and_no_fields() -> None:
    """A batch without rows, and one whose dataset has no fields and so an empty tensor of them."""
    supernet = block_supernet(SCHEMAS["retrieval"], depth=1).eval()
    batch = make_batch(SCHEMAS["retrieval"], SHORT)
    architecture = Architecture((Block("conv3", "relu"),), mlp=block_base(SCHEMAS["retrieval"]).mlp)
    bare = Batch(behaviors=batch.behaviors, mask=batch.mask)
    assert torch.equal(supernet(bare, architecture), supernet(batch, architecture))
    assert supernet(batch[:0], architecture).shape == (0, 4)
