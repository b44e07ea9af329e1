"""GRDA against its formula in NumPy, and what it is for: weights that nothing holds up become zero."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ameir_pl.baselines.grda import Grda
from ameir_pl.errors import AmeirError


def test_equals_its_formula() -> None:
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=6), rng.normal(size=(20, 6))
    weight = torch.tensor(start, requires_grad=True)
    optimizer = Grda([weight], lr=0.3, c=0.1, mu=0.7)
    total = np.zeros(6)
    for n, gradient in enumerate(gradients, 1):
        weight.grad = torch.tensor(gradient)
        optimizer.step()
        total += gradient
        v = start - 0.3 * total
        threshold = 0.1 * 0.3**0.5 * (n * 0.3) ** 0.7
        expected = np.array([np.sign(x) * max(abs(x) - threshold, 0.0) for x in v])
        np.testing.assert_allclose(weight.detach().numpy(), expected, atol=1e-12)


def test_what_does_not_matter_becomes_zero_and_its_state_is_kept() -> None:
    rng = torch.Generator().manual_seed(1)
    x = torch.randn(256, 8, generator=rng)
    y = x[:, :2] @ torch.tensor([1.0, -1.0])
    weights = []
    for interrupted in (False, True):
        weight = torch.full((8,), 0.5, requires_grad=True)
        optimizer = Grda([weight], lr=0.1, c=0.01, mu=0.8)
        for n in range(200):
            if interrupted and n == 90:
                state, weight = optimizer.state_dict(), weight.detach().clone().requires_grad_()
                optimizer = Grda([weight], lr=0.1, c=0.01, mu=0.8)
                optimizer.load_state_dict(state)
            optimizer.zero_grad()
            (x @ weight - y).square().mean().backward()
            optimizer.step()
        weights.append(weight.detach())
    assert torch.equal(weights[0][2:], torch.zeros(6)) and weights[0][:2].abs().min() > 0.5
    assert torch.equal(*weights)


@pytest.mark.parametrize("bad", [{"lr": 0.0}, {"c": -1.0}, {"mu": 0.0}])
def test_settings_out_of_range(bad: dict[str, float]) -> None:
    with pytest.raises(AmeirError, match=f"{next(iter(bad))}={next(iter(bad.values()))}"):
        Grda([torch.zeros(1)], **{"lr": 0.1, "c": 0.1, "mu": 0.8, **bad})
