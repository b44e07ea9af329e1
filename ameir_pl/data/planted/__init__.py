"""Planted data: raw files in publishers' formats whose click model, and so the best possible score, is known."""

from __future__ import annotations

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

from ameir_pl.data.planted.registry import GENERATORS, Generator  # noqa: E402
from ameir_pl.data.planted.writing import TRUTH  # noqa: E402

__all__ = ["GENERATORS", "TRUTH", "Generator"]
