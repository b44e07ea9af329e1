"""Lightning's profilers, with their files in the run folder: each fit has its own."""

from __future__ import annotations

from pathlib import Path

from pytorch_lightning.profilers import AdvancedProfiler, Profiler, PyTorchProfiler, SimpleProfiler

KINDS: dict[str, type[SimpleProfiler | AdvancedProfiler | PyTorchProfiler]] = {
    "simple": SimpleProfiler, "advanced": AdvancedProfiler, "pytorch": PyTorchProfiler}


def make_profiler(kind: str | None, folder: Path | None, fit: str) -> Profiler | None:
    """Return a profiler that writes ``folder/fit-FIT.txt`` at the end of the fit, None without a kind.

    Args:
        kind: ``simple`` (seconds of each hook), ``advanced`` (of each function), ``pytorch`` (of each operation).
        folder: made when first written to.
        fit: its name.
    """
    if kind is None or folder is None:
        return None
    return KINDS[kind](dirpath=folder, filename=fit)
