"""A small click data set of the project's own, with users, targets, behaviors and planted interactions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ameir_pl.data.planted import draws
from ameir_pl.data.planted.behavior import Behavior, by_interest, deal_groups, histories
from ameir_pl.data.planted.click_model import ClickModel, Dense
from ameir_pl.data.planted.registry import GENERATORS
from ameir_pl.data.planted.writing import VERSION, check, planting, write_truth
from ameir_pl.data.splits import TEST, TimeSplit, assign

LEAST = 1000
BASE_RATE = 0.25
T = 20
START, DAYS, BEFORE = 1_700_006_400, 30, 10
"""Clicks fall into 30 days from START (a midnight, UTC), behaviors into these and the 10 days before."""
SPLIT = TimeSplit(test=0.1, valid=0.1)
INTERACTIONS = ((("city", "category"), 0.5), (("hour", "position"), 0.45), (("segment", "brand"), 0.45),
                (("segment", "hour", "category"), 0.45), (("age_level", "position", "brand"), 0.5))
"""What is planted, with its weights."""
MAIN = {"age_level": 0.2, "city": 0.2, "position": 0.35, "category": 0.3, "brand": 0.25}
DENSE = {"price": Dense(-0.3, 3.0, 0.8)}
FILES = ("clicks.parquet", "events.parquet")

_USER, _ITEM = ("segment", "age_level", "city"), ("category", "brand")
_TAGS = ["new", "sale", "gift", "eco", "kids", "sport", "home", "travel", "music", "garden", "office", "pets"]
_KINDS = draws.Values(["view", "cart", "buy"], np.array([0.85, 0.1, 0.05]))


@GENERATORS.register("synthetic")
def synthetic(folder: Path, rows: int, seed: int, noise: float) -> dict[str, Any]:
    """Write ``clicks.parquet``, ``events.parquet`` and ``truth.json``; return the truth.

    * clicks: ``click``, ``time`` (seconds), ``user_id``, ``segment``, ``age_level``, ``city`` (the user's), ``hour``
      (of day, UTC), ``position``, ``item_id``, ``category``, ``brand``, ``tags`` (list), ``price`` (null for some; the
      item's). ``segment``, ``city``, ``category``, ``brand`` and ``tags`` are strings. Tags have no effect.
    * events: ``user_id``, ``time``, ``category``, ``brand`` (shared with the item's), ``kind``; in no order of time.

    40,000 rows are meant: 1,000 users, 400 items, 60,000 events. All is drawn in memory, about 600 bytes a row.

    Args:
        folder: where the three files go.
        rows: of clicks, from 1,000 on.
        seed: of everything.
        noise: share of the labels that do not depend on the row, from 0 to below 1.

    Raises:
        AmeirError: an argument is out of range, or ``folder`` holds one of the files.
    """
    check("synthetic", rows, LEAST, seed, noise)
    generator = np.random.default_rng([seed, 31])
    users, items = max(25, rows // 40), max(60, rows // 100)
    tables = {
        "segment": draws.values([f"segment_{i}" for i in range(1, 7)], 0.3),
        "age_level": draws.numbers(7, 0.3, first=1),
        "city": draws.values([f"city_{i:02d}" for i in range(1, 21)]), "hour": draws.numbers(24, 0.0),
        "position": draws.numbers(5, 0.4, first=1),
        "category": draws.values([f"category_{i:02d}" for i in range(1, 25)]),
        "brand": draws.values([f"brand_{i:02d}" for i in range(1, 31)])}
    words = tables["category"].words
    behavior = Behavior(1.4, 0.6, 0.7, T, "category", words, deal_groups(generator, len(words)))
    model = ClickModel(tables, MAIN, INTERACTIONS, dense=DENSE, behavior=behavior, base_rate=BASE_RATE, noise=noise,
                       generator=generator)

    person = {name: tables[name].draw(generator, users) for name in _USER}
    interests = tables["category"].draw(generator, users * 3).reshape(users, 3)
    thing = {name: tables[name].draw(generator, items) for name in _ITEM}
    thing["category"][:len(words)] = np.arange(len(words))  # none without an item
    price = np.round(np.exp(generator.normal(3.0, 0.8, items)), 2)
    price[generator.random(items) < 0.1] = np.nan
    by_category = np.argsort(thing["category"], kind="stable")
    first = np.searchsorted(thing["category"][by_category], np.arange(len(words) + 1))

    count = 60 * users
    did = generator.integers(0, users, count)
    did_category = by_interest(generator, tables["category"], interests, did, 0.7)
    did_time = START + generator.integers(-BEFORE * 86_400, DAYS * 86_400, count)
    did_brand = tables["brand"].draw(generator, count)

    user = generator.integers(0, users, rows)
    time = START + generator.integers(0, DAYS * 86_400, rows)
    category = by_interest(generator, tables["category"], interests, user, 0.4)
    item = by_category[first[category] + draws.heavy(generator, first[category + 1] - first[category], rows)]
    ids = {**{name: column[user] for name, column in person.items()}, "hour": time // 3600 % 24,
           "position": tables["position"].draw(generator, rows), **{name: thing[name][item] for name in _ITEM}}
    begin = START - BEFORE * 86_400
    history = histories(did, did_time - begin, did_category, user, time - begin, T)
    parts = model.parts(ids, {"price": price[item]}, history, category)
    model.calibrate(parts)
    label = (generator.random(rows) < model.probability(parts)).astype(np.uint8)
    tags = [[_TAGS[tag] for tag in generator.choice(len(_TAGS), generator.integers(1, 4), replace=False)]
            for _ in range(items)]

    clicks = pl.DataFrame({
        "click": label, "time": time, "user_id": user + 1, **_spell(tables, {n: ids[n] for n in _USER}),
        "hour": ids["hour"], **_spell(tables, {"position": ids["position"]}), "item_id": item + 1,
        **_spell(tables, {n: ids[n] for n in _ITEM}), "tags": pl.Series(tags).gather(item),
        "price": pl.Series(price, nan_to_null=True).gather(item)})
    events = pl.DataFrame({"user_id": did + 1, "time": did_time,
                           **_spell(tables, {"category": did_category, "brand": did_brand}),
                           "kind": pl.Series(_KINDS.words).gather(_KINDS.draw(generator, count))})
    test = assign(SPLIT, label, time) == TEST
    with planting(folder, FILES) as temporary:
        clicks.write_parquet(temporary / FILES[0])
        events.write_parquet(temporary / FILES[1])
        return write_truth(temporary, {
            "dataset": "synthetic", "rows": rows, "seed": seed, "noise": noise, "version": VERSION, "users": users,
            "items": items, "events": count, "click_rate": float(label.mean()),
            "determined_by": {**{name: ["user_id"] for name in _USER}, **{name: ["item_id"] for name in _ITEM}},
            "test_rows": "the last tenth of the rows in the order of time", **model.truth(parts[test], label[test])})


def _spell(tables: dict[str, draws.Values], ids: dict[str, np.ndarray]) -> dict[str, pl.Series]:
    """Columns of words; of whole numbers where the words are numbers."""
    spelled = {name: pl.Series(tables[name].words).gather(column) for name, column in ids.items()}
    return {name: column.cast(pl.Int64) if tables[name].words[0].isdigit() else column
            for name, column in spelled.items()}
