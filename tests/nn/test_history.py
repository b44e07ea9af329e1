"""HistoryInput, LocalActivationUnit and HistoryPooling."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from ameir_pl.errors import AmeirError
from ameir_pl.nn.attention import LocalActivationUnit
from ameir_pl.nn.embedding import FieldEmbedding
from ameir_pl.nn.history import HistoryInput
from ameir_pl.nn.pooling import HistoryPooling

from . import reference
from .examples import LENGTHS, assert_gradients, ctr_schema, history, longer, mask_of, normal, randomized

K = 4
WIDTH = 3 * K
WITH_EMPTY = (0, 3, 7, 1)


def make_input() -> HistoryInput:
    module = randomized(HistoryInput(ctr_schema(), K))
    assert isinstance(module, HistoryInput)
    return module


@pytest.mark.parametrize("garbage", [0.0, 5.0, math.nan, math.inf])
@pytest.mark.parametrize("more", [0, 4])
def test_input_zeroes_padding_and_places_the_empty_token(garbage: float, more: int) -> None:
    module = make_input()
    raw, mask = longer(normal(4, 7, WIDTH), mask_of(WITH_EMPTY), more, garbage)
    h, out_mask, _ = module(raw, mask, normal(4, 4, K))
    expected = torch.zeros(4, 7 + more, WIDTH, dtype=torch.float64)
    for b, length in enumerate(WITH_EMPTY):
        for t in range(length):
            expected[b, t] = raw[b, t]
    expected[0, 0] = module.empty
    assert torch.equal(h, expected.detach())
    assert out_mask.sum(1).tolist() == [max(n, 1) for n in WITH_EMPTY]
    assert out_mask[0, 0] and torch.equal(out_mask[1:], mask[1:])


def test_input_target_is_laid_out_like_a_behavior() -> None:
    module = make_input()
    fields = normal(5, 4, K)
    target = module(normal(5, 7, WIDTH), mask_of((1,) * 5), fields)[2]
    assert target is not None and module.missing is not None
    for b in range(5):
        # item is field 2, genres field 3, the rating bucket has no target
        assert torch.equal(target[b], torch.cat([fields[b, 2], fields[b, 3], module.missing[0]]))


def test_input_gives_each_missing_target_field_its_own_vector() -> None:
    schema = ctr_schema()
    other = replace(schema.behaviors[2], name="h_other")
    module = HistoryInput(replace(schema, behaviors=(other, *schema.behaviors)), K)
    target = module.target(torch.zeros(2, 4, K))
    assert target is not None and module.missing is not None and module.missing.shape == (2, K)
    assert torch.equal(target[:, :K], module.missing[0].expand(2, K))
    assert torch.equal(target[:, -K:], module.missing[1].expand(2, K))


def test_input_gradients() -> None:
    module = make_input()
    raw = normal(4, 7, WIDTH)
    mask = mask_of(WITH_EMPTY)
    raw = torch.where(mask.unsqueeze(-1), raw, math.nan).requires_grad_(True)
    h, _, target = module(raw, mask, normal(4, 4, K))
    assert target is not None
    assert_gradients(module, torch.cat([h.flatten(1), target], dim=1))
    assert raw.grad is not None
    assert (raw.grad[mask] != 0).all() and (raw.grad[~mask] == 0).all()


def test_input_without_target_or_missing_fields_has_no_idle_parameters() -> None:
    schema = ctr_schema()
    none = HistoryInput(replace(schema, fields=schema.fields[:2]), K)
    assert none(torch.zeros(2, 3, WIDTH), mask_of((0, 3), 3), torch.zeros(2, 2, K))[2] is None
    assert {n for n, _ in none.named_parameters()} == {"empty"}
    full = HistoryInput(replace(schema, behaviors=schema.behaviors[:2]), K)
    assert {n for n, _ in full.named_parameters()} == {"empty"}
    assert full.target(torch.ones(2, 4, K)).shape == (2, 2 * K)


def test_input_starts_uniform() -> None:
    module = HistoryInput(ctr_schema(), 400)
    for parameter in module.parameters():
        assert 0.04 < parameter.abs().max() <= 0.05


def test_other_ids_at_padding_change_nothing() -> None:
    schema = ctr_schema()
    embedding, module = FieldEmbedding(schema, K).double(), make_input()
    ids = torch.stack([torch.arange(7), *(torch.arange(7) % 5,) * 3, torch.arange(7)], dim=-1).expand(4, 7, 5)
    mask = mask_of(WITH_EMPTY)
    fields = normal(4, 4, K)
    clean = module(embedding.behaviors(torch.where(mask.unsqueeze(-1), ids, 0)), mask, fields)
    garbage = module(embedding.behaviors(ids), mask, fields)
    assert torch.equal(clean[0], garbage[0]) and torch.equal(clean[1], garbage[1])


def test_local_activation_unit_equals_loops_and_ignores_padding() -> None:
    unit = randomized(LocalActivationUnit(WIDTH))
    h, mask, target = history(WIDTH)
    expected = reference.local_activation(reference.parameters(unit), h.numpy(), mask.numpy(), target.numpy())
    out = unit(h, mask, target)
    torch.testing.assert_close(out, torch.from_numpy(expected))
    other_h, other_mask = longer(h, mask, 5, 30.0)
    other = unit(other_h, other_mask, target)
    torch.testing.assert_close(other[other_mask], out[mask])
    assert (other[~other_mask] == 0).all() and (out[~mask] == 0).all()
    assert_gradients(unit, out)


def test_local_activation_unit_starts_he_normal() -> None:
    torch.manual_seed(0)
    unit = LocalActivationUnit(64)
    assert unit.hidden.weight.shape == (36, 4 * 64)
    assert unit.hidden.weight.std().item() == pytest.approx(math.sqrt(2 / 256), rel=0.05)
    assert unit.output.weight.std().item() == pytest.approx(math.sqrt(2 / 36), rel=0.4)
    assert unit.hidden.bias.abs().max() == unit.output.bias.abs().max() == 0
    assert unit.activation.weight.tolist() == [0.25]


@pytest.mark.parametrize("has_target", [True, False])
def test_pooling_equals_loops(has_target: bool) -> None:
    pooling = randomized(HistoryPooling(WIDTH, has_target))
    assert isinstance(pooling, HistoryPooling)
    h, mask, target = history(WIDTH)
    out = pooling(h, mask, target if has_target else None)
    assert out.shape[1] == pooling.width_out == (3 if has_target else 2) * WIDTH
    weights = (reference.local_activation(reference.parameters(pooling), h.numpy(), mask.numpy(), target.numpy(),
                                          "attention.") if has_target else None)
    for b, length in enumerate(LENGTHS):
        parts = [sum(h[b, t] for t in range(length)), h[b, length - 1]]
        if weights is not None:
            parts.append(sum(weights[b, t] * h[b, t] for t in range(length)))
        torch.testing.assert_close(out[b], torch.cat(parts))


@pytest.mark.parametrize("garbage", [9.0, math.nan, math.inf])
def test_pooling_ignores_padding_forward_and_backward(garbage: float) -> None:
    pooling = randomized(HistoryPooling(WIDTH, True))
    h, mask, target = history(WIDTH)
    out = pooling(h, mask, target)
    other_h, other_mask = longer(h, mask, 3, garbage)
    other = pooling(other_h, other_mask, target)
    torch.testing.assert_close(other, out)
    assert_gradients(pooling, other)


def test_pooling_of_a_row_without_positions_is_zero_and_needs_its_target() -> None:
    pooling = randomized(HistoryPooling(WIDTH, True))
    h, _, target = history(WIDTH)
    assert not pooling(h, torch.zeros(4, 7, dtype=torch.bool), target).any()
    with pytest.raises(AmeirError, match="no target"):
        pooling(h, mask_of(), None)
