"""Two sides of a comparison, measured in turns in one run, so that a noisy machine is noisy for both."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.children import machine, median


def timed(function: Callable[[], Any]) -> Callable[[], float]:
    """Return a function that calls ``function`` and returns its seconds."""
    def call() -> float:
        start = time.perf_counter()
        function()
        return time.perf_counter() - start

    return call


def alternate(sides: Mapping[str, Callable[[], float]], repeats: int, warm: int = 1) -> dict[str, list[float]]:
    """Call each side in turn, ``warm`` times for nothing and ``repeats`` times for what it returns (seconds)."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(-warm, repeats):
        # Who comes first changes from turn to turn: what one side leaves in the caches is there for the other.
        for name in list(sides) if turn % 2 else reversed(list(sides)):
            value = sides[name]()
            if turn >= 0:
                taken[name].append(value)
    return taken


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Return median, least and most."""
    return median(list(values)), min(values), max(values)


def ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """Return the median of ``above`` over that of ``below``."""
    return median(list(above)) / median(list(below))


def pairs(above: Sequence[float], below: Sequence[float]) -> tuple[float, float]:
    """Return the least and most ratio of the turns."""
    ratios = [a / b for a, b in zip(above, below, strict=True)]
    return min(ratios), max(ratios)


def show(title: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table in Markdown, ready for docs/performance.md."""
    def cell(value: Any) -> str:
        return f"{value:,.3g}" if isinstance(value, float) else str(value)

    print(f"\n{title}\n")
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(map(cell, row)) + " |")


def json_line(name: str, results: Mapping[str, Any]) -> None:
    """Print everything measured, and the machine, as one line of JSON."""
    print("\n" + json.dumps({"benchmark": name, "machine": machine(), **results}))
