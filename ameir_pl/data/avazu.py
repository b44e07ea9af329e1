"""Avazu's clicks on mobile ads: click-through data without behaviors, 24 categorical fields."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from ameir_pl.data.bad_rows import BadRows, Policy
from ameir_pl.data.bars import AVAZU_X1, AVAZU_X4
from ameir_pl.data.dataset import DATASETS, Dataset
from ameir_pl.data.delimited import chunks, header, need_header
from ameir_pl.data.layouts import AVAZU
from ameir_pl.data.public_split import chosen, refuse_split_folder
from ameir_pl.data.splits import RandomSplit
from ameir_pl.data.store import Tables
from ameir_pl.data.table_encoder import encode_table
from ameir_pl.data.table_plan import LABEL, Plan
from ameir_pl.errors import AmeirError

RAW_FIELDS = tuple(f.name for f in AVAZU.fields)[3:]
"""The 21 fields that are columns of the file; the first three are made of ``hour``."""
COLUMNS = ("id", "click", "hour", *RAW_FIELDS)
"""The columns of ``train.csv``, in the publisher's order."""
NAMES = ("train.csv", "train.csv.gz", "train.gz")
_COMPACT, _STAMP = r"^\d{8}$", r"^\d{4}-\d\d-\d\d[ T]\d\d(:\d\d){0,2}$"
_ALONE = r"^\s*\d{1,2}\s*$"
_EXPECTED = "an hour as YYMMDDHH (14102100) or YYYY-MM-DD HH:MM:SS"


@DATASETS.register("avazu")
class Avazu(Dataset):
    """Avazu's ten days of clicks (Kaggle, 2014).

    Reads ``train.csv`` as published, plain or gzipped, columns in any order; ``hour`` as YYMMDDHH or as a date with an
    hour (``2014-10-21 00:00:00``). A file whose first line is a row is taken to have the publisher's order. Every
    value is a category: nothing is read as a number, and ``id`` is no field.

    **Fields**: the hour of day, the day and the weekday (0 is Monday) of ``hour``, and the 21 others. **Split**: 20 %
    test, 10 % of the rest validation, at random (paper, Appendix B). **Categories** that come fewer than
    ``min_count`` times among train rows share one id (5 as in AutoInt, Song et al., 2019; the paper gives no number).

    **Presets**: ``x1`` and ``x4`` read train.csv, valid.csv and test.csv of Avazu_x1 and Avazu_x4 and encode
    them by the rules of BARS (:mod:`ameir_pl.data.bars`).

    Args:
        raw, encoded, source, max_len, on_bad_row: as :class:`Dataset`; ``source`` is the file or its folder.
        preset: ``x1``, ``x4`` or none.
        min_count: least count of a category among train rows; None: 5, or that of the preset.
        split_seed: of the random split.

    Raises:
        AmeirError: a setting is out of range.
    """

    name = "avazu"
    splits = {"x1": AVAZU_X1, "x4": AVAZU_X4}
    offered = "https://www.kaggle.com/c/avazu-ctr-prediction (train.gz, with an account)"
    terms = "the rules of the Kaggle competition; no open licence."
    chooses_rows = ("split_seed",)
    paper_rows = {"train and validation": 32_343_173, "test": 8_085_794}

    def __init__(self, *, raw: Path | str, encoded: Path | str, source: Path | str | None = None, max_len: int = 0,
                 on_bad_row: Policy = "fail", preset: str | None = None, min_count: int | None = None,
                 split_seed: int = 1) -> None:
        super().__init__(raw=raw, encoded=encoded, source=source, max_len=max_len, on_bad_row=on_bad_row)
        self.preset, self.split = preset, chosen("avazu", preset, self.splits)
        if min_count is None:
            min_count = 5 if self.split is None else self.split.min_count
        if min_count < 1 or split_seed < 0:
            raise AmeirError(f"avazu: min_count={min_count}, split_seed={split_seed}; they must be at least 1 and 0.")
        self.min_count, self.split_seed = min_count, split_seed

    @property
    def protocol(self) -> str:
        """How rows are split."""
        return self.split.protocol if self.split is not None else "random split, 72/8/20"

    def settings(self) -> dict[str, Any]:
        """Return the settings that change the encoded data."""
        own = {"preset": self.preset} if self.split is not None else {"split_seed": self.split_seed}
        return super().settings() | {"min_count": self.min_count, **own}

    def files(self) -> dict[str, Path]:
        """Return the path of the file under ``rows``, or of each part of a public split."""
        if self.split is not None:
            return self.split.files(self.source or self.raw / str(self.preset), str(self.preset))
        place = self.source or self.raw
        if place.is_file():
            return {"rows": place}
        found = [place / name for name in NAMES if (place / name).is_file()]
        refuse_split_folder(place, "preset=x4 (as BARS split them) or preset=x1")
        if not found:
            raise self.missing([place / NAMES[0]])
        return {"rows": found[0]}

    def encode(self, files: dict[str, Path], folder: Path) -> Tables:
        """Read and encode the file; raises ``AmeirError`` with file, line and column for bad input."""
        if self.split is not None:
            other = f"Correct the line, or take the files of {self.split.title}."
            return self.split.encode(files, folder, BadRows(self.on_bad_row, other), self.min_count, self.split_seed)
        path = files["rows"]
        bad = BadRows(self.on_bad_row, "Correct the line, or take another dataset.source.")
        plain = _is_row(header(path, ",", bad.advice))
        plan = Plan("avazu", AVAZU.fields, RandomSplit(0.2, 0.1, self.split_seed, stratified=False), self.protocol,
                    min_count=dict.fromkeys(AVAZU.vocabularies, self.min_count))
        tables = encode_table(plan, _rows(path, plain, bad), folder, path, bad.advice)
        if plain:
            tables.notes["header"] = "none; the columns were taken to be the publisher's, in their order"
        tables.notes.update(bad.notes() | self.against_paper(tables))
        return tables


