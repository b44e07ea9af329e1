"""A click dataset that was split in public: a CSV file for each part, and the rules by which others encode them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from ameir_pl.data.bad_rows import BadRows
from ameir_pl.data.delimited import chunks, header, need_header
from ameir_pl.data.splits import TEST, TRAIN, VALID, GivenSplit
from ameir_pl.data.store import Tables
from ameir_pl.data.table_encoder import encode_table
from ameir_pl.data.table_plan import LABEL, SPLIT, Plan
from ameir_pl.errors import AmeirError, did_you_mean
from ameir_pl.schema import Field

PARTS = {"train": TRAIN, "valid": VALID, "test": TEST}
Convert = Callable[[pl.DataFrame, Path, BadRows], pl.DataFrame]


@dataclass(frozen=True)
class PublicSplit:
    """The files of a public benchmark and what their columns become.

    Args:
        name: of the schema, such as ``criteo_x4``; published numbers are found by it.
        title: what the benchmark calls it.
        offered: where its files are.
        rows: those of each file as published; a part that has none is not there.
        label: the column with 0 and 1.
        columns: those that a file must have beside the label.
        fields, behaviors, dense: of the schema.
        convert: makes their columns of a table of strings; null is a gap.
        min_count: least count of a value among train rows.
        gaps: whether a gap is a category of its own; else it shares the id of the values that are too few.
        valid: share of the train rows that validate where there is no such file.
        max_len: T.
        hexadecimal: as :class:`~ameir_pl.data.table_plan.Plan`.
    """

    name: str
    title: str
    offered: str
    rows: Mapping[str, int]
    label: str
    columns: tuple[str, ...]
    fields: tuple[Field, ...]
    convert: Convert
    behaviors: tuple[Field, ...] = ()
    dense: tuple[str, ...] = ()
    min_count: int = 1
    gaps: bool = False
    valid: float = 0.0
    max_len: int = 0
    hexadecimal: bool = False

    @property
    def protocol(self) -> str:
        """How rows are split."""
        parts = "its own train, validation and test rows" if "valid" in self.rows else (
            f"its own train and test rows, {self.valid:.0%} of the train rows validation")
        return f"{self.title} of BARS, {parts}"

    def files(self, folder: Path, preset: str) -> dict[str, Path]:
        """Return the path of each part; raises ``AmeirError`` naming what is missing, and where it is offered."""
        advice = f"preset={preset} reads {', '.join(f'{part}.csv' for part in self.rows)} of {self.title}"
        if folder.is_file():
            raise AmeirError(f"{folder} is one file; {advice}. Name their folder: dataset.source=FOLDER.")
        found = {part: next((path for path in (folder / f"{part}.csv", folder / f"{part}.csv.gz") if path.is_file()),
                            folder / f"{part}.csv") for part in self.rows}
        missing = [str(path) for path in found.values() if not path.is_file()]
        if missing:
            raise AmeirError(f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing; {advice}, offered "
                             f"at {self.offered}. Put them into {folder}, or name another folder with "
                             "dataset.source=FOLDER.")
        return found

    def encode(self, files: Mapping[str, Path], folder: Path, bad: BadRows, min_count: int, seed: int) -> Tables:
        """Read and encode the files.

        Args:
            files: what :meth:`files` returned.
            folder: the unfinished folder.
            bad: what happens to bad rows.
            min_count: in place of the split's own.
            seed: of the validation rows, where there is no file of them.

        Raises:
            AmeirError: for bad input.
        """
        plan = Plan(self.name, self.fields, GivenSplit(self.valid, seed), self.protocol, self.behaviors, self.dense,
                    self.max_len, gaps=self.gaps, hexadecimal=self.hexadecimal,
                    min_count=dict.fromkeys((f.vocabulary for f in (*self.fields, *self.behaviors)), min_count))
        tables = encode_table(plan, self._read(files, bad), folder, files["train"], bad.advice)
        tables.notes.update({**bad.notes(), f"rows against {self.title} as published": self._against(tables.rows)})
        return tables

    def _read(self, files: Mapping[str, Path], bad: BadRows) -> Iterator[pl.DataFrame]:
        for part, path in files.items():
            spelled = {word.strip(): word.strip() for word in header(path, ",", bad.advice)}
            label = next((word for word in spelled if word.lower() == self.label), self.label)
            need_header(list(spelled), (label, *self.columns), path, bad.advice)
            for table in chunks(path, ",", bad, quotes=True):
                table = self.convert(bad.label(table, label, path), path, bad)
                yield table.with_columns(pl.lit(PARTS[part], pl.UInt8).alias(SPLIT)).rename({label: LABEL})

    def is_whole(self, found: Mapping[str, int]) -> bool:
        """Return whether encoded rows, by split, are as many as those published."""
        return self._against(found) == "equal"

    def _against(self, found: Mapping[str, int]) -> str:
        """Compare the rows with those published; what validates may be a part of the train rows."""
        mine = dict(found) if "valid" in self.rows else {"train": found["train"] + found["valid"],
                                                         "test": found["test"]}
        wrong = [f"{part} {mine[part]:,} where it has {rows:,}" for part, rows in self.rows.items()
                 if mine[part] != rows]
        return "; ".join(wrong) or "equal"


def chosen(dataset: str, preset: str | None, splits: Mapping[str, PublicSplit], others: Sequence[str] = ()
           ) -> PublicSplit | None:
    """Return the split of a preset, None for one of ``others``; raises ``AmeirError`` for an unknown one."""
    known = (*others, *splits)
    if preset is not None and preset not in known:
        raise AmeirError(f"{dataset}: there is no preset '{preset}'.{did_you_mean(str(preset), known)}")
    return splits.get(preset or "")


def refuse_split_folder(folder: Path, names: str) -> None:
    """Raise ``AmeirError`` for a folder whose train.csv is only a part, as valid.csv beside it tells."""
    if folder.is_dir() and all(any((folder / f"{part}.csv{end}").is_file() for end in ("", ".gz")) for part in PARTS):
        raise AmeirError(f"{folder} holds train.csv, valid.csv and test.csv, a split that was made already; alone, "
                         f"train.csv would be split again. Read them with {names}, or name the one file that is to be "
                         "split: dataset.source=FILE.")
