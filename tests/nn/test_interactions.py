"""HadamardProducts and SqueezeExcitation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ameir_pl.errors import AmeirError
from ameir_pl.nn.hadamard import HadamardProducts
from ameir_pl.nn.squeeze_excitation import SqueezeExcitation

from . import reference
from .examples import assert_gradients, normal, randomized

NAMES = ("user", "age", "gender", "item", "brand")
MIXED = [("user", "item"), ("brand", "age", "gender", "item"), ("age",), ("item", "brand", "user"), ("gender", "age")]


def loops(fields: np.ndarray, interactions: list[tuple[str, ...]]) -> np.ndarray:
    out = np.ones((fields.shape[0], len(interactions), fields.shape[2]))
    for b in range(fields.shape[0]):
        for m, interaction in enumerate(interactions):
            for k in range(fields.shape[2]):
                for name in interaction:
                    out[b, m, k] *= fields[b, NAMES.index(name), k]
    return out


@pytest.mark.parametrize("interactions", [MIXED, MIXED[:1], [MIXED[0], MIXED[4]], MIXED[1:2]])
def test_products_equal_loops(interactions: list[tuple[str, ...]]) -> None:
    products = HadamardProducts(NAMES, interactions)
    fields = normal(6, 5, 3)
    expected = loops(fields.numpy(), interactions)
    np.testing.assert_allclose(products(fields).numpy(), expected)
    which = torch.arange(len(interactions)).flip(0)
    np.testing.assert_allclose(products(fields, which).numpy(), expected[:, ::-1])
    np.testing.assert_allclose(products(fields, which[-1:]).numpy(), expected[:, :1])
    assert products(fields, which[:0]).shape == (6, 0, 3)
    assert len(products) == len(interactions) and not products.state_dict()


@pytest.mark.parametrize("interactions", [MIXED, MIXED[:1]])
def test_one_product_a_row(interactions: list[tuple[str, ...]]) -> None:
    products = HadamardProducts(NAMES, interactions)
    fields = normal(6, 5, 3)
    own = torch.tensor([4, 0, 2, 2, 1, 3]) % len(interactions)
    every = loops(fields.numpy(), interactions)
    expected = np.stack([every[b, own[b]] for b in range(6)])
    np.testing.assert_allclose(products.one_each(fields, own).numpy(), expected)


def test_product_gradients_at_zeros() -> None:
    products = HadamardProducts(NAMES, MIXED)
    fields = normal(3, 5, 2)
    fields[0, 1] = 0.0
    fields.requires_grad_(True)
    assert torch.autograd.gradcheck(products, (fields,))


def test_no_interactions_give_an_empty_row() -> None:
    assert HadamardProducts(NAMES, [])(torch.ones(4, 5, 3)).shape == (4, 0, 3)


def test_bad_interactions_are_named() -> None:
    with pytest.raises(AmeirError, match=r"\(user x itm\).*'itm'.*Did you mean 'item'"):
        HadamardProducts(NAMES, [("user", "itm")])
    for interaction in (("user", "user"), ()):
        with pytest.raises(AmeirError, match="distinct fields"):
            HadamardProducts(NAMES, [interaction])


def test_squeeze_excitation_equals_loops() -> None:
    module = randomized(SqueezeExcitation(7, 3))
    assert isinstance(module, SqueezeExcitation)
    q = normal(5, 7, 3)
    p = reference.parameters(module)
    expected, weights = np.zeros((5, 3)), np.zeros((5, 7))
    for b in range(5):
        squeezed = [sum(q[b, r, k].item() * p["squeeze"][k] for k in range(3)) for r in range(7)]
        hidden = [max(0.0, sum(p["reduce.weight"][i, r] * squeezed[r] for r in range(7))) for i in range(7)]
        for i in range(7):
            weights[b, i] = reference.sigmoid(sum(p["expand.weight"][i, j] * hidden[j] for j in range(7)))
            expected[b] += weights[b, i] * q[b, i].numpy()
    np.testing.assert_allclose(module(q).detach().numpy(), expected)
    np.testing.assert_allclose(module.weights(q).detach().numpy(), weights)
    assert_gradients(module, module(q))


def test_squeeze_excitation_start() -> None:
    torch.manual_seed(0)
    module = SqueezeExcitation(60, 500)
    assert {n: tuple(p.shape) for n, p in module.named_parameters()} == {
        "squeeze": (500,), "reduce.weight": (60, 60), "expand.weight": (60, 60)}
    assert module.squeeze.std().item() == pytest.approx(1 / math.sqrt(500), rel=0.1)
    for linear in (module.reduce, module.expand):
        assert linear.weight.std().item() == pytest.approx(math.sqrt(2 / 60), rel=0.05)
