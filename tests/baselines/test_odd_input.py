"""Every model outside of training, on what a server may be sent: ids that no vocabulary has, histories and batches of
length zero, users nobody knows, dense values that are not finite."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from ameir_pl.baselines import BASELINES, build_baseline
from ameir_pl.batch import Batch
from ameir_pl.models.ameir import Derived
from ameir_pl.schema import MISSING, OOV, Field, Schema
from tests.baselines.test_every_baseline import SCHEMAS, TAKEN, build
from tests.models.examples import K, draws, make_batch, randomized

CROSSES = [["user", "item"], ["hour", "city", "age@10"]]
AMEIR = [(f"ameir {number}", kind) for kind in ("target", "no target", "retrieval", "mlp", "interactions")
         for number in range(2)]
MODELS = [*TAKEN, *AMEIR, ("autocross with crosses", "target")]
OUTSIDE = (-1, -2**63, 2**31, 2**63 - 1, "size")
"""Ids that no vocabulary has; the last is a vocabulary's size, which another vocabulary of the same matrix has."""


def served(name: str, kind: str) -> tuple[nn.Module, Schema]:
    """Return a model with weights of which none is zero, ready to serve."""
    if name.startswith("ameir"):
        supernet, architectures, _ = draws(kind, 2)
        number = int(name.split()[1])
        return randomized(Derived(supernet.schema, architectures[number], embedding_size=K), number).eval(), \
            supernet.schema
    if name == "autocross with crosses":
        model = build_baseline("autocross", SCHEMAS[kind], embedding_size=K, mlp=[8], dropout=0.0,
                               options={"crosses": CROSSES})
        return randomized(model).eval(), SCHEMAS[kind]
    return randomized(build(name, SCHEMAS[kind])).eval(), SCHEMAS[kind]


def strewn(ids: Tensor, fields: tuple[Field, ...], schema: Schema, outside: int | str) -> tuple[Tensor, Tensor]:
    """Return ``ids`` with some outside of their vocabulary, and with ``OOV`` in the same places."""
    sizes = torch.tensor([schema.vocabularies[f.vocabulary] for f in fields for _ in range(f.width)],
                         dtype=torch.int64)
    wrong = sizes.expand_as(ids) if outside == "size" else torch.full_like(ids, int(outside))
    places = torch.rand(ids.shape, generator=torch.Generator().manual_seed(1)) < 0.4
    return torch.where(places, wrong, ids), torch.where(places, OOV, ids)


def assert_same(model: nn.Module, one: Batch, other: Batch) -> None:
    assert torch.equal(model(one), model(other))


@pytest.mark.parametrize(("name", "kind"), MODELS)
@torch.no_grad()
def test_an_id_outside_its_vocabulary_is_unknown(name: str, kind: str) -> None:
    model, schema = served(name, kind)
    batch = make_batch(schema)
    for outside in OUTSIDE:
        fields, behaviors = (strewn(ids, of, schema, outside) for ids, of in (
            (batch.fields, schema.fields), (batch.behaviors, schema.behaviors)))
        assert_same(model, replace(batch, fields=fields[0], behaviors=behaviors[0]),
                    replace(batch, fields=fields[1], behaviors=behaviors[1]))
        for scored, known in zip(*(strewn(batch.positives, (Field("item", "item"),), schema, outside)), strict=True):
            if hasattr(model.embedding, "rows"):
                assert torch.equal(model.embedding.rows("item", scored), model.embedding.rows("item", known))


@pytest.mark.parametrize(("name", "kind"), [(name, kind) for name, kind in MODELS if kind != "interactions"])
@torch.no_grad()
def test_histories_of_no_position_are_empty_ones(name: str, kind: str) -> None:
    model, schema = served(name, kind)
    batch = make_batch(schema, (0, 0, 0))
    batch.starts = batch.starts & False
    assert not batch.mask.any() and batch.mask.shape[1] == 1
    starts = batch.starts[:, :0] if len(batch.starts) else batch.starts
    none = replace(batch, behaviors=batch.behaviors[:, :0], mask=batch.mask[:, :0], starts=starts)
    assert_same(model, none, batch)
    model.train()
    assert model(none).shape == model(batch).shape


@pytest.mark.parametrize(("name", "kind"), MODELS)
@torch.no_grad()
def test_batches_of_no_row_and_of_one(name: str, kind: str) -> None:
    model, schema = served(name, kind)
    batch = make_batch(schema)
    whole = model(batch)
    assert model(batch[:0]).shape == whole[:0].shape
    torch.testing.assert_close(model(batch[3:4]), whole[3:4], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("name", "kind"), [(name, kind) for name, kind in MODELS
                                            if kind in ("target", "mlp", "interactions")])
@torch.no_grad()
def test_dense_values_that_are_not_finite(name: str, kind: str) -> None:
    model, schema = served(name, kind)
    batch = make_batch(schema)
    wrong, meant = batch.dense.clone(), batch.dense.clone()
    for row, (given, read) in enumerate(((torch.nan, MISSING), (torch.inf, 1.0), (-torch.inf, -1.0))):
        wrong[row, row % 2], meant[row, row % 2] = given, read
    assert_same(model, replace(batch, dense=wrong), replace(batch, dense=meant))


@pytest.mark.parametrize(("name", "kind"), [(n, k) for n, k in MODELS if k == "retrieval"])
@torch.no_grad()
def test_a_user_nobody_knows_and_a_history_longer_than_any(name: str, kind: str) -> None:
    model, schema = served(name, kind)
    batch = make_batch(schema)
    none = {user: model(replace(batch, users=torch.full_like(batch.users, user))) for user in (-1, 30, 2**63 - 1)}
    assert all(torch.equal(out, none[-1]) for out in none.values()) and none[-1].isfinite().all()
    if name == "bpr":
        assert not none[-1].any()
    long = make_batch(schema, (3 * schema.max_len, 2))
    assert model(long).isfinite().all()


def test_the_registry_is_tried() -> None:
    assert {name for name, _ in MODELS} >= set(BASELINES.names())
