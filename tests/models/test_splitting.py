"""A fair update by split: each path on its own rows, every parameter in one backward."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ameir_pl.errors import AmeirError
from ameir_pl.models import ameir
from ameir_pl.models.ameir import Ameir, Inputs
from ameir_pl.models.splitting import group_sizes, predict_split
from ameir_pl.objectives import make_objective
from ameir_pl.schema import Schema
from ameir_pl.space.architecture import Architecture, Block
from ameir_pl.space.sampling import BlockRounds, InteractionRounds, MlpRounds, Rounds

from .examples import (
    MLP_BASE,
    PREDEFINED,
    SCHEMAS,
    block_base,
    block_space,
    block_supernet,
    ctr_schema,
    interaction_candidates,
    interaction_supernet,
    make_batch,
    mlp_space,
    mlp_supernet,
)

STEPS = (*SCHEMAS, "interactions", "mlp")


def step(kind: str, seed: int = 0) -> tuple[Schema, Ameir, Rounds]:
    """A supernet and the rounds that train it."""
    schema = SCHEMAS.get(kind, ctr_schema())
    if kind == "interactions":
        return schema, interaction_supernet(schema), InteractionRounds(interaction_candidates(schema),
                                                                       Architecture(mlp=PREDEFINED), seed)
    if kind == "mlp":
        return schema, mlp_supernet(schema), MlpRounds(mlp_space(schema), MLP_BASE, seed)
    return schema, block_supernet(schema), BlockRounds(block_space(schema), block_base(schema), seed)


def lengths(rows: int) -> tuple[int, ...]:
    return tuple((0, 1, 6, 3, 5)[i % 5] for i in range(rows))


def rows_of_paths(kind: str, rows: int, paths: int) -> list[int]:
    """Which path each row belongs to, written out."""
    if kind == "interactions":
        return [i % paths for i in range(rows)]
    return [j for j in range(paths) for _ in range(rows * j // paths, rows * (j + 1) // paths)]


@pytest.mark.parametrize("kind", STEPS)
@pytest.mark.parametrize("extra", [0, 1, 7, 31])
@torch.no_grad()
def test_each_path_runs_its_own_rows(kind: str, extra: int) -> None:
    schema, supernet, rounds = step(kind)
    supernet.eval()
    paths = rounds.fair(extra)
    batch = make_batch(schema, lengths(len(paths) + extra), seed=extra)
    out = predict_split(supernet, supernet.embed(batch), paths)
    owners = rows_of_paths(kind, len(batch), len(paths))
    counts = [owners.count(j) for j in range(len(paths))]
    assert len(owners) == len(batch) == len(out) and max(counts) - min(counts) <= 1
    for j, path in enumerate(paths):
        own = torch.tensor([i for i, owner in enumerate(owners) if owner == j])
        torch.testing.assert_close(out[own], supernet(batch[own], path), atol=2e-6, rtol=2e-5)


@pytest.mark.parametrize("kind", SCHEMAS)
def test_paths_in_groups_by_length_change_nothing(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    schema, supernet, rounds = step(kind)
    paths = rounds.fair(5)
    batch = make_batch(schema, (1, 6, 2, 1) * len(paths))
    results = []
    for least in (100, 2):
        monkeypatch.setattr(ameir, "GROUP_ROWS", least)
        x = supernet.embed(batch)
        assert (x.lengths(ameir.groups_of(4)) is None) == (least == 100)
        supernet.zero_grad()
        out = predict_split(supernet, x, paths)
        out.square().sum().backward()
        own = {n: p.grad.clone() for n, p in supernet.named_parameters() if p.grad is not None}
        results.append((out.detach(), own))
    (whole, gradients), (grouped, grouped_gradients) = results
    torch.testing.assert_close(grouped, whole, atol=1e-6, rtol=1e-5)
    assert grouped_gradients.keys() == gradients.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(grouped_gradients[name], gradient, atol=1e-5, rtol=1e-4, msg=name)


def test_group_sizes() -> None:
    for rows in range(1, 60):
        for paths in range(1, rows + 1):
            sizes = group_sizes(rows, paths)
            assert sum(sizes) == rows and len(sizes) == paths and max(sizes) - min(sizes) <= 1 and min(sizes) >= 1


@pytest.mark.parametrize("kind", STEPS)
def test_one_backward_reaches_every_parameter(kind: str) -> None:
    schema, supernet, rounds = step(kind)
    supernet.train()
    paths = rounds.fair(3)
    batch = make_batch(schema, lengths(40 * len(paths)))
    objective = make_objective(schema, "logloss" if schema.task == "ctr" else "sampled_bce")
    objective.loss(supernet, predict_split(supernet, supernet.embed(batch), paths), batch).backward()
    for name, parameter in supernet.named_parameters():
        assert parameter.grad is not None, f"{name}: plain DDP would wait for it forever"
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 1e-9, name
    if kind == "interactions":
        begin, end = supernet._interaction_columns
        first = supernet.mlp.first.weight.grad
        assert first is not None
        per = first[:, begin:end].reshape(len(first), -1, supernet.embedding_size).abs().amax((0, 2))
        assert (per > 0).all(), "every candidate's columns are trained"
    if kind == "mlp":
        first = supernet.mlp.first.weight.grad
        assert first is not None and (first.abs().amax(1) > 0).float().mean() > 0.9, "up to the widest child"


@pytest.mark.parametrize("kind", STEPS)
def test_fewer_rows_than_paths(kind: str) -> None:
    schema, supernet, rounds = step(kind)
    paths = rounds.fair(0)
    batch = make_batch(schema, lengths(len(paths) - 1))
    with pytest.raises(AmeirError, match=f"among {len(paths)} paths, but this one has {len(paths) - 1} rows"):
        predict_split(supernet, supernet.embed(batch), paths)


@pytest.mark.parametrize("kind", STEPS)
def test_full_gradient_is_the_mean_of_the_paths(kind: str) -> None:
    schema, supernet, rounds = step(kind)
    supernet.eval()  # Dice with running statistics: no state between the two ways
    paths = rounds.fair(1)[:6]
    batch = make_batch(schema, lengths(12))
    objective = make_objective(schema, "logloss" if schema.task == "ctr" else "sampled_bce")

    def gradients(loss: Tensor) -> dict[str, Tensor]:
        supernet.zero_grad()
        loss.backward()
        return {n: torch.zeros_like(p) if p.grad is None else p.grad.clone() for n, p in supernet.named_parameters()}

    def loss_of(x: Inputs, path: Architecture) -> Tensor:
        return objective.loss(supernet, supernet.predict(x, path), batch)

    x = supernet.embed(batch)
    together = gradients(torch.stack([loss_of(x, p) for p in paths]).mean())
    alone = [gradients(loss_of(supernet.embed(batch), p)) for p in paths]
    for name, gradient in together.items():
        torch.testing.assert_close(gradient, torch.stack([a[name] for a in alone]).mean(0), atol=1e-6, rtol=1e-4,
                                   msg=name)


def test_paths_that_differ_in_more_than_interactions_are_refused() -> None:
    supernet = interaction_supernet(ctr_schema())
    one, two = (Architecture(interactions=(i,), mlp=PREDEFINED) for i in interaction_candidates(ctr_schema())[:2])
    x = supernet.embed(make_batch(ctr_schema()))
    for other in (replace(two, mlp=PREDEFINED[:1]), replace(two, blocks=(Block("conv1"),)),
                  replace(two, interactions=(*one.interactions, *two.interactions))):
        with pytest.raises(AmeirError, match="one interaction each and share the rest"):
            predict_split(supernet, x, (one, other))


def test_one_path_is_plain_prediction() -> None:
    for kind in STEPS:
        schema, supernet, rounds = step(kind)
        batch = make_batch(schema)
        (path,) = rounds.single(0)
        supernet.eval()
        torch.testing.assert_close(predict_split(supernet, supernet.embed(batch), (path,)), supernet(batch, path))
