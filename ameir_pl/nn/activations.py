"""Activations without parameters, by name. Dice, which has parameters, is in :mod:`ameir_pl.nn.dice`."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from ameir_pl.registry import Registry

ACTIVATIONS: Registry[Callable[[Tensor], Tensor]] = Registry("activation")
"""Elementwise functions of a tensor; each takes and returns the same shape."""


@ACTIVATIONS.register("relu")
def relu(x: Tensor) -> Tensor:
    """Return max(x, 0)."""
    return F.relu(x)


@ACTIVATIONS.register("gelu")
def gelu(x: Tensor) -> Tensor:
    """Return x·Φ(x), the exact form (Hendrycks and Gimpel 2016)."""
    return F.gelu(x)


@ACTIVATIONS.register("swish")
def swish(x: Tensor) -> Tensor:
    """Return x·sigmoid(x) (Ramachandran et al. 2017, β = 1)."""
    return F.silu(x)


@ACTIVATIONS.register("identity")
def identity(x: Tensor) -> Tensor:
    """Return x."""
    return x
