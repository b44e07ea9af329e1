"""The name of what is being trained, for messages and logs."""

from __future__ import annotations

import pytorch_lightning as pl


def phase_of(module: pl.LightningModule) -> str:
    """Return a task's phase, such as ``stage1/supernet``; ``training`` for a module without one."""
    return str(getattr(module, "phase", "training"))
