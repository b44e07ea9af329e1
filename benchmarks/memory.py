"""Peak memory of training step 1's supernet, against that of one derived model of the same space.

Each is trained in a process of its own, by a bare loop on batches that lie in memory. What it holds before the first
update (the libraries, the data, the model) is the peak of one more process, which stops there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.children import child

HEADER = ("shape", "supernet, MB", "one model, MB", "ratio", "supernet beyond its start, MB",
          "one model beyond its start, MB", "ratio")
UPDATES = 8

TRAIN = """
import sys, time
from dataclasses import replace
from itertools import islice
from pathlib import Path
import torch
from ameir_pl.space.architecture import Architecture
from ameir_pl.tasks.fit import decayed
from ameir_pl.models.splitting import predict_split
from benchmarks.shapes import SHAPES, application
from benchmarks.train import supernet
shape, folder, kind, updates, most = sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
with application(shape, folder) as session:
    problem = session.problem
    Path("/proc/self/clear_refs").write_text("5")  # the peak is that of training from here on, not of reading the data
    torch.manual_seed(0)
    start = time.perf_counter()
    model, rounds = supernet(problem, shape, 1)
    if kind == "derived":
        model = problem.derived(Architecture(SHAPES[shape].architecture.blocks, mlp=problem.predefined))
    batches = list(islice(problem.data.train_dataloader(), most))
    optimizer = torch.optim.Adam(decayed(model.train(), 1e-5), lr=1e-3, fused=True)
    for step, batch in enumerate(batches[:updates]):
        output = predict_split(model, model.embed(batch), rounds.fair(step)) if kind == "supernet" else model(batch)
        optimizer.zero_grad()
        problem.objective.loss(model, output, batch).backward()
        optimizer.step()
"""


def memory(shape: str, folder: Path) -> list[Any]:
    """Return the row of a shape."""
    peak = {(kind, updates): child(TRAIN, shape, str(folder), kind, str(updates), str(UPDATES))["peak_mb"]
            for kind in ("supernet", "derived") for updates in (UPDATES, 0)}
    supernet, derived = (peak[kind, UPDATES] for kind in ("supernet", "derived"))
    grown, single = (peak[kind, UPDATES] - peak[kind, 0] for kind in ("supernet", "derived"))
    row = [shape, supernet, derived, supernet / derived, grown, single, grown / single if single > 0 else "none"]
    print("  " + " ".join(map(str, row)), flush=True)
    return row
