"""The registry of generators: a dataset's name to the function that writes its raw files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ameir_pl.registry import Registry

Generator = Callable[[Path, int, int, float], dict[str, Any]]
"""(folder, rows, seed, noise) → the truth, which is written to ``truth.json`` beside the raw files too."""

GENERATORS: Registry[Generator] = Registry("generator")
"""Generators by the name of the dataset whose raw files they write."""
