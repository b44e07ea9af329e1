"""Dropout: the share that is dropped, what is kept, and that masks have nothing to do with each other."""

import pytest
import torch

from ameir_pl.nn.dropout import Dropout


@pytest.mark.parametrize("share", [0.05, 0.1, 0.5, 0.9])
def test_drops_its_share_and_keeps_the_mean(share: float) -> None:
    torch.manual_seed(3)
    kept = Dropout(share)(torch.ones(1000, 1001))
    values = kept.unique().tolist()
    assert values[0] == 0
    assert values[1:] == [pytest.approx(1 / (1 - share), rel=2e-5 / (1 - share))]
    found = (kept == 0).double().mean().item()
    deviation = (share * (1 - share) / kept.numel()) ** 0.5
    assert abs(found - share) < 4 * deviation + 1 / (1 << 17)


def test_masks_of_neighbours_are_independent() -> None:
    torch.manual_seed(4)
    kept = (Dropout(0.5)(torch.ones(1 << 20)) > 0).double() - 0.5
    for lag in range(1, 9):  # four masks come from one number
        assert abs((kept[lag:] * kept[:-lag]).mean().item()) < 4 * 0.25 / 1024


@pytest.mark.parametrize("shape", [(0,), (1,), (3,), (5, 7, 3)])
def test_any_shape_and_its_gradient_is_the_mask(shape: tuple[int, ...]) -> None:
    torch.manual_seed(5)
    x = torch.rand(shape, dtype=torch.float64).add(1).requires_grad_()
    y = Dropout(0.25)(x)
    y.sum().backward()
    assert y.shape == x.shape and y.dtype == x.dtype
    assert x.grad is not None
    torch.testing.assert_close(x.grad, (y / x).detach())


def test_the_seed_decides() -> None:
    x, layer = torch.ones(999), Dropout(0.3)
    first, again, other = (torch.manual_seed(s) and layer(x) for s in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize("share", [0.0, 1e-7, 1.0])
def test_shares_at_the_ends_are_those_of_torch(share: float) -> None:
    x = torch.randn(100)
    torch.manual_seed(6)
    ours = Dropout(share)(x)
    torch.manual_seed(6)
    torch.testing.assert_close(ours, torch.nn.Dropout(share)(x))


def test_evaluation_changes_nothing() -> None:
    x = torch.randn(4, 4)
    assert Dropout(0.5).eval()(x) is x
