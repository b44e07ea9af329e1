"""What an architecture costs: parameters with and without the embedding matrix, counted without building it."""

from __future__ import annotations

from typing import cast

from torch import nn

from ameir_pl.models.ameir import Ameir
from ameir_pl.models.capacity import aggregation_width
from ameir_pl.nn.block import BuildingBlock
from ameir_pl.space.architecture import Architecture


def network_parameters(model: Ameir, architecture: Architecture) -> int:
    """Return how many weights ``architecture`` uses besides the embedding matrix, as derived from ``model``."""
    count = _numel(model.history) + _numel(model.pooling) if model.reads_history else 0
    if model.reads_history:
        for module, block in zip(model.blocks, architecture.blocks, strict=True):
            held = cast(BuildingBlock, module)
            count += _numel(held.layers[block.layer]) + _numel(held.norms[block.norm])
    width = aggregation_width(model.schema, model.embedding_size, architecture.interactions, model.capacity.behavior)
    for layer in architecture.mlp:
        count += (width + 1) * layer.units + (layer.units if layer.activation == "dice" else 0)
        width = layer.units
    size = model.embedding_size
    outputs = 1 if model.schema.task == "ctr" else size
    count += outputs * width
    if model.capacity.shortcut:
        count += _numel(model.shortcut) + outputs * size
    return count


def trainable_parameters(model: nn.Module) -> tuple[int, int]:
    """Return (weights besides the embedding matrix, weights of the embedding matrix) of any model."""
    embedding = _numel(model.get_submodule("embedding"))
    return _numel(model) - embedding, embedding


def _numel(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())
