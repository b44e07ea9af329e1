"""Strategies that find an architecture by training whole ones alone. A new strategy is one new file here that registers
itself; the steps of AMEIR are not among them."""

from __future__ import annotations

import importlib
import pkgutil

from ameir_pl.search.strategies.base import STRATEGIES, Strategy, Trial

for _module in sorted(module.name for module in pkgutil.iter_modules(__path__)):
    importlib.import_module(f"{__name__}.{_module}")

__all__ = ["STRATEGIES", "Strategy", "Trial"]
