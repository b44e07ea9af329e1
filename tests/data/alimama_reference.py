"""Alimama in plain Python: the encoded values of four raw tables, and small tables to break."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ameir_pl.data import DATASETS, Encoded, alimama, percentiles
from ameir_pl.data.alimama_tables import COLUMNS
from ameir_pl.data.layouts import ALIMAMA
from ameir_pl.data.splits import GivenSplit, assign, sampled_users
from ameir_pl.errors import AmeirError
from ameir_pl.schema import OOV, PAD

Row = dict[str, str]
PROFILE = COLUMNS["user_profile"][1:]
DAY = 86_400
START = alimama.TEST_START - 7 * DAY


def encode(source: Path, tmp_path: Path, **options: Any) -> Encoded:
    return DATASETS.get("alimama")(raw=tmp_path / "none", encoded=tmp_path / "encoded", source=source,
                                   **{"preset": "ours", "user_share": 1.0, **options}).prepare()


def refused(source: Path, tmp_path: Path, **options: Any) -> str:
    """The message of the refusal; nothing must be left of it."""
    with pytest.raises(AmeirError) as error:
        encode(source, tmp_path, **options)
    assert not [p for p in (tmp_path / "encoded").glob("**/*") if p.name != ".checksums.json"]
    return str(error.value)


def read(path: Path) -> list[Row]:
    with path.open(newline="") as file:
        return [{name.strip(): value for name, value in row.items()} for row in csv.DictReader(file)]


def word(value: str) -> str:
    return "" if value in ("", "NULL") else value


def seen(events: list[tuple[int, int]], time: int, dsin: bool) -> list[int]:
    """The events strictly before ``time``; DSIN's are those of sessions that have more than two of them there."""
    past = sorted(e for e in events if 0 < e[0] < time)
    sessions: list[list[tuple[int, int]]] = []
    for event in past:
        if not sessions or event[0] - sessions[-1][-1][0] > 1800:
            sessions.append([])
        sessions[-1].append(event)
    return [i for session in sessions if not dsin or len(session) > 2 for _, i in session]


