"""``python -m benchmarks NAME [options]``."""

from __future__ import annotations

import importlib
import sys

NAMES = {"prepare": "preparing data: speed against FuxiCTR, memory and time as rows grow"}


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in NAMES:
        print("usage: python -m benchmarks NAME [--help]\n")
        print("\n".join(f"  {key:<10}{what}" for key, what in NAMES.items()))
        sys.exit(0 if name in ("", "-h", "--help") else 2)
    sys.argv = [f"python -m benchmarks {name}", *sys.argv[2:]]
    importlib.import_module(f"benchmarks.{name}").main()


main()
