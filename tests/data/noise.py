"""Interactions without any signal: what is measured on them is chance."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np


def write_noise(folder: Path, form: Literal["lines", "table"], users: int, items: int, taken: int, seed: int = 0
                ) -> Path:
    """Write sequences in which every user takes ``taken`` different items, uniformly, in random order.

    Returns the file of sequences (``lines``), or the description of a table of interactions (``table``).
    """
    generator = np.random.default_rng(seed)
    sequences = [generator.permutation(items)[:taken] for _ in range(users)]
    folder.mkdir(parents=True, exist_ok=True)
    if form == "lines":
        path = folder / "noise.txt"
        path.write_text("".join(f"{u} {' '.join(map(str, row))}\n" for u, row in enumerate(sequences, 1)))
        return path
    rows = [f"{u},{item},{1_600_000_000 + 86_400 * t}\n" for u, row in enumerate(sequences)
            for t, item in enumerate(row)]
    (folder / "noise.csv").write_text("".join(["user_id,item_id,ts\n", *rows]))
    path = folder / "noise.yaml"
    path.write_text("task: retrieval\ninput: noise.csv\nuser: user_id\nitem: item_id\ntime: ts\n"
                    "behaviors: {max_len: 20}\n")
    return path
