"""Layer operations of a building block. A new operation is one new file here that registers itself."""

from __future__ import annotations

import importlib
import pkgutil

from ameir_pl.nn.operations.base import OPERATIONS, Operation, names

# The paper's families in the paper's order: samplers and architecture files count on it. Further files follow.
_PAPER = ("convolution", "pooling", "recurrent", "self_attention", "target_attention", "zero")
_FOUND = sorted(module.name for module in pkgutil.iter_modules(__path__))
for _name in (*_PAPER, *(name for name in _FOUND if name not in _PAPER)):
    importlib.import_module(f"{__name__}.{_name}")

__all__ = ["OPERATIONS", "Operation", "names"]
