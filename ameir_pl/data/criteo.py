"""Criteo Kaggle display advertising: click-through data without behaviors, 13 dense and 26 categorical fields."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from ameir_pl.data.bad_rows import LINE, BadRows, Policy
from ameir_pl.data.bars import CRITEO_X1, CRITEO_X4
from ameir_pl.data.dataset import DATASETS, Dataset
from ameir_pl.data.delimited import chunks, header, is_number, need_header
from ameir_pl.data.layouts import CRITEO
from ameir_pl.data.public_split import chosen, refuse_split_folder
from ameir_pl.data.splits import RandomSplit
from ameir_pl.data.store import Tables
from ameir_pl.data.table_encoder import encode_table
from ameir_pl.data.table_plan import LABEL, Plan
from ameir_pl.data.text import first_lines
from ameir_pl.errors import AmeirError

COLUMNS = ("label", *CRITEO.dense, *(f.name for f in CRITEO.fields))
"""The 40 columns of ``train.txt``, which has no header."""
HEXADECIMAL = re.compile("[0-9a-f]{8}")
NAMES = ("train.txt", "train.txt.gz", "train.csv", "train.csv.gz")


@DATASETS.register("criteo")
class Criteo(Dataset):
    """Criteo's seven days of clicks (Kaggle, 2014).

    Reads ``train.txt`` as published (tab-separated, no header; categories are 32-bit hex, gaps are empty), and CSV with
    the header ``label,I1,…,C26`` (any case, an ``Id`` column is left out); categories may also be whole numbers. Plain
    or gzipped.

    **Split**: 10 % test, 10 % of the rest validation, at random with the proportion of clicks kept (paper, Appendix B).
    **Dense** values by train percentiles to [-1, 1], a gap is -1. **Categories** that come fewer than ``min_count``
    times among train rows share one id (10 as in AutoInt, Song et al., 2019; the paper gives no number); a gap is a
    category of its own.

    **Presets**: ``x1`` and ``x4`` read train.csv, valid.csv and test.csv of Criteo_x1 and Criteo_x4 and encode
    them by the rules of BARS (:mod:`ameir_pl.data.bars`).

    Args:
        raw, encoded, source, max_len, on_bad_row: as :class:`Dataset`; ``source`` is the file or its folder.
        preset: ``x1``, ``x4`` or none.
        min_count: least count of a category among train rows; None: 10, or that of the preset.
        split_seed: of the random split.

    Raises:
        AmeirError: a setting is out of range.
    """

    name = "criteo"
    splits = {"x1": CRITEO_X1, "x4": CRITEO_X4}
    offered = "https://www.kaggle.com/c/criteo-display-ad-challenge (train.txt)"
    terms = "Criteo's data terms: research, not commercial, no redistribution."
    chooses_rows = ("split_seed",)
    paper_rows = {"train and validation": 41_256_555, "test": 4_584_062}

    def __init__(self, *, raw: Path | str, encoded: Path | str, source: Path | str | None = None, max_len: int = 0,
                 on_bad_row: Policy = "fail", preset: str | None = None, min_count: int | None = None,
                 split_seed: int = 1) -> None:
        super().__init__(raw=raw, encoded=encoded, source=source, max_len=max_len, on_bad_row=on_bad_row)
        self.preset, self.split = preset, chosen("criteo", preset, self.splits)
        if min_count is None:
            min_count = 10 if self.split is None else self.split.min_count
        if min_count < 1 or split_seed < 0:
            raise AmeirError(f"criteo: min_count={min_count}, split_seed={split_seed}; they must be at least 1 and 0.")
        self.min_count, self.split_seed = min_count, split_seed

    @property
    def protocol(self) -> str:
        """How rows are split."""
        return self.split.protocol if self.split is not None else "random split, stratified, 81/9/10"

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
        if not (place / "train.txt").is_file():
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
        hexadecimal = _is_hexadecimal(path, bad.advice)
        plan = Plan("criteo", CRITEO.fields, RandomSplit(0.1, 0.1, self.split_seed), self.protocol,
                    dense=CRITEO.dense, min_count=dict.fromkeys(CRITEO.vocabularies, self.min_count),
                    hexadecimal=hexadecimal)
        tables = encode_table(plan, _rows(path, bad, hexadecimal), folder, path, bad.advice)
        tables.notes.update(bad.notes() | self.against_paper(tables))
        return tables


def _is_hexadecimal(path: Path, advice: str) -> bool:
    """Return whether the first lines have the publisher's categories, 32-bit numbers in hexadecimal: half the work of
    text. Eight digits may also be a whole number of somebody else's: some of the first need a letter."""
    words = [word for line in first_lines(path, advice) for word in line.rstrip("\r").split("\t")[14:40] if word]
    fit = [word for word in words if HEXADECIMAL.fullmatch(word)]
    return len(fit) > 0.9 * len(words) and any(not word.isdigit() for word in fit)


def _rows(path: Path, bad: BadRows, hexadecimal: bool) -> Iterator[pl.DataFrame]:
    """Yield checked rows of either format."""
    words = header(path, "\t", bad.advice)
    if len(words) > len(COLUMNS) // 2:  # the file's own form, if the first line should be cut off
        tables = chunks(path, "\t", bad, COLUMNS, dense=CRITEO.dense)
    else:
        words = header(path, ",", bad.advice)
        if len(words) == len(COLUMNS) and is_number(words[0]):
            raise AmeirError(f"{path}: 40 comma-separated columns without a header. Are they Criteo's raw columns "
                             f"({', '.join(COLUMNS[:3])}, …, C26), or indices that somebody encoded already? Put the "
                             "header label,I1,…,I13,C1,…,C26 on top if they are raw. An encoded table can be "
                             "described as one of your own: `ameir data infer input=FILE label=COLUMN`.")
        renamed = {w.strip(): "label" if w.strip().lower() == "label" else w.strip().upper() for w in words}
        need_header(list(renamed.values()), COLUMNS, path, bad.advice)
        # Some writers quote their gaps: "" is one too.
        tables = (t.rename(renamed).select(LINE, *COLUMNS)
                  for t in chunks(path, ",", bad, quotes=True))
    for table in tables:
        table = bad.label(table, "label", path)
        table = bad.numbers(table, CRITEO.dense, path, whole=False, gaps=True)
        if hexadecimal:
            table = bad.hexadecimals(table, CRITEO.vocabularies, path)
        yield table.rename({"label": LABEL})
