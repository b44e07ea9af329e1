"""Architecture: blocks, interactions and MLP of one model, as a frozen value in one canonical form."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ameir_pl.errors import AmeirError, did_you_mean

ZERO = "zero"
Interaction = tuple[str, ...]
"""Names of the fields whose embeddings are multiplied, sorted."""


@dataclass(frozen=True, order=True)
class Block:
    """One building block, ``Act(Layer(Norm(H))) + H`` (paper, Eq. 3). A zero layer has no activation and norm."""

    layer: str
    activation: str = "identity"
    norm: str = "none"

    def __post_init__(self) -> None:
        if self.layer == ZERO:
            object.__setattr__(self, "activation", "identity")
            object.__setattr__(self, "norm", "none")


@dataclass(frozen=True, order=True)
class MlpLayer:
    """One hidden layer of the aggregation MLP (paper, Eq. 4)."""

    units: int
    activation: str = "relu"


@dataclass(frozen=True, order=True)
class Architecture:
    """What a search decides. Equal architectures are equal values: zero blocks carry nothing else, the fields of an
    interaction are sorted, and so are the interactions.

    Example:
        >>> Architecture(interactions=(("b", "a"),)) == Architecture(interactions=(("a", "b"),))
        True
    """

    blocks: tuple[Block, ...] = ()
    interactions: tuple[Interaction, ...] = ()
    mlp: tuple[MlpLayer, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "blocks", tuple(self.blocks))
        object.__setattr__(self, "interactions", canonical_interactions(self.interactions))
        object.__setattr__(self, "mlp", tuple(self.mlp))

    def to_dict(self) -> dict[str, list[Any]]:
        """Return the plain values of ``architecture.yaml``."""
        return {
            "blocks": [ZERO if b.layer == ZERO else
                       {"layer": b.layer, "activation": b.activation, "norm": b.norm} for b in self.blocks],
            "interactions": [list(i) for i in self.interactions],
            "mlp": [{"units": h.units, "activation": h.activation} for h in self.mlp],
        }

    @classmethod
    def from_dict(cls, values: Any, source: str = "architecture") -> Architecture:
        """Read the plain values of ``architecture.yaml``; errors name ``source``, the entry and what fits there."""
        if not isinstance(values, Mapping):
            raise AmeirError(f"{source}: expected a mapping with blocks, interactions and mlp, found "
                             f"{type(values).__name__}.")
        known = ("blocks", "interactions", "mlp")
        for key in values:
            if key not in known:
                raise AmeirError(f"{source}: unknown key '{key}'.{did_you_mean(str(key), known)}")
        parts = {key: [] if values.get(key) is None else values[key] for key in known}
        for key, part in parts.items():
            if not isinstance(part, Sequence) or isinstance(part, str):
                raise AmeirError(f"{source}: '{key}' must be a list, found {part!r}.")
        return cls(blocks=tuple(_block(b, f"{source}, blocks[{i}]") for i, b in enumerate(parts["blocks"])),
                   interactions=tuple(_interaction(p, f"{source}, interactions[{i}]")
                                      for i, p in enumerate(parts["interactions"])),
                   mlp=tuple(_mlp_layer(h, f"{source}, mlp[{i}]") for i, h in enumerate(parts["mlp"])))

    def to_json(self) -> str:
        """Return one line of JSON, the key under which an architecture is stored in tables."""
        return json.dumps(self.to_dict(), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str, source: str = "architecture") -> Architecture:
        """Read what :meth:`to_json` gave."""
        try:
            return cls.from_dict(json.loads(text), source)
        except json.JSONDecodeError as error:
            raise AmeirError(f"{source} is not JSON: {error}.") from error

    def to_yaml(self) -> str:
        """Return the text of ``architecture.yaml``, one entry a line."""
        lines = []
        for key, entries in self.to_dict().items():
            lines.append(f"{key}:" if entries else f"{key}: []")
            lines += [f"  - {_flow(entry)}" for entry in entries]
        return "\n".join(lines) + "\n"

    def digest(self) -> str:
        """Return 12 hex digits, the same on every machine."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:12]

    def diff(self, other: Architecture) -> list[str]:
        """Return one line for each place where ``other`` is different, as ``place: this -> that``."""
        lines = []
        for name in ("blocks", "mlp"):
            mine, theirs = self.to_dict()[name], other.to_dict()[name]
            for i in range(max(len(mine), len(theirs))):
                a = _flow(mine[i]) if i < len(mine) else "-"
                b = _flow(theirs[i]) if i < len(theirs) else "-"
                if a != b:
                    lines.append(f"{name}[{i}]: {a} -> {b}")
        lines += [f"interactions: {_flow(list(i))} -> -" for i in self.interactions if i not in other.interactions]
        lines += [f"interactions: - -> {_flow(list(i))}" for i in other.interactions if i not in self.interactions]
        return lines


def canonical_interactions(interactions: Iterable[Iterable[str]]) -> tuple[Interaction, ...]:
    """Return interactions in their one order: by number of fields, then by name; duplicates dropped."""
    return tuple(sorted({tuple(sorted(i)) for i in interactions}, key=lambda i: (len(i), i)))


# Words that YAML 1.1 reads as booleans or null, in any case.
_YAML_WORDS = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null"))


def _scalar(value: Any) -> str:
    """Return a number or name as YAML that reads back as the same value: a field called `on` or `1` stays a string."""
    text = str(value)
    if not isinstance(value, str) or (text.isidentifier() and text.lower() not in _YAML_WORDS):
        return text
    return '"' + "".join(c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in text) + '"'


def _flow(entry: Any) -> str:
    if isinstance(entry, dict):
        return "{" + ", ".join(f"{k}: {_scalar(v)}" for k, v in entry.items()) + "}"
    return "[" + ", ".join(map(_scalar, entry)) + "]" if isinstance(entry, list) else _scalar(entry)


def _name(value: Any, key: str, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise AmeirError(f"{where}: {key} must be a name, found {value!r}.")
    return value


def _keys(entry: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in entry:
        if key not in known:
            raise AmeirError(f"{where}: unknown key '{key}'.{did_you_mean(str(key), known)}")
    if known[0] not in entry:
        raise AmeirError(f"{where}: '{known[0]}' is missing in {dict(entry)}.")


def _block(entry: Any, where: str) -> Block:
    if isinstance(entry, str):
        entry = {"layer": entry}
    if not isinstance(entry, Mapping):
        raise AmeirError(f"{where}: expected `zero` or {{layer, activation, norm}}, found {entry!r}.")
    _keys(entry, ("layer", "activation", "norm"), where)
    return Block(**{key: _name(value, key, where) for key, value in entry.items()})


def _interaction(entry: Any, where: str) -> Interaction:
    if not isinstance(entry, list | tuple) or not all(isinstance(f, str) and f for f in entry):
        raise AmeirError(f"{where}: expected a list of field names, found {entry!r}.")
    if len(entry) < 2 or len(set(entry)) != len(entry):
        raise AmeirError(f"{where}: an interaction has two or more distinct fields, found {entry!r}.")
    return tuple(sorted(entry))


def _mlp_layer(entry: Any, where: str) -> MlpLayer:
    if not isinstance(entry, Mapping):
        raise AmeirError(f"{where}: expected {{units, activation}}, found {entry!r}.")
    _keys(entry, ("units", "activation"), where)
    units = entry["units"]
    if not isinstance(units, int) or isinstance(units, bool) or units < 1:
        raise AmeirError(f"{where}: units must be a whole number of at least 1, found {units!r}.")
    return MlpLayer(units, _name(entry.get("activation", "relu"), "activation", where))
