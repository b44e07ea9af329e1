"""The four tables of Alimama's display ads (Tianchi 56) with planted interactions and an effect of the history."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import polars as pl

from ameir_pl.data.planted import draws
from ameir_pl.data.planted.behavior import Behavior, by_interest, deal_groups, histories
from ameir_pl.data.planted.click_model import ClickModel, Dense, Parts
from ameir_pl.data.planted.registry import GENERATORS
from ameir_pl.data.planted.writing import VERSION, check, planting, write_truth
from ameir_pl.data.splits import pandas_sample

LEAST = 2000
BASE_RATE = 0.15
LOG_START, START, END = 1_492_790_400, 1_494_000_000, 1_494_691_200
"""Seconds: the log has 22 days, the impressions the last 8 of them; END is the first second after both."""
# What alimama's default preset, DSIN's preparation, keeps: test rows, users, and behaviors of a history.
TEST_START, SINCE = 1_494_633_600, 1_493_769_600
SAMPLE_SHARE, SAMPLE_SEED = 0.25, 1024
PAUSE, LEAST_SESSION = 1800, 3
SITTING = 6
"""Behaviors that a user does one behind the other."""
T = 50
USERS = 1000
"""Users of a block. Fixed, as it decides which generator draws a user, and so the bytes of the files."""
INTERACTIONS = ((("pid", "pvalue_level"), 0.45), (("age_level", "cate_id"), 0.5),
                (("final_gender_code", "shopping_level", "cate_id"), 0.45), (("pid", "occupation", "brand"), 0.45))
"""What is planted, with its weights: each has a field of the ad or its place, else it would be known from the user."""
MAIN = {"pid": 0.15, "cms_group_id": 0.25, "age_level": 0.15, "cate_id": 0.35, "brand": 0.2}
DENSE = {"price": Dense(-0.2, 4.6, 1.2)}
FILES = ("raw_sample.csv", "ad_feature.csv", "user_profile.csv", "behavior_log.csv")

_PROFILE = {"cms_segid": (97, 0), "cms_group_id": (13, 0), "final_gender_code": (2, 1), "age_level": (7, 0),
            "pvalue_level": (3, 1), "shopping_level": (3, 1), "occupation": (2, 0), "new_user_class_level": (4, 1)}
_GAPS = {"pvalue_level": 0.465, "new_user_class_level": 0.32}
_NO_PROFILE, _NO_BEHAVIOR, _NO_BRAND = 0.07, 0.04, 0.1
_PIDS = ["430548_1007", "430539_1007"]
_TAGS = draws.Values(["pv", "cart", "fav", "buy"], np.array([0.955, 0.022, 0.013, 0.01]))
_HEADERS = ("user,time_stamp,adgroup_id,pid,nonclk,clk", "adgroup_id,cate_id,campaign_id,customer,brand,price",
            # The published header ends in a blank.
            "userid,cms_segid,cms_group_id,final_gender_code,age_level,pvalue_level,shopping_level,occupation,"
            "new_user_class_level ", "user,time_stamp,btag,cate,brand")


@dataclass(frozen=True)
class _World:
    """What does not depend on the users: tables of values and the ads, sorted by category."""

    tables: dict[str, draws.Values]
    ads: pl.DataFrame
    cate: np.ndarray  # (ads,) position in the table of categories
    brand: np.ndarray  # (ads,) position in the table of brands, 0 for none
    first: np.ndarray  # (categories + 1,) where the ads of a category begin


@dataclass(frozen=True)
class _Block:
    """What some users were, did and saw; ``user`` columns count from 0."""

    profile: pl.DataFrame
    impressions: pl.DataFrame
    log: pl.DataFrame
    parts: Parts


@GENERATORS.register("alimama")
def alimama(folder: Path, rows: int, seed: int, noise: float) -> dict[str, Any]:
    """Write the four raw tables and ``truth.json``; return the truth.

    Names, headers, codes and proportions are as published: users are 4.3 % of the impressions, ads 3.2 %, the log is
    27.2 times as long; some users have no profile, some no behaviors. No table is in the order of time. Clicks are
    15 % of the impressions, three times the real share, so that small data have something to learn from. Profile
    columns are independent of each other, unlike the real ones. Behaviors come in sittings of six, and what a click
    depends on are those that DSIN's preparation keeps, the default of the dataset.

    Users are drawn and written in blocks of 1,000, each from a generator of its number; memory holds one block and
    the test rows. The block is no setting, since other blocks would be other draws.

    Args:
        folder: where the five files go.
        rows: impressions, from 2,000 on.
        seed: of everything.
        noise: share of the labels that do not depend on the row, from 0 to below 1.

    Raises:
        AmeirError: an argument is out of range, or ``folder`` holds one of the files.
    """
    check("alimama", rows, LEAST, seed, noise)
    setup = np.random.default_rng([seed, 21])
    users, log_rows = max(40, round(0.043 * rows)), round(27.2 * rows)
    world = _world(setup, max(50, round(0.032 * rows)))
    categories = world.tables["cate_id"]
    behavior = Behavior(1.6, 0.7, 0.75, T, "cate_id", categories.words, deal_groups(setup, len(categories.words)))
    model = ClickModel(world.tables, MAIN, INTERACTIONS, dense=DENSE, behavior=behavior, base_rate=BASE_RATE,
                       noise=noise, generator=setup)
    model.calibrate(_draw(np.random.default_rng([seed, 22]), world, model, 300, 7000, 190_000).parts)
    names = setup.permutation(users) + 1

    kept: list[tuple[Parts, np.ndarray, np.ndarray]] = []
    profiled: list[np.ndarray] = []
    clicks = 0
    with planting(folder, FILES) as temporary:
        with (temporary / FILES[0]).open("wb") as samples, (temporary / FILES[2]).open("wb") as profiles, \
                (temporary / FILES[3]).open("wb") as log:
            for file, header in zip((samples, profiles, log), (_HEADERS[0], *_HEADERS[2:]), strict=True):
                file.write(header.encode() + b"\n")
            for number, low in enumerate(range(0, users, USERS)):
                high = min(low + USERS, users)
                generator = np.random.default_rng([seed, 23, number])
                block = _draw(generator, world, model, high - low, *(total * high // users - total * low // users
                                                                     for total in (rows, log_rows)))
                probability = model.probability(block.parts)
                label = (generator.random(len(probability)) < probability).astype(np.uint8)
                clicks += int(label.sum())
                named = names[low:high]
                shown = block.impressions.with_columns(pl.Series("user", named[block.impressions["user"]]),
                                                       pl.Series("nonclk", 1 - label), pl.Series("clk", label))
                _append(shown, samples)
                _append(block.profile.with_columns(pl.Series("user", named[block.profile["user"]])), profiles)
                _append(block.log.with_columns(pl.Series("user", named[block.log["user"]])), log)
                profiled.append(named[block.profile["user"].to_numpy()])
                test = shown["time_stamp"].to_numpy() >= TEST_START
                kept.append((block.parts[test], label[test], shown["user"].to_numpy()[test]))
        with (temporary / FILES[1]).open("wb") as ads:
            ads.write(_HEADERS[1].encode() + b"\n")
            _append(world.ads.with_columns(pl.col("brand").fill_null("NULL"))[setup.permutation(len(world.ads))], ads)
        everyone = np.concatenate(profiled)
        sample = everyone[pandas_sample(len(everyone), SAMPLE_SHARE, SAMPLE_SEED)]
        chosen = np.isin(np.concatenate([user for *_, user in kept]), sample)
        parts = Parts(*(np.concatenate([getattr(p, name) for p, *_ in kept])[chosen]
                        for name in ("main", "interactions", "behavior")))
        return write_truth(temporary, {
            "dataset": "alimama", "rows": rows, "seed": seed, "noise": noise, "version": VERSION,
            "log_rows": log_rows, "users": users, "ads": len(world.ads), "click_rate": clicks / rows,
            "determined_by": {**{name: ["adgroup_id"] for name in ("cate_id", "brand")},
                              **{name: ["userid"] for name in _PROFILE}},
            "missing": "'' is a gap or a user without profile; 'NULL' a brand that is not given",
            "test_rows": f"impressions from {TEST_START} on of the quarter of the profiles that DSIN's seed draws",
            **model.truth(parts, np.concatenate([label for _, label, _ in kept])[chosen])})


def _append(table: pl.DataFrame, file: BinaryIO) -> None:
    table.write_csv(file, include_header=False)


def _world(generator: np.random.Generator, ads: int) -> _World:
    """Draw categories, brands and ads."""
    counts = {"cate_id": int(np.clip(ads // 8, 12, 2000)), "brand": int(np.clip(ads // 8, 12, 5000))}
    real = {"cate_id": 12_960, "brand": 461_497}
    words = {name: [str(1 + n) for n in generator.choice(real[name], count, replace=False)]
             for name, count in counts.items()}
    brands = draws.values(words["brand"], 0.6, _NO_BRAND)
    tables = {"pid": draws.values(_PIDS), "cate_id": draws.values(words["cate_id"], 0.6),
              "brand": draws.Values(["NULL", *words["brand"]], brands.shares)}
    for name, (count, first) in _PROFILE.items():
        gap = 1 - (1 - _NO_PROFILE) * (1 - _GAPS.get(name, 0.0))
        tables[name] = draws.numbers(count, 0.3, gap, first)
    cate = tables["cate_id"].draw(generator, ads)
    cate[:counts["cate_id"]] = np.arange(counts["cate_id"])  # none without an ad
    cate = np.sort(cate)
    brand = brands.draw(generator, ads)
    table = pl.DataFrame({
        "adgroup_id": generator.permutation(ads) + 1,
        "cate_id": pl.Series(words["cate_id"]).gather(cate),
        "campaign_id": generator.integers(1, ads // 2 + 2, ads), "customer": generator.integers(1, ads // 3 + 2, ads),
        "brand": pl.Series([None, *words["brand"]], dtype=pl.String).gather(brand),
        "price": np.round(np.exp(np.clip(generator.normal(4.6, 1.2, ads), -4, 11)), 2)})
    return _World(tables, table, cate, brand, np.searchsorted(cate, np.arange(counts["cate_id"] + 1)))


def _draw(generator: np.random.Generator, world: _World, model: ClickModel, users: int, shown: int,
          done: int) -> _Block:
    """Draw what ``users`` users are, ``done`` behaviors of theirs and ``shown`` impressions, in no order of time."""
    tables = world.tables
    behavior = model.behavior
    if behavior is None:
        raise ValueError("the model has no effect of behaviors")
    # Gaps of single columns come on top of users without profile.
    absent = generator.random(users) < _NO_PROFILE
    profile = {}
    for name in _PROFILE:
        table, gap = tables[name], _GAPS.get(name, 0.0)
        present = 1 + draws.pick(generator, table.shares[1:], users)
        profile[name] = np.where(absent | (generator.random(users) < gap), 0, present)
    interests = tables["cate_id"].draw(generator, users * 4).reshape(users, 4)

    active = generator.gamma(0.8, size=users) * (generator.random(users) >= _NO_BEHAVIOR) + 1e-12
    log_user = generator.permutation(np.repeat(np.arange(users), generator.multinomial(done, active / active.sum())))
    log_cate = by_interest(generator, tables["cate_id"], interests, log_user, 0.7)
    log_time = _sittings(generator, log_user)
    log_brand = 1 + draws.pick(generator, tables["brand"].shares[1:], done)

    seen = generator.gamma(1.5, size=users)
    # Every user saw an ad: the log has no users but those of the impressions.
    counts = 1 + generator.multinomial(shown - users, seen / seen.sum())
    user = generator.permutation(np.repeat(np.arange(users), counts))
    cate = by_interest(generator, tables["cate_id"], interests, user, 0.45)
    size = world.first[cate + 1] - world.first[cate]
    ad = world.first[cate] + draws.heavy(generator, size, shown)
    time = generator.integers(START, END, shown)
    pid = tables["pid"].draw(generator, shown)

    log_tag = _TAGS.draw(generator, done)
    history = histories(*_kept(log_user, log_time, log_cate, log_tag), user, time, T, (PAUSE, LEAST_SESSION))
    fields = {name: column[user] for name, column in profile.items()}
    parts = model.parts({**fields, "pid": pid, "cate_id": cate, "brand": world.brand[ad]},
                        {"price": world.ads["price"].to_numpy()[ad]}, history, cate)
    spelled = {name: pl.Series(tables[name].words).gather(column).replace("", None)
               for name, column in profile.items()}
    return _Block(
        pl.DataFrame({"user": np.arange(users), **spelled}).filter(pl.Series(~absent)),
        pl.DataFrame({"user": user, "time_stamp": time, "adgroup_id": world.ads["adgroup_id"].gather(ad),
                      "pid": pl.Series(_PIDS).gather(pid)}),
        pl.DataFrame({"user": log_user, "time_stamp": log_time,
                      "btag": pl.Series(_TAGS.words).gather(log_tag),
                      "cate": pl.Series(tables["cate_id"].words).gather(log_cate),
                      "brand": pl.Series(tables["brand"].words).gather(log_brand)}), parts)


def _sittings(generator: np.random.Generator, user: np.ndarray) -> np.ndarray:
    """Return times (n,) of the behaviors of ``user`` (n,): six of a user's at a time, minutes apart."""
    order = np.argsort(user, kind="stable")
    begin = np.searchsorted(user[order], user[order])
    place = np.arange(len(user)) - begin
    first = np.flatnonzero(place % SITTING == 0)
    sitting = np.repeat(np.arange(len(first)), np.diff(first, append=len(user)))
    gap = generator.integers(10, PAUSE // 3, len(first))
    start = generator.integers(LOG_START, END - SITTING * (PAUSE // 3), len(first))
    times = np.empty(len(user), np.int64)
    times[order] = start[sitting] + gap[sitting] * (place % SITTING)
    return times


def _kept(user: np.ndarray, time: np.ndarray, cate: np.ndarray, tag: np.ndarray
          ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the behaviors that DSIN's preparation keeps, by kind and date."""
    there = (tag == 0) & (time >= SINCE)
    return user[there], time[there], cate[there]
