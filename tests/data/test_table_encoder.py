"""The table encoder against plain Python: ids, missing values, vocabularies of train rows, percentiles, lists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ameir_pl.data import Encoded, intake, percentiles, splits, store, table_encoder
from ameir_pl.data.spill import Spill
from ameir_pl.data.splits import RandomSplit, TimeSplit
from ameir_pl.data.table_encoder import encode_table
from ameir_pl.data.table_plan import LABEL, LISTED, Plan
from ameir_pl.data.vocabulary import Counter as ValueCounter
from ameir_pl.errors import AmeirError
from ameir_pl.schema import Field

ROWS = 700


def rows(seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    word = [None if i == 0 else f"w{i}" for i in rng.geometric(0.2, ROWS) - 1]
    tags = [[f"t{t}" for t in rng.integers(0, 12, n)] for n in rng.integers(0, 5, ROWS)]
    bought = [[int(x) for x in 2**40 + rng.integers(0, 30, n)] for n in rng.integers(0, 9, ROWS)]
    return pl.DataFrame({
        LABEL: pl.Series(rng.integers(0, 2, ROWS), dtype=pl.UInt8), "word": word,
        "item": pl.Series(2**40 + rng.integers(0, 40, ROWS), dtype=pl.Int64), "tags": tags,
        "price": [None if x < 0.1 else float(np.round(20 * x)) for x in rng.random(ROWS)], LISTED + "bought": bought,
        "@time": rng.permutation(ROWS) + 10**15})


FIELDS = (Field("word", "word", "user"), Field("item", "item", "target"), Field("tags", "tags", "context", 0))
PLAN = Plan("test", FIELDS, RandomSplit(0.2, 0.1, 5), "random", (Field("bought", "item"),), ("price",), 4,
            {"word": 3, "tags": 2, "item": 2}, {"tags": 3})


def encoded(tmp_path: Path, plan: Plan = PLAN, pieces: int = 1, table: pl.DataFrame | None = None) -> Encoded:
    table = rows() if table is None else table
    cuts = np.linspace(0, len(table), pieces + 1).astype(int)
    chunks = [table[a:b] for a, b in zip(cuts, cuts[1:], strict=False)]
    folder = tmp_path / f"encoded-{pieces}"
    store.store(folder, lambda unfinished: encode_table(plan, iter(chunks), unfinished, tmp_path / "t.csv", "Help."),
                {"fingerprint": "x"})
    return Encoded(folder)


def in_order(split: np.ndarray) -> np.ndarray:
    return np.concatenate([np.flatnonzero(split == part) for part in range(3)])


def expected_ids(values: list[object], train: np.ndarray, more: list[object], least: int) -> Callable[[object], int]:
    counts = Counter([v for v, t in zip(values, train, strict=True) if t]) + Counter(more)
    kept = sorted((v for v, n in counts.items() if n >= least and v is not None), key=lambda v: v)  # type: ignore
    if counts[None] >= least:
        kept = [None, *kept]
    known = {v: i + 2 for i, v in enumerate(kept)}
    return lambda value: known.get(value, 1)


def test_every_value_equals_plain_python(tmp_path: Path) -> None:
    table, data = rows(), encoded(tmp_path)
    split = splits.assign(PLAN.split, table[LABEL].to_numpy())
    train = split == 0
    order = in_order(split)
    assert data.manifest["rows"] == {"train": 504, "valid": 56, "test": 140}
    seen = [x for row, t in zip(table[LISTED + "bought"].to_list(), train, strict=True) if t for x in row[-4:]]
    word = expected_ids(table["word"].to_list(), train, [], 3)
    item = expected_ids(table["item"].to_list(), train, seen, 2)
    tags = expected_ids([], train[:0], [x for row, t in zip(table["tags"].to_list(), train, strict=True) if t
                                        for x in row], 2)
    knots = np.quantile([p for p, t in zip(table["price"].to_list(), train, strict=True) if t and p is not None],
                        np.linspace(0, 1, 101))
    assert data.schema.percentiles["price"] == pytest.approx(knots.tolist())
    assert data.schema.slots == 5 and data.schema.max_len == 4
    batch = data.gather(np.arange(len(data)))
    for at, row in enumerate(order):
        values = table.row(int(row), named=True)
        first = [tags(t) for t in values["tags"][:3]]
        first += [0] * (3 - len(first))
        assert batch.fields[at].tolist() == [word(values["word"]), item(values["item"]), *first]
        assert batch.label[at] == values[LABEL]
        window = [item(x) for x in values[LISTED + "bought"][-4:]]
        assert batch.behaviors[at, :, 0].tolist() == window + [0] * (batch.behaviors.shape[1] - len(window))
        assert batch.mask[at].sum() == len(window)
        dense = float(batch.dense[at, 0])
        assert (dense == -1) == (values["price"] is None) and -1 <= dense <= 1
    known = data.vocabulary("item")
    assert all(int(value) > 2**40 - 1 for value in known), "64-bit ids are kept"


@pytest.mark.parametrize("pieces", [2, 7, 100])
def test_the_pieces_do_not_matter(tmp_path: Path, pieces: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = encoded(tmp_path)
    monkeypatch.setattr(table_encoder, "BATCH", 33)
    monkeypatch.setattr(intake, "Spill", lambda folder: Spill(folder, segment=90))
    parts = encoded(tmp_path, pieces=pieces)
    for file in ("fields.npy", "dense.npy", "label.npy", "values.npy", "begin.npy", "end.npy", "schema.json"):
        assert (whole.folder / file).read_bytes() == (parts.folder / file).read_bytes(), file
    assert whole.vocabulary("word") == parts.vocabulary("word")
    assert not list(parts.folder.glob("scratch"))


def test_what_only_other_rows_show_is_unknown(tmp_path: Path) -> None:
    """Vocabularies and percentiles do not change when the values of validation and test rows do."""
    table = rows()
    split = pl.Series(splits.assign(PLAN.split, table[LABEL].to_numpy()))
    changed = table.with_columns(
        pl.when(split > 0).then(pl.lit("new")).otherwise(pl.col("word")).alias("word"),
        pl.when(split > 0).then(pl.lit(2**50)).otherwise(pl.col("item")).alias("item"),
        pl.when(split > 0).then(pl.lit(1e9)).otherwise(pl.col("price")).alias("price"))
    one = encoded(tmp_path / "one")
    other = encoded(tmp_path / "other", table=changed)
    assert one.schema == other.schema
    assert (one.folder / "vocabulary.parquet").read_bytes() == (other.folder / "vocabulary.parquet").read_bytes()
    held = other.gather(np.arange(other.splits["valid"].start, len(other)))
    assert (held.fields[:, :2] == 1).all() and (held.dense == held.dense.max()).all() and held.dense.min() > 0.97


def test_a_time_split_takes_the_latest(tmp_path: Path) -> None:
    table = rows()
    plan = Plan("test", FIELDS[:2], TimeSplit(0.1, 0.1), "time")
    data = encoded(tmp_path, plan)
    cut = np.sort(table["@time"].to_numpy())[-70]
    assert sorted(data.gather(np.arange(630, 700)).label.tolist()) == sorted(
        table.filter(pl.col("@time") >= cut)[LABEL].to_list())
    assert data.columns["dense"].shape == (700, 0)


MISTAKES = {
    "no rows": (lambda t: t[:0], "no row could be read"),
    "one class": (lambda t: t.with_columns(pl.lit(1, pl.UInt8).alias(LABEL)), "every train row has the label 1"),
    "too few": (lambda t: t[:2], "no row is left for"),
}


@pytest.mark.bad_input
@pytest.mark.parametrize("case", MISTAKES)
def test_tables_that_cannot_be_split(tmp_path: Path, case: str) -> None:
    change, message = MISTAKES[case]
    with pytest.raises(AmeirError, match=rf"t.csv: {message}.*Help\."):
        encoded(tmp_path, table=change(rows()))
    assert not list(tmp_path.iterdir())


def test_percentiles_put_train_values_evenly() -> None:
    rng = np.random.default_rng(0)
    values = rng.lognormal(size=5000)
    knots = percentiles.fit(values)
    out = percentiles.apply(values, knots)
    assert out.min() == pytest.approx(-0.98, abs=1e-3) and out.max() == 1 and (out > percentiles.MISSING).all()
    share = np.argsort(np.argsort(values)) / 4999  # the rank, from 0 to 1
    assert np.abs(out - (-0.9802 + 1.9802 * share)).max() < 0.0198
    assert (np.diff(out[np.argsort(values)]) >= 0).all(), "order is kept"
    assert percentiles.apply(np.array([np.nan, -5.0, 1e9]), knots).tolist() == pytest.approx([-1, -0.9802, 1], abs=1e-3)
    ties = percentiles.fit(np.array([0.0] * 60 + list(range(1, 41))))
    assert percentiles.apply(np.array([0.0]), ties)[0] == pytest.approx(-0.98 + 1.98 * 0.295, abs=0.02)
    assert percentiles.apply(np.array([3.0]), percentiles.fit(np.array([3.0])))[0] == pytest.approx(0.01, abs=0.01)
    assert percentiles.fit(np.zeros(0)) == [0.0] * 101


def test_a_sample_of_a_long_column_gives_its_percentiles() -> None:
    values = np.random.default_rng(0).normal(size=200_000)
    sample = percentiles.Thinning(len(values), limit=20_000)
    for part in np.array_split(values, 9):
        sample.add(part)
    kept = sample.values()
    assert 19_000 < len(kept) < 21_000
    assert np.abs(np.array(percentiles.fit(kept)) - percentiles.fit(values))[1:-1].max() < 0.1


def test_segments_of_a_spill_count_the_elements_of_lists(tmp_path: Path) -> None:
    table = pl.DataFrame({"n": range(300), "list": [list(range(i % 30)) for i in range(300)]})
    spill = Spill(tmp_path / "spill", segment=500)
    for start in range(0, 300, 70):
        spill.add(table[start:start + 70])
    parts = list(spill.read(["n", "list"]))
    assert pl.concat([part for _, part in parts]).equals(table)
    assert all(part["list"].list.len().sum() <= 500 and len(part) == rows.stop - rows.start for rows, part in parts)
    assert [rows.start for rows, _ in parts[1:]] == [rows.stop for rows, _ in parts[:-1]] and parts[-1][0].stop == 300


def test_counting_in_parts() -> None:
    values = pl.Series([str(i) for i in np.random.default_rng(0).zipf(1.5, 2000) % 90] + [None, None])
    whole, parts = ValueCounter(), ValueCounter()
    whole.add(values)
    for start in range(0, len(values), 333):
        parts.add(values[start:start + 333])
    assert whole.vocabulary(2).words().to_list() == parts.vocabulary(2).words().to_list()
    assert whole.vocabulary(2).words()[0] == "", "missing comes first"
    assert whole.vocabulary(3).words().to_list() == sorted(k for k, n in Counter(values.to_list()).items()
                                                           if n >= 3 and k is not None)
    empty = ValueCounter().vocabulary(1)
    assert empty.size == 2 and empty.encode(pl.Series(["a"])).tolist() == [1]
