"""Carrying rows and weights to a model in a peer's environment, and back what it makes of them."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.children import ROOT


def ask(python: Path, module: str, name: str, settings: dict[str, Any], arrays: Mapping[str, np.ndarray],
        weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Run ``python -m module name folder``, whose :func:`answer` is returned; all travels as files in ``folder``."""
    if not python.exists():
        raise SystemExit(f"{python} is missing: run `make benchmark-peers` once.")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "settings.json").write_text(json.dumps(settings))
        np.savez(Path(folder) / "rows.npz", **arrays)
        _save(Path(folder) / "weights.npz", weights)
        done = subprocess.run([str(python), "-m", module, name, folder], cwd=ROOT, capture_output=True, text=True,
                              check=False)
        if done.returncode:
            raise SystemExit(f"{name} failed in {python}:\n{done.stderr[-3000:]}")
        return _tensors(Path(folder) / "found.npz")


def asked(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, Tensor]]:
    """There: return the settings, rows and weights that came."""
    settings = json.loads((folder / "settings.json").read_text())
    return settings, _tensors(folder / "rows.npz"), _tensors(folder / "weights.npz")


def answer(folder: Path, found: Mapping[str, Tensor]) -> None:
    """There: write down what goes back."""
    _save(folder / "found.npz", found)


def carry(model: Any, weights: Mapping[str, Tensor], own: tuple[str, ...]) -> list[str]:
    """Put ``weights`` into a peer's model; return its other weights, whose names must end with one of ``own``."""
    missing, unexpected = model.load_state_dict(weights, strict=False)
    left = [key for key in missing if not key.endswith(own)]
    if unexpected or left:
        raise SystemExit(f"weights without a place: {unexpected}; places without a weight: {left}")
    return list(missing)


def _save(path: Path, values: Mapping[str, Tensor]) -> None:
    np.savez(path, **{key: value.detach().numpy() for key, value in values.items()})


def _tensors(path: Path) -> dict[str, Tensor]:
    with np.load(path, allow_pickle=False) as file:
        return {key: torch.from_numpy(file[key]) for key in file.files}
