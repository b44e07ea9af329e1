"""Every campaign of docs/reliability.md that is too long for the tests, one after the other (about two hours).

Kills of ``stage=all``, half an hour of searching in one process, 10,000 damaged architectures, schemas, descriptions
and command lines each, every bad input of every loader, flipped bits and cuts in every kind of artifact, and sweeps
and tables on a local cluster of Ray whose workers are killed. Ends with 1 when any of them failed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import subprocess
import sys
import time

from benchmarks.children import ROOT
from benchmarks.sides import show


def campaigns(examples: int, moments: int, minutes: float) -> dict[str, tuple[list[str], dict[str, str]]]:
    """Return what is run, module and arguments, and in what environment, by name; the shortest come first."""
    tests = ["pytest", "-rP"]
    return {
        "flipped bits and cuts": ([*tests, "tests/cli/test_flipped_bits.py"], {}),
        "bad input": (["pytest", "-m", "bad_input"], {"AMEIR_EXAMPLES": str(max(examples, 1000))}),
        "Ray": (["pytest", "-m", "ray"], {}),
        "kills": (["benchmarks", "kill", "--moments", str(moments)], {}),
        "damaged files and command lines": (["pytest", "tests/test_mutations.py"], {"AMEIR_EXAMPLES": str(examples)}),
        "soak": (["benchmarks", "soak", "--minutes", str(minutes)], {}),
    }


def outcome(output: str) -> str:
    """Return what a campaign says of itself: pytest's count, or its line of JSON."""
    counts = re.findall(r"^(?:=+ )?(\d+ (?:passed|failed).*?)(?: =+)?$", output, re.MULTILINE)
    if counts:
        return str(counts[-1])
    said = [json.loads(line) for line in output.splitlines() if line.startswith('{"benchmark"')]
    return ", ".join(f"{key} {value}" for key, value in said[-1].items() if key not in ("benchmark", "machine")) \
        if said else output.strip()[-300:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=10000, help="damaged files of each kind")
    parser.add_argument("--moments", type=int, default=30, help="runs that are killed")
    parser.add_argument("--minutes", type=float, default=30, help="of the soak")
    options = parser.parse_args()
    if importlib.util.find_spec("ray") is None:
        raise SystemExit("Ray is not installed, and a part of the campaigns needs it: `make reliability` installs it, "
                         "or `pip install -c constraints.txt -e '.[ray]'`.")
    rows = []
    for name, (module, environment) in campaigns(options.examples, options.moments, options.minutes).items():
        print(f"\n{name}: python -m {' '.join(module)}", flush=True)
        started = time.monotonic()
        process = subprocess.Popen([sys.executable, "-m", *module], cwd=ROOT, text=True, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT,
                                   env={"OMP_NUM_THREADS": "1", **os.environ, **environment})
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
        code = process.wait()
        rows.append((name, "held" if code == 0 else f"FAILED ({code})", outcome("".join(lines)),
                     round((time.monotonic() - started) / 60, 1)))
    show("Campaigns", ("what", "result", "it says", "minutes"), rows)
    sys.exit(any(row[1] != "held" for row in rows))
