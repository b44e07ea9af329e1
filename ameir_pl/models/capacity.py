"""Capacity: which operations, interactions and widths a model holds weights for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ameir_pl.schema import Schema
from ameir_pl.space.architecture import Architecture, Interaction, canonical_interactions
from ameir_pl.space.space import BlockSpace, MlpSpace


@dataclass(frozen=True)
class Capacity:
    """What a model is built with. A supernet holds many choices, a derived model one.

    Args:
        blocks: for each block the layer operations it holds.
        norms: for each block the norms it holds.
        interactions: the interactions whose columns the first hidden layer holds, in canonical order.
        mlp: the most units of each hidden layer.
        activations: for each hidden layer the activations that may be asked for (Dice has weights).
        behavior: whether the history is read (step 2 leaves it out).
        shortcut: whether the SE shortcut is there.
    """

    blocks: tuple[tuple[str, ...], ...] = ()
    norms: tuple[tuple[str, ...], ...] = ()
    interactions: tuple[Interaction, ...] = ()
    mlp: tuple[int, ...] = ()
    activations: tuple[tuple[str, ...], ...] = ()
    behavior: bool = True
    shortcut: bool = False

    @classmethod
    def of(cls, architecture: Architecture, *, behavior: bool = True, shortcut: bool | None = None) -> Capacity:
        """Return just what ``architecture`` needs. The shortcut is there where interactions are (AMEIR-B, -C)."""
        return cls(blocks=tuple((b.layer,) for b in architecture.blocks),
                   norms=tuple((b.norm,) for b in architecture.blocks),
                   interactions=architecture.interactions,
                   mlp=tuple(h.units for h in architecture.mlp),
                   activations=tuple((h.activation,) for h in architecture.mlp),
                   behavior=behavior,
                   shortcut=bool(architecture.interactions) if shortcut is None else shortcut)

    def with_blocks(self, space: BlockSpace) -> Capacity:
        """Return this capacity with every block of ``space`` (the supernet of step 1)."""
        return replace(self, blocks=(space.layers,) * space.depth, norms=(space.norms,) * space.depth)

    def with_mlp(self, space: MlpSpace) -> Capacity:
        """Return this capacity with the largest MLP of ``space`` and all its activations (step 3)."""
        return replace(self, mlp=(space.width,) * space.depth, activations=(space.activations,) * space.depth)

    def with_interactions(self, interactions: Sequence[Interaction]) -> Capacity:
        """Return this capacity with the given interactions (step 2)."""
        return replace(self, interactions=canonical_interactions(interactions))

    def to_json(self) -> str:
        """Return one line of JSON, stored beside weights."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Capacity:
        """Read what :meth:`to_json` gave."""
        def frozen(value: Any) -> Any:
            return tuple(frozen(v) for v in value) if isinstance(value, list) else value
        return cls(**{key: frozen(value) for key, value in json.loads(text).items()})


def segments(schema: Schema, size: int, interactions: Sequence[Interaction], behavior: bool) -> list[tuple[str, int]]:
    """Return the named parts of h0 = [h_a, e_b, p_b, dense] and their widths (SPEC: 105 on Alimama).

    Args:
        schema: the dataset's.
        size: K.
        interactions: the M selected ones.
        behavior: whether h_a is there.
    """
    parts: list[tuple[str, int]] = []
    if behavior and schema.behaviors:
        pooled = 3 if schema.has_target else 2
        parts.append(("history", pooled * len(schema.behaviors) * size))
    parts += [(f"field {f}", size) for f in schema.field_names]
    parts += [("interaction " + " ".join(i), size) for i in interactions]
    if schema.dense:
        parts.append(("dense", len(schema.dense)))
    return parts


def aggregation_width(schema: Schema, size: int, interactions: Sequence[Interaction], behavior: bool = True) -> int:
    """Return K0, the width of h0."""
    return sum(width for _, width in segments(schema, size, interactions, behavior))
