"""Preparing data: raw text to encoded columns.

* ``criteo``: rows a second on a Criteo-shaped file, against FuxiCTR's preparation of the same rows in the same run.
* ``memory``: peak memory at ten times the rows.
* ``alimama``: seconds and memory at 1/100 and at 1/10 of the real size.
* ``gather``: a batch of 4096 rows from the encoded columns, against the bare copy.

FuxiCTR needs ``make benchmark-peers`` once. Files are generated under ``--folder`` and kept for the next time.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from benchmarks.children import PEERS, child, machine, median, seconds

OURS = """
import sys, time
from ameir_pl.data import DATASETS
start = time.perf_counter()
DATASETS.get(sys.argv[1])(raw="none", source=sys.argv[2], encoded=sys.argv[3]).prepare()
"""
GENERATE = """
import sys, time
from pathlib import Path
from ameir_pl.data.planted import GENERATORS
start = time.perf_counter()
GENERATORS.get(sys.argv[1])(Path(sys.argv[2]), int(sys.argv[3]), 1, 0.1)
"""
FUXICTR = """
import sys, time, logging
logging.disable(logging.CRITICAL)
from fuxictr.preprocess import FeatureProcessor, build_dataset
from fuxictr.preprocess.build_dataset import init_ray
folder = sys.argv[1]
numbers = [{"name": f"I{i}", "active": True, "dtype": "float", "type": "numeric", "normalizer": "MinMaxScaler"}
           for i in range(1, 14)]
words = [{"name": f"C{i}", "active": True, "dtype": "str", "type": "categorical"} for i in range(1, 27)]
init_ray()
start = time.perf_counter()
processor = FeatureProcessor(feature_cols=numbers + words, label_col={"name": "label", "dtype": "float"},
                             dataset_id="encoded", data_root=folder)
build_dataset(processor, train_data=f"{folder}/train.csv", valid_data=f"{folder}/valid.csv",
              test_data=f"{folder}/test.csv", min_categr_count=10)
