"""RowNoise: uniform, new at each update, a matter of the row alone, and the documented scrambling."""

from __future__ import annotations

import torch

from ameir_pl.nn.row_noise import RowNoise, _mixed

MASK = 2**64 - 1


def splitmix(x: int) -> int:
    """The finalizer of splitmix64 in Python's whole numbers."""
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def test_the_scrambling_is_splitmix64() -> None:
    values = [0, 1, 2**63 - 1, -1, -(2**63), 123456789]
    assert [v & MASK for v in _mixed(torch.tensor(values)).tolist()] == [splitmix(v & MASK) for v in values]


def test_uniform_and_independent() -> None:
    noise = RowNoise()
    ids = torch.arange(4000).reshape(2000, 2) + 1
    first = noise(ids, 8)
    noise.step()
    for drawn in (first, noise(ids, 8), noise(ids, 8, stream=1)):
        assert drawn.min() >= 0 and drawn.max() < 1 and abs(drawn.mean() - 0.5) < 0.01
        assert abs(drawn.var() - 1 / 12) < 0.002
        correlations = torch.corrcoef(drawn.T) - torch.eye(8)
        assert correlations.abs().max() < 0.1
    together = torch.stack([first.flatten(), noise(ids, 8).flatten(), noise(ids, 8, stream=1).flatten()])
    assert (torch.corrcoef(together) - torch.eye(3)).abs().max() < 0.05


def test_it_is_the_row_s_own() -> None:
    noise = RowNoise()
    ids = torch.randint(1, 50, (20, 3), generator=torch.Generator().manual_seed(1))
    whole = noise(ids, 5)
    assert torch.equal(noise(ids[4:9], 5), whole[4:9]) and torch.equal(noise(ids, 2), whole[:, :2])
    padded = torch.cat([ids, torch.zeros(20, 4, dtype=torch.int64)], 1)
    assert torch.equal(noise(padded, 5), whole)
    assert not torch.equal(noise(ids.flip(1), 5), whole), "the order of ids counts"


def test_the_count_of_updates_is_kept() -> None:
    noise, again = RowNoise(), RowNoise()
    noise.step()
    again.load_state_dict(noise.state_dict())
    ids = torch.tensor([[3, 4]])
    assert torch.equal(noise(ids, 4), again(ids, 4)) and not torch.equal(noise(ids, 4), RowNoise()(ids, 4))
