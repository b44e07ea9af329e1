"""The click model once more, row by row in plain Python, from the raw files and ``truth.json`` alone."""

from __future__ import annotations

import csv
import datetime
import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ameir_pl.data.splits import RandomSplit, assign

GENRES = 19
Row = tuple[float, int]


def probability(truth: dict[str, Any], row: dict[str, Any], history: list[str] | None = None) -> float:
    """The probability of a click, for the words of a row and the categories of its history, latest last."""
    model = truth["model"]
    logit = model["bias"]
    for field, table in model["main"].items():
        logit += table[row[field]]
    for field, effect in model["dense"].items():
        if row[field] not in ("", None):
            step = (math.log(1 + max(float(row[field]), 0)) - effect["center"]) / effect["scale"]
            logit += effect["weight"] * min(max(step, -2), 2)
    for crossing in model["interactions"]:
        term = crossing["weight"]
        for field in crossing["fields"]:
            term *= crossing["signs"][field][row[field]]
        logit += term
    if history is not None:
        behavior = truth["behavior"]
        history, target, weights = history[-behavior["T"]:], row["category of behaviors"], behavior["weights"]
        matches = sum(category == target for category in history)
        logit += weights["match"] * matches / (matches + 2)
        if target in history[-3:]:
            logit += weights["recent"]
        if len(history) > 1:
            turn = (behavior["groups"][history[-1]] - behavior["groups"][history[-2]]) % 3
            logit += weights["order"] * (0, 1, -1)[turn]
    p = 1 / (1 + math.exp(-logit))
    return (1 - truth["noise"]) * p + truth["noise"] * model["base_rate"]


def before(events: list[tuple[int, str]], time: int) -> list[str]:
    """Categories of ``events`` (time, category) strictly before ``time``; events are sorted by time."""
    return [category for when, category in events if when < time]


def criteo(folder: Path, truth: dict[str, Any]) -> list[Row]:
    """Probability and label of the test rows."""
    names = ["label", *(f"I{i}" for i in range(1, 14)), *(f"C{i}" for i in range(1, 27))]
    with (folder / "train.txt").open(newline="") as file:
        rows = [dict(zip(names, line, strict=True)) for line in csv.reader(file, delimiter="\t")]
    labels = np.array([int(row["label"]) for row in rows])
    split = assign(RandomSplit(test=0.1, valid=0.1, seed=1, stratified=True), labels)
    return [(probability(truth, rows[i]), int(labels[i])) for i in np.flatnonzero(split == 2)]


def avazu(folder: Path, truth: dict[str, Any]) -> list[Row]:
    """Probability and label of the test rows."""
    with (folder / "train.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    labels = np.array([int(row["click"]) for row in rows])
    split = assign(RandomSplit(test=0.2, valid=0.1, seed=1, stratified=False), labels)
    result = []
    for i in np.flatnonzero(split == 2):
        result.append((probability(truth, rows[i] | {"hour": str(int(rows[i]["hour"][6:]))}), int(labels[i])))
    return result


def alimama(folder: Path, truth: dict[str, Any]) -> list[Row]:
    """Probability and label of the test rows."""
    tables = {}
    for name in ("raw_sample", "ad_feature", "user_profile", "behavior_log"):
        with (folder / f"{name}.csv").open(newline="") as file:
            tables[name] = list(csv.DictReader(file))
    ads = {ad["adgroup_id"]: ad for ad in tables["ad_feature"]}
    profiles = {p["userid"]: {name.strip(): word for name, word in p.items()} for p in tables["user_profile"]}
    absent = dict.fromkeys(next(iter(profiles.values())), "")
    events = defaultdict(list)
    for event in tables["behavior_log"]:
        if event["btag"] == "pv" and int(event["time_stamp"]) >= 1_493_769_600:
            events[event["user"]].append((int(event["time_stamp"]), event["cate"]))
    for of_user in events.values():
        of_user.sort(key=lambda event: event[0])  # stable: the file's order within a second
    result = []
    draws = np.random.RandomState(1024).permutation(len(profiles))[:round(len(profiles) / 4)]
    sampled = {list(profiles)[place] for place in draws}
    for row in tables["raw_sample"]:
        time = int(row["time_stamp"])
        if time < 1_494_633_600 or row["user"] not in sampled:
            continue
        words = row | ads[row["adgroup_id"]] | profiles.get(row["user"], absent)
        words["category of behaviors"] = words["cate_id"]
        result.append((probability(truth, words, in_sessions(events[row["user"]], time)), int(row["clk"])))
    return result


def in_sessions(events: list[tuple[int, str]], time: int) -> list[str]:
    """Categories of the sessions of more than two events that lie before ``time``, as far as they do."""
    sessions: list[list[tuple[int, str]]] = []
    for when, category in events:
        if when < time:
            if not sessions or when - sessions[-1][-1][0] > 1800:
                sessions.append([])
            sessions[-1].append((when, category))
    return [category for session in sessions if len(session) > 2 for _, category in session]


def synthetic(folder: Path, truth: dict[str, Any]) -> list[Row]:
    """Probability and label of the test rows."""
    rows = pl.read_parquet(folder / "clicks.parquet").to_dicts()
    events = defaultdict(list)
    for event in pl.read_parquet(folder / "events.parquet").to_dicts():
        events[event["user_id"]].append((event["time"], event["category"]))
    for of_user in events.values():
        of_user.sort(key=lambda event: event[0])
    rows.sort(key=lambda row: row["time"])
    result = []
    for row in rows[len(rows) - int(len(rows) * 0.1):]:
        words = {name: value if name == "price" else str(value) for name, value in row.items()}
        words["category of behaviors"] = words["category"]
        words["price"] = row["price"]
        result.append((probability(truth, words, before(events[row["user_id"]], row["time"])), row["click"]))
    return result


def movielens(folder: Path, truth: dict[str, Any]) -> list[Row]:
    """Probability and label of the test rows."""
    genres = truth["behavior"]["groups"]  # in the order of u.item, without "unknown"
    items = {}
    for line in (folder / "u.item").read_text(encoding="latin-1").splitlines():
        parts = line.split("|")
        items[int(parts[0])] = {"release_year": parts[1][-5:-1],
                                "genres": list(genres)[parts[-GENRES:].index("1") - 1]}
    users = {}
    for line in (folder / "u.user").read_text(encoding="latin-1").splitlines():
        number, age, gender, occupation, zip_code = line.split("|")
        bucket = next((name for above, name in ((18, "under 18"), (25, "18-24"), (35, "25-34"), (45, "35-44"),
                                                (50, "45-49"), (56, "50-55")) if int(age) < above), "56+")
        users[int(number)] = {"age": bucket, "gender": gender, "occupation": occupation, "zip": zip_code[0]}
    ratings = [tuple(map(int, line.split("\t"))) for line in (folder / "u.data").read_text().splitlines()]
    ratings.sort(key=lambda r: (r[3], r[0], r[1]))
    events = defaultdict(list)
    for user, movie, _, time in sorted(ratings, key=lambda r: (r[3], r[1])):
        events[user].append((time, items[movie]["genres"]))
    result = []
    for user, movie, stars, time in ratings[len(ratings) * 8 // 10 + len(ratings) // 10:]:
        moment = datetime.datetime.fromtimestamp(time, datetime.UTC)
        words = users[user] | items[movie] | {"hour": str(moment.hour), "weekday": str(moment.weekday())}
        words["category of behaviors"] = words["genres"]
        result.append((probability(truth, words, before(events[user], time)), int(stars >= 4)))
    return result
