"""Sessions of described tables: half an hour in every unit of times, and none where no times or units are known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from ameir_pl.data import Encoded
from ameir_pl.data.table import Table

MINUTES = [0, 30, 61, 61, 92, 93, 200, 230, 231]
"""Of one user's events; exactly half an hour lies within a session."""
BEGINS = [True, False, True, False, True, False, True, False, False]
MOMENTS = [datetime(2024, 1, 31, 22, 30, tzinfo=UTC) + timedelta(minutes=m) for m in MINUTES]
SECONDS = [int(m.timestamp()) for m in MOMENTS]
LATE = MOMENTS[-1] + timedelta(days=1)


def encoded(folder: Path, times: list[Any], late: Any, max_len: int = 50) -> Encoded:
    """Rows of one user behind all events; the rows of another have no history."""
    folder.mkdir()
    rows = {"click": [0, 1] * 10, "user": ["u", "v"] * 10, "item": ["i"] * 20}
    past = {"user": ["u"] * 9, "t": times, "item": [f"i{i}" for i in range(9)]}
    pl.DataFrame(past).write_parquet(folder / "e.parquet")
    pl.DataFrame(rows | {"t": [late] * 20}).write_parquet(folder / "r.parquet")
    (folder / "t.yaml").write_text(f"""
input: r.parquet
label: click
user: user
time: t
fields: [{{name: user}}, {{name: item, group: target}}]
behaviors: {{max_len: {max_len}, input: e.parquet, fields: [{{name: item}}]}}
""")
    return Table(raw="none", encoded=folder / "encoded", source=folder / "t.yaml").prepare()


def rows_of(data: Encoded, history: bool) -> np.ndarray:
    return np.flatnonzero((data.columns["end"] > data.columns["begin"]) == history)


@pytest.mark.parametrize(("times", "late"), [
    (SECONDS, SECONDS[-1] + 9), ([1000 * s for s in SECONDS], 1000 * SECONDS[-1] + 9),
    ([1_000_000 * s for s in SECONDS], 1_000_000 * SECONDS[-1] + 9), ([s + 0.25 for s in SECONDS], SECONDS[-1] + 9.5),
    ([1000 * s + 0.25 for s in SECONDS], 1000 * SECONDS[-1] + 9.5),
    ([m.isoformat() for m in MOMENTS], LATE.isoformat()), (MOMENTS, LATE)],
    ids=["s", "ms", "us", "fractions", "fractions of ms", "text", "moments"])
def test_half_an_hour_in_every_unit(tmp_path: Path, times: list[Any], late: Any) -> None:
    data = encoded(tmp_path / "a", times, late)
    assert data.schema.sessions and data.columns["starts"].tolist() == BEGINS
    batch = data.gather(rows_of(data, True)[:2])
    assert batch.starts.tolist() == [BEGINS, BEGINS] and batch.starts.dtype == torch.bool


def test_a_window_begins_with_a_session(tmp_path: Path) -> None:
    data = encoded(tmp_path / "a", SECONDS, SECONDS[-1] + 9, max_len=4)
    assert data.columns["starts"].tolist() == [False, True, False, False], "the file has what is true of the events"
    both = data.gather(np.array([rows_of(data, True)[0], rows_of(data, False)[0]]))
    assert both.starts.tolist() == [[True, True, False, False], [False] * 4]
    none = data.gather(rows_of(data, False)[:3])
    assert none.starts.shape == (3, 1) and not none.starts.any()


@pytest.mark.parametrize(("times", "late"), [
    (MINUTES, 999), ([20240131, 20240131, *[20240201] * 7], 20240203),
    ([int(m.strftime("%Y%m%d%H%M%S")) for m in MOMENTS], int(LATE.strftime("%Y%m%d%H%M%S")))],
    ids=["numbers from anywhere", "days as digits", "seconds as digits"])
def test_times_of_no_known_unit_have_no_sessions(tmp_path: Path, times: list[int], late: int) -> None:
    data = encoded(tmp_path / "a", times, late)
    assert not data.schema.sessions and "starts" not in data.columns
    assert not list(data.folder.glob("starts*")) and data.gather(np.arange(3)).starts.shape == (0, 0)


def test_no_event_at_all_is_seen(tmp_path: Path) -> None:
    data = encoded(tmp_path / "a", SECONDS, SECONDS[0] - 9)
    assert data.schema.sessions and len(data.columns["starts"]) == 0
    assert data.gather(np.arange(3)).starts.tolist() == [[False]] * 3


def test_lists_have_no_sessions(tmp_path: Path) -> None:
    pl.DataFrame({"click": [0, 1] * 10, "item": ["a"] * 20, "t": SECONDS[:1] * 20, "h": [["a", "b"]] * 20}
                 ).write_parquet(tmp_path / "r.parquet")
    (tmp_path / "t.yaml").write_text("input: r.parquet\nlabel: click\ntime: t\nfields: [{name: item, group: target}]\n"
                                     "behaviors: {fields: [{name: h, share_embedding: item}]}\n")
    data = Table(raw="none", encoded=tmp_path / "encoded", source=tmp_path / "t.yaml").prepare()
    assert data.schema.behaviors and not data.schema.sessions and "starts" not in data.columns
