"""A partitioned table encoded by Ray Data: the bytes, the notes and the errors of one machine."""

from __future__ import annotations

import gzip
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from ameir_pl.cli import data
from ameir_pl.data import Encoded
from ameir_pl.data.ray_parts import RayParts
from ameir_pl.data.table import Table
from ameir_pl.errors import AmeirError
from tests.tiny import contents

ABOUT = """
input: rows
label: click
user: user
time: t
split: {type: time, valid: 0.1, test: 0.1}
min_categr_count: 2
join: [{input: items.csv, on: item}]
fields:
  - {name: user, dtype: int, group: user}
  - {name: item, group: target}
  - {name: brand, group: target}
  - {name: tags, type: multivalent, splitter: " ", group: target}
  - {name: hour, from: t, part: hour}
  - {name: [price, weight], type: dense}
behaviors: {max_len: 5, input: events/*, fields: [{name: item}]}
"""
LISTS = """
input: rows
label: click
split: {type: random, seed: 4}
fields: [{name: item, group: target}, {name: price, type: dense}]
behaviors: {max_len: 4, fields: [{name: item, from: past, splitter: " "}]}
"""
NEXT = """
task: retrieval
input: events
user: user
time: t
item: item
behaviors: {max_len: 4}
"""
PARTS = 4


