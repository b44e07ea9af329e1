"""A search on generated data against what was planted: the interactions, and the best any model can do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def against_truth(planted: dict[str, Any] | None, interactions: Sequence[Sequence[str]]) -> dict[str, Any] | None:
    """Return the planted truth with what a search found of it, for ``metrics.json``.

    Args:
        planted: ``interactions`` and ``bayes`` of the data; None where they were not generated.
        interactions: what the searched architecture multiplies.

    Returns:
        ``bayes`` (unless it is of other test rows), ``interactions``, and ``found``: those of them that are among the
        architecture's.
    """
    if planted is None:
        return None
    mine = {frozenset(i) for i in interactions}
    return {**planted, "found": [i for i in planted["interactions"] if frozenset(i) in mine]}


def planted_lines(planted: dict[str, Any] | None) -> list[str]:
    """Return what to say below the table; nothing where the data were not generated."""
    if planted is None:
        return []
    best = ", ".join(f"{name} {value:.4f}" for name, value in planted.get("bayes", {}).items()
                     if isinstance(value, float))
    lines = [f"Generated data: the best any model can do on the test rows is {best}." if best else
             "Generated data; what truth.json says of test rows is about others than these."]
    if planted["interactions"]:
        found = {frozenset(i) for i in planted["found"]}
        named = ", ".join(f"{' x '.join(i)} ({'found' if frozenset(i) in found else 'missed'})"
                          for i in planted["interactions"])
        lines.append(f"Planted interactions: {named}.")
    return lines
