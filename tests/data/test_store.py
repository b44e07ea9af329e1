"""An encoded folder appears whole or not at all, also where the disk fills up or the process is killed."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

import numpy as np
import pytest

from ameir_pl.data import DATASETS, Encoded
from ameir_pl.data.store import SCRATCH, Tables, Written, store
from ameir_pl.errors import AmeirError
from ameir_pl.schema import Field, Schema
from tests.processes import Forked

SCHEMA = Schema("test", "ctr", (Field("a", "a"),), vocabularies={"a": 3})


def tables(rows: int = 6) -> Tables:
    columns = {"fields": np.full((rows, 1), 2, np.int32), "dense": np.zeros((rows, 0), np.float32),
               "label": np.arange(rows, dtype=np.float32) % 2}
    return Tables(SCHEMA, {"a": ["x"]}, columns, {"train": rows - 2, "valid": 1, "test": 1})


def test_columns_may_be_written_on_the_way(tmp_path: Path) -> None:
    def make(folder: Path) -> Tables:
        assert (folder / SCRATCH).is_dir() and folder.name.endswith(".part")
        (folder / SCRATCH / "big").write_text("x")
        plain = tables()
        np.save(folder / "fields.npy", plain.columns["fields"])
        return Tables(SCHEMA, plain.vocabularies, {**plain.columns, "fields": Written((6, 1), "int32")}, plain.rows)

    store(tmp_path / "test-1", make, {"fingerprint": "f"})
    data = Encoded(tmp_path / "test-1")
    assert data.columns["fields"].tolist() == [[2]] * 6 and not (data.folder / SCRATCH).exists()
    assert os.listdir(tmp_path) == ["test-1"]


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    def make(folder: Path) -> Tables:
        (folder / "fields.npy").write_text("half")
        raise AmeirError("bad row")

    with pytest.raises(AmeirError, match="bad row"):
        store(tmp_path / "test-1", make, {})
    assert os.listdir(tmp_path) == []


def fill_up(source: str, encoded: str, limit: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        DATASETS.get("criteo")(raw="none", encoded=encoded, source=source).prepare()
    except AmeirError as error:
        print("ERROR", error)


def die_in_the_middle(folder: str) -> None:
    store(Path(folder) / "test-1", lambda _: os.kill(os.getpid(), signal.SIGKILL), {})  # type: ignore[arg-type,return-value]


def criteo_lines(rows: int = 3000) -> str:
    rng = np.random.default_rng(0)
    numbers, words = rng.integers(0, 9, (rows, 14)), rng.integers(0, 16**8, (rows, 26))
    return "".join("\t".join([str(n[0] % 2), *map(str, n[1:]), *(f"{w:08x}" for w in ws)]) + "\n"
                   for n, ws in zip(numbers, words, strict=True))


def test_a_folder_with_brackets_and_stars_in_its_name(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text(criteo_lines(300))
    encoded = tmp_path / "we [1] *ird"
    data = DATASETS.get("criteo")(raw="none", encoded=encoded, source=tmp_path / "train.txt", min_count=1).prepare()
    assert len(data) == 300


@pytest.mark.parametrize("limit", [20_000, 200_000])
def test_a_disk_that_fills_up(tmp_path: Path, limit: int) -> None:
    """The process may write no more than so many bytes into a file, as on a full disk."""
    (tmp_path / "train.txt").write_text(criteo_lines())
    encoded = tmp_path / "encoded"
    process = Forked(tmp_path / "output", fill_up, str(tmp_path / "train.txt"), str(encoded), limit)
    process.wait(120)
    output = process.output
    assert "ERROR" in output and "cannot be written" in output
    assert str(encoded) in output and "Make room" in output
    assert os.listdir(encoded) == []


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    process = Forked(tmp_path.parent / f"{tmp_path.name}.output", die_in_the_middle, str(tmp_path))
    assert process.wait(120) == -signal.SIGKILL
    left = os.listdir(tmp_path)
    assert len(left) == 1 and left[0].endswith(".part")
    alive = tmp_path / left[0].replace(f".{left[0].split('.')[-3]}.", f".{os.getpid()}.", 1)
    other = tmp_path / ".test-1.another-machine.1.abc.part"
    for folder in (alive, other):
        folder.mkdir(exist_ok=True)
    store(tmp_path / "test-1", lambda _: tables(), {"fingerprint": "f"})
    assert sorted(os.listdir(tmp_path)) == sorted({"test-1", other.name, alive.name})
    assert not (tmp_path / left[0]).exists()
