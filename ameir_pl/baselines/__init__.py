"""Models to compare with, one a file; a new file is found by itself."""

from __future__ import annotations

import importlib
import pkgutil

from ameir_pl.baselines.base import BASELINES, build_baseline, check_baseline

__all__ = ["BASELINES", "build_baseline", "check_baseline"]

for _folder in ("ctr", "sequential"):
    _package = importlib.import_module(f"{__name__}.{_folder}")
    for _module in pkgutil.iter_modules(_package.__path__):
        importlib.import_module(f"{_package.__name__}.{_module.name}")
