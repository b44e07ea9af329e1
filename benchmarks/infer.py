"""Inference: rows a second and latency of derived models, as they are, compiled, and in ONNX Runtime.

* paths: the paper's models on Criteo and Alimama and a SASRec-like stack on Beauty, at batch 1, 256 and 4096: eager,
  ``torch.compile`` of the model (needs a C++ compiler), and the exported file in ONNX Runtime.
* din: AMEIR-C against DIN on Alimama, eager, compiled and exported, and their parameters besides embeddings.

Weights are drawn at random; rows are the test rows. Sides take turns in one process, with as many threads as
OMP_NUM_THREADS says, and give the same outputs to 1e-5.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ameir_pl.batch import Batch
from ameir_pl.cli.setup import Session
from ameir_pl.export.onnx import OUTPUTS, TOLERANCE, OnnxModel, traced
from ameir_pl.export.serving import ServingForm
from ameir_pl.models.ameir import Derived
from ameir_pl.models.cost import trainable_parameters
from benchmarks.children import median
from benchmarks.shapes import FOLDER, SHAPES, application
from benchmarks.sides import alternate, json_line, pairs, ratio, show, spread, timed

BATCHES = (1, 256, 4096)
FIELDS = ("fields", "behaviors", "mask", "dense")


class Served(nn.Module):
    """Any model from its input tensors to what is served: for compiling and exporting baselines too."""

    def __init__(self, model: nn.Module, inputs: tuple[str, ...], ctr: bool) -> None:
        super().__init__()
        self.model, self.inputs, self.ctr = model, inputs, ctr

    def forward(self, *inputs: Tensor) -> Tensor:
        output = self.model(Batch(**dict(zip(self.inputs, inputs, strict=True))))
        return torch.sigmoid(output) if self.ctr else output


def rows_of(session: Session, count: int) -> Batch:
    """Return ``count`` test rows, some of them again where there are fewer."""
    data = session.problem.data
    batch = next(iter(data.test_dataloader()))
    return batch[torch.arange(count) % len(batch)]


def exported(model: nn.Module, served: Served, example: Batch, folder: Path, threads: int) -> OnnxModel:
    """Return the model in ONNX Runtime; a baseline is exported as it is."""
    path = folder / "model.onnx"
    if isinstance(model, Derived):
        path.write_bytes(traced(model).SerializeToString())
    else:
        rows: Any = torch.export.Dim.DYNAMIC
        shapes = tuple({0: rows, 1: rows} if name in ("behaviors", "mask") else {0: rows} for name in served.inputs)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(served, tuple(getattr(example[torch.arange(3)], n) for n in served.inputs), path,
                              dynamo=True, verbose=False, dynamic_shapes=(shapes,), input_names=list(served.inputs),
                              output_names=[OUTPUTS["ctr" if served.ctr else "retrieval"]], external_data=False)
    return OnnxModel(path, threads=threads)


def compiled(served: nn.Module) -> Callable[..., Tensor] | None:
    """Return the compiled model, None without a C++ compiler."""
    if not any(map(shutil.which, ("g++", "clang++"))):
        return None
    return torch.compile(served, dynamic=True)


class Sides:
    """One model in every form that can run here.

    Args:
        model: any.
        session: of its dataset.
        compile: whether to compile it too.
        threads: of ONNX Runtime.
    """

    def __init__(self, model: nn.Module, session: Session, folder: Path, *, compile: bool, threads: int) -> None:
        schema = session.problem.schema
        self.output = OUTPUTS[schema.task]
        rows = rows_of(session, 8)
        names = tuple(n for n in FIELDS if getattr(rows, n).numel())
        model.eval()
        self.served = Served(model, names, schema.task == "ctr").eval()
        self.onnx = exported(model, self.served, rows, folder, threads)
        # What is compiled is what is exported; where that is no gain, the model as it is would be the compiled side.
        form = ServingForm(model).eval() if isinstance(model, Derived) else self.served
        self.compiled = compiled(form) if compile else None

    def calls(self, batch: Batch) -> dict[str, Callable[[], Any]]:
        """Return a call for each form, after checking that all give the same."""
        tensors = tuple(getattr(batch, n).contiguous() for n in self.served.inputs)
        given = {n: t.numpy() for n, t in zip(self.served.inputs, tensors, strict=True) if n in self.onnx.inputs}
        calls: dict[str, Callable[[], Any]] = {"eager": lambda: self.served(*tensors)}
        if self.compiled is not None:
            compiled = self.compiled
            calls["compiled"] = lambda: compiled(*tensors)
        calls["onnx"] = lambda: self.onnx.session.run([self.output], given)[0]
        expected = np.asarray(calls["eager"]())
        for name, call in calls.items():
            if not np.allclose(np.asarray(call()), expected, rtol=TOLERANCE, atol=TOLERANCE):
                raise SystemExit(f"{name} gives other numbers than the model")
        return calls


def measured(calls: dict[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    """Return seconds of each call; each repeat is the mean of as many calls as fill a twentieth of a second."""
    def mean(call: Callable[[], Any]) -> Callable[[], float]:
        once = median([timed(call)() for _ in range(3)])
        times = max(1, min(200, math.ceil(0.05 / once)))
        return lambda: timed(lambda: [call() for _ in range(times)])() / times

    return alternate({name: mean(call) for name, call in calls.items()}, repeats)


def paths(folder: Path, shapes: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """Measure each shape's model in every form."""
    results: dict[str, Any] = {}
    table = []
    for shape in shapes:
        with application(shape, folder, *MODEL) as session, tempfile.TemporaryDirectory() as scratch:
            problem = session.problem
            model = Derived(problem.schema, SHAPES[shape].architecture, embedding_size=problem.model.embedding_size)
            sides = Sides(model, session, Path(scratch), compile=options.compile, threads=options.threads)
            for size in options.batches:
                with torch.inference_mode():
                    taken = measured(sides.calls(rows_of(session, size)), options.repeats)
                results[f"{shape} {size}"] = {"seconds": taken, "best": best(taken)}
                table += [line(shape, size, name, taken) for name in taken]
                if options.compile and sides.compiled is None:
                    table.append([shape, size, "compiled: no C++ compiler here", "", "", "", ""])
    show("Inference", ["model", "rows", "path", "latency ms", "least to most", "rows a second", "over eager"], table)
    return results


