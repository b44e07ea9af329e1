"""Avazu's ``train.csv`` (Kaggle, 2014) with planted interactions: ten days of clicks on mobile ads, no behaviors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ameir_pl.data.layouts import AVAZU
from ameir_pl.data.planted import draws
from ameir_pl.data.planted.blocks import BLOCK, Blocks, blocks
from ameir_pl.data.planted.click_model import ClickModel, Parts
from ameir_pl.data.planted.registry import GENERATORS
from ameir_pl.data.planted.writing import VERSION, check, planting, write_truth
from ameir_pl.data.splits import TEST, RandomSplit, assign

LEAST = 1000
BASE_RATE = 0.17
DAYS = 10
SPLIT = RandomSplit(test=0.2, valid=0.1, seed=1, stratified=False)
INTERACTIONS = ((("banner_pos", "device_conn_type"), 0.5), (("site_category", "C21"), 0.5),
                (("C18", "app_category"), 0.5), (("hour", "banner_pos", "app_category"), 0.5),
                (("C1", "C18", "device_type"), 0.5))
"""What is planted, with its weights; ``hour`` is the hour of day, as in the schema."""
MAIN = {"hour": 0.25, "C16": 0.3, "C17": 0.4, "C19": 0.35, "site_category": 0.3, "banner_pos": 0.25, "C20": 0.25}

# Spelling and steepness of the columns drawn from a table. Shares are flatter than the real ones, where one value
# often has more than half of the rows: signs could not be balanced, nor interactions pure.
_NUMBERS = {"C1": ([1005, 1002, 1010, 1012, 1007, 1001, 1008], 0.5), "banner_pos": ([0, 1, 7, 2, 4, 5, 3], 0.5),
            "device_type": ([1, 0, 4, 5, 2], 0.4), "device_conn_type": ([0, 2, 3, 5], 0.4),
            "C15": ([320, 300, 216, 728, 120, 1024, 480, 768], 2.0),
            "C16": ([50, 250, 36, 480, 90, 20, 768, 320, 1024], 0.7), "C18": ([0, 3, 2, 1], 0.4)}
_RANGES = {"C17": (112, 435, 0.8), "C19": (33, 68, 0.6), "C20": (100_000, 172, 0.6), "C21": (13, 60, 0.5)}
_CATEGORIES = {"site_category": 26, "app_category": 36}
# Distinct values of the other columns: at most as many as the real file has.
_SIZES = {"site_id": 4737, "site_domain": 7745, "app_id": 8552, "app_domain": 559, "device_id": 2_686_408,
          "device_ip": 6_729_486, "device_model": 8251, "C14": 2626}
_ORDER = [field.name for field in AVAZU.fields if field.name not in ("hour", "day", "weekday")]
# Rows of the hours of a day, in proportion: fewer at night.
_DAY = 1.0 + 0.5 * np.sin((np.arange(24) - 5) / 24 * 2 * np.pi)


@GENERATORS.register("avazu")
def avazu(folder: Path, rows: int, seed: int, noise: float) -> dict[str, Any]:
    """Write ``train.csv`` and ``truth.json``; return the truth.

    The file is as published: a header, rows in the order of time, ``hour`` as YYMMDDHH over ten days from 14102100,
    ids unique over the whole range of 64 bits, eight hex digits for sites, apps and devices. Clicks are 17 % of the
    rows.

    Rows are drawn and written in blocks of a fixed size, as :func:`~ameir_pl.data.planted.criteo.criteo`.

    Args:
        folder: where the two files go.
        rows: from 1,000 on.
        seed: of everything.
        noise: share of the labels that do not depend on the row, from 0 to below 1.

    Raises:
        AmeirError: an argument is out of range, or ``folder`` holds one of the files.
    """
    check("avazu", rows, LEAST, seed, noise)
    setup = np.random.default_rng([seed, 11])
    salts = {name: int(setup.integers(2**32)) for name in ("id", *_ORDER)}
    tables = {name: draws.values([str(n) for n in numbers], steep) for name, (numbers, steep) in _NUMBERS.items()}
    tables |= {name: draws.numbers(count, steep, first=first) for name, (first, count, steep) in _RANGES.items()}
    tables |= {name: draws.values(draws.hex_words(count, salts[name])) for name, count in _CATEGORIES.items()}
    tables["C20"] = draws.Values(["-1", *tables["C20"].words], np.append(0.45, 0.55 * tables["C20"].shares))
    tables["hour"] = draws.Values([str(hour) for hour in range(24)], _DAY / _DAY.sum())
    model = ClickModel(tables, MAIN, INTERACTIONS, base_rate=BASE_RATE, noise=noise, generator=setup)
    pilot = np.random.default_rng([seed, 12])
    model.calibrate(_draw(pilot, tables["hour"].draw(pilot, 20_000), rows, tables, salts, model)[1])

    # Every hour has its rows; a row's hour follows from its number alone.
    hours_end = np.cumsum(np.tile(_DAY, DAYS)) / (_DAY.sum() * DAYS) * rows
    outcome = Blocks(model)
    with planting(folder, ["train.csv"]) as temporary:
        with (temporary / "train.csv").open("wb") as file:
            for number, count in blocks(rows):
                generator = np.random.default_rng([seed, 13, number])
                row = number * BLOCK + np.arange(count)
                hour = np.minimum(np.searchsorted(hours_end, row, side="right"), DAYS * 24 - 1)
                columns, parts = _draw(generator, hour % 24, rows, tables, salts, model)
                first = {"id": draws.scramble64(row, salts["id"]), "click": outcome.draw_labels(generator, parts),
                         "hour": 14102100 + hour // 24 * 100 + hour % 24}
                pl.DataFrame({**first, **columns}).write_csv(file, include_header=number == 0)
        labels = outcome.labels
        test = assign(SPLIT, labels) == TEST
        return write_truth(temporary, {
            "dataset": "avazu", "rows": rows, "seed": seed, "noise": noise, "version": VERSION,
            "click_rate": float(labels.mean()), "determined_by": {"weekday": ["day"]},
            "test_rows": "a fifth of the rows, drawn at random with seed 1",
            **model.truth(outcome.parts(test), labels[test])})


def _draw(generator: np.random.Generator, hour: np.ndarray, rows: int, tables: dict[str, draws.Values],
          salts: dict[str, int], model: ClickModel) -> tuple[dict[str, pl.Series], Parts]:
    """The columns of some rows from C1 on, and the parts of their logits."""
    columns: dict[str, pl.Series] = {}
    ids, count = {"hour": hour}, len(hour)
    for name in _ORDER:
        if name in tables:
            ids[name] = tables[name].draw(generator, count)
            columns[name] = pl.Series(tables[name].words).gather(ids[name])
            continue
        drawn = draws.heavy(generator, min(_SIZES[name], max(rows, 1000)), count)
        if name == "device_id":  # four fifths of the real rows have one and the same
            drawn[generator.random(count) < 0.8] = 0
        columns[name] = (pl.Series(375 + drawn) if name == "C14"
                         else draws.hexadecimal(draws.scramble(drawn, salts[name])))
    return columns, model.parts(ids)
