"""Criteo's ``train.txt`` (Kaggle display ads, 2014) with planted interactions: 39 anonymous fields, no behaviors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ameir_pl.data.planted import draws
from ameir_pl.data.planted.blocks import Blocks, blocks
from ameir_pl.data.planted.click_model import ClickModel, Dense, Parts
from ameir_pl.data.planted.registry import GENERATORS
from ameir_pl.data.planted.writing import VERSION, check, planting, write_truth
from ameir_pl.data.splits import TEST, RandomSplit, assign

LEAST = 1000
BASE_RATE = 0.25
SPLIT = RandomSplit(test=0.1, valid=0.1, seed=1, stratified=True)
INTERACTIONS = ((("C14", "C17"), 0.5), (("C6", "C23"), 0.5), (("C17", "C25"), 0.45), (("C9", "C14", "C23"), 0.5),
                (("C6", "C17", "C22"), 0.5))
"""What is planted, with its weights. Fields with few values: a few ten thousand rows show every combination."""
MAIN = {"C2": 0.25, "C5": 0.35, "C8": 0.35, "C14": 0.25, "C17": 0.25, "C20": 0.3}
DENSE = {"I2": Dense(0.2, 2.0, 1.4), "I5": Dense(-0.25, 6.0, 2.4), "I11": Dense(0.3, 0.9, 0.8)}

# Values and share of gaps of the columns drawn from a table. Their shares are flatter than the real ones, where one
# value often has more than half of the rows: signs could not be balanced, nor interactions pure.
_TABLES = {"C6": (24, 0.12), "C9": (3, 0.0), "C14": (27, 0.0), "C17": (10, 0.0), "C20": (4, 0.44), "C22": (18, 0.3),
           "C23": (15, 0.0), "C25": (60, 0.3), "C5": (305, 0.0), "C8": (633, 0.0), "C2": (583, 0.0)}
# Distinct values of the real file, at most; and of those that grow with it, values for each row.
_SIZES = {"C1": 1460, "C7": 12_517, "C10": 93_145, "C11": 5683, "C13": 3194, "C15": 14_992, "C18": 5652, "C19": 2173,
          "C24": 286_181, "C26": 142_572}
_GROWING = {"C3": 1.8, "C4": 0.3, "C12": 1.4, "C16": 0.8, "C21": 1.1}
# Columns that are empty in the same rows, with the share of these rows.
_GAPS = ((("C3", "C4", "C12", "C16", "C21", "C24"), 0.035), (("C19", "C26"), 0.44))
# Of I1 to I13: mean and deviation of log(1 + value), and the share of gaps.
_DENSE = ((0.8, 1.2, 0.45), (1.9, 1.7, 0.0), (1.6, 1.5, 0.21), (1.6, 1.0, 0.22), (6.0, 2.4, 0.03), (3.2, 1.8, 0.22),
          (1.4, 1.4, 0.04), (2.1, 1.1, 0.0), (3.8, 1.6, 0.04), (0.4, 0.4, 0.45), (0.9, 0.8, 0.04), (0.3, 0.6, 0.76),
          (1.7, 1.1, 0.22))


@GENERATORS.register("criteo")
def criteo(folder: Path, rows: int, seed: int, noise: float) -> dict[str, Any]:
    """Write ``train.txt`` and ``truth.json``; return the truth.

    The file is as published: no header, tabs, label, I1 to I13 (whole numbers, I2 from -3 on), C1 to C26 (eight hex
    digits), nothing where a value is missing. C3, C12, C16, C21 have tails as heavy as the real ones: about a third
    of the rows brings a new value. Clicks are a quarter of the rows.

    Rows are drawn and written in blocks of a fixed size, each from a generator of its number; memory holds one block
    and 17 bytes a row. The block is no setting, since other blocks would be other draws.

    Args:
        folder: where the two files go.
        rows: from 1,000 on.
        seed: of everything.
        noise: share of the labels that do not depend on the row, from 0 to below 1.

    Raises:
        AmeirError: an argument is out of range, or ``folder`` holds one of the files.
    """
    check("criteo", rows, LEAST, seed, noise)
    setup = np.random.default_rng([seed, 1])
    salts = {f"C{i}": int(setup.integers(2**32)) for i in range(1, 27)}
    tables = {}
    for name, (count, gap) in _TABLES.items():
        tables[name] = draws.values(draws.hex_words(count, salts[name]), 0.5, gap)
    model = ClickModel(tables, MAIN, INTERACTIONS, dense=DENSE, base_rate=BASE_RATE, noise=noise, generator=setup)
    model.calibrate(_draw(np.random.default_rng([seed, 2]), 20_000, rows, tables, salts, model)[1])

    outcome = Blocks(model)
    with planting(folder, ["train.txt"]) as temporary:
        with (temporary / "train.txt").open("wb") as file:
            for number, count in blocks(rows):
                generator = np.random.default_rng([seed, 3, number])
                columns, parts = _draw(generator, count, rows, tables, salts, model)
                label = outcome.draw_labels(generator, parts)
                pl.DataFrame({"label": label, **columns}).write_csv(file, separator="\t", include_header=False)
        labels = outcome.labels
        test = assign(SPLIT, labels) == TEST
        return write_truth(temporary, {
            "dataset": "criteo", "rows": rows, "seed": seed, "noise": noise, "version": VERSION,
            "click_rate": float(labels.mean()), "determined_by": {},
            "test_rows": "a tenth of the rows, drawn at random with seed 1, stratified by label",
            **model.truth(outcome.parts(test), labels[test])})


def _draw(generator: np.random.Generator, count: int, rows: int, tables: dict[str, draws.Values],
          salts: dict[str, int], model: ClickModel) -> tuple[dict[str, pl.Series], Parts]:
    """The columns of some rows in the order of the file, and the parts of their logits."""
    columns: dict[str, pl.Series] = {}
    dense = {}
    for i, (center, deviation, gap) in enumerate(_DENSE, 1):
        whole = np.floor(np.exp(generator.normal(center, deviation, count))) - (3 if i == 2 else 0)
        whole[generator.random(count) < gap] = np.nan
        # 65535 is where several real columns end.
        dense[f"I{i}"] = np.minimum(whole, 2_500_000 if i == 5 else 65_535)
        columns[f"I{i}"] = pl.Series(dense[f"I{i}"], nan_to_null=True).cast(pl.Int64)
    gaps = {}
    for names, share in _GAPS:
        gaps.update(dict.fromkeys(names, generator.random(count) < share))
    ids = {}
    for i in range(1, 27):
        name = f"C{i}"
        if name in tables:
            ids[name] = tables[name].draw(generator, count)
            empty = tables[name].words[0] == ""
            columns[name] = draws.hexadecimal(draws.scramble(ids[name] - empty, salts[name]),
                                              ids[name] == 0 if empty else None)
        else:
            size = _SIZES.get(name) or max(int(_GROWING[name] * rows), 1000)
            columns[name] = draws.hexadecimal(draws.scramble(draws.heavy(generator, size, count), salts[name]),
                                              gaps.get(name))
    return columns, model.parts(ids, dense)