def rows(part: int, count: int = 150) -> pl.DataFrame:
    rng = np.random.default_rng(part)
    return pl.DataFrame({
        "click": rng.integers(0, 2, count), "t": 1_700_000_000 + rng.integers(0, 100_000, count),
        "user": rng.integers(1, 30, count), "item": [f"i{i}" for i in rng.geometric(0.1, count)],
        "tags": [" ".join(f"t{t}" for t in rng.integers(0, 9, n)) for n in rng.integers(0, 4 + part, count)],
        "past": [" ".join(f"i{i}" for i in rng.geometric(0.1, n)) for n in rng.integers(0, 7, count)],
        "price": rng.lognormal(size=count).round(3), "weight": [None if x < 0.2 else x for x in rng.random(count)]})


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Rows in CSV, gzipped CSV and Parquet, with bad ones, a side table, and events in two files."""
    folder = tmp_path / "table"
    for name in ("rows", "events"):
        (folder / name).mkdir(parents=True)
    for part in range(PARTS):
        text = rows(part).write_csv().splitlines()
        for bad in range(3 * (part % 2)):
            text[10 + bad] = text[10 + bad].replace(",i", ",i,i", 1)
            text[50 + bad] = "7" + text[50 + bad][1:]
        (folder / f"rows/{part}.csv").write_text("\n".join(text) + "\n")
    (folder / "rows/4.csv.gz").write_bytes(gzip.compress(rows(4).write_csv().encode()))
    rows(5).with_columns(pl.when(pl.col("user") == 3).then(4).otherwise("click").alias("click")).write_parquet(
        folder / "rows/5.parquet")
    pl.DataFrame({"item": [f"i{i}" for i in range(1, 25)], "brand": [f"b{i % 5}" for i in range(1, 25)]}).write_csv(
        folder / "items.csv")
    for part in range(2):
        rng = np.random.default_rng(90 + part)
        pl.DataFrame({"user": rng.integers(1, 33, 900), "t": 1_700_000_000 + rng.integers(0, 100_000, 900),
                      "item": [f"i{i}" for i in rng.integers(1, 200, 900)]}).write_csv(folder / f"events/{part}.csv")
    return folder


def described(folder: Path, text: str, **settings: Any) -> Table:
    path = folder / "table.yaml"
    path.write_text(text)
    return Table(raw="none", encoded=folder / "here", source=path, **settings)


class Dying(RayParts):
    """Kills the worker of the first attempt at each second item."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder, self.maps = folder, 0

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        self.maps += 1
        marker = self.folder / str(self.maps)

        def once(number: int) -> Any:
            found = function(items[number])  # with what it wrote
            if number == 1 and not marker.exists():
                marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return found

        yield from super().map(once, range(len(items)))


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A cluster of two processors that all tests use."""
    ray = pytest.importorskip("ray")
    pytest.importorskip("ray.data")
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.mark.parametrize("text", [ABOUT, LISTS, NEXT], ids=["events", "lists", "next item"])
@pytest.mark.ray
def test_the_bytes_are_those_of_one_machine(table: Path, text: str, cluster: None, tmp_path: Path) -> None:
    here = described(table, text, on_bad_row="skip").prepare()
    there = described(table, text, on_bad_row="skip")
    there.encoded = tmp_path / "there"
    there.executor = RayParts()
    encoded = there.prepare()
    assert encoded.folder.name == here.folder.name and contents(encoded.folder) == contents(here.folder)
    if text is not NEXT:
        bad = [value for note, value in encoded.manifest["notes"].items() if note == "bad rows, skipped"]
        assert bad and bad[0] > 6


@pytest.mark.ray
def test_a_worker_that_dies_changes_nothing(table: Path, cluster: None, tmp_path: Path) -> None:
    here = described(table, ABOUT, on_bad_row="skip").prepare()
    there = described(table, ABOUT, on_bad_row="skip")
    marks = tmp_path / "marks"
    marks.mkdir()
    there.encoded = tmp_path / "there"
    there.executor = Dying(marks)
    assert contents(there.prepare().folder) == contents(here.folder)
    assert len(list(marks.iterdir())) == 4, "rows, events, vocabularies and dense columns were each begun again"


@pytest.mark.ray
def test_work_under_way_is_waited_for_when_one_fails(cluster: None, tmp_path: Path) -> None:
    def write(number: int) -> int:
        if number == 0:
            while not list(tmp_path.iterdir()):  # another has begun
                time.sleep(0.01)
            raise AmeirError("the first fails")
        (tmp_path / f"begun{number}").touch()
        time.sleep(1.0)
        (tmp_path / f"ended{number}").touch()
        return number

    executor = RayParts()
    with executor.at(tmp_path), pytest.raises(AmeirError, match="the first fails"):
        list(executor.map(write, range(4)))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert [n for n in names if n.startswith("begun")] == [n.replace("ended", "begun") for n in names
                                                          if n.startswith("ended")] != []
    assert not [n for n in names if n.startswith(".")]
    time.sleep(1.5)
    assert sorted(path.name for path in tmp_path.iterdir()) == names, "nothing is written afterwards"


def refusal(dataset: Table) -> str:
    with pytest.raises(AmeirError) as caught:
        dataset.prepare()
    return str(caught.value)


@pytest.mark.ray
def test_the_first_bad_row_is_named(table: Path, cluster: None) -> None:
    dataset = described(table, ABOUT)
    here = refusal(dataset)
    dataset.executor = RayParts()
    assert refusal(dataset) == here and "rows/1.csv, line " in here
    assert not [path for path in (table / "here").iterdir() if path.is_dir()]


@pytest.mark.ray
def test_a_part_without_a_column(table: Path, cluster: None) -> None:
    rows(2).drop("price").write_csv(table / "rows/2.csv")
    dataset = described(table, ABOUT, on_bad_row="skip")
    here = refusal(dataset)
    dataset.executor = RayParts()
    assert refusal(dataset) == here and "there is no column 'price'" in here


@pytest.mark.ray
def test_a_folder_that_workers_do_not_see(cluster: None, tmp_path: Path) -> None:
    parts = RayParts()
    with parts.at(tmp_path / "elsewhere"), pytest.raises(AmeirError, match="elsewhere is not there on .*paths.data"):
        list(parts.map(len, [[1], [2]]))


@pytest.mark.ray
def test_the_command(table: Path, cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    described(table, ABOUT)
    monkeypatch.chdir(tmp_path)
    overrides = ["dataset=table", "dataset.source=table/table.yaml", "dataset.on_bad_row=skip"]
    there = data.prepare([*overrides, "preparation=ray", "paths.data=there"])
    assert contents(there) == contents(data.prepare([*overrides, "paths.data=here"]))
    assert isinstance(Encoded(there), Encoded)


def test_only_tables_have_parts(tmp_path: Path) -> None:
    with pytest.raises(AmeirError, match=r"preparation=ray encodes a table in parts \(dataset=table\); synthetic is"):
        data.prepare(["dataset=synthetic", "preparation=ray", f"paths.data={tmp_path}"])
    with pytest.raises(AmeirError, match="There is no preparation=rays"):
        data.prepare(["dataset=synthetic", "preparation=rays", f"paths.data={tmp_path}"])


def test_ray_is_missing(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    dataset = described(table, ABOUT, on_bad_row="skip")
    dataset.executor = RayParts()
    assert "preparation=ray needs a package that is not installed: pip install 'ameir-pl[ray]'" in refusal(dataset)
