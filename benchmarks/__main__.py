"""``python -m benchmarks NAME [options]``."""

from __future__ import annotations

import importlib
import os
import sys

NAMES = {"search": "the whole search against training DIN to its early stop",
         "fair": "a fair update against one of a single path",
         "growth": "how seconds and memory grow with rows, fields, K, T, blocks and candidates",
         "infer": "derived models: eager, compiled, ONNX Runtime; AMEIR-C against DIN",
         "quality": "whether models are as good as they were, by quality.yaml",
         "score": "scoring candidates together, against one by one",
         "kill": "stage=all killed at random moments and gone on with, compared byte for byte",
         "odd_inputs": "odd tables and command lines, each with its one right answer or message",
         "soak": "memory of a search that runs for half an hour",
         "reliability": "all campaigns of docs/reliability.md, about two hours",
         "traffic": "what ranks send for the gradients of embeddings, and what embeddings take in memory",
         "prepare": "preparing data: speed against FuxiCTR, memory and time as rows grow",
         "train": "training: samples a second against a bare loop and peers, memory of a supernet",
         "parity": "outputs and gradients of our models against DeepCTR-Torch's and RecBole's, weights carried over"}


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in NAMES:
        print("usage: python -m benchmarks NAME [--help]\n")
        print("\n".join(f"  {key:<13}{what}" for key, what in NAMES.items()))
        sys.exit(0 if name in ("", "-h", "--help") else 2)
    sys.argv = [f"python -m benchmarks {name}", *sys.argv[2:]]
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as every command, and before torch is loaded; for peers too
    importlib.import_module(f"benchmarks.{name}").main()


main()
