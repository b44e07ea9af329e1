"""Kill ``stage=all`` at random moments and compare what it ends with, byte for byte, with an uninterrupted run.

The moments are seeded and spread over the whole run, those of evaluation and writing among them: each trial kills a
fresh run at its moment with SIGKILL, the whole process group at once, gives the same command again (killed a second
time in every third trial), and compares every result file and every number.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.children import ROOT
from benchmarks.shapes import FOLDER
from benchmarks.sides import json_line, show

BUDGET = ("budget.stage1_epochs=2", "budget.cycle_epochs=1", "budget.stage3_epochs=2", "budget.samples=30",
          "budget.valid_rows=1000", "budget.top=2", "budget.top_epochs=1", "budget.cycles=2",
          "budget.finetune_epochs=2", "checkpoint.every_steps=4")


def command(folder: Path, run: str, rows: int) -> list[str]:
    """Return the command line of a run."""
    return [sys.executable, str(ROOT / "search.py"), "dataset=synthetic", f"dataset.options.rows={rows}",
            f"paths.runs={folder / 'runs'}", f"paths.data={folder}", "logger=csv", "stage=all", f"run={run}", *BUDGET]


def finish(line: list[str], kill_after: float | None = None) -> tuple[bool, float, str]:
    """Run a command, to its end or to its killing; returns whether it ended by itself, seconds, and its last line."""
    started = time.monotonic()
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT,
                               start_new_session=True)
    try:
        output, _ = process.communicate(timeout=kill_after)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        lines = [text for text in output.splitlines() if text.strip()]
        return False, time.monotonic() - started, lines[-1] if lines else "starting"
    if process.returncode:
        raise SystemExit(f"{' '.join(line)} ended with {process.returncode}:\n{output[-3000:]}")
    return True, time.monotonic() - started, ""


def results(run: Path) -> dict[str, Any]:
    """Return the checksum of every result and, of what also holds seconds, the rest."""
    found: dict[str, Any] = {}
    for path in sorted(p for p in run.rglob("*") if p.is_file()):
        name = path.relative_to(run).as_posix()
        if name in ("log.txt", "config.yaml"):
            continue
        if name == "metrics.json" or name.endswith("summary.json"):
            found[name] = without_seconds(json.loads(path.read_text()))
        else:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def phase(line: str) -> str:
    """Return what a line of output is about."""
    return line.split(":")[0].strip() or "?"


def without_seconds(value: Any) -> Any:
    """Return a JSON value without what takes another time each time."""
    if isinstance(value, dict):
        return {k: without_seconds(v) for k, v in value.items() if k not in ("seconds", "sha256")}
    return [without_seconds(v) for v in value] if isinstance(value, list) else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=FOLDER / "kill")
    parser.add_argument("--moments", type=int, default=30)
    parser.add_argument("--rows", type=int, default=8000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    runs = folder / "runs" / "synthetic"
    shutil.rmtree(runs, ignore_errors=True)
    finish(command(folder, "prepared", options.rows))
    _, whole_seconds, _ = finish(command(folder, "whole", options.rows))
    whole = results(runs / "whole")
    print(f"uninterrupted: {whole_seconds:.1f} s, {len(whole)} files", flush=True)
    generator = random.Random(options.seed)
    survived, killed, where, different = 0, 0, Counter[str](), []
    for trial in range(options.moments):
        line = command(folder, f"trial{trial}", options.rows)
        while True:  # a machine that has become faster ends before its moment: again, by the time it takes now
            moment = whole_seconds * (trial + generator.random()) / options.moments
            ended, seconds, last = finish(line, moment)
            if not ended:
                break
            whole_seconds = min(whole_seconds, seconds)
            shutil.rmtree(runs / f"trial{trial}")
        moments, where[phase(last)], killed = [moment], where[phase(last)] + 1, killed + 1
        if trial % 3 == 2:
            moments.append(generator.uniform(0.2, 0.8) * whole_seconds)
            ended, _, last = finish(line, moments[-1])
            if not ended:
                where[phase(last)], killed = where[phase(last)] + 1, killed + 1
        finish(line)
        found = results(runs / f"trial{trial}")
        bad = sorted(name for name in {*whole, *found} if whole.get(name) != found.get(name))
        survived += not bad
        different += [(trial, bad)] if bad else []
        print(f"  trial {trial}: killed after {', '.join(f'{m:.1f}' for m in moments)} s; "
              f"{'equal' if not bad else f'different: {bad}'}", flush=True)
        if bad:
            print(f"  kept for a look: {runs / f'trial{trial}'}, beside {runs / 'whole'}", flush=True)
        else:
            shutil.rmtree(runs / f"trial{trial}")
    show("Killed and gone on", ("trials", "kills", "ended equal", "files compared each", "different"),
         [(options.moments, killed, survived, len(whole), str(different) if different else "none")])
    show("Last line before the kill", ("line", "kills"), where.most_common())
    json_line("kill", {"trials": options.moments, "kills": killed, "equal": survived, "files": len(whole),
                       "seconds": whole_seconds, "different": different})
    if different:
        raise SystemExit(1)
