"""Training: samples a second of the whole application, against a bare loop and against peers.

* application: what ``python train.py`` and ``python search.py`` run: loader, Lightning, callbacks, logging.
* bare: the same model and objective on batches that lie in memory, fused Adam, nothing else.

A fit is measured from its fourth update on, so that no side's preparation counts. Sides take turns in one process.
Peers need ``make benchmark-peers`` once; each of their runs is a process of its own.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn

from ameir_pl.batch import Batch
from ameir_pl.cli.engine import LightningEngine
from ameir_pl.models.ameir import Ameir
from ameir_pl.models.capacity import Capacity
from ameir_pl.models.splitting import predict_split
from ameir_pl.search.interaction_step import cycle_supernet
from ameir_pl.search.problem import Problem
from ameir_pl.space.architecture import Architecture
from ameir_pl.space.sampling import BlockRounds, InteractionRounds, MlpRounds, Rounds
from ameir_pl.tasks.fit import decayed
from benchmarks.children import PEERS, PEERS_RECBOLE, median
from benchmarks.shapes import FOLDER, SHAPES, application
from benchmarks.sides import alternate, json_line, pairs, ratio, show, spread

WARM = 3
"""Updates of a fit that are not measured."""
CASES = {"criteo": ("dnn", "step 2", "step 3"), "alimama": ("ameir", "dnn", "step 1", "step 2", "step 3"),
         "beauty": ("ameir", "step 1")}
"""What is trained of each shape: a baseline, the shape's own architecture, or the supernet of a step."""
THEIRS = {"criteo": ("DeepFM of DeepCTR-Torch", "deepfm", ()), "alimama": ("DIN of DeepCTR-Torch", "din", ()),
          "beauty": ("SASRec of RecBole", "ameir", ("dataset.train.loss=sampled_softmax",
                                                    "dataset.train.negatives=1"))}
"""The peer of each shape: its name, our model, and our settings where theirs differ from the shape's."""


class Clock(pl.Callback):
    """Notes when each update was done."""

    def __init__(self) -> None:
        self.moments: list[float] = []

    def on_train_batch_end(self, *_: Any) -> None:
        """Note one."""
        self.moments.append(time.perf_counter())

    def step(self) -> float:
        """Return the mean seconds of an update."""
        return (self.moments[-1] - self.moments[WARM - 1]) / (len(self.moments) - WARM)


def supernet(problem: Problem, shape: str, step: int) -> tuple[Ameir, Rounds]:
    """Return the supernet of a step and what its paths are drawn from, of the sizes that a search gives them."""
    base, seed = Architecture(mlp=problem.predefined), problem.seed
    if step == 1:
        blocks = problem.block_space()
        return (Ameir(problem.schema, Capacity.of(base).with_blocks(blocks), **problem.sizes()),
                BlockRounds(blocks, base, seed))
    if step == 2:  # of the second cycle: what was kept, crossed with every field
        kept = problem.interaction_space().expand(())[:problem.budget.keep]
        model, candidates = cycle_supernet(problem, kept, None, 2)
        return model, InteractionRounds(candidates, base, seed, problem.budget.paths)
    base = replace(SHAPES[shape].architecture, mlp=())
    mlps = problem.mlp_space(base.interactions)
    return (Ameir(problem.schema, Capacity.of(base).with_mlp(mlps), **problem.sizes()), MlpRounds(mlps, base, seed))


def model_of(problem: Problem, shape: str, name: str) -> nn.Module:
    """Return a fresh model: the shape's own architecture or a baseline."""
    if name == "ameir":
        return problem.derived(SHAPES[shape].architecture)
    if problem.baseline is None:
        raise SystemExit("this problem has no baselines")
    return problem.baseline(name)


def engine_of(problem: Problem) -> LightningEngine:
    """Return the application's engine."""
    if not isinstance(problem.engine, LightningEngine):
        raise SystemExit("the application does not train with Lightning")
    return problem.engine


def whole(problem: Problem, shape: str, case: str) -> float:
    """Train with the application; returns the seconds of an update."""
    engine, clock = engine_of(problem), Clock()
    callbacks = engine.callbacks
    engine.callbacks = lambda: [*callbacks(), clock]
    torch.manual_seed(0)
    problem.journal.drop()  # or the last turn's result would be taken for this one's
    try:
        if case.startswith("step"):
            model, rounds = supernet(problem, shape, int(case[-1]))
            engine.train_supernet(model, rounds, epochs=1, phase="benchmark")
        else:
            engine.fit(model_of(problem, shape, case), epochs=1, patience=1, start=None, phase="benchmark")
    finally:
        engine.callbacks = callbacks
    return clock.step()


