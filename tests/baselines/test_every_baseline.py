"""Every registered baseline: shapes, gradients to every parameter, and a batch it can learn by heart."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ameir_pl.baselines import BASELINES
from ameir_pl.batch import Batch
from ameir_pl.data.layouts import paper_schema
from ameir_pl.errors import AmeirError
from ameir_pl.objectives import make_objective
from ameir_pl.schema import Schema
from tests.models.examples import SCHEMAS, ctr_schema, make_batch, randomized

NAMES = BASELINES.names()


def build(name: str, schema: Schema, dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(0)
    return BASELINES.get(name)(schema, embedding_size=4, mlp=[16, 8], dropout=dropout)


def loss_of(model: nn.Module, schema: Schema, batch: Batch) -> torch.Tensor:
    objective = make_objective(schema, "logloss" if schema.task == "ctr" else "sampled_bce")
    return objective.loss(model, model(batch), batch)


def learn(model: nn.Module, schema: Schema, batch: Batch, steps: int = 300) -> float:
    """The loss after fitting one batch."""
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = loss_of(model, schema, batch)
        loss.backward()
        optimizer.step()
    return loss.item()


def separable(schema: Schema) -> Batch:
    """Rows that a model can tell apart: every row its own user (or history), labels at random."""
    batch = make_batch(schema, (1, 6, 3, 2, 5, 4, 6, 2) * 2, seed=3)
    if schema.task == "retrieval":
        batch.negatives = torch.full_like(batch.negatives, 19)
        batch.positives = batch.positives.clamp(max=18)
    return batch


@pytest.mark.parametrize("kind", SCHEMAS)
@pytest.mark.parametrize("name", NAMES)
def test_shapes_and_gradients(name: str, kind: str) -> None:
    schema = SCHEMAS[kind]
    model, batch = randomized(build(name, schema)), make_batch(schema)
    out = model(batch)
    assert out.shape == ((len(batch),) if schema.task == "ctr" else (len(batch), 4)) and out.dtype == torch.float32
    loss_of(model, schema, batch).backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.abs().max() > 1e-9, parameter_name


@pytest.mark.parametrize("kind", SCHEMAS)
@pytest.mark.parametrize("name", NAMES)
def test_learns_a_batch_by_heart(name: str, kind: str) -> None:
    schema = SCHEMAS[kind]
    model = build(name, schema)
    assert learn(model, schema, separable(schema)) < 0.05


@pytest.mark.parametrize("name", NAMES)
def test_datasets_of_the_paper(name: str) -> None:
    for dataset in ("alimama", "criteo", "avazu"):
        schema = paper_schema(dataset)
        model, batch = build(name, schema), make_batch(schema, (0, 2, 1) if schema.behaviors else (0, 0, 0))
        assert model(batch).shape == (3,)


@pytest.mark.parametrize("name", NAMES)
def test_dropout_is_for_training_only(name: str) -> None:
    model, batch = build(name, ctr_schema(), dropout=0.5), make_batch(ctr_schema())
    assert not torch.equal(model(batch), model(batch))
    model.eval()
    assert torch.equal(model(batch), model(batch))


def test_unknown_baseline() -> None:
    with pytest.raises(AmeirError, match="'dnnn'.*Did you mean 'dnn'"):
        BASELINES.get("dnnn")


def test_dnn_equals_its_formula() -> None:
    schema = ctr_schema()
    model, batch = randomized(build("dnn", schema)), make_batch(schema)
    table, offsets = model.embedding.weight.detach(), model.embedding.offsets  # type: ignore[union-attr]

    def embed(vocabulary: str, ids: torch.Tensor) -> torch.Tensor:
        rows = [table[offsets[vocabulary] + i] for i in ids.tolist() if i != 0]  # type: ignore[operator, index]
        return torch.stack(rows).sum(0) if rows else torch.zeros(4)

    expected = []
    for b in range(len(batch)):
        history = torch.zeros(3, 4)
        for t in range(int(batch.mask[b].sum())):
            element, start = batch.behaviors[b, t], 0
            for j, field in enumerate(schema.behaviors):
                history[j] += embed(field.vocabulary, element[start:start + field.width])
                start += field.width
        start, parts = 0, [history.flatten()]
        for field in schema.fields:
            parts.append(embed(field.vocabulary, batch.fields[b, start:start + field.width]))
            start += field.width
        h = torch.cat([*parts, batch.dense[b]])
        for i in range(2):
            state = model.state_dict()
            h = torch.relu(state[f"mlp.linears.{i}.weight"] @ h + state[f"mlp.linears.{i}.bias"])
        expected.append(model.state_dict()["head.weight_mlp"][0] @ h)
    torch.testing.assert_close(model.eval()(batch).detach(), torch.stack(expected), atol=1e-5, rtol=1e-4)
