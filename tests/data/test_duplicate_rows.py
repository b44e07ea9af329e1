"""Rows that are equal to another are counted, whatever parts they come in; copies in other splits are warned of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ameir_pl.data import DATASETS
from ameir_pl.data.duplicate_rows import Duplicates, RowHashes
from ameir_pl.data.splits import RandomSplit, TimeSplit

R = np.random.default_rng(6)


def rows(count: int, values: int) -> pl.DataFrame:
    return pl.DataFrame({"label": (R.random(count) < 0.3).astype(np.uint8), "a": R.integers(0, values, count),
                         "b": [["x", "y"][:n] for n in R.integers(0, 3, count)], "c": R.integers(0, values, count)})


def hashed(*parts: pl.DataFrame, limit: int = 10**6) -> RowHashes:
    found = RowHashes(limit)
    for part in parts:
        found.add(part, "label")
    return found


def test_counts_are_exact() -> None:
    plain = rows(1000, 10**9)
    split = np.repeat(np.array([0, 1, 2], np.uint8), [800, 100, 100])
    table = pl.concat([plain[:900], plain[:90], plain[900:910]])  # the test rows are copies of train rows, but for ten
    found = hashed(table).count(split)
    assert found == Duplicates(1000, found.copies, 0.9, 0.0, natural=False) and found.copies == pytest.approx(0.09)
    other = table.with_columns(pl.when(pl.int_range(1000) >= 900).then(1 - pl.col("label")).otherwise("label"))
    assert hashed(other).count(split).test == 0.0  # equal in all but the label


def test_parts_and_limits_change_nothing() -> None:
    table = rows(6000, 40)
    whole = pl.concat([table, table[:2000]])
    split = np.repeat(np.array([0, 2], np.uint8), [6000, 2000])
    kept = hashed(whole, limit=1500)
    parts = RowHashes(1500)
    for start in range(0, 8000, 700):
        parts.extend(hashed(whole[start:start + 700], limit=1500))
    for one in (parts, hashed(*(whole[i:i + 3000] for i in range(0, 8000, 3000)), limit=1500)):
        assert one.rows == 8000 and (one._hashes == kept._hashes).all() and (one._places == kept._places).all()
    assert len(kept._hashes) <= 1500 and kept.count(split).test == 1.0
    assert abs(kept.count(split).copies - hashed(whole).count(split).copies) < 0.1


def test_few_values_repeat_by_nature() -> None:
    split = R.choice(3, 4000, p=[0.8, 0.1, 0.1]).astype(np.uint8)
    natural = hashed(rows(4000, 3)).count(split)
    assert natural.natural and natural.copies > 0.9 and natural.test > 0.9
    assert natural.warnings(RandomSplit(0.1, 0.1)) == [] and "alike by chance" in str(natural.note())
    table = rows(2000, 10**6)
    copied = hashed(table, table).count(split)
    (warning,) = copied.warnings(RandomSplit(0.1, 0.1))
    assert not copied.natural and "of the test rows" in warning and "split at random" in warning
    assert "one time lie on both sides" in copied.warnings(TimeSplit())[0]
    assert hashed(rows(4000, 10**6)).count(split).note() == {}


@pytest.mark.parametrize("split", ["{type: random, valid: 0.2, test: 0.2}",
                                   "{type: time, column: t, valid: 0.2, test: 0.2}"])
def test_a_table_with_copies(split: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = rows(500, 500).drop("b").with_columns(t=pl.int_range(500))
    pl.concat([table, table[:100]]).write_csv(tmp_path / "t.csv")
    (tmp_path / "t.yaml").write_text(f"input: t.csv\ntask: ctr\nlabel: label\ntime: t\nsplit: {split}\nfields:\n"
                                     "  - {name: a, type: categorical}\n  - {name: c, type: categorical}\n")
    for again in (False, True):
        DATASETS.get("table")(raw=tmp_path, encoded=tmp_path / "data", source=tmp_path / "t.yaml").prepare()
        err = capsys.readouterr().err
        assert ("are copies of train rows" in err) == ("random" in split)
        if not again:
            assert "label and all: 1" in err and "% of 600" in err
