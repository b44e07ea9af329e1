"""Every registered operation against loops in NumPy, and the contract every operation keeps."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from ameir_pl.errors import AmeirError
from ameir_pl.nn.operations import OPERATIONS, Operation, names

from . import reference
from .examples import LENGTHS, assert_gradients, history, longer, randomized

ALL = OPERATIONS.names()
WIDTH = 8


def make(name: str, width: int = WIDTH) -> nn.Module:
    return randomized(OPERATIONS.get(name)(width))


def test_order_is_the_papers() -> None:
    paper = list(reference.OPERATIONS)
    assert ALL[:len(paper)] == paper
    assert names(has_target=True) == ALL
    assert names(has_target=False) == [n for n in ALL if not OPERATIONS.get(n).needs_target]
    assert "target_attention" not in names(has_target=False)


@pytest.mark.parametrize("name", reference.OPERATIONS)
@pytest.mark.parametrize("seed", [0, 5])
def test_equals_loops(name: str, seed: int) -> None:
    operation = make(name)
    x, mask, target = history(WIDTH, seed)
    expected = reference.OPERATIONS[name](reference.parameters(operation), x.numpy(), mask.numpy(), target.numpy())
    out = operation(x, mask, target).detach()
    torch.testing.assert_close(out[mask], torch.from_numpy(expected)[mask], rtol=1e-9, atol=1e-9)


def test_odd_width_bigru_equals_loops() -> None:
    operation = make("bigru", 5)
    x, mask, target = history(5)
    expected = reference.bigru(reference.parameters(operation), x.numpy(), mask.numpy(), target.numpy())
    torch.testing.assert_close(operation(x, mask, target)[mask], torch.from_numpy(expected)[mask])


@pytest.mark.parametrize("name", ALL)
def test_padding_changes_no_valid_output(name: str) -> None:
    operation = make(name)
    x, mask, target = history(WIDTH)
    out = operation(x, mask, target)
    assert out.shape == x.shape and torch.isfinite(out).all()
    longer_x, longer_mask = longer(x, mask, by=9, fill=0.0)
    torch.testing.assert_close(operation(longer_x, longer_mask, target)[longer_mask], out[mask])
    for b, length in enumerate(LENGTHS):
        alone = operation(x[b:b + 1, :length], mask[b:b + 1, :length], target[b:b + 1])
        torch.testing.assert_close(alone[0], out[b, :length])


@pytest.mark.parametrize("name", ALL)
def test_gradients_reach_every_parameter_and_valid_input(name: str) -> None:
    operation = make(name)
    x, mask, target = history(WIDTH)
    x.requires_grad_(True)
    out = operation(x, mask, target)
    if name == "zero":
        assert not out.any() and not list(operation.parameters())
        return
    assert_gradients(operation, out * mask.unsqueeze(-1))
    assert x.grad is not None and torch.isfinite(x.grad).all()
    if name != "max_pool3":  # a value that is no window's maximum rightly gets none
        assert (x.grad[mask] != 0).all()


@pytest.mark.parametrize("name", ALL)
def test_works_in_float32_and_needs_target_is_true(name: str) -> None:
    operation = OPERATIONS.get(name)(WIDTH)
    assert isinstance(operation, Operation)
    x, mask, target = history(WIDTH)
    out = operation(x.float(), mask, target.float())
    assert out.dtype == torch.float32 and out.shape == x.shape
    if OPERATIONS.get(name).needs_target:
        with pytest.raises(AmeirError, match="target"):
            operation(x.float(), mask, None)
    else:
        torch.testing.assert_close(operation(x.float(), mask, None), out)


@pytest.mark.parametrize("name", ["conv1", "conv3", "dconv3", "dconv5", "dconv7"])
def test_convolutions_start_he_normal(name: str) -> None:
    torch.manual_seed(0)
    operation = OPERATIONS.get(name)(64)
    weight = operation.weight
    assert operation.bias.abs().max() == 0
    assert weight.std().item() == pytest.approx(math.sqrt(2 / weight.shape[1]), rel=0.05)
    assert weight.abs().max() > 3 * weight.std()  # normal, not uniform


@pytest.mark.parametrize("name", ["self_attention2", "self_attention4"])
def test_self_attention_starts_uniform(name: str) -> None:
    torch.manual_seed(0)
    for key, parameter in OPERATIONS.get(name)(32).named_parameters():
        if key.endswith("bias"):
            assert parameter.abs().max() == 0
        else:
            assert 0.048 < parameter.abs().max() <= 0.05
            assert parameter.std().item() == pytest.approx(0.05 / math.sqrt(3), rel=0.05)


def test_bigru_starts_orthogonal() -> None:
    for name, parameter in OPERATIONS.get("bigru")(7).named_parameters():
        if "bias" in name:
            assert parameter.abs().max() == 0
            continue
        gates = parameter.chunk(3)
        for gate in gates:  # rows are orthonormal: (H, in) with H <= in
            torch.testing.assert_close(gate @ gate.T, torch.eye(gate.shape[0]), atol=1e-5, rtol=0)
        assert not torch.allclose(gates[0], gates[1])


def test_widths_that_do_not_fit_are_refused() -> None:
    with pytest.raises(AmeirError, match="width of at least 2"):
        OPERATIONS.get("bigru")(1)
    with pytest.raises(AmeirError, match="6.*not a multiple of 4.*embedding size that is a multiple of 4"):
        OPERATIONS.get("self_attention4")(6)
    with pytest.raises(AmeirError, match="Did you mean 'dconv5'"):
        OPERATIONS.get("dcnv5")
