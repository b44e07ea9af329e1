"""Growth: how seconds and memory grow with the size of each thing.

* rows: of a Criteo-shaped file: encoding it, and one epoch of training.
* fields N, length T, size K, blocks L_a: one fair update of step 1's supernet, scoring one candidate, peak memory.
* candidates: scoring so many of them, and peak memory.

All else stays at Alimama's sizes. Every point is a process of its own. An exponent is the slope of a line through the
logarithms: 1 is linear, and below 1 a part does not grow.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.children import child, median
from benchmarks.prepare import generated
from benchmarks.shapes import FOLDER
from benchmarks.sides import json_line, show

BASE = {"fields": 15, "length": 50, "size": 4, "blocks": 3, "candidates": 10}
GROWING = {"rows": (10_000, 20_000, 40_000, 80_000, 160_000), "fields": (5, 10, 20, 40, 80),
           "length": (10, 20, 40, 80, 160), "size": (4, 8, 16, 32, 64), "blocks": (1, 2, 3, 5, 8),
           "candidates": (5, 10, 20, 40, 80)}
SYMBOLS = {"rows": "rows", "fields": "fields N", "length": "length T", "size": "embedding size K",
           "blocks": "blocks L_a", "candidates": "candidates"}
BATCH, VALID, VOCABULARY = 512, 1024, 1000
CODE = """
import sys, time
from benchmarks import growth
start = time.perf_counter()
getattr(growth, sys.argv[1])(*sys.argv[2:])
"""


@dataclass(frozen=True)
class Sizes:
    """What is measured: see ``BASE``."""

    fields: int
    length: int
    size: int
    blocks: int
    candidates: int


def search_point(sizes: str, repeats: str, output: str) -> None:
    """Measure the update and the scoring at one point (in a child process); write seconds to a file."""
    from random import Random

    import torch

    from ameir_pl.models.ameir import Ameir
    from ameir_pl.models.capacity import Capacity
    from ameir_pl.models.splitting import predict_split
    from ameir_pl.nn.operations import names
    from ameir_pl.objectives.ctr import Ctr
    from ameir_pl.search.evaluator import CandidateScorer
    from ameir_pl.space.architecture import Architecture, MlpLayer
    from ameir_pl.space.sampling import BlockRounds
    from ameir_pl.space.space import BlockSpace, sample_distinct

    at = Sizes(**json.loads(sizes))
    torch.manual_seed(1)
    schema = schema_of(at)
    space, base = BlockSpace(at.blocks, tuple(names(True))), Architecture(mlp=(MlpLayer(200), MlpLayer(80)))
    model = Ameir(schema, Capacity.of(base).with_blocks(space), embedding_size=at.size)
    rounds, objective, batch = BlockRounds(space, base, 1), Ctr(), batch_of(schema, BATCH)
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    steps = iter(range(10_000))

    def update() -> None:
        optimizer.zero_grad(set_to_none=True)
        output = predict_split(model, model.embed(batch), rounds.fair(next(steps)))
        objective.loss(model, output, batch).backward()
        optimizer.step()

    valid = [batch_of(schema, VALID)]
    # Other candidates each time, and none twice: what a scorer keeps must not count.
    found, _ = sample_distinct(space, at.candidates * (int(repeats) + 1), Random(1))
    candidates = [Architecture(blocks=b, mlp=base.mlp) for b in found]
    draws = iter([candidates[i * at.candidates:][:at.candidates] for i in range(int(repeats) + 1)])

    def score() -> None:
        few = next(draws)
        CandidateScorer(model, objective, valid, valid).rank(few, "scoring")

    result = {"update": times(update, int(repeats)), "scoring": times(score, int(repeats))}
    Path(output).write_text(json.dumps(result))


def rows_point(source: str, folder: str, repeats: str, output: str) -> None:
    """Measure encoding and an epoch (in a child process); write seconds to a file."""
    import torch

    from ameir_pl.data import DATASETS, AmeirDataModule
    from ameir_pl.models.ameir import Derived
    from ameir_pl.objectives.ctr import Ctr
    from benchmarks.shapes import SHAPES

    encoded_in = Path(folder)

    def encode() -> Any:
        shutil.rmtree(encoded_in, ignore_errors=True)
        return DATASETS.get("criteo")(raw="none", source=source, encoded=encoded_in).prepare()

    encoding = times(encode, int(repeats))
    encoded = encode()
    model, objective = Derived(encoded.schema, SHAPES["criteo"].architecture, embedding_size=5), Ctr()
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    data = AmeirDataModule(encoded=encoded, batch_size=BATCH, eval_batch_size=BATCH, seed=1)

    def epoch() -> None:
        for batch in data.train_dataloader():
            optimizer.zero_grad(set_to_none=True)
            objective.loss(model, model(batch), batch).backward()
            optimizer.step()

    Path(output).write_text(json.dumps({"encoding": encoding, "epoch": times(epoch, int(repeats))}))


def schema_of(at: Sizes) -> Any:
    """Return Alimama's kinds of input in the given numbers: a dense field, two behavior fields with targets."""
    from ameir_pl.schema import Field, Schema

    targets = (Field("item", "item", "target"), Field("brand", "brand", "target"))
    others = tuple(Field(f"field{i}", f"field{i}") for i in range(at.fields - len(targets)))
    fields = (*others, *targets)
    return Schema(dataset="growth", task="ctr", fields=fields, dense=("price",), max_len=at.length,
                  behaviors=(Field("h_item", "item"), Field("h_brand", "brand")),
                  vocabularies={f.vocabulary: VOCABULARY for f in fields})