def check(encoded: Encoded, folder: Path, share: float = 1.0, max_len: int = 50, min_count: int = 1,
          dsin: bool = False) -> None:
    """Compare every value with plain Python."""
    sample, ads, profiles, log = (read(folder / f"{part}.csv") for part in COLUMNS)
    users = sorted({int(row["user"]) for row in sample})
    inside = {u for u, is_in in zip(users, sampled_users(np.array(users), share, 1), strict=True) if is_in}
    if dsin:
        places = np.random.RandomState(1024).permutation(len(profiles))[:round(share * len(profiles))]
        inside = {int(profiles[place]["userid"]) for place in places} & set(users)
    cut = 1_494_633_600 if dsin else 1_494_604_800
    ad, profile = {row["adgroup_id"]: row for row in ads}, {row["userid"]: row for row in profiles}
    rows = [row for row in sample if int(row["user"]) in inside]
    events = defaultdict(list)
    for i, row in enumerate(log):
        if not dsin or row["btag"] == "pv" and int(row["time_stamp"]) >= 1_493_769_600:
            events[row["user"]].append((int(row["time_stamp"]), i))
    label = np.array([int(row["clk"]) for row in rows], np.uint8)
    given = np.array([2 * (int(row["time_stamp"]) >= cut) for row in rows], np.uint8)
    split = assign(GivenSplit(0.05, 1), label, given=given)
    assert np.array_equal(split == 2, given == 2) and (split == 1).sum() == -(-(given == 0).sum() // 20)
    assert list(encoded.manifest["rows"].values()) == [int((split == part).sum()) for part in range(3)]

    table, windows = [], []
    for row in rows:
        person, shown = profile.get(row["user"], dict.fromkeys(PROFILE, "")), ad[row["adgroup_id"]]
        merged = {**person, **shown, "userid": row["user"], "pid": row["pid"]}
        table.append({f.name: word(merged[f.name]) for f in ALIMAMA.fields} | {"price": word(shown["price"])})
        windows.append(seen(events[row["user"]], int(row["time_stamp"]), dsin)[-max_len:])
    order, train = np.argsort(split, kind="stable"), split == 0
    by_train = {i for window, is_train in zip(windows, train, strict=True) if is_train for i in window}
    counts = {f.name: Counter(row[f.name] for row, t in zip(table, train, strict=True) if t) for f in ALIMAMA.fields}
    for i in by_train:
        counts["cate_id"][word(log[i]["cate"])] += 1
        counts["brand"][word(log[i]["brand"])] += 1
    words = {name: encoded.vocabulary(name) for name in encoded.schema.vocabularies}
    for name, counter in counts.items():
        known = [value for value, count in counter.items() if count >= min_count]
        # Numbers by size, behind "missing".
        known.sort(key=lambda v: (v != "", v if name == "pid" else int(v or 0)))
        assert words[name] == {value: i + 2 for i, value in enumerate(known)}

    assert encoded.schema.fields == ALIMAMA.fields and encoded.schema.behaviors == ALIMAMA.behaviors
    assert encoded.schema.max_len == max_len and encoded.schema.dense == ("price",)
    prices = [float(row["price"]) for row, t in zip(table, train, strict=True) if t and row["price"]]
    knots = np.quantile(prices, np.linspace(0, 1, 101)).tolist()
    assert encoded.schema.percentiles["price"] == pytest.approx(knots)
    price = percentiles.apply(np.array([float(row["price"] or "nan") for row in table]), knots)
    batch = encoded.gather(np.arange(len(rows)))
    np.testing.assert_allclose(batch.dense[:, 0].numpy(), price[order], atol=1e-6)
    assert batch.fields.tolist() == [[words[f.name].get(table[r][f.name], OOV) for f in ALIMAMA.fields] for r in order]
    assert np.array_equal(batch.label.numpy(), label[order])
    done = [[words["cate_id"].get(word(row["cate"]), OOV), words["brand"].get(word(row["brand"]), OOV)] for row in log]
    longest = batch.mask.shape[1]
    assert batch.mask.sum(1).tolist() == [len(windows[r]) for r in order]
    assert batch.behaviors.tolist() == [[*(done[i] for i in windows[r]), *[[PAD, PAD]] * (longest - len(windows[r]))]
                                        for r in order]
    # A session begins where a row's history does, and behind every pause of more than half an hour.
    when = [int(row["time_stamp"]) for row in log]
    starts = [[t == 0 or when[i] - when[windows[r][t - 1]] > 1800 for t, i in enumerate(windows[r])] for r in order]
    assert encoded.schema.sessions
    assert batch.starts.tolist() == [[*row, *[False] * (longest - len(row))] for row in starts]
    assert len(encoded.columns["starts"]) == len(encoded.columns["values"])
    assert len(encoded.columns["values"]) == len({i for window in windows for i in window})
    notes = encoded.manifest["notes"]
    assert notes["rows without a history"] == sum(not window for window in windows)
    assert notes["average history of a row"] == pytest.approx(np.mean([len(w) for w in windows]), abs=0.006)
    strangers = sum(str(u) not in profile for u in inside)
    assert notes["users"] == f"{len(inside)} of {len(users)} were sampled, {strangers} of them without a profile"


def make(folder: Path) -> Path:
    """Four small tables: eight users (two without profile, one without behaviors), 30 ads, gaps, equal times."""
    rng = np.random.default_rng(7)
    folder.mkdir(parents=True)
    ads = [[100 + a, a % 7, a % 5, a % 3, "NULL" if a % 6 == 0 else a % 4, ["", "12.5", "3"][a % 3]] for a in range(30)]
    profiles = [[u, 5, u % 3, 1 + u % 2, u % 4, "" if u % 2 else 2, 3, 0, "NULL" if u % 3 else 1] for u in range(1, 7)]
    sample, log = [], []
    for i in range(160):
        click = int(rng.random() < 0.3)
        sample.append([1 + i % 8, START + int(rng.integers(0, 40)) * DAY // 5, 100 + int(rng.integers(30)),
                       f"430548_{i % 2}", 1 - click, click])
    for i in range(400):
        log.append([1 + i % 7, START - 3 * DAY + int(rng.integers(0, 60)) * DAY // 5,
                    ["pv", "buy", "cart", "fav"][i % 4], int(rng.integers(9)),
                    "" if i % 11 == 0 else int(rng.integers(6))])
    for part, rows in zip(COLUMNS, (sample, ads, profiles, log), strict=True):
        names = ",".join(COLUMNS[part]) + (" " if part == "user_profile" else "")
        (folder / f"{part}.csv").write_text("\n".join([names, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return folder


def change(folder: Path, part: str, line: int, column: str, value: str) -> Path:
    """Put a value into a line of a table; without a column the whole line."""
    path = folder / f"{part}.csv"
    lines = path.read_text().split("\n")
    words = lines[line - 1].split(",")
    if column:
        words[COLUMNS[part].index(column)] = value
    lines[line - 1] = ",".join(words) if column else value
    path.write_text("\n".join(lines))
    return path
