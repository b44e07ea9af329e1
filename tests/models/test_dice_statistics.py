"""Dice in a scored child and in a derived model: its statistics are those of the calibration rows, as NumPy says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ameir_pl.errors import AmeirError
from ameir_pl.models.ameir import Derived, Inputs
from ameir_pl.models.derive import derive
from ameir_pl.space.architecture import Architecture, MlpLayer
from tests.nn import reference

from .examples import MLP_BASE, PREDEFINED, ctr_schema, interaction_supernet, make_batch, mlp_supernet

CHILD = replace(MLP_BASE, mlp=(MlpLayer(20, "dice"), MlpLayer(11, "swish"), MlpLayer(6, "dice")))
CALIBRATION = [make_batch(ctr_schema(), (0, 2, 6, 1, 3), seed=5), make_batch(ctr_schema(), (1, 2, 0), seed=6)]


def by_numpy(model: Derived, h_0: np.ndarray, given: np.ndarray) -> tuple[list, np.ndarray]:
    """Mean and variance of both Dices on ``h_0``, and the MLP's output for ``given`` under them."""
    p = {n: t.detach().double().numpy() for n, t in model.mlp.state_dict().items()}
    statistics: list = []
    for index, layer in enumerate(CHILD.mlp):
        w, b = p[f"linears.{index}.weight"], p[f"linears.{index}.bias"]
        h_0, given = h_0 @ w.T + b, given @ w.T + b
        if layer.activation == "dice":
            mean = h_0.sum(0) / len(h_0)
            variance = ((h_0 - mean) ** 2).sum(0) / len(h_0)
            statistics.append((mean, variance))
            h_0, given = (reference.dice(x, p[f"dices.{index}.alpha"], mean, variance) for x in (h_0, given))
        else:
            statistics.append(None)
            h_0, given = (x * reference.sigmoid(x) for x in (h_0, given))
    return statistics, given


def h0(model: Derived, x: Inputs) -> np.ndarray:
    return model.h0(x, model.behavior(x, CHILD.blocks), model.interactions(x.fields)).detach().double().numpy()


@torch.no_grad()
def test_statistics_and_outputs_equal_numpy() -> None:
    supernet = mlp_supernet(ctr_schema()).eval()
    child = derive(supernet, CHILD)
    batch = make_batch(ctr_schema())
    calibration = Inputs.join([supernet.embed(b) for b in CALIBRATION])
    assert len(calibration) == 8 and calibration.history is not None and calibration.history.shape[1] == 6
    expected, hidden = by_numpy(child, h0(child, calibration), h0(child, supernet.embed(batch)))
    # One row at a time, so that padding two batches to one length cannot matter.
    rows = np.concatenate([h0(child, child.embed(b[i:i + 1])) for b in CALIBRATION for i in range(len(b))])
    np.testing.assert_allclose(h0(child, calibration), rows, atol=1e-5)

    x = supernet.embed(batch)
    shortcut = child.shortcut(torch.cat([x.fields, child.interactions(x.fields)], 1))
    logits = child.head(torch.from_numpy(hidden).float(), shortcut)
    scored = supernet.predict(x, CHILD, supernet.dice_statistics(calibration, CHILD))
    torch.testing.assert_close(scored, logits, atol=1e-5, rtol=1e-4)
    assert (supernet.predict(x, CHILD) - scored).abs().max() > 1e-3, "the statistics matter"

    child.train()
    child.recompute_dice(CALIBRATION)
    assert child.training, "the mode is put back"
    for index, pair in enumerate(expected):
        if pair is not None:
            dice = child.mlp.dices[str(index)]
            np.testing.assert_allclose(dice.mean.numpy(), pair[0], atol=1e-5)
            np.testing.assert_allclose(dice.variance.numpy(), pair[1], atol=1e-5)
    torch.testing.assert_close(child.eval()(batch), logits, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_scoring_changes_no_state() -> None:
    supernet = mlp_supernet(ctr_schema()).eval()
    before = {n: t.clone() for n, t in supernet.state_dict().items()}
    x = supernet.embed(make_batch(ctr_schema()))
    supernet.predict(x, CHILD, supernet.dice_statistics(x, CHILD))
    assert all(torch.equal(before[n], t) for n, t in supernet.state_dict().items())


def test_models_without_dice_ignore_calibration() -> None:
    model = Derived(ctr_schema(), Architecture(mlp=PREDEFINED), embedding_size=4)
    model.recompute_dice([])
    supernet = interaction_supernet(ctr_schema())
    one = Architecture(interactions=supernet.capacity.interactions[:1], mlp=PREDEFINED)
    with pytest.raises(AmeirError, match="all interactions of the model only"):
        supernet.dice_statistics(supernet.embed(make_batch(ctr_schema())), one)