def line(shape: str, size: int, name: str, taken: dict[str, list[float]]) -> list[Any]:
    """Return one line of the table."""
    middle, least, most = spread(taken[name])
    low, high = pairs(taken["eager"], taken[name])
    return [shape, size, name, 1e3 * middle, f"{1e3 * least:.3g} to {1e3 * most:.3g}", size / middle,
            f"{ratio(taken['eager'], taken[name]):.2f} ({low:.2f} to {high:.2f})"]


def best(taken: dict[str, list[float]]) -> dict[str, Any]:
    """Return the fastest form and how many times faster than eager it is."""
    name = min(taken, key=lambda n: median(taken[n]))
    return {"path": name, "over_eager": ratio(taken["eager"], taken[name])}


def din(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Measure AMEIR-C against DIN, each form against the same form."""
    with application("alimama", folder, *MODEL) as session, tempfile.TemporaryDirectory() as scratch:
        problem = session.problem
        models = {"AMEIR-C": Derived(problem.schema, SHAPES["alimama"].architecture,
                                     embedding_size=problem.model.embedding_size),
                  "DIN": problem.baseline("din")}
        weights = {name: trainable_parameters(model)[0] for name, model in models.items()}
        results: dict[str, Any] = {"parameters": weights, "ratio": weights["AMEIR-C"] / weights["DIN"]}
        sides = {}
        for name, model in models.items():
            own = Path(scratch) / name
            own.mkdir()
            sides[name] = Sides(model, session, own, compile=options.compile, threads=options.threads)
        table = []
        for size in (n for n in options.batches if n > 1):
            with torch.inference_mode():
                batch = rows_of(session, size)
                calls = {f"{name} {form}": call for name, side in sides.items()
                         for form, call in side.calls(batch).items()}
                taken = measured(calls, options.repeats)
            for form in ("eager", "compiled", "onnx"):
                if f"DIN {form}" in taken:
                    ours, theirs = taken[f"AMEIR-C {form}"], taken[f"DIN {form}"]
                    low, high = pairs(theirs, ours)
                    table.append([size, form, 1e3 * median(ours), 1e3 * median(theirs),
                                  f"{ratio(theirs, ours):.2f} ({low:.2f} to {high:.2f})"])
            results[str(size)] = {"seconds": taken}
    show("AMEIR-C against DIN, Alimama shape", ["rows", "path", "AMEIR-C ms", "DIN ms", "speed over DIN"], table)
    show("Parameters besides embeddings", ["AMEIR-C", "DIN", "ratio"],
         [[weights["AMEIR-C"], weights["DIN"], results["ratio"]]])
    return results


MODEL = ("model=ameir", "architecture=paper/alimama_1")
"""The command line must name an architecture; the shape's own is built."""


def main() -> None:
    """Run the parts that are asked for; print tables and a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default="paths,din")
    parser.add_argument("--shapes", default=",".join(SHAPES))
    parser.add_argument("--batches", type=lambda text: [int(n) for n in text.split(",")], default=list(BATCHES))
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    options = parser.parse_args()
    options.threads = int(os.environ.get("OMP_NUM_THREADS", 1))
    torch.set_num_threads(options.threads)
    results: dict[str, Any] = {"threads": options.threads}
    for part in options.parts.split(","):
        if part == "paths":
            results[part] = paths(options.folder, options.shapes.split(","), options)
        elif part == "din":
            results[part] = din(options.folder, options)
        else:
            raise SystemExit(f"unknown part '{part}'; there are paths, din")
    json_line("infer", results)
