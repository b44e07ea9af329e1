"""Alimama display ads (Tianchi 56): click-through data with user, context, target and history, from four raw tables."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ameir_pl.data.alimama_tables import (
    ADS,
    COLUMNS,
    LOG,
    PROFILES,
    SAMPLE,
    read_ads,
    read_log,
    read_profiles,
    read_sample,
)
from ameir_pl.data.bad_rows import BadRows, Policy
from ameir_pl.data.bars import TAOBAO_X1
from ameir_pl.data.dataset import DATASETS, FULL, Dataset
from ameir_pl.data.delimited import header
from ameir_pl.data.histories import PAUSE, TIME, USER
from ameir_pl.data.layouts import ALIMAMA
from ameir_pl.data.public_split import chosen
from ameir_pl.data.splits import TEST, TRAIN, GivenSplit, pandas_sample, sampled_users
from ameir_pl.data.store import Tables
from ameir_pl.data.table_encoder import encode_table
from ameir_pl.data.table_plan import LABEL, SPLIT, Plan
from ameir_pl.data.text import BLOCK
from ameir_pl.errors import AmeirError

TEST_START = 1_494_000_000 + 7 * 86_400
"""The first second of the eighth day in China (UTC+8): where impressions begin to test with ``preset=ours``."""
# DSIN's public preparation: github.com/shenweichen/DSIN, code/0_gen_sampled_data.py, 1_gen_sessions.py, train_dsin.py.
DSIN_SEED = 1024
DSIN_TEST_START = 1_494_633_600
"""2017-05-13 00:00 UTC: where impressions begin to test with ``preset=dsin``."""
DSIN_SINCE = 1_493_769_600
"""2017-05-03 00:00 UTC: behaviors before are left out with ``preset=dsin``."""
DSIN_SESSION = 3
"""Behaviors that a session needs with ``preset=dsin``."""
PRESETS = ("dsin", "ours")
"""Those that read the raw tables."""
VALID = 0.05
BUCKET = 64 * 2**20
"""Bytes of sampled behaviors, as plain text, that one range of users has; ranges are sorted one at a time."""
_GZIP_RATIO = 4
_SEGMENT = 2_000_000
_DMR_COLUMNS = 267
_NEAR_END = 200
_RAW = ", ".join(f"{part}.csv" for part in COLUMNS)
# What the publisher's tables hold. The page of the dataset rounds these (26 million impressions, 1.14 million users,
# 0.7 billion behaviors); the exact numbers are those of published analyses of the files.
PUBLISHED = {"impressions": 26_557_961, "users": 1_141_729, "ads": 846_811, "profiles": 1_061_768,
             "behaviors": 723_268_134}
# Table 6 of the paper. Its users are a quarter of those with a profile (1,061,768 / 4 = 265,442), as in Feng et al.
# (2019), whose sample preset=dsin draws; whether it is the paper's cannot be known without the raw tables.
PAPER = {"users": 265_443, "(cate_id, brand) pairs": 1_027_443, "average history": 46.31, "train rows": 5_544_213,
         "test rows": 660_694, "clicks": 0.0514}


@DATASETS.register("alimama")
class Alimama(Dataset):
    """Alimama's display ads: eight days of impressions, and 22 days of what their users did.

    Reads ``raw_sample.csv``, ``ad_feature.csv``, ``user_profile.csv`` and ``behavior_log.csv``, plain or gzipped
    (``.csv.gz``), with the publisher's headers, columns in any order. NULL and empty values are a category of their
    own ("missing"), as is every profile field of a user without a profile; a missing price is -1.

    **Presets**: ``dsin`` is the public preparation of Feng et al. (2019), whom the paper follows: the users are those
    of the ``user_share`` of ``user_profile``'s rows that pandas' ``sample(random_state=1024)`` draws; impressions from
    2017-05-13 00:00 UTC on test; behaviors are those of kind ``pv`` from 2017-05-03 00:00 UTC on in sessions (at most
    half an hour between two) of more than two. ``ours`` takes users by a hash of (id, ``split_seed``), with or without
    a profile, behaviors of any kind and date, and tests on the eighth day of China. ``x1`` reads train.csv and test.csv
    of BARS' TaobaoAd_x1, made of the same tables by others (:mod:`ameir_pl.data.bars`).

    **Split**: a twentieth of the rows before the test rows validates (paper, Appendix B). **History**: the user's last
    ``max_len`` behaviors strictly before the impression, as (cate_id, brand), which share their vocabularies with the
    ad's. **Price** by train percentiles to [-1, 1].

    Rows that cannot be read are an error or skipped (``on_bad_row``): values that are not what they should be, an
    impression of an ad that ``ad_feature`` lacks, a behavior of a user without any impression. An ad or a user that
    comes twice in its table is always an error. Behaviors with a time of 0 or below, which the publisher's log has,
    are left out and counted.

    Args:
        raw, encoded, source, on_bad_row: as :class:`Dataset`; ``source`` is the folder of the four tables.
        max_len: T, at least 1.
        preset: ``dsin`` (None, too), ``ours`` or ``x1``.
        user_share: of the users, above 0 to 1.
        split_seed: of the validation rows, and with ``ours`` of the users.
        min_count: how often a value must come among train rows and the behaviors they see to have an id of its own;
            None: 1, or that of the preset.
        profiled_only: with ``ours``, sample only users that have a profile; ``dsin`` does in any case.

    Raises:
        AmeirError: a setting is out of range.
    """

    name = "alimama"
    offered = "https://tianchi.aliyun.com/dataset/dataDetail?dataId=56 (with an account)"
    terms = "Tianchi's terms of data set 56: research, not commercial."
    splits = {"x1": TAOBAO_X1}
    chooses_rows = ("preset", "user_share", "split_seed", "profiled_only")

    def __init__(self, *, raw: Path | str, encoded: Path | str, source: Path | str | None = None, max_len: int = 50,
                 on_bad_row: Policy = "fail", preset: str | None = "dsin", user_share: float = 0.25,
                 split_seed: int = 1, min_count: int | None = None, profiled_only: bool = False) -> None:
        super().__init__(raw=raw, encoded=encoded, source=source, max_len=max_len, on_bad_row=on_bad_row)
        self.split = chosen("alimama", preset, self.splits, PRESETS)
        if min_count is None:
            min_count = 1 if self.split is None else self.split.min_count
        if max_len < 1 or min_count < 1 or split_seed < 0 or not 0 < user_share <= 1:
            raise AmeirError(f"alimama: max_len={max_len}, min_count={min_count}, split_seed={split_seed}, user_share="
                             f"{user_share}; they must be at least 1, 1 and 0, and above 0 to 1.")
        self.user_share, self.split_seed, self.min_count = user_share, split_seed, min_count
        self.profiled_only, self.preset = profiled_only, preset or PRESETS[0]

    @property
    def protocol(self) -> str:
        """How rows are split."""
        if self.split is not None:
            return self.split.protocol
        if self.preset == "dsin":
            return (f"{self.user_share:.0%} of the users with a profile as DSIN drew them, train before 2017-05-13 "
                    "UTC, 5% of its rows validation")
        return f"{self.user_share:.0%} of the users, days 1-7 train, 5% of their rows validation, day 8 test"

    def settings(self) -> dict[str, Any]:
        """Return the settings that change the encoded data."""
        if self.split is not None:
            return super().settings() | {"preset": self.preset, "split_seed": self.split_seed,
                                         "min_count": self.min_count}
        return super().settings() | {"preset": self.preset, "user_share": self.user_share,
                                     "split_seed": self.split_seed, "min_count": self.min_count,
                                     "profiled_only": self.profiled_only}

    def files(self) -> dict[str, Path]:
        """Return the paths of the four tables, or of each part of a public split."""
        if self.split is not None:
            return self.split.files(self.source or self.raw / self.preset, self.preset)
        place = self.source or self.raw
        if place.is_file():
            raise _refusal(place)
        found, missing = {}, []
        for part in COLUMNS:
            paths = [place / f"{part}.csv", place / f"{part}.csv.gz"]
            there = [path for path in paths if path.is_file()]
            found[part] = there[0] if there else paths[0]
            missing += [] if there else paths[:1]
        if missing:
            raise self.missing(missing)
        return found

    def encode(self, files: dict[str, Path], folder: Path) -> Tables:
        """Read and encode the tables; raises ``AmeirError`` with file, line and column for bad input."""
        bad = BadRows(self.on_bad_row, "Correct the line, or take another dataset.source.")
        if self.split is not None:
            split = replace(self.split, max_len=self.max_len)
            return split.encode(files, folder, bad, self.min_count, self.split_seed)
        reader = _Reader(self, files, bad)
        log = files[LOG]
        size = log.stat().st_size * (_GZIP_RATIO if log.suffix == ".gz" else 1) * self.user_share
        plan = Plan("alimama", ALIMAMA.fields, GivenSplit(VALID, self.split_seed), self.protocol, ALIMAMA.behaviors,
                    ALIMAMA.dense, self.max_len, dict.fromkeys(ALIMAMA.vocabularies, self.min_count),
                    buckets=math.ceil(size / BUCKET), pause=PAUSE,
                    least_session=DSIN_SESSION if self.preset == "dsin" else 1)
        tables = encode_table(plan, reader.rows(), folder, files[SAMPLE], bad.advice, reader.events)
        lengths = np.minimum(np.asarray(tables.columns["end"]) - np.asarray(tables.columns["begin"]), self.max_len)
        average = round(float(lengths.mean()), 2)
        users = reader.sample()
        unknown = int((~users.is_in(reader.profiles["userid"].implode())).sum())
        tables.notes.update({
            "users": f"{len(users)} of {len(reader.users)} were sampled, {unknown} of them without a profile",
            "average history of a row": average,
            **({"behaviors with a time of 0 or below, left out": reader.timeless} if reader.timeless else {}),
            **({"behaviors of another kind than pv or before 2017-05-03, left out": reader.others}
               if self.preset == "dsin" else {}),
            **bad.notes(), **_against_publisher(reader.counts)})
        if reader.counts["impressions"] >= FULL * PUBLISHED["impressions"]:
            tables.notes.update(_against_paper(tables, len(users), average, folder))
        return tables


class _Reader:
    """Joins the tables while they are read; it counts what it reads in ``counts``, as :data:`PUBLISHED`."""

    def __init__(self, dataset: Alimama, files: dict[str, Path], bad: BadRows) -> None:
        self.share, self.seed, self.files, self.bad = dataset.user_share, dataset.split_seed, files, bad
        self.dsin = dataset.preset == "dsin"
        self.ads, self.profiles = read_ads(files[ADS], bad), read_profiles(files[PROFILES], bad)
        self.drawn: pl.DataFrame | None = None  # the users of whom the sample is, where they need a profile
        if self.dsin:
            self.drawn = self.profiles[np.sort(pandas_sample(len(self.profiles), self.share, DSIN_SEED))]
        elif dataset.profiled_only:
            self.drawn = self.profiles
        self.users = pl.Series("user", [], pl.UInt32)
        self.timeless = self.others = 0
        self.counts = dict.fromkeys(PUBLISHED, 0) | {"ads": len(self.ads), "profiles": len(self.profiles)}

    def rows(self) -> Iterator[pl.DataFrame]:
        """Yield the impressions of sampled users with all their fields."""
        test_start = DSIN_TEST_START if self.dsin else TEST_START
        for table in read_sample(self.files[SAMPLE], self.ads["adgroup_id"], self.bad, BLOCK):
            self.counts["impressions"] += len(table)
            self.users = pl.concat([self.users, table["user"].unique()]).unique()
            joined = self._sampled(table).join(self.ads, on="adgroup_id", how="left", maintain_order="left").join(
                self.profiles, left_on="user", right_on="userid", how="left", maintain_order="left")
            yield joined.with_columns(
                pl.when(pl.col("time_stamp") < test_start).then(pl.lit(TRAIN, pl.UInt8)).otherwise(
                    pl.lit(TEST, pl.UInt8)).alias(SPLIT), pl.col("user").alias("userid")).rename(
                {"user": USER, "time_stamp": TIME, "clk": LABEL})
        self.users = self.users.sort()
        self.counts["users"] = len(self.users)

    def events(self, users: pl.DataFrame) -> Iterator[pl.DataFrame]:
        """Yield the behaviors of sampled users."""
        for table in read_log(self.files[LOG], self.users, self.bad, BLOCK):
            self.counts["behaviors"] += len(table)
            timed = table.filter(pl.col("time_stamp") > 0)
            self.timeless += len(table) - len(timed)
            if self.dsin:
                whole = len(timed)
                timed = timed.filter(pl.col("btag").str.strip_chars() == "pv", pl.col("time_stamp") >= DSIN_SINCE)
                self.others += whole - len(timed)
            yield self._sampled(timed).rename({"user": USER, "time_stamp": TIME, "cate": "cate_id"}).drop("btag")
        if self.dsin and self.others and self.others == self.counts["behaviors"] - self.timeless:
            raise AmeirError(f"{self.files[LOG]}: none of the {self.others:,} behaviors is of kind 'pv' and from "
                             "2017-05-03 on, which DSIN's preparation keeps. preset=ours takes any kind and date.")

    def _sampled(self, table: pl.DataFrame) -> pl.DataFrame:
        if not self.dsin:
            table = table.filter(pl.Series(sampled_users(table["user"].to_numpy(), self.share, self.seed)))
        if self.drawn is not None:
            table = table.join(self.drawn, left_on="user", right_on="userid", how="semi", maintain_order="left")
        return table

    def sample(self) -> pl.Series:
        """Return the sampled users, once all rows were read."""
        return self._sampled(self.users.to_frame())["user"]


def _against_publisher(counts: dict[str, int]) -> dict[str, str]:
    """Compare what was read with the publisher's tables; nothing for a part of them."""
    if counts["impressions"] < FULL * PUBLISHED["impressions"]:
        return {}
    wrong = [f"{name} {counts[name]:,} where the publisher has {count:,}" for name, count in PUBLISHED.items()
             if counts[name] != count]
    return {"tables against the publisher's": "; ".join(wrong) or "equal"}


