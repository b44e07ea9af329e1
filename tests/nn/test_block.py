"""BuildingBlock: the formula, padding, what it holds."""

from __future__ import annotations

import pytest
import torch

from ameir_pl.errors import AmeirError
from ameir_pl.nn.activations import ACTIVATIONS
from ameir_pl.nn.block import NORMS, BuildingBlock
from ameir_pl.nn.operations import OPERATIONS

from . import reference
from .examples import LENGTHS, assert_gradients, history, longer, normal, randomized

WIDTH = 8
LAYERS = OPERATIONS.names()


def make(dropout: float = 0.0) -> BuildingBlock:
    block = randomized(BuildingBlock(WIDTH, LAYERS, NORMS.names(), dropout))
    assert isinstance(block, BuildingBlock)
    return block


@pytest.mark.parametrize("layer", reference.OPERATIONS)
@pytest.mark.parametrize("norm", ["layer_norm", "none"])
@pytest.mark.parametrize("activation", ["relu", "gelu", "swish", "identity"])
def test_equals_numpy(layer: str, norm: str, activation: str) -> None:
    block = make()
    h, mask, target = history(WIDTH)
    x = h.numpy()
    if norm == "layer_norm":
        x = reference.layer_norm(reference.parameters(block), "norms.layer_norm", x)
    inner = reference.parameters(block.layers[layer])
    x = reference.OPERATIONS[layer](inner, x * mask.unsqueeze(-1).numpy(), mask.numpy(), target.numpy())
    expected = torch.from_numpy(reference.activation(activation, x)) + h
    out = block(h, mask, target, layer=layer, activation=activation, norm=norm)
    torch.testing.assert_close(out[mask], expected[mask], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("norm", ["layer_norm", "none"])
def test_padding_changes_no_valid_output(layer: str, norm: str) -> None:
    block = make()
    h, mask, target = history(WIDTH)
    out = block(h, mask, target, layer, "gelu", norm)
    for by, fill in ((0, 50.0), (0, -50.0), (6, 3.0)):
        other_h, other_mask = longer(h, mask, by, fill)
        other = block(other_h, other_mask, target, layer, "gelu", norm)
        assert torch.isfinite(other).all()
        torch.testing.assert_close(other[other_mask], out[mask])
    for b, length in enumerate(LENGTHS):
        alone = block(h[b:b + 1, :length], mask[b:b + 1, :length], target[b:b + 1], layer, "gelu", norm)
        torch.testing.assert_close(alone[0], out[b, :length])


def test_a_stack_of_blocks_ignores_padding_forward_and_backward() -> None:
    blocks = torch.nn.ModuleList(make() for _ in range(3))
    h, mask, target = history(WIDTH)
    gradients = []
    for by, fill in ((0, 0.0), (5, 20.0)):
        blocks.zero_grad()
        other, other_mask = longer(h, mask, by, fill)
        for block, layer in zip(blocks, ("max_pool3", "dconv5", "self_attention2"), strict=True):
            other = block(other, other_mask, target, layer, "swish", "layer_norm")
        other[other_mask].square().sum().backward()
        gradients.append([p.grad.clone() for p in blocks.parameters() if p.grad is not None])
    assert len(gradients[0]) > 8
    torch.testing.assert_close(gradients[1], gradients[0])


@pytest.mark.parametrize("layer", [n for n in LAYERS if n != "zero"])
def test_gradients_reach_every_parameter(layer: str) -> None:
    block = randomized(BuildingBlock(WIDTH, [layer], ["layer_norm"]))
    h, mask, target = history(WIDTH)
    assert_gradients(block, block(h, mask, target, layer, "gelu", "layer_norm") * mask.unsqueeze(-1))


def test_zero_returns_its_input_whatever_the_rest() -> None:
    block = BuildingBlock(WIDTH, ["zero"], [], dropout=0.5)
    h, mask, target = history(WIDTH)
    assert block(h, mask, target, "zero", "relu", "layer_norm") is h


def test_dropout_follows_the_activation() -> None:
    block = make(dropout=0.5)
    h, mask, target = history(WIDTH)
    torch.manual_seed(0)
    change = block(h, mask, target, "conv3", "identity", "none") - h
    block.eval()
    full = block(h, mask, target, "conv3", "identity", "none") - h
    kept = change.abs() > 1e-12
    assert 0.3 < kept.double().mean() < 0.7
    torch.testing.assert_close(change[kept], 2 * full[kept])


def test_what_it_does_not_hold_is_named() -> None:
    block = BuildingBlock(WIDTH, ["conv1", "conv3"], ["none"])
    h, mask, target = (t.float() if t.is_floating_point() else t for t in history(WIDTH))
    with pytest.raises(AmeirError, match="layer 'bigru'; it holds: conv1, conv3"):
        block(h, mask, target, "bigru", "relu", "none")
    with pytest.raises(AmeirError, match="layer 'zero'"):
        block(h, mask, target, "zero", "relu", "none")
    with pytest.raises(AmeirError, match="norm 'layer_norm'; it holds: none"):
        block(h, mask, target, "conv1", "relu", "layer_norm")
    with pytest.raises(AmeirError, match="Did you mean 'swish'"):
        block(h, mask, target, "conv1", "swich", "none")
    with pytest.raises(AmeirError, match="Did you mean 'layer_norm'"):
        BuildingBlock(WIDTH, ["conv1"], ["layernorm"])


def test_a_supernet_block_and_a_derived_one_name_parameters_alike() -> None:
    derived = BuildingBlock(WIDTH, ["dconv5"], ["layer_norm"]).state_dict()
    held = BuildingBlock(WIDTH, LAYERS, NORMS.names()).state_dict()
    assert set(derived) < set(held)


@pytest.mark.parametrize("name", ACTIVATIONS.names())
def test_activations_equal_numpy(name: str) -> None:
    x = normal(4, 5)
    torch.testing.assert_close(ACTIVATIONS.get(name)(x), torch.from_numpy(reference.activation(name, x.numpy())))
