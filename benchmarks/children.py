"""Measuring a task in a process of its own: its seconds, and the most memory it ever held."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PEERS = ROOT / ".venv-peers" / "bin" / "python"
PEERS_RECBOLE = ROOT / ".venv-peers-recbole" / "bin" / "python"


def child(code: str, *arguments: str, python: Path | str = sys.executable) -> dict[str, Any]:
    """Run ``code`` in a new process.

    The code sets ``start`` before what is timed, and prints a JSON object as its last line (or nothing).

    Returns:
        That object and ``peak_mb``: the most resident memory, in 10^6 bytes.
    """
    # Not getrusage: its peak is also that of the process that started this one, at the moment it did.
    tail = ("\nimport json as _j, time as _t\n_seconds = _t.perf_counter() - start\n"
            "_peak = next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
            "print('\\n' + _j.dumps({'seconds': _seconds, 'peak_mb': int(_peak) * 1024 / 1e6}))\n")
    os.sync()  # what was written before must not slow down what is timed now
    done = subprocess.run([str(python), "-c", code + tail, *arguments], capture_output=True, text=True, cwd=ROOT,
                          check=False)
    if done.returncode:
        raise SystemExit(f"{python} failed:\n{done.stderr[-3000:]}")
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def machine() -> dict[str, Any]:
    """Say where and with what a measurement was made."""
    import numpy
    import polars
    import torch

    model = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.processor())
    return {"date": date.today().isoformat(), "processor": model, "cores": os.cpu_count(),
            "python": platform.python_version(), "polars": polars.__version__, "numpy": numpy.__version__,
            "torch": torch.__version__, "load": round(os.getloadavg()[0], 1)}


def median(values: list[float]) -> float:
    """Return the middle value."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def seconds(function: Any, repeats: int) -> float:
    """Return the median seconds of a call."""
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        taken.append(time.perf_counter() - start)
    return median(taken)