def _against_paper(tables: Tables, users: int, average: float, folder: Path) -> dict[str, str]:
    """Compare the sample with the paper's Table 6, whose users may be others: each count with its difference."""
    label = np.asarray(tables.columns["label"])
    found = {"users": users, "(cate_id, brand) pairs": _pairs(folder / "values.npy"), "average history": average,
             "train rows": tables.rows["train"] + tables.rows["valid"], "test rows": tables.rows["test"],
             "clicks": round(float(label.mean()), 4)}
    return {"sample against the paper's Table 6": "; ".join(
        f"{name} {found[name]:,} where the paper has {count:,} ({found[name] / count - 1:+.1%})"
        for name, count in PAPER.items())}


def _pairs(path: Path) -> int:
    """Return how many distinct rows an array of two columns of ids has; memory grows with those only."""
    if not path.is_file():
        return 0
    values = np.load(path, mmap_mode="r", allow_pickle=False)
    distinct = np.zeros(0, np.int64)
    for i in range(0, len(values), _SEGMENT):
        part = np.asarray(values[i:i + _SEGMENT], np.int64)
        distinct = np.union1d(distinct, part[:, 0] << 32 | part[:, 1])
    return len(distinct)


def _refusal(path: Path) -> AmeirError:
    """Return the error for a single file: what it seems to be, and what is needed instead."""
    advice = "Name the folder that holds the four raw tables: dataset.source=FOLDER."
    words = [word.strip() for word in header(path, ",", advice)]
    if path.name.split(".")[0] in COLUMNS:
        what = "one of the four raw tables; they are needed together."
    elif len(words) == _DMR_COLUMNS:
        what = (f"a table that DMR's authors prepared ({_DMR_COLUMNS} columns, histories cut and values recoded); "
                f"the four raw tables ({_RAW}) are needed.")
    elif "sess_0_cate_id" in words:
        what = (f"a table that DSIN's authors prepared (sessions, ids recoded); the four raw tables ({_RAW}) are "
                "needed.")
    elif {"userid", "adgroup_id", "cate_id", "time_stamp", "clk"} <= set(words):
        what = (f"{SAMPLE} joined with {PROFILES} and {ADS}, without behaviors; the four raw tables ({_RAW}) are "
                f"needed. Such a table can be described as one of your own: `ameir data infer input={path} label=clk`.")
    else:
        what = f"a file with the columns {', '.join(words)[:_NEAR_END]}; the four raw tables ({_RAW}) are needed."
    return AmeirError(f"alimama: {path} is {what} {advice}")
