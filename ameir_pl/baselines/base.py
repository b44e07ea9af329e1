"""Registry of the baselines and what they are built from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import nn

from ameir_pl.registry import Registry
from ameir_pl.schema import Schema


class BaselineFactory(Protocol):
    """Builds a baseline for a dataset."""

    def __call__(self, schema: Schema, *, embedding_size: int, mlp: Sequence[int], dropout: float) -> nn.Module:
        """Return a model with ``forward(batch)``, on the same embedding, head and batch as AMEIR.

        Raises:
            AmeirError: the model means nothing for this dataset; the message names the dataset and other models.
        """
        ...


BASELINES: Registry[Callable[..., nn.Module]] = Registry("model")


def check_baseline(name: str, schema: Schema) -> None:
    """Raise ``AmeirError`` where a baseline is unknown or refuses a dataset; takes no memory and no random number."""
    with torch.device("meta"):
        BASELINES.get(name)(schema, embedding_size=1, mlp=[1], dropout=0.0)
