"""Let one search run for a long time and watch its memory: many epochs of supernets, many scored candidates.

Stage 1 is made again and again in one process (many epochs, many candidates, finalists), until the time is over; its
resident memory is read every second. What counts is growth after the first fifth, when everything has been used once.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from benchmarks.children import ROOT
from benchmarks.shapes import FOLDER
from benchmarks.sides import json_line, show

LOOP = """
import sys, time
from ameir_pl.cli import search
end = time.monotonic() + float(sys.argv[1])
rounds = 0
while time.monotonic() < end:
    search.main([*sys.argv[2:], f"seed={rounds % 3}", "overwrite=true"])
    rounds += 1
    print("ROUND", rounds, flush=True)
"""


def resident(process: int) -> float:
    """Return the resident memory of a process in 10^6 bytes."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=FOLDER / "soak")
    parser.add_argument("--minutes", type=float, default=30)
    options = parser.parse_args()
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-c", LOOP, str(60 * options.minutes), "dataset=synthetic", "dataset.options.rows=8000",
               f"paths.runs={folder / 'runs'}", f"paths.data={folder}", "logger=csv", "stage=1", "budget=demo",
               "budget.stage1_epochs=10", "budget.samples=300", "checkpoint.every_steps=20"]
    samples: list[float] = []
    with (folder / "out.txt").open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=ROOT)
        while process.poll() is None:
            samples.append(resident(process.pid))
            time.sleep(1)
    text = (folder / "out.txt").read_text()
    if process.returncode:
        raise SystemExit(f"the search ended with {process.returncode}:\n{text[-3000:]}")
    rounds = text.count("ROUND")
    fifth = len(samples) // 5
    first, last = median(samples[fifth:2 * fifth]), median(samples[-fifth:])
    show("Soak", ("minutes", "searches of step 1", "resident in the second fifth, MB", "in the last, MB", "growth"),
         [(options.minutes, rounds, first, last, f"{100 * (last / first - 1):.1f} %")])
    json_line("soak", {"minutes": options.minutes, "rounds": rounds, "second_fifth_mb": first, "last_fifth_mb": last})
    if last > 1.05 * first:
        raise SystemExit(1)