"""
CRITEO_HEADER = ",".join(["label", *(f"I{i}" for i in range(1, 14)), *(f"C{i}" for i in range(1, 27))])


def generated(folder: Path, dataset: str, rows: int) -> Path:
    """Return generated raw files, made at the first time."""
    place = folder / f"{dataset}-{rows}"
    if not (place / "truth.json").exists():
        shutil.rmtree(place, ignore_errors=True)
        taken = child(GENERATE, dataset, str(place), str(rows))
        print(f"  generated {place}: {taken['seconds']:.0f} s, {taken['peak_mb']:.0f} MB")
    return place


def prepared(folder: Path, dataset: str, source: Path) -> dict[str, Any]:
    """Prepare from nothing in a process of its own."""
    encoded = folder / "encoded"
    shutil.rmtree(encoded, ignore_errors=True)
    return child(OURS, dataset, str(source), str(encoded))


def by_fuxictr(folder: Path, source: Path) -> dict[str, Any]:
    """Prepare the same rows with FuxiCTR: 81 % of them to train, 9 % to validate, 10 % to test."""
    place = folder / f"fuxictr-{source.parent.name}"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    names = ["train"] * 81 + ["valid"] * 9 + ["test"] * 10
    files = {name: (place / f"{name}.csv").open("w") for name in set(names)}
    for file in files.values():
        file.write(CRITEO_HEADER + "\n")
    with source.open() as lines:
        for i, line in enumerate(lines):
            files[names[i % 100]].write(line.replace("\t", ","))
    for file in files.values():
        file.close()
    taken = child(FUXICTR, str(place), python=PEERS)
    shutil.rmtree(place)
    return taken


def criteo(folder: Path, rows: int, repeats: int, peer_repeats: int) -> dict[str, Any]:
    """Measure rows a second, alternating with FuxiCTR."""
    source = generated(folder, "criteo", rows) / "train.txt"
    ours: list[float] = []
    theirs: list[float] = []
    for i in range(max(repeats, peer_repeats)):
        if i < repeats:
            ours.append(prepared(folder, "criteo", source)["seconds"])
            print(f"  AMEIR-PL {ours[-1]:.1f} s")
        if i < peer_repeats and PEERS.exists():
            theirs.append(by_fuxictr(folder, source)["seconds"])
            print(f"  FuxiCTR  {theirs[-1]:.1f} s")
    result = {"rows": rows, "seconds": median(ours), "all": [round(s, 2) for s in ours],
              "rows_per_second": rows / median(ours)}
    if theirs:
        result |= {"fuxictr_seconds": median(theirs), "fuxictr_all": [round(s, 2) for s in theirs],
                   "fuxictr_rows_per_second": rows / median(theirs), "ratio": median(theirs) / median(ours)}
    return result


def growth(folder: Path, dataset: str, sizes: list[int], repeats: int) -> dict[str, Any]:
    """Measure seconds and peak memory at several sizes."""
    result: dict[str, Any] = {}
    for rows in sizes:
        place = generated(folder, dataset, rows)
        source = place / "train.txt" if dataset == "criteo" else place
        taken = [prepared(folder, dataset, source) for _ in range(repeats)]
        result[str(rows)] = {"seconds": median([t["seconds"] for t in taken]),
                             "peak_mb": max(t["peak_mb"] for t in taken)}
        print(f"  {dataset} {rows} rows: {result[str(rows)]}")
    first, last = (result[str(rows)] for rows in (sizes[0], sizes[-1]))
    result |= {"memory_ratio": last["peak_mb"] / first["peak_mb"], "seconds_ratio": last["seconds"] / first["seconds"]}
    return result


def gather(folder: Path, rows: int, repeats: int) -> dict[str, Any]:
    """Measure a batch of 4096 x 39 against the bare copy of its numbers."""
    import numpy as np

    from ameir_pl.data import DATASETS

    source = generated(folder, "criteo", rows) / "train.txt"
    encoded = DATASETS.get("criteo")(raw="none", source=source, encoded=folder / "encoded").prepare()
    rng = np.random.default_rng(0)
    draws = iter([rng.integers(0, rows, 4096) for _ in range(2 * repeats + 40)])

    def copy() -> None:
        chosen = next(draws)
        for name in ("fields", "dense", "label"):
            encoded.columns[name][chosen]

    def batch() -> None:
        encoded.gather(next(draws))

    seconds(batch, 20), seconds(copy, 20)
    copied, batched = seconds(copy, repeats), seconds(batch, repeats)
    return {"copy_ms": 1e3 * copied, "batch_ms": 1e3 * batched, "beyond_ms": 1e3 * (batched - copied)}


def main() -> None:
    """Run the parts that are asked for; print a table and a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default="criteo,memory,alimama,gather")
    parser.add_argument("--folder", type=Path, default=Path("data/raw/benchmarks"))
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the Criteo-shaped file")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peer-repeats", type=int, default=3)
    parser.add_argument("--alimama", default="265000,2650000", help="impressions, by size")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {"machine": machine()}
    for part in options.parts.split(","):
        print(f"{part}:")
        if part == "criteo":
            results[part] = criteo(options.folder, options.rows, options.repeats, options.peer_repeats)
        elif part == "memory":
            results[part] = growth(options.folder, "criteo", [options.rows, 10 * options.rows], 1)
        elif part == "alimama":
            results[part] = growth(options.folder, "alimama", [int(s) for s in options.alimama.split(",")], 1)
        elif part == "gather":
            results[part] = gather(options.folder, options.rows, 200)
        else:
            raise SystemExit(f"unknown part '{part}'; there are criteo, memory, alimama, gather")
        for key, value in results[part].items():
            print(f"  {key:<24} {value:,.2f}" if isinstance(value, float) else f"  {key:<24} {value}")
    print(json.dumps(results))
