"""Dice, ElasticLinear and ElasticMlp."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from ameir_pl.errors import AmeirError
from ameir_pl.nn.dice import Dice, batch_statistics
from ameir_pl.nn.elastic import ElasticLinear, ElasticMlp

from . import reference
from .examples import assert_gradients, normal, randomized

NAMES = ["relu", "swish", "identity", "dice"]


def make_dice(units: int = 6) -> Dice:
    dice = randomized(Dice(units))
    assert isinstance(dice, Dice)
    dice.mean.copy_(normal(units, seed=3))
    dice.variance.copy_(normal(units, seed=4).square() + 0.1)
    return dice


@pytest.mark.parametrize("units", [6, 4, 1])
def test_dice_trains_on_batch_statistics_and_updates_only_its_slice(units: int) -> None:
    dice = make_dice()
    mean, variance = dice.mean.clone().numpy(), dice.variance.clone().numpy()
    x = normal(9, units) * 2 + 1
    out = dice(x).detach().numpy()
    of_batch = x.numpy().mean(0), ((x.numpy() - x.numpy().mean(0)) ** 2).sum(0) / 9
    alpha = dice.alpha.detach().numpy()
    np.testing.assert_allclose(out, reference.dice(x.numpy(), alpha[:units], *of_batch), rtol=1e-10)
    np.testing.assert_allclose(dice.mean[:units], 0.9 * mean[:units] + 0.1 * of_batch[0])
    np.testing.assert_allclose(dice.variance[:units], 0.9 * variance[:units] + 0.1 * of_batch[1])
    assert np.array_equal(dice.mean[units:], mean[units:])
    assert np.array_equal(dice.variance[units:], variance[units:])


@pytest.mark.parametrize("units", [6, 4])
def test_dice_evaluates_on_running_or_given_statistics(units: int) -> None:
    dice = make_dice().eval()
    state = {k: v.clone() for k, v in dice.state_dict().items()}
    x = normal(5, units)
    alpha = dice.alpha.detach().numpy()[:units]
    expected = reference.dice(x.numpy(), alpha, dice.mean[:units].numpy(), dice.variance[:units].numpy())
    np.testing.assert_allclose(dice(x).detach().numpy(), expected, rtol=1e-10)
    given = normal(units, seed=8), normal(units, seed=9).square()
    expected = reference.dice(x.numpy(), alpha, given[0].numpy(), given[1].numpy())
    for module in (dice, dice.train()):
        np.testing.assert_allclose(module(x, given).detach().numpy(), expected, rtol=1e-10)
    assert all(torch.equal(state[k], v) for k, v in dice.state_dict().items())


def test_dice_starts_at_alpha_zero() -> None:
    dice = Dice(3)
    assert dice.alpha.tolist() == dice.mean.tolist() == [0.0] * 3 and dice.variance.tolist() == [1.0] * 3


@pytest.mark.parametrize("rows", [0, 1, 4])
def test_dice_of_few_or_equal_rows_is_finite(rows: int) -> None:
    dice = Dice(3)
    x = torch.tensor([[0.3, -2.0, 0.0]]).repeat(rows, 1).requires_grad_(True)
    out = dice(x)
    out.sum().backward()
    assert x.grad is not None and torch.isfinite(x.grad).all() and torch.isfinite(out).all()
    assert all(torch.isfinite(v).all() for v in dice.state_dict().values())
    if rows == 1:
        torch.testing.assert_close(out, 0.5 * x)  # p = 1/2, alpha = 0
    if rows == 0:
        assert dice.mean.tolist() == [0.0] * 3 and dice.variance.tolist() == [1.0] * 3


def test_dice_in_half_precision_keeps_float32_statistics() -> None:
    dice = Dice(3)
    out = dice(torch.zeros(4, 3, dtype=torch.float16))
    assert out.dtype == torch.float16 and torch.isfinite(out).all() and dice.mean.dtype == torch.float32


def test_dice_gradients_and_too_many_units() -> None:
    dice = make_dice()
    x = normal(7, 6).requires_grad_(True)
    assert_gradients(dice, dice(x))
    assert torch.autograd.gradcheck(lambda z: make_dice()(z), (x,))
    with pytest.raises(AmeirError, match="holds 6 units and got 7"):
        dice(normal(2, 7))


def test_elastic_linear_slices_one_matrix() -> None:
    linear = randomized(ElasticLinear(7, 5))
    weight, bias = linear.weight.detach().numpy(), linear.bias.detach().numpy()
    for width in (1, 4, 7):
        for units in (1, 3, 5, None):
            x = normal(6, width)
            out = linear(x, units).detach()
            expected = np.zeros((6, units or 5))
            for b in range(6):
                for u in range(units or 5):
                    products = [weight[u, i] * x[b, i].item() for i in range(width)]
                    expected[b, u] = bias[u] + sum(products)
            np.testing.assert_allclose(out.numpy(), expected)
    assert_gradients(linear, linear(normal(6, 7)))
    for units, width in ((6, 7), (0, 7), (5, 8)):
        with pytest.raises(AmeirError, match=f"{units} units on {width} inputs"):
            linear(normal(2, width), units)


def test_elastic_linear_meets_the_named_columns() -> None:
    linear = randomized(ElasticLinear(7, 5))
    x, columns = normal(6, 3), torch.tensor([5, 0, 6])
    expected = x.numpy() @ linear.weight.detach().numpy()[:4, columns.numpy()].T + linear.bias.detach().numpy()[:4]
    np.testing.assert_allclose(linear(x, 4, columns).detach().numpy(), expected)


def test_elastic_linear_starts_he_normal() -> None:
    torch.manual_seed(0)
    linear = ElasticLinear(200, 50)
    assert linear.weight.std().item() == pytest.approx(math.sqrt(2 / 200), rel=0.05)
    assert linear.bias.abs().max() == 0


def fresh_stack(mlp: ElasticMlp, layers: list[tuple[int, str]]) -> nn.Sequential:
    """The same child as ordinary layers with copied sub-matrices; Dice in evaluation mode."""
    modules: list[nn.Module] = []
    width = 12
    for index, (units, activation) in enumerate(layers):
        linear = nn.Linear(width, units, dtype=torch.float64)
        linear.weight.data.copy_(mlp.linears[index].weight[:units, :width])
        linear.bias.data.copy_(mlp.linears[index].bias[:units])
        modules.append(linear)
        if activation == "dice":
            dice = Dice(units).double()
            for key in ("alpha", "mean", "variance"):
                getattr(dice, key).data.copy_(getattr(mlp.dices[str(index)], key)[:units])
            modules.append(dice)
        else:
            modules.append({"relu": nn.ReLU(), "swish": nn.SiLU(), "identity": nn.Identity()}[activation])
        width = units
    return nn.Sequential(*modules).eval()


def make_mlp(dropout: float = 0.0) -> ElasticMlp:
    mlp = randomized(ElasticMlp(12, [12, 9, 9], [NAMES] * 3, dropout))
    assert isinstance(mlp, ElasticMlp)
    mlp(normal(40, 12, seed=5), [(12, "dice"), (9, "dice"), (9, "dice")])  # running statistics that are not the start
    return mlp.eval()


CHILDREN = [
    [(12, "dice"), (9, "dice"), (9, "dice")], [(7, "relu"), (7, "dice"), (2, "swish")],
    [(1, "identity"), (1, "dice")], [(5, "dice")], [(8, "swish"), (3, "relu"), (3, "identity")],
]


@pytest.mark.parametrize("layers", CHILDREN)
def test_a_child_equals_a_fresh_stack(layers: list[tuple[int, str]]) -> None:
    mlp = make_mlp()
    h0 = normal(10, 12)
    expected = fresh_stack(mlp, layers)(h0)
    out = mlp(h0, layers)
    assert out.shape == (10, layers[-1][0])
    torch.testing.assert_close(out, expected, rtol=1e-9, atol=1e-9)
    full = mlp.first(h0)  # one product of the maximal size serves every child
    torch.testing.assert_close(mlp.forward_from(full[:, :layers[0][0]], layers), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("layers", CHILDREN)
def test_statistics_are_those_of_the_child_layer_by_layer(layers: list[tuple[int, str]]) -> None:
    mlp = make_mlp(dropout=0.5).train()
    state = {k: v.clone() for k, v in mlp.state_dict().items()}
    h0 = normal(30, 12)
    found = mlp.statistics(h0, layers)
    x = h0.numpy()
    for index, (units, activation) in enumerate(layers):
        weight = mlp.linears[index].weight.detach().numpy()[:units, :x.shape[1]]
        x = x @ weight.T + mlp.linears[index].bias.detach().numpy()[:units]
        given = found[index]
        if activation == "dice":
            assert given is not None
            np.testing.assert_allclose(given[0].numpy(), x.mean(0))
            np.testing.assert_allclose(given[1].numpy(), x.var(0))
            x = reference.dice(x, mlp.dices[str(index)].alpha.detach().numpy()[:units], x.mean(0), x.var(0))
        else:
            assert given is None
            x = reference.activation(activation, x)
    np.testing.assert_allclose(mlp.eval()(h0, layers, found).detach().numpy(), x, rtol=1e-8)
    again = mlp.statistics_from(mlp.first(h0, layers[0][0]), layers)
    for a, b in zip(found, again, strict=True):
        assert (a is None) == (b is None)
        if a is not None and b is not None:
            torch.testing.assert_close(a, b)
    assert all(torch.equal(state[k], v) for k, v in mlp.state_dict().items())


def test_set_statistics_become_the_running_ones_of_the_slice() -> None:
    mlp = make_mlp()
    layers = CHILDREN[1]
    h0 = normal(30, 12)
    found = mlp.statistics(h0, layers)
    before = {k: v.clone() for k, v in mlp.state_dict().items()}
    expected = mlp(h0, layers, found)
    assert not torch.allclose(mlp(h0, layers), expected)
    mlp.set_statistics(found)
    torch.testing.assert_close(mlp(h0, layers), expected)
    for key, value in mlp.state_dict().items():
        kept = slice(7, None) if key in ("dices.1.mean", "dices.1.variance") else slice(None)
        assert torch.equal(value[kept], before[key][kept])


def test_mlp_holds_dice_only_in_the_layers_that_may_use_it() -> None:
    mlp = ElasticMlp(4, [4, 3], [["relu"], ["dice"]])
    assert [n for n, _ in mlp.named_parameters() if "dice" in n] == ["dices.1.alpha"]
    with pytest.raises(AmeirError, match="Layer 1 .* 'dice'; it holds: relu"):
        mlp(torch.ones(2, 4), [(4, "dice")])
    with pytest.raises(AmeirError, match="1 sets of activations for 2 layers"):
        ElasticMlp(4, [4, 3], [["relu"]])


def test_mlp_without_layers_is_its_input() -> None:
    mlp = ElasticMlp(4, [], [])
    h0 = torch.ones(2, 4)
    assert mlp(h0, []) is h0 and mlp.statistics(h0, []) == [] and not list(mlp.parameters())


def test_mlp_holds_dice_only_if_asked_and_gradients_reach_all() -> None:
    plain = randomized(ElasticMlp(12, [8, 6], [["relu", "swish"]] * 2))
    assert not any("dice" in name for name, _ in plain.named_parameters())
    assert_gradients(plain, plain(normal(20, 12), [(8, "swish"), (6, "swish")]))
    dice = randomized(ElasticMlp(12, [8, 6], [["dice"]] * 2))
    assert_gradients(dice, dice(normal(20, 12), [(8, "dice"), (6, "dice")]))


def test_mlp_dropout_follows_each_activation() -> None:
    mlp = make_mlp(dropout=0.5).train()
    torch.manual_seed(0)
    h0 = normal(200, 12)
    full = mlp.first(h0)
    out = mlp(h0, [(12, "identity")])
    kept = out != 0
    assert 0.4 < kept.double().mean() < 0.6
    torch.testing.assert_close(out[kept], 2 * full[kept])


def test_mlp_refuses_what_it_does_not_hold() -> None:
    mlp = ElasticMlp(4, [4, 3], [["relu"]] * 2)
    h0 = torch.ones(2, 4)
    for layers, match in (([(4, "dice")], "activation 'dice'; it holds: relu"), ([(5, "relu")], "5 units"),
                          ([(4, "relu")] * 3, "2 layers and was asked for 3"), ([(4, "relu"), (4, "relu")], "4 units")):
        with pytest.raises(AmeirError, match=match):
            mlp(h0, layers)
    with pytest.raises(AmeirError, match="3 columns, its layer 4 units"):
        mlp.forward_from(torch.ones(2, 3), [(4, "relu")])
    with pytest.raises(AmeirError, match="2 statistics for 1 layers"):
        mlp(h0, [(4, "relu")], [None, None])
    with pytest.raises(AmeirError, match="Did you mean 'dice'"):
        ElasticMlp(4, [4], [["dices"]])


def test_batch_statistics_are_biased() -> None:
    x = normal(5, 3)
    mean, variance = batch_statistics(x)
    np.testing.assert_allclose(mean.numpy(), x.numpy().mean(0))
    np.testing.assert_allclose(variance.numpy(), x.numpy().var(0, ddof=0))