def batch_of(schema: Any, rows: int) -> Any:
    """Return random rows whose histories are full: the cost of a length is that of all its positions."""
    import torch

    from ameir_pl.batch import Batch

    length = schema.max_len
    return Batch(fields=torch.randint(1, VOCABULARY, (rows, len(schema.fields))),
                 behaviors=torch.randint(1, VOCABULARY, (rows, length, len(schema.behaviors))),
                 mask=torch.ones(rows, length, dtype=torch.bool), dense=torch.rand(rows, 1) * 2 - 1,
                 label=(torch.arange(rows) % 3 == 0).float())


def times(function: Any, repeats: int) -> list[float]:
    """Return the seconds of each call after one that does not count."""
    from benchmarks.sides import alternate, timed

    return alternate({"": timed(function)}, repeats)[""]


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Return the slope of the least-squares line through the logarithms."""
    x, y = [math.log(s) for s in sizes], [math.log(v) for v in values]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    return (sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
            / sum((a - mean_x) ** 2 for a in x))


def measured(name: str, sizes: Sequence[int], folder: Path, repeats: int) -> dict[str, Any]:
    """Measure one dimension; returns each quantity's values, repeats and exponent."""
    points = []
    for size in sizes:
        with tempfile.TemporaryDirectory() as scratch:
            output = Path(scratch) / "seconds.json"
            if name == "rows":
                source = generated(folder, "criteo", size) / "train.txt"
                taken = child(CODE, "rows_point", str(source), f"{scratch}/encoded", str(repeats), str(output))
            else:
                taken = child(CODE, "search_point", json.dumps({**BASE, name: size}), str(repeats), str(output))
            points.append({**json.loads(output.read_text()), "memory": [taken["peak_mb"]]})
        print(f"  {SYMBOLS[name]} {size}: " + ", ".join(f"{k} {median(v):.3g}" for k, v in points[-1].items()),
              flush=True)
    result: dict[str, Any] = {"sizes": list(sizes)}
    for quantity in points[0]:
        if name == "candidates" and quantity == "update":
            continue  # an update knows nothing of how many will be scored
        every = [p[quantity] for p in points]
        if quantity == "scoring" and name != "candidates":
            quantity, every = "scoring one", [[s / BASE["candidates"] for s in values] for values in every]
        middle = [median(values) for values in every]
        result[quantity] = {"median": middle, "all": every, "exponent": exponent(sizes, middle)}
    return result


def plot(name: str, result: dict[str, Any], folder: Path) -> Path:
    """Draw seconds on the left and memory on the right, both axes logarithmic; returns the file."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    matplotlib.rcParams.update({"svg.hashsalt": "growth", "svg.fonttype": "none", "font.size": 9})
    figure, (left, right) = plt.subplots(1, 2, figsize=(7, 2.8), layout="constrained")
    sizes = result["sizes"]
    for quantity in (q for q in result if q != "sizes"):
        entry, axis = result[quantity], right if quantity == "memory" else left
        low, high = ([m - min(v) for m, v in zip(entry["median"], entry["all"], strict=True)],
                     [max(v) - m for m, v in zip(entry["median"], entry["all"], strict=True)])
        axis.errorbar(sizes, entry["median"], (low, high), marker="o", markersize=3, capsize=2, linewidth=1,
                      label=f"{quantity}, exponent {entry['exponent']:.2f}")
    for axis, what in ((left, "seconds"), (right, "peak memory, MB")):
        axis.set(xscale="log", yscale="log", xlabel=SYMBOLS[name], ylabel=what)
        axis.set_xticks(sizes, [f"{s:,}" for s in sizes])
        axis.minorticks_off()
        axis.grid(alpha=0.3, which="both")
        axis.legend(frameon=False, fontsize=8)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"growth-{name}.svg"
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    return path


def main() -> None:
    """Run the dimensions that are asked for; print a table and a JSON line, draw where ``--plots`` says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(GROWING))
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--points", type=int, default=5, help="of each dimension, the smallest first")
    parser.add_argument("--plots", type=Path, help="a folder for one figure each (needs matplotlib)")
    options = parser.parse_args()
    if options.plots is not None:
        try:
            import matplotlib  # noqa: F401
        except ImportError as error:
            raise SystemExit("--plots needs matplotlib: pip install 'ameir-pl[benchmark]'") from error
    unknown = set(options.parts.split(",")) - set(GROWING)
    if unknown:
        raise SystemExit(f"unknown part '{sorted(unknown)[0]}'; there are {', '.join(GROWING)}")
    options.folder.mkdir(parents=True, exist_ok=True)
    results = {}
    for name in options.parts.split(","):
        results[name] = measured(name, GROWING[name][:options.points], options.folder, options.repeats)
    for name, result in results.items():
        header = [SYMBOLS[name], *(f"{s:,}" for s in result["sizes"]), "exponent"]
        show(f"Growth with {SYMBOLS[name]}", header,
             [[f"{q}, {'MB' if q == 'memory' else 's'}", *result[q]["median"], f"{result[q]['exponent']:.2f}"]
              for q in result if q != "sizes"])
        if options.plots is not None:
            print(f"\n{plot(name, result, options.plots)}")
    json_line("growth", results)
