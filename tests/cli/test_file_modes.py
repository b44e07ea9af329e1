"""Every file and folder that a command writes follows the umask: a server under another user can read a model."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from ameir_pl.atomic import replacing, replacing_folder
from ameir_pl.cli import data, export, search, train
from tests.tiny import Tiny

FILES = {"weights.safetensors", "vocabulary.parquet", "schema.json", "architecture.yaml", "metrics.json",
         "metrics.csv", "config.yaml", "log.txt", "winner.ckpt", "summary.json", "candidates.parquet"}


@pytest.fixture
def umask() -> Iterator[int]:
    """One that is not the usual: a group may read, others not."""
    before = os.umask(0o027)
    yield 0o027
    os.umask(before)


def odd_modes(folder: Path, umask: int) -> dict[str, str]:
    """Return the modes, by name, of what has another one than a file or a folder made there."""
    odd = {}
    for path in folder.rglob("*"):
        wanted = (0o777 if path.is_dir() else 0o666) & ~umask
        if stat.S_IMODE(path.stat().st_mode) != wanted:
            odd[path.relative_to(folder).as_posix()] = oct(stat.S_IMODE(path.stat().st_mode))
    return odd


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_a_finished_search(finished: Tiny) -> None:
    before = os.umask(0o022)
    os.umask(before)
    assert names(finished.folder()) >= FILES
    assert not odd_modes(finished.folder(), before)


def test_files_follow_another_umask(umask: int, generated: Tiny, tmp_path: Path) -> None:
    tiny = Tiny("movielens", generated.source, tmp_path / "data", tmp_path / "runs")
    search.main(tiny("stage=1", "dataset.model.blocks=1", "budget.samples=2"))
    train.main(tiny("model=ameir", f"architecture={tiny.folder()}/stage1/architecture.yaml",
                    "budget.finetune_epochs=1", "run=found"))
    export.main(tiny("run=found"))
    assert names(tmp_path) >= {*FILES, "model.onnx", "manifest.json", "label.npy"}
    assert not odd_modes(tmp_path, umask)


def test_generated_files_and_descriptions(umask: int, tmp_path: Path) -> None:
    data.generate([f"output={tmp_path / 'raw'}", "dataset=synthetic", "rows=1000"])
    (tmp_path / "t.csv").write_text("click,item\n" + "".join(f"{i % 2},{i % 7}\n" for i in range(40)))
    data.infer(["label=click", f"input={tmp_path / 't.csv'}", f"output={tmp_path / 't.yaml'}"])
    assert (tmp_path / "t.yaml").is_file() and not odd_modes(tmp_path, umask)


@pytest.mark.parametrize("mode", [0o000, 0o022, 0o027, 0o077])
def test_a_file_of_another_mode_is_made_to_follow(mode: int, tmp_path: Path) -> None:
    """As that of a writer which puts a private file of its own in the place of what it is given."""
    before = os.umask(mode)
    try:
        with replacing(tmp_path / "file") as path:
            path.unlink()
            path.touch(0o600)
        with replacing_folder(tmp_path / "folder") as folder:
            (folder / "file").touch(0o600)
        assert not odd_modes(tmp_path, mode)
    finally:
        os.umask(before)
