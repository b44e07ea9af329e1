"""The gradients written out by hand, against finite differences, autograd of the plain formula, and torch.nn.GRU."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ameir_pl.nn.attention import LocalActivationUnit
from ameir_pl.nn.bidirectional_gru import BidirectionalGru
from ameir_pl.nn.block import BuildingBlock
from ameir_pl.nn.operations import OPERATIONS
from ameir_pl.nn.pooling import HistoryPooling
from ameir_pl.nn.sequence import shifted_copies, windows, zero_padding

from .examples import LENGTHS, history, longer, mask_of, normal, randomized

WIDTH = 6


def gradients(out: Tensor, mask: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    """Of a sum over the valid positions with fixed weights."""
    return torch.autograd.grad((out * normal(*out.shape, seed=42).to(out.dtype) * mask.unsqueeze(-1)).sum(), inputs)


def gru_row_by_row(operation: nn.Module, x: Tensor, mask: Tensor) -> Tensor:
    """bigru as torch.nn.GRU on each row alone, without padding."""
    rows = []
    for row, length in zip(x, mask.sum(1).tolist(), strict=True):
        ahead, _ = operation.forward_gru(row[None, :length])
        back, _ = operation.backward_gru(row[None, :length].flip(1))
        rows.append(F.pad(torch.cat([ahead, back.flip(1)], dim=-1)[0], (0, 0, 0, x.shape[1] - length)))
    return torch.stack(rows)


def max_of_three(x: Tensor, mask: Tensor) -> Tensor:
    """max_pool3 with -inf at padding and torch.maximum's own gradient."""
    before, here, after = shifted_copies(torch.where(mask.unsqueeze(-1), x, -torch.inf), 3, fill=-torch.inf)
    return zero_padding(torch.maximum(torch.maximum(before, here), after), mask)


@pytest.mark.parametrize("width", [2, 5, WIDTH])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bigru_equals_torch_gru_on_each_row_alone(width: int, dtype: torch.dtype) -> None:
    operation = randomized(OPERATIONS.get("bigru")(width)).to(dtype)
    x, mask, _ = history(width)
    x = x.to(dtype).requires_grad_()
    out, expected = operation(x, mask, None), gru_row_by_row(operation, x, mask)
    tolerance = {"rtol": 1e-5, "atol": 1e-6} if dtype == torch.float32 else {"rtol": 1e-10, "atol": 1e-12}
    torch.testing.assert_close(out[mask], expected[mask], **tolerance)
    inputs = (x, *operation.parameters())
    for got, wanted in zip(gradients(out, mask, *inputs), gradients(expected, mask, *inputs), strict=True):
        torch.testing.assert_close(got, wanted, **tolerance)


def test_bigru_function_passes_gradcheck() -> None:
    mask, size = mask_of((1, 3, 2)), WIDTH // 2
    mask = mask[:, :4]  # one position is padding in every row
    x = normal(3, 4, WIDTH) * mask.unsqueeze(-1)
    shapes = ((2, 3 * size, WIDTH), (2, 3 * size, size), (2, 3 * size), (2, 3 * size))
    given = [t.requires_grad_() for t in (x, *(normal(*s, seed=i) * 0.5 for i, s in enumerate(shapes)))]
    assert torch.autograd.gradcheck(lambda x, *p: BidirectionalGru.apply(x, mask, *p) * mask.unsqueeze(-1), given)


@pytest.mark.parametrize("name", ["max_pool3", "dconv5", "target_attention", "bigru"])
def test_operations_pass_gradcheck(name: str) -> None:
    operation = randomized(OPERATIONS.get(name)(4))
    x, mask, target = history(4)
    x, mask, target = x[:3, :5], mask[:3, :5], target[:3]
    call: Callable[..., Tensor] = lambda x, t, *p: operation(x, mask, t) * mask.unsqueeze(-1)  # noqa: E731
    given = [x.requires_grad_(), target.requires_grad_(), *operation.parameters()]
    assert torch.autograd.gradcheck(call, given)


@pytest.mark.parametrize("has_target", [True, False])
def test_pooling_passes_gradcheck(has_target: bool) -> None:
    pooling = randomized(HistoryPooling(4, has_target))
    x, mask, target = history(4)
    given = [x.requires_grad_(), target.requires_grad_(), *pooling.parameters()]
    assert torch.autograd.gradcheck(lambda x, t, *p: pooling(x, mask, t if has_target else None), given)


