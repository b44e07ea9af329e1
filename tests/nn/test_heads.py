"""CtrHead and RetrievalHead against NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ameir_pl.errors import AmeirError
from ameir_pl.nn.heads import CtrHead, RetrievalHead

from .examples import assert_gradients, normal, randomized


@pytest.mark.parametrize("units", [9, 4, 1])
@pytest.mark.parametrize("with_shortcut", [True, False])
def test_heads_equal_numpy(units: int, with_shortcut: bool) -> None:
    h = normal(6, units)
    shortcut = normal(6, 3, seed=2) if with_shortcut else None
    ctr, retrieval = randomized(CtrHead(9, 3)), randomized(RetrievalHead(9, 3, 4))
    for head, outputs in ((ctr, 1), (retrieval, 4)):
        out = head(h, shortcut).detach().numpy()
        expected = np.zeros((6, outputs))
        for b in range(6):
            for o in range(outputs):
                expected[b, o] = sum(head.weight_mlp[o, i].item() * h[b, i].item() for i in range(units))
                if shortcut is not None:
                    expected[b, o] += sum(head.weight_shortcut[o, i].item() * shortcut[b, i].item() for i in range(3))
        np.testing.assert_allclose(out, expected[:, 0] if head is ctr else expected)


def test_heads_have_no_bias_and_gradients_reach_all() -> None:
    for head in (randomized(CtrHead(9, 3)), randomized(RetrievalHead(9, 3, 4))):
        assert {n for n, _ in head.named_parameters()} == {"weight_mlp", "weight_shortcut"}
        assert_gradients(head, head(normal(6, 9), normal(6, 3, seed=2)))
    assert [n for n, _ in CtrHead(9).named_parameters()] == ["weight_mlp"]


def test_heads_start_scaled_by_all_inputs() -> None:
    torch.manual_seed(0)
    head = RetrievalHead(150, 50, 64)
    assert head.weight_shortcut is not None
    for weight in (head.weight_mlp, head.weight_shortcut):
        assert weight.std().item() == pytest.approx(1 / math.sqrt(200), rel=0.05)


def test_a_query_may_start_as_what_its_input_holds_of_items() -> None:
    head = RetrievalHead(9, 0, 3).double()
    drawn = head.weight_mlp.detach().clone()
    head.start_as_items({0: 0.25, 6: 1.0})
    h = normal(5, 9)
    rest = h[:, 3:6] @ drawn[:, 3:6].T
    torch.testing.assert_close(head(h), 0.25 * h[:, :3] + h[:, 6:] + rest)


def test_heads_refuse_what_does_not_fit() -> None:
    with pytest.raises(AmeirError, match="takes 9 columns of the MLP and got 10"):
        CtrHead(9)(torch.ones(2, 10))
    with pytest.raises(AmeirError, match="without a shortcut"):
        CtrHead(9)(torch.ones(2, 9), torch.ones(2, 3))