def bare(problem: Problem, shape: str, case: str, batches: Sequence[Batch]) -> float:
    """Train with a loop of five lines; returns the seconds of an update."""
    torch.manual_seed(0)
    rounds: Rounds | None = None
    if case.startswith("step"):
        model, rounds = supernet(problem, shape, int(case[-1]))
    else:
        model = model_of(problem, shape, case)  # type: ignore[assignment]
    paths = [rounds.fair(step) if rounds else () for step in range(len(batches))]
    optimizer = torch.optim.Adam(decayed(model.train(), 1e-5), lr=1e-3, fused=True)
    clock = Clock()
    for batch, chosen in zip(batches, paths, strict=True):
        output = predict_split(model, model.embed(batch), chosen) if chosen else model(batch)
        loss = problem.objective.loss(model, output, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        clock.on_train_batch_end()
    return clock.step()


def against_bare(shape: str, folder: Path, number: int, repeats: int, cases: Sequence[str]) -> list[list[Any]]:
    """Return a row of the table a case."""
    rows = []
    with application(shape, folder, f"+trainer.limit_train_batches={number}",
                     "+trainer.check_val_every_n_epoch=1000") as session:
        problem = session.problem
        batches = list(islice(problem.data.train_dataloader(), number))
        size = len(batches[0])
        for case in cases:
            taken = alternate({"application": partial(whole, problem, shape, case),
                               "bare": partial(bare, problem, shape, case, batches)}, repeats)
            ours, loop = taken["application"], taken["bare"]
            least, most = pairs(loop, ours)
            rows.append([shape, case, size, size / median(ours), size / median(loop), ratio(loop, ours),
                         f"{least:.2f} to {most:.2f}", *(f"{1e3 * s:.2f}" for s in spread(ours))])
            print("  " + " ".join(map(str, rows[-1])), flush=True)
    return rows


def against_peer(shape: str, folder: Path, number: int, repeats: int) -> list[Any]:
    """Return the row of a shape's peer."""
    from benchmarks import peer_models

    name, ours, settings = THEIRS[shape]
    number = min(number, 15) if shape == "beauty" else number
    runs: dict[str, Callable[[bool], dict[str, Any]]] = {
        "criteo": lambda others: peer_models.deepctr("criteo", folder, number, others),
        "alimama": lambda others: peer_models.deepctr("alimama", folder, number, others),
        "beauty": lambda others: peer_models.recbole(folder, number, others)}
    with application(shape, folder, f"+trainer.limit_train_batches={number}", "+trainer.check_val_every_n_epoch=1000",
                     *settings) as session:
        problem, rows = session.problem, session.problem.data
        size = len(next(iter(rows.train_dataloader())))
        taken = alternate({"ours": lambda: whole(problem, shape, ours) / size,
                           "theirs": lambda: 1 / float(runs[shape](False)["samples_per_second"])}, repeats, warm=0)
    ways = {how: round(found["samples_per_second"]) for how, found in runs[shape](True).items()
            if isinstance(found, dict)}
    least, most = pairs(taken["theirs"], taken["ours"])
    row = [shape, name, 1 / median(taken["ours"]), 1 / median(taken["theirs"]), ratio(taken["theirs"], taken["ours"]),
           f"{least:.2f} to {most:.2f}", ", ".join(f"{how} {speed}" for how, speed in ways.items())]
    print("  " + " ".join(map(str, row)), flush=True)
    return row


def main() -> None:
    """Run the parts that are asked for; print tables and a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default="bare,peers,memory")
    parser.add_argument("--shapes", default=",".join(CASES))
    parser.add_argument("--cases", default="", help="of the bare part, e.g. dnn,step 1; all when left out")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batches", type=int, default=40, help="updates of a measured fit")
    options = parser.parse_args()
    parts, shapes = options.parts.split(","), options.shapes.split(",")
    unknown = ({*parts} - {"bare", "peers", "memory"}) | ({*shapes} - {*CASES})
    if unknown or options.batches <= WARM + 1:
        raise SystemExit(f"unknown: {', '.join(unknown)}; parts are bare, peers, memory, shapes {', '.join(CASES)}; "
                         f"and more than {WARM + 1} batches are needed")
    results: dict[str, Any] = {"threads": torch.get_num_threads(), "batches": options.batches,
                               "repeats": options.repeats}
    if "bare" in parts:
        header = ["shape", "model", "batch", "samples/s", "bare, samples/s", "ratio", "of single turns", "ms",
                  "least", "most"]
        chosen = options.cases.split(",") if options.cases else None
        results["bare"] = [row for shape in shapes for row in against_bare(
            shape, options.folder, options.batches, options.repeats,
            [c for c in CASES[shape] if chosen is None or c in chosen])]
        show("Application over bare loop", header, results["bare"])
    if "peers" in parts:
        header = ["shape", "peer", "samples/s", "theirs", "ratio", "of single turns", "their other ways, samples/s"]
        results["peers"] = [against_peer(shape, options.folder, options.batches, min(options.repeats, 5))
                            for shape in shapes if (PEERS_RECBOLE if shape == "beauty" else PEERS).exists()]
        show("Application over peers", header, results["peers"])
    if "memory" in parts:
        from benchmarks.memory import HEADER, memory

        results["memory"] = [memory(shape, options.folder) for shape in shapes if "step 1" in CASES[shape]]
        show("Peak memory of step 1's supernet over that of one derived model", HEADER, results["memory"])
    json_line("train", results)