@pytest.mark.parametrize("length", [1, 2, 7])
def test_max_pool_splits_ties_as_torch_maximum_does(length: int) -> None:
    mask = mask_of()[:, :length]
    x = (normal(len(LENGTHS), length, WIDTH).round() * mask.unsqueeze(-1)).requires_grad_()  # many ties
    out, expected = OPERATIONS.get("max_pool3")(WIDTH)(x, mask, None), max_of_three(x, mask)
    assert torch.equal(out, expected)
    torch.testing.assert_close(gradients(out, mask, x), gradients(expected, mask, x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("length", [1, 2, 4, 9])
@pytest.mark.parametrize(("size", "dilation"), [(1, 1), (3, 1), (3, 2), (5, 2), (7, 2)])
def test_windows_are_the_shifted_copies(length: int, size: int, dilation: int) -> None:
    x = normal(3, length, WIDTH).requires_grad_()
    everywhere = torch.ones(3, length, dtype=torch.bool)
    out, expected = windows(x, size, dilation), torch.cat(shifted_copies(x, size, dilation), dim=-1)
    assert torch.equal(out, expected)
    torch.testing.assert_close(gradients(out, everywhere, x), gradients(expected, everywhere, x))


@pytest.mark.parametrize("slope", [0.25, 0.0, 1.0, -0.5])
def test_local_activation_unit_equals_autograd_of_prelu(slope: float) -> None:
    unit = randomized(LocalActivationUnit(WIDTH))
    nn.init.constant_(unit.activation.weight, slope)
    h, mask, target = history(WIDTH)
    h.requires_grad_(), target.requires_grad_()
    every = target.unsqueeze(1).expand_as(h)
    plain = unit.output(unit.activation(unit.hidden(torch.cat([h, every, h - every, h * every], dim=-1))))
    inputs = (h, target, *unit.parameters())
    out = unit(h, mask, target).unsqueeze(-1)
    torch.testing.assert_close(out[mask], plain[mask])
    torch.testing.assert_close(gradients(out, mask, *inputs), gradients(plain, mask, *inputs))


@pytest.mark.parametrize("layer", OPERATIONS.names())
def test_no_gradient_reaches_or_depends_on_padding(layer: str) -> None:
    block, pooling = randomized(BuildingBlock(8, [layer], ["layer_norm"])), randomized(HistoryPooling(8, True))
    results = []
    for fill in (0.0, 30.0):
        x, mask = longer(*history(8)[:2], by=3, fill=fill)
        x, target = x.requires_grad_(), history(8)[2].requires_grad_()
        out = pooling(block(x, mask, target, layer, "gelu", "layer_norm"), mask, target)
        parameters = [*block.parameters(), *pooling.parameters()]
        found = torch.autograd.grad(out.square().sum(), [x, target, *parameters], allow_unused=True)
        assert found[0] is not None and not found[0][~mask].any(), "no gradient reaches the padding"
        results.append([out, *found[1:]])
    for got, wanted in zip(*results, strict=True):
        torch.testing.assert_close(got, wanted)


@pytest.mark.parametrize("name", OPERATIONS.names())
def test_evaluation_equals_training_forward(name: str) -> None:
    operation = OPERATIONS.get(name)(8)
    x, mask, target = (t.float() if t.is_floating_point() else t for t in history(8))
    out = operation(x.requires_grad_(), mask, target)
    operation.eval()
    with torch.no_grad():
        torch.testing.assert_close(operation(x, mask, target), out)


@pytest.mark.parametrize("name", OPERATIONS.names())
def test_bfloat16_autocast_is_close_and_differentiable(name: str) -> None:
    operation = OPERATIONS.get(name)(8)
    x, mask, target = (t.float() if t.is_floating_point() else t for t in history(8))
    x.requires_grad_()
    full = operation(x, mask, target)
    with torch.autocast("cpu", torch.bfloat16):
        half = operation(x, mask, target)
    torch.testing.assert_close(half.float()[mask], full[mask], rtol=0.05, atol=0.05)
    if name != "zero":
        assert torch.isfinite(gradients(half, mask, x)[0]).all()


@pytest.mark.parametrize("name", ["bigru", "max_pool3", "dconv5", "target_attention"])
def test_backward_twice_through_one_graph_is_the_same(name: str) -> None:
    operation = randomized(OPERATIONS.get(name)(8))
    x, mask, target = history(8)
    out = operation(x.requires_grad_(), mask, target)
    first = torch.autograd.grad(out[mask].square().sum(), [x, *operation.parameters()], retain_graph=True)
    second = torch.autograd.grad(out[mask].square().sum(), [x, *operation.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_pooled_sum_and_last_state_keep_their_precision_under_autocast() -> None:
    pooling = HistoryPooling(8, has_target=True)
    x, mask, target = (t.float() if t.is_floating_point() else t for t in history(8))
    with torch.autocast("cpu", torch.bfloat16):
        half = pooling(x, mask, target)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half[:, :16], pooling(x, mask, target)[:, :16])
