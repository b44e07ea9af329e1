"""What architectures share is computed once, and each output is the one it has alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random

import pytest
import torch

from ameir_pl.models.ameir import Ameir, Inputs
from ameir_pl.models.sharing import dice_statistics_each, predict_each
from ameir_pl.space.architecture import Architecture, MlpLayer

from .examples import (
    KINDS,
    MLP_BASE,
    PREDEFINED,
    ctr_schema,
    draws,
    interaction_candidates,
    interaction_supernet,
    make_batch,
    mlp_space,
    mlp_supernet,
)


def alone(model: Ameir, x: Inputs, calibration: Inputs, architecture: Architecture) -> torch.Tensor:
    statistics = None
    if any(h.activation == "dice" for h in architecture.mlp):
        statistics = model.dice_statistics(calibration, architecture)
    return model.predict(x, architecture, statistics)


def compare(model: Ameir, chosen: list[Architecture], lengths: tuple[int, ...] = (0, 1, 6, 3, 5, 2, 4, 6, 1)) -> None:
    model.eval()
    x = model.embed(make_batch(model.schema, lengths, seed=4))
    calibration = model.embed(make_batch(model.schema, (3, 0, 6, 1, 2, 5), seed=9))
    with torch.no_grad():
        found = dict(predict_each(model, x, chosen, dice_statistics_each(model, calibration, chosen)))
        assert sorted(found) == list(range(len(chosen)))
        for i, architecture in enumerate(chosen):
            torch.testing.assert_close(found[i], alone(model, x, calibration, architecture), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_each_output_is_that_of_the_architecture_alone(kind: str) -> None:
    model, chosen, _ = draws(kind, 60)
    compare(model, chosen)


@pytest.mark.parametrize("rows", [1, 9])
def test_one_interaction_each(rows: int) -> None:
    chosen = [Architecture(interactions=(i,), mlp=PREDEFINED) for i in interaction_candidates(ctr_schema())]
    compare(interaction_supernet(ctr_schema()), chosen, (0, 1, 6, 3, 5, 2, 4, 6, 1)[:rows])


def test_every_mlp_of_two_layers() -> None:
    space = mlp_space(ctr_schema(), 2)
    assert space.size() == 880
    compare(mlp_supernet(ctr_schema(), 2), [replace(MLP_BASE, mlp=m) for m in space.enumerate()])


def test_blocks_interactions_and_mlps_together() -> None:
    """A joint space: everything differs."""
    model, stacks, _ = draws("mlp", 12)
    rng = Random(3)
    for a in list(stacks):
        stacks.append(replace(a, mlp=tuple(MlpLayer(rng.randint(1, h.units), h.activation) for h in a.mlp)))
    compare(model, stacks)


def test_running_statistics_without_given_ones() -> None:
    model, chosen, batch = draws("mlp", 20)
    model.eval()
    with torch.no_grad():
        x = model.embed(batch)
        for i, out in predict_each(model, x, chosen):
            torch.testing.assert_close(out, model.predict(x, chosen[i]), atol=1e-6, rtol=1e-6)


def test_what_is_shared_runs_once() -> None:
    """Layers: once for each distinct beginning, norm and layer; hidden products: once for each distinct beginning."""
    model, chosen, batch = draws("target", 80)
    chosen = sorted(set(chosen))
    calls: Counter = Counter()
    for depth, block in enumerate(model.blocks):
        for layer in block.layers.values():
            layer.register_forward_hook(lambda *_, depth=depth: calls.update([depth]))
    model.eval()
    with torch.no_grad():
        list(predict_each(model, model.embed(batch), chosen))
    for depth in range(3):
        distinct = {(*a.blocks[:depth], a.blocks[depth].norm, a.blocks[depth].layer) for a in chosen
                    if a.blocks[depth].layer != "zero"}
        assert calls[depth] == len(distinct) < len(chosen)

    model = mlp_supernet(ctr_schema(), 2).eval()
    mlps = [replace(MLP_BASE, mlp=m) for m in mlp_space(ctr_schema(), 2).enumerate()]
    for depth, linear in enumerate(model.mlp.linears):
        linear.register_forward_hook(lambda *_, depth=depth: calls.update([f"linear {depth}"]))
    with torch.no_grad():
        list(predict_each(model, model.embed(batch), mlps))
    assert (calls["linear 0"], calls["linear 1"]) == (1, 40)
