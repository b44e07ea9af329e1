"""Derivation: from a supernet's weights to a model of one architecture (paper, Sec. 2.3)."""

from __future__ import annotations

import torch
from torch import Tensor

from ameir_pl.models.ameir import Ameir, Derived
from ameir_pl.space.architecture import Architecture

FIRST_LAYER = "mlp.linears.0.weight"
HEAD = "head.weight_mlp"
SLICED = ("mlp.", "head.")
"""Weights of the maximal size, of which the leading part is used."""
SHORTCUT = "shortcut."


def derive(supernet: Ameir, architecture: Architecture, *, behavior: bool | None = None) -> Derived:
    """Return a model that holds only ``architecture``, with the supernet's weights and on its device.

    ``derive(s, a)(batch)`` equals ``s(batch, a)`` in eval mode.
    """
    capacity = supernet.capacity
    model = Derived(supernet.schema, architecture, embedding_size=supernet.embedding_size,
                    behavior=capacity.behavior if behavior is None else behavior, shortcut=capacity.shortcut,
                    block_dropout=supernet.block_dropout, mlp_dropout=supernet.mlp_dropout,
                    embedding_dropout=supernet.embedding_dropout)
    model.to(supernet.embedding.weight.device)
    inherit(model, supernet)
    return model.train(supernet.training)


@torch.no_grad()
def inherit(into: Ameir, source: Ameir) -> list[str]:
    """Copy into ``into`` every weight that ``source`` has for the same place.

    The columns of the matrix that reads h0 (the first hidden layer's; without one the head's) are matched by what they
    read (history, field, interaction, dense), sliced weights by their leading part; the SE shortcut only when both
    read the same fields and interactions.

    Returns:
        The names of the tensors that got nothing and keep their initialisation.
    """
    have = source.state_dict()
    fresh = []
    for name, tensor in into.state_dict().items():
        if name == _reader(into) == _reader(source):
            _copy_columns(tensor, have[name], into, source)
        elif name not in have or _reads_other(name, into, source):
            fresh.append(name)
        elif have[name].shape == tensor.shape:
            tensor.copy_(have[name])
        elif name.startswith(SLICED) and tensor.dim() == have[name].dim():
            part = tuple(slice(min(a, b)) for a, b in zip(tensor.shape, have[name].shape, strict=True))
            tensor[part].copy_(have[name][part])
        else:
            fresh.append(name)
    return fresh


@torch.no_grad()
def inherit_interactions(into: Ameir, source: Ameir) -> None:
    """Copy only the first hidden layer's columns of the interactions that both models hold (step 2 into AMEIR-B)."""
    _copy_columns(into.state_dict()[FIRST_LAYER], source.state_dict()[FIRST_LAYER], into, source, "interaction ")


def _reader(model: Ameir) -> str:
    """Return the name of the matrix that reads h0."""
    return FIRST_LAYER if model.capacity.mlp else HEAD


def _reads_other(name: str, into: Ameir, source: Ameir) -> bool:
    """Return whether the weights of this name read something else in the two models."""
    if name.startswith(SHORTCUT):
        return into.capacity.interactions != source.capacity.interactions
    return name == HEAD and _reader(into) != _reader(source)


def _copy_columns(tensor: Tensor, given: Tensor, into: Ameir, source: Ameir, prefix: str = "") -> None:
    units = min(tensor.shape[0], given.shape[0])
    places, start = {}, 0
    for name, width in source.segments():
        places[name] = slice(start, start + width)
        start += width
    start = 0
    for name, width in into.segments():
        if name in places and name.startswith(prefix):
            tensor[:units, start:start + width].copy_(given[:units, places[name]])
        start += width


__all__ = ["derive", "inherit", "inherit_interactions"]
