"""What ranks send each other for the gradients of embeddings, and what the embeddings take in memory.

* ``simulate``: rows that a batch touches when ids are drawn from bounded power laws over real or round vocabularies,
  and the bytes a rank sends each update: touched rows (all-gather) and whole gradients (all-reduce), by ring formulas.
* ``measure``: seconds of both on two gloo processes of this machine, in turns, gradients of the simulated kind.
* ``criteo``: bytes that this code counted in a real search on two ranks, on generated Criteo rows.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ameir_pl import ranks
from ameir_pl.callbacks.touched_rows import average, dense_bytes, distinct, touched_bytes
from benchmarks.children import ROOT
from benchmarks.prepare import generated
from benchmarks.shapes import FOLDER
from benchmarks.sides import json_line, pairs, ratio, show, spread

TERABYTE = (45833188, 36746, 17245, 7413, 20243, 3, 7114, 1441, 62, 29275261, 1572176, 345138, 10, 2209, 11267, 128, 4,
            974, 14, 48937457, 11316796, 40094537, 452104, 12606, 104, 35)
"""Vocabularies of the Criteo 1TB click logs, as TorchRec's DLRM example has them: 177,944,275 rows."""
KAGGLE = (1460, 583, 10131227, 2202608, 305, 24, 12517, 633, 3, 93145, 5683, 8351593, 3194, 27, 14992, 5461306, 10,
          5652, 2173, 4, 7046547, 18, 15, 286181, 105, 142572)
"""Of Criteo Kaggle without a least count: 33,762,577 rows."""
VOCABULARIES = {"26 fields, 1e5 rows": (3846,) * 26, "26 fields, 1e6 rows": (38462,) * 26,
                "26 fields, 1e7 rows": (384615,) * 26, "Criteo Kaggle": KAGGLE, "Criteo 1TB": TERABYTE}
EXPONENT = 1.05
"""Of the power law: the frequency of the i-th most frequent value is about i^-1.05, which has a long tail."""
ADAM = 16
"""Bytes of a number while it trains in fp32: weight, gradient and Adam's two moments."""


def touched(vocabularies: Sequence[int], batch: int, seed: int = 0) -> int:
    """Return how many rows of all vocabularies a batch touches."""
    rng, power, count = np.random.default_rng(seed), 1 - EXPONENT, 0
    for size in vocabularies:
        # The inverse of the continuous law on [1, size + 1).
        draws = (rng.random(batch) * ((size + 1) ** power - 1) + 1) ** (1 / power)
        count += len(np.unique(draws.astype(np.int64)))
    return count


def simulate(batches: Sequence[int], sizes: Sequence[int], worlds: Sequence[int]) -> list[list[Any]]:
    """Return a row for each vocabulary, batch a rank, K and number of ranks."""
    found = []
    for name, vocabularies in VOCABULARIES.items():
        rows = sum(vocabularies)
        for batch in batches:
            most = touched(vocabularies, batch)
            for size in sizes:
                for world in worlds:
                    few, whole = touched_bytes(most, size, world), dense_bytes(rows, size, world)
                    found.append([name, rows, batch, size, world, most, few / 1e6, whole / 1e6, whole / few,
                                  ADAM * rows * size / 1e9])
    return found


def _side(rank: int, port: int, rows: int, size: int, most: int, repeats: int, results: Any) -> None:
    os.environ.update(RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo")
    ranks.joined(rank, 2)
    gradient = torch.zeros(rows, size)
    own = torch.from_numpy(np.random.default_rng(rank).choice(rows, most, replace=False))
    looked_up = own[torch.from_numpy(np.random.default_rng(rank).integers(0, most, 26 * 4096))]
    taken: dict[str, list[float]] = {"touched": [], "whole": []}
    for turn in range(-1, repeats):
        for way in taken:
            gradient.zero_()
            gradient[own] = 1.0
            torch.distributed.barrier()
            start = time.perf_counter()
            if way == "touched":
                average([gradient], [distinct([own, looked_up], rows)])
            else:
                torch.distributed.all_reduce(gradient.mul_(0.5))
            if turn >= 0:
                taken[way].append(time.perf_counter() - start)
    if rank == 0:
        results.put(taken)
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def measure(rows: int, size: int, most: int, repeats: int) -> list[Any]:
    """Return the row of one shape."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    workers = [context.Process(target=_side, args=(rank, port, rows, size, most, repeats, results))
               for rank in range(2)]
    for worker in workers:
        worker.start()
    taken = results.get(timeout=300)
    for worker in workers:
        worker.join()
    least, greatest = pairs(taken["whole"], taken["touched"])
    return [rows, size, most, *(1e3 * spread(taken[way])[0] for way in ("touched", "whole")),
            ratio(taken["whole"], taken["touched"]), f"{least:.1f} to {greatest:.1f}"]


def criteo(folder: Path) -> list[list[Any]]:
    """Return the phases of a small search of steps 2 and 3 on two ranks, and what each said it had sent."""
    source = generated(folder, "criteo", 200_000)
    command = [sys.executable, str(ROOT / "search.py"), "dataset=criteo", f"dataset.source={source}",
               f"paths.data={folder}", f"paths.runs={folder / f'runs-{os.getpid()}'}", "logger=csv", "budget=light",
               "trainer=ddp_cpu", "dataset.options.min_count=1", "dataset.model.embedding_size=64",
               "dataset.train.batch_size=4096", "reference=null", "ablation=false"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    said = re.findall(r"^(\S+): ([\d.]+) MB of embedding gradients sent .*?, ([\d.]+) MB if", done.stderr, re.M)
    if done.returncode or not said:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return [[phase, float(sent), float(whole), float(whole) / float(sent)] for phase, sent, whole in said]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default="simulate,measure,criteo")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--batches", default="4096", help="rows of a rank, by comma")
    parser.add_argument("--sizes", default="5,16,128", help="K")
    parser.add_argument("--worlds", default="2,8,64", help="ranks")
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    batches, sizes, worlds = ([int(n) for n in text.split(",")]
                              for text in (options.batches, options.sizes, options.worlds))
    parts, results = options.parts.split(","), {}
    if "simulate" in parts:
        results["simulate"] = simulate(batches, sizes, worlds)
        show("Sent by a rank each update", ("vocabularies", "rows", "batch of a rank", "K", "ranks", "touched rows",
                                            "touched, MB", "whole, MB", "ratio", "while training, GB"),
             results["simulate"])
    if "measure" in parts:
        results["measure"] = [measure(rows, size, touched((rows // 26,) * 26, 4096), options.repeats)
                              for rows in (100_000, 1_000_000, 10_000_000) for size in (5, 16)]
        show("Two gloo processes", ("rows", "K", "touched rows", "touched, ms", "whole, ms", "ratio",
                                    "of single turns"), results["measure"])
    if "criteo" in parts:
        results["criteo"] = criteo(options.folder.resolve())
        show("A search on two ranks, 200,000 generated Criteo rows, min_count 1, K 64",
             ("phase", "sent, MB", "whole, MB", "ratio"), results["criteo"])
    json_line("traffic", results)


if __name__ == "__main__":
    main()
