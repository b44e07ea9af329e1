"""Small schemas, histories and modules in float64 that the tests of nn share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ameir_pl.schema import Field, Schema

LENGTHS = (1, 3, 7, 6)
LENGTH = max(LENGTHS)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def mask_of(lengths: tuple[int, ...] = LENGTHS, length: int = LENGTH) -> Tensor:
    return torch.arange(length) < torch.tensor(lengths).unsqueeze(1)


def history(width: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """x (B, T, D) zero at padding, mask, target (B, D)."""
    mask = mask_of()
    x = normal(len(LENGTHS), LENGTH, width, seed=seed) * mask.unsqueeze(-1)
    return x, mask, normal(len(LENGTHS), width, seed=seed + 1)


def longer(x: Tensor, mask: Tensor, by: int, fill: float) -> tuple[Tensor, Tensor]:
    """The same rows with ``by`` more padded positions, and ``fill`` at all padding."""
    more = torch.cat([x, x.new_zeros(x.shape[0], by, x.shape[2])], dim=1)
    mask = torch.cat([mask, mask.new_zeros(x.shape[0], by)], dim=1)
    return torch.where(mask.unsqueeze(-1), more, fill), mask


def randomized(module: nn.Module, seed: int = 7) -> nn.Module:
    """The module in float64 with every parameter drawn anew, so that no zero bias hides a mistake."""
    module.double()
    rng = generator(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=rng, dtype=torch.float64) * 0.5)
    return module


def assert_gradients(module: nn.Module, out: Tensor) -> None:
    """Every parameter gets a finite gradient that is not zero."""
    module.zero_grad()
    (out * normal(*out.shape, seed=99).to(out.dtype)).sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 1e-9, name


def ctr_schema() -> Schema:
    """Behaviors (item, genres multivalent, rating bucket); targets for item and genres only."""
    return Schema(
        dataset="example", task="ctr",
        fields=(Field("user", "user"), Field("hour", "hour", "context"), Field("item", "item", "target"),
                Field("genres", "genre", "target", width=3)),
        behaviors=(Field("h_item", "item"), Field("h_genres", "genre", width=3), Field("h_rating", "rating")),
        vocabularies={"user": 6, "hour": 4, "item": 9, "genre": 5, "rating": 7}, max_len=LENGTH)


def univalent_schema() -> Schema:
    """All fields univalent; two fields share a vocabulary."""
    return Schema(
        dataset="univalent", task="ctr",
        fields=(Field("user", "user"), Field("a", "city"), Field("b", "city")),
        behaviors=(Field("h_item", "item"),), vocabularies={"user": 5, "city": 4, "item": 6}, max_len=4)