def _is_row(words: list[str]) -> bool:
    """Whether a first line is a row in the publisher's order: an hour in the third of 24 columns."""
    return len(words) == len(COLUMNS) and len(words[2]) == 8 and words[2].isdigit()


def _rows(path: Path, plain: bool, bad: BadRows) -> Iterator[pl.DataFrame]:
    """Yield checked rows; ``plain`` is a file without a header."""
    words = COLUMNS if plain else [word.strip() for word in header(path, ",", bad.advice)]
    other = "Take the publisher's train.csv, or a part of it."
    if "click" not in words and set(RAW_FIELDS) <= {*words, "device_ip"}:
        raise AmeirError(f"{path}: no column 'click', which is the label: nothing can be learned from these rows. Is "
                         f"it the publisher's test.csv, or are the labels in another file? {other}")
    if words == ["click"]:
        raise AmeirError(f"{path}: labels alone, without the rows that they belong to. {other}")
    need_header(words, COLUMNS[1:], path, bad.advice)
    for table in chunks(path, ",", bad, COLUMNS if plain else None):
        table = _hours(bad.label(table, "click", path), path, bad)
        yield table.select(pl.col("click").alias(LABEL), *(f.name for f in AVAZU.fields))


def _hours(table: pl.DataFrame, path: Path, bad: BadRows) -> pl.DataFrame:
    """Turn ``hour`` into the hour of day, the day of the month and the weekday, all UInt8."""
    found = table["hour"].unique().to_frame().with_columns(_time("hour").alias("@moment"))
    table = table.join(found, on="hour", how="left", maintain_order="left", nulls_equal=True)
    if (table["@moment"].is_null() & table["hour"].str.contains(_ALONE)).all():
        raise AmeirError(f"{path}: the column 'hour' has the hour of day alone ('{table['hour'][0]}'); the day and the "
                         f"weekday, two of the 24 fields, need {_EXPECTED}. Take the publisher's train.csv, or a part "
                         "of it.")
    table = bad.drop(table, table["@moment"].is_null(), path, "hour", _EXPECTED)
    moment = pl.col("@moment").dt
    return table.with_columns(moment.hour().cast(pl.UInt8).alias("hour"), moment.day().cast(pl.UInt8).alias("day"),
                              (moment.weekday() - 1).cast(pl.UInt8).alias("weekday"))


def _time(column: str) -> pl.Expr:
    """The moment that a string names; null where it names none."""
    text = pl.col(column).str.strip_chars()
    compact = pl.when(text.str.contains(_COMPACT)).then(pl.lit("20") + text + pl.lit("00"))
    dated = pl.when(text.str.contains(_STAMP)).then(text.str.replace("T", " ").str.slice(0, 13) + pl.lit(":00"))
    return pl.coalesce(compact.str.to_datetime("%Y%m%d%H%M", strict=False),
                       dated.str.to_datetime("%Y-%m-%d %H:%M", strict=False))

