"""The splits and rules of BARS, the open benchmark for click-through rate prediction, as FuxiCTR's settings have them.

Zhu et al., "Open Benchmarking for Click-Through Rate Prediction", CIKM 2021, and "BARS", SIGIR 2022;
github.com/reczoo/BARS (ctr_prediction/datasets, docs/CTR/leaderboard) and github.com/reczoo/Datasets.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from ameir_pl.data.bad_rows import BadRows
from ameir_pl.data.histories import USER
from ameir_pl.data.layouts import ALIMAMA, AVAZU, CRITEO
from ameir_pl.data.public_split import PublicSplit
from ameir_pl.data.table_plan import LISTED
from ameir_pl.schema import Field

_OFFERED = "https://github.com/reczoo/Datasets"
_CRITEO_RAW = (*CRITEO.dense, *(f.name for f in CRITEO.fields))
_AVAZU_RAW = tuple(f.name for f in AVAZU.fields)[3:]
_AVAZU_X1 = tuple(f"feat_{i}" for i in range(1, 23))
_HISTORIES = {"cate_id": "cate_his", "brand": "brand_his", "btag": "btag_his"}


def log_squared(values: pl.Series) -> pl.Series:
    """Return floor(ln(x)^2) of whole numbers above 2 and the number itself of others; a gap, and 0, is null.

    The winners of Criteo's challenge put numbers into buckets so. FuxiCTR fills gaps with 0 and gives 0, the value it
    takes for a gap, no id of its own.
    """
    numbers = values.fill_null(0).to_numpy().astype(np.float64)
    buckets = np.where(numbers > 2, np.floor(np.log(np.maximum(numbers, 1)) ** 2), numbers).astype(np.int64)
    found = pl.Series(values.name, buckets)
    return found.set(found == 0, None)


def _criteo_x1(table: pl.DataFrame, path: Path, bad: BadRows) -> pl.DataFrame:
    table = bad.numbers(table, CRITEO.dense, path, whole=False, gaps=True)
    return bad.numbers(table, CRITEO.vocabularies, path, gaps=True)


def _criteo_x4(table: pl.DataFrame, path: Path, bad: BadRows) -> pl.DataFrame:
    table = bad.hexadecimals(bad.numbers(table, CRITEO.dense, path, gaps=True), CRITEO.vocabularies, path)
    return table.with_columns([log_squared(table[name]) for name in CRITEO.dense])


def _avazu_x1(table: pl.DataFrame, path: Path, bad: BadRows) -> pl.DataFrame:
    return bad.numbers(table, _AVAZU_X1, path, gaps=True)


def _avazu_x4(table: pl.DataFrame, path: Path, bad: BadRows) -> pl.DataFrame:
    expected = "an hour as YYMMDDHH (14102100)"
    table = bad.drop(table, ~table["hour"].str.contains(r"^\d{6}([01]\d|2[0-3])$"), path, "hour", expected)
    day = (pl.lit("20") + pl.col("hour").str.slice(0, 6)).str.to_date("%Y%m%d", strict=False)
    table = table.with_columns(day.alias("@day"))
    table = bad.drop(table, table["@day"].is_null(), path, "hour", expected)
    weekday = (pl.col("@day").dt.weekday() % 7).cast(pl.UInt8)  # 0 is Sunday
    return table.with_columns(pl.col("hour").str.slice(6, 2).cast(pl.UInt8), weekday.alias("weekday"),
                              weekday.is_in([0, 6]).cast(pl.UInt8).alias("is_weekend"))


def _taobao_x1(table: pl.DataFrame, path: Path, bad: BadRows) -> pl.DataFrame:
    table = bad.numbers(table, ("price",), path, whole=False, gaps=True)
    # Behaviors without a brand make shorter lists of brands: FuxiCTR pads in front, so the latest stand side by side.
    lists = table.select(pl.col(column).str.split("^").list.tail(TAOBAO_X1.max_len).fill_null([]).alias(LISTED + name)
                         for name, column in _HISTORIES.items())
    longest = pl.max_horizontal(pl.col(lists.columns).list.len())
    gap = pl.lit(None, pl.String)
    return table.with_columns(pl.col("userid").alias(USER), *lists.select(
        pl.concat_list(gap.repeat_by(longest - pl.col(name).list.len()), name).alias(name) for name in lists.columns))


def _category(name: str, group: str = "context") -> Field:
    return Field(name, name, group)  # type: ignore[arg-type]


CRITEO_X1 = PublicSplit(
    "criteo_x1", "Criteo_x1", _OFFERED,
    {"train": 33_003_326, "valid": 8_250_124, "test": 4_587_167}, "label", _CRITEO_RAW, CRITEO.fields, _criteo_x1,
    dense=CRITEO.dense)
CRITEO_X4 = PublicSplit(
    "criteo_x4", "Criteo_x4", _OFFERED,
    {"train": 36_672_493, "valid": 4_584_062, "test": 4_584_062}, "label", _CRITEO_RAW,
    tuple(map(_category, _CRITEO_RAW)), _criteo_x4, min_count=10, hexadecimal=True)
AVAZU_X1 = PublicSplit(
    "avazu_x1", "Avazu_x1", _OFFERED,
    {"train": 28_300_276, "valid": 4_042_897, "test": 8_085_794}, "label", _AVAZU_X1,
    tuple(map(_category, _AVAZU_X1)), _avazu_x1)
AVAZU_X4 = PublicSplit(
    "avazu_x4", "Avazu_x4", _OFFERED,
    {"train": 32_343_172, "valid": 4_042_897, "test": 4_042_898}, "click", ("hour", *_AVAZU_RAW),
    (*(f for f in AVAZU.fields if f.name != "day"), _category("is_weekend")), _avazu_x4, min_count=2)
TAOBAO_X1 = PublicSplit(
    "taobaoad_x1", "TaobaoAd_x1", _OFFERED,
    {"train": 21_929_911, "test": 3_099_515}, "clk",
    (*(f.name for f in ALIMAMA.fields), "price", "btag", *_HISTORIES.values()),
    (*ALIMAMA.fields, _category("btag", "target")), _taobao_x1,
    behaviors=(*ALIMAMA.behaviors, Field("btag", "btag")), dense=("price",), min_count=10, valid=0.05, max_len=50)
SPLITS = {split.name: split for split in (CRITEO_X1, CRITEO_X4, AVAZU_X1, AVAZU_X4, TAOBAO_X1)}
"""The splits by the name of their schema."""
