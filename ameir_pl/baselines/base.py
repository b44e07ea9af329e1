"""Registry of the baselines and what they are built from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from torch import nn

from ameir_pl.registry import Registry
from ameir_pl.schema import Schema


class BaselineFactory(Protocol):
    """Builds a baseline for a dataset."""

    def __call__(self, schema: Schema, *, embedding_size: int, mlp: Sequence[int], dropout: float) -> nn.Module:
        """Return a model with ``forward(batch)``, on the same embedding, head and batch as AMEIR."""
        ...


BASELINES: Registry[Callable[..., nn.Module]] = Registry("model")
