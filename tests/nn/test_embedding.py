"""FieldEmbedding against lookups row by row."""

from __future__ import annotations

import math

import pytest
import torch

from ameir_pl.errors import AmeirError
from ameir_pl.nn.embedding import FieldEmbedding
from ameir_pl.schema import Schema

from .examples import ctr_schema, generator, univalent_schema

K = 4


def ids_of(fields: tuple, schema: Schema, *shape: int) -> torch.Tensor:
    """Random ids of every slot, PAD among them."""
    rng = generator()
    return torch.stack([torch.randint(schema.vocabularies[f.vocabulary], shape, generator=rng)
                        for f in fields for _ in range(f.width)], dim=-1)


def by_hand(embedding: FieldEmbedding, schema: Schema, fields: tuple, row: list[int]) -> list[torch.Tensor]:
    """The embedding of each field of one row of ids; row 0 of E is PAD, then each vocabulary's ids from 1 up."""
    start, offsets = 0, {}
    for name, count in schema.vocabularies.items():
        offsets[name] = start
        start += count - 1
    found, slot = [], 0
    for f in fields:
        total = torch.zeros(embedding.size)
        for i in row[slot:slot + f.width]:
            total = total + (embedding.weight[offsets[f.vocabulary] + i] if i else 0.0)
        found.append(total)
        slot += f.width
    return found


@pytest.mark.parametrize("schema", [ctr_schema(), univalent_schema()], ids=lambda s: s.dataset)
def test_fields_and_behaviors_equal_row_by_row(schema: Schema) -> None:
    embedding = FieldEmbedding(schema, K)
    ids = ids_of(schema.fields, schema, 30)
    out = embedding.fields(ids)
    assert out.shape == (30, len(schema.fields), K) and (ids == 0).any()
    for b in range(30):
        torch.testing.assert_close(out[b], torch.stack(by_hand(embedding, schema, schema.fields, ids[b].tolist())))
    ids = ids_of(schema.behaviors, schema, 6, 5)
    out = embedding.behaviors(ids)
    assert out.shape == (6, 5, len(schema.behaviors) * K)
    for b in range(6):
        for t in range(5):
            expected = torch.cat(by_hand(embedding, schema, schema.behaviors, ids[b, t].tolist()))
            torch.testing.assert_close(out[b, t], expected)


def test_every_id_but_pad_has_its_own_row() -> None:
    schema = ctr_schema()
    embedding = FieldEmbedding(schema, K)
    assert embedding.weight.shape == (1 + sum(n - 1 for n in schema.vocabularies.values()), K)
    with torch.no_grad():
        embedding.weight[1:] = torch.arange(1.0, embedding.weight.shape[0]).unsqueeze(1)
    tables = [embedding.table(name) for name in schema.vocabularies]
    assert [len(t) for t in tables] == list(schema.vocabularies.values())
    assert all((t[0] == 0).all() for t in tables)
    found = torch.cat([t[1:, 0] for t in tables])
    assert torch.equal(found, torch.arange(1.0, embedding.weight.shape[0]))


def test_fields_of_one_vocabulary_share_rows() -> None:
    schema = ctr_schema()
    embedding = FieldEmbedding(schema, K)
    item = torch.tensor([[1, 1, 4, 0, 0, 0]])
    behavior = torch.tensor([[[4, 0, 0, 0, 0]]])
    expected = embedding.table("item")[4]
    assert torch.equal(embedding.fields(item)[0, 2], expected)
    assert torch.equal(embedding.behaviors(behavior)[0, 0, :K], expected)
    assert torch.equal(embedding.rows("item", torch.tensor([[4], [0]])), torch.stack([expected, 0 * expected])[:, None])


def test_pad_is_zero_and_gets_no_gradient() -> None:
    schema = ctr_schema()
    embedding = FieldEmbedding(schema, K)
    pads = torch.zeros(2, schema.slots, dtype=torch.int64)
    assert not embedding.fields(pads).any()
    optimizer = torch.optim.Adam(embedding.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        out = [embedding.fields(pads).sum(), embedding.behaviors(pads.new_zeros(1, 2, schema.behavior_slots)).sum(),
               embedding.rows("item", torch.tensor([0, 3])).sum(), *(embedding.table(v).sum() for v in embedding.sizes)]
        torch.stack(out).sum().backward()
        assert embedding.weight.grad is not None
        assert (embedding.weight.grad[0] == 0).all() and (embedding.weight.grad[1:] != 0).all()
        optimizer.step()
    assert (embedding.weight[0] == 0).all()


def test_start_offsets_and_state() -> None:
    torch.manual_seed(0)
    embedding = FieldEmbedding(ctr_schema(), 64)
    known = embedding.weight[1:]
    assert 0.048 < known.abs().max() <= 0.05 and (embedding.weight[0] == 0).all()
    assert known.std().item() == pytest.approx(0.05 / math.sqrt(3), rel=0.05)
    assert list(embedding.state_dict()) == ["weight"]


def test_an_unknown_vocabulary_is_named() -> None:
    embedding = FieldEmbedding(ctr_schema(), K)
    for ask in (embedding.table, lambda name: embedding.rows(name, torch.tensor([1]))):
        with pytest.raises(AmeirError, match="Did you mean 'item'"):
            ask("itm")


@pytest.mark.parametrize("schema", [ctr_schema(), univalent_schema()])
def test_gradient_equals_that_of_torch(schema: Schema) -> None:
    """Bit for bit: the same sums in the same order, and nothing for PAD."""
    embedding = FieldEmbedding(schema, K)
    ids = ids_of(schema.behaviors or schema.fields, schema, 40, 3)
    offsets = embedding.behavior_offsets if schema.behaviors else embedding.field_offsets
    ours = embedding._lookup(ids, offsets)
    rows = torch.where(ids == 0, 0, ids + offsets)
    theirs = torch.nn.functional.embedding(rows, embedding.weight, padding_idx=0)
    assert torch.equal(ours, theirs)
    weights = torch.randn(ours.shape, generator=generator())
    (expected,) = torch.autograd.grad((theirs * weights).sum(), embedding.weight)
    (found,) = torch.autograd.grad((ours * weights).sum(), embedding.weight)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)
    assert not found[0].any() and found.any()


def test_dropout_is_of_the_embedded_behaviors_alone_and_of_training() -> None:
    schema = ctr_schema()
    embedding, plain = FieldEmbedding(schema, 64, dropout=0.5), FieldEmbedding(schema, 64)
    plain.load_state_dict(embedding.state_dict())
    ids, fields = ids_of(schema.behaviors, schema, 30, 6), ids_of(schema.fields, schema, 30)
    dropped, whole = embedding.behaviors(ids), plain.behaviors(ids)
    kept = dropped != 0
    assert 0.4 < float(kept[whole != 0].float().mean()) < 0.6
    assert torch.allclose(dropped[kept], 2 * whole[kept])
    assert torch.equal(embedding.fields(fields), plain.fields(fields))
    assert torch.equal(embedding.rows("item", torch.tensor([2, 3])), plain.rows("item", torch.tensor([2, 3])))
    assert torch.equal(embedding.eval().behaviors(ids), plain.eval().behaviors(ids))
