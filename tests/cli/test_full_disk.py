"""A disk that is full, a folder that is read-only or may not be written to: one message, earlier results whole."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from safetensors import SafetensorError

from ameir_pl import atomic
from ameir_pl.cli import data, derive, evaluate, export, finetune, search, train
from ameir_pl.errors import AmeirError
from ameir_pl.search import evaluator
from tests.tiny import Tiny, contents, results

ERRORS = {errno.ENOSPC: "No space left on device", errno.EROFS: "Read-only file system",
          errno.EACCES: "Permission denied"}


@contextmanager
def refusing(patch: pytest.MonkeyPatch, folder: Path, word: str, number: int) -> Iterator[list[str]]:
    """Refuse every file to write under ``folder`` whose path has ``word`` in it; yields what was refused."""
    refused: list[str] = []
    opened, low = open, os.open

    def wanted(path: Any) -> bool:
        return isinstance(path, str | os.PathLike) and str(path).startswith(str(folder)) and word in str(path)

    def fail(path: Any) -> OSError:
        refused.append(str(path))
        return OSError(number, ERRORS[number], str(path))

    def high(path: Any, mode: str = "r", *more: Any, **named: Any) -> Any:
        if wanted(path) and set(mode) & set("wax+"):
            raise fail(path)
        return opened(path, mode, *more, **named)

    def lower(path: Any, flags: int, *more: Any, **named: Any) -> int:
        if wanted(path) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise fail(path)
        return low(path, flags, *more, **named)

    def folders(self: Path, *more: Any, **named: Any) -> None:
        if wanted(self) and not self.exists():
            raise fail(self)
        made(self, *more, **named)

    made = Path.mkdir
    with patch.context() as inner:
        inner.setattr("builtins.open", high)
        inner.setattr("io.open", high)
        inner.setattr(os, "open", lower)
        inner.setattr(Path, "mkdir", folders)
        yield refused


WRITERS: dict[str, tuple[Callable[[list[str]], Any], tuple[str, ...], str]] = {
    "the run folder": (search.main, ("stage=1", "run=new"), "/new"),
    "config.yaml": (search.main, ("stage=1", "overwrite=true"), "config.yaml"),
    "log.txt": (search.main, ("stage=1", "overwrite=true"), "log.txt"),
    "the lock": (search.main, ("stage=1", "overwrite=true"), ".lock"),
    "the journal": (search.main, ("stage=1", "overwrite=true"), "journal.json"),
    "metrics.csv": (search.main, ("stage=1", "overwrite=true"), "metrics.csv"),
    "a finished fit": (search.main, ("stage=1", "overwrite=true"), "done.safetensors"),
    "a checkpoint": (search.main, ("stage=1", "overwrite=true", "checkpoint.every_steps=3"), ".ckpt"),
    "scores": (search.main, ("stage=1", "overwrite=true"), "stage1.scoring"),
    "a stage": (search.main, ("stage=3", "overwrite=true"), ".stage3.part"),
    "a stage's architecture": (search.main, ("stage=3", "overwrite=true"), ".stage3.part/.architecture"),
    "architecture.yaml": (search.main, ("stage=3",), "/.architecture.yaml"),
    "a bundle": (derive.main, ("overwrite=true",), ".model.part"),
    "metrics.json": (evaluate.main, (), ".metrics.json"),
    "a finetuned bundle": (finetune.main, ("overwrite=true",), ".model.part"),
    "model.onnx": (export.main, (), ".model.onnx"),
    "a baseline": (train.main, ("run=dnn", "model=dnn"), "metrics.json")}
"""What is written: by which command, and how it is called."""
TRAIN = ("model.onnx", "metrics.csv", "a finished fit", "a checkpoint", "scores", "a stage", "a stage's architecture",
         "a finetuned bundle", "a baseline", "config.yaml", "log.txt", "the lock", "the journal", "the run folder")
"""Those where something is trained or exported first or afterwards, which takes seconds."""


@pytest.mark.parametrize("writer", WRITERS)
def test_it_is_said_and_earlier_results_are_whole(writer: str, copied: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    main, more, word = WRITERS[writer]
    before = results(copied.folder())
    monkeypatch.setattr(evaluator, "KEEP", 2)
    for number, why in list(ERRORS.items())[:1 if writer in TRAIN[:9] else None]:
        with refusing(monkeypatch, copied.runs, word, number) as refused, pytest.raises(AmeirError) as caught:
            main(copied(*more))
        assert refused, "nothing was refused"
        message = str(caught.value)
        assert why in message and "\n" not in message and len(message) < 500
        assert any(word in message.lower() for word in ("make room", "give the permission", "name another"))
        assert results(copied.folder()) == before
        assert not (copied.folder() / ".lock").exists()
    if writer not in TRAIN:
        main(copied(*more))  # with room again


def test_pytorch_on_a_full_disk(copied: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """It writes in its own code: /dev/full stands in for the disk."""
    before = results(copied.folder())
    replacing = atomic.replacing_folder

    @contextmanager
    def full(final: Path) -> Iterator[Path]:
        with replacing(final) as part:
            (part / "supernet.ckpt").symlink_to("/dev/full")
            yield part

    monkeypatch.setattr("ameir_pl.search.run_folder.replacing_folder", full)
    with pytest.raises(AmeirError, match="stage3 cannot be written .*What was trained is kept.*make room"):
        search.main(copied("stage=3", "overwrite=true"))
    assert results(copied.folder()) == before


def test_safetensors_on_a_full_disk(copied: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    before = results(copied.folder())

    def full(*_: object) -> None:
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("ameir_pl.export.bundle.save_file", full)
    with pytest.raises(AmeirError, match="model cannot be written .*No space left.*make room"):
        derive.main(copied("overwrite=true"))
    assert results(copied.folder()) == before


@pytest.mark.parametrize("number", ERRORS)
def test_data_commands(number: int, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own"
    place = f"paths.data={own}"
    table = tmp_path / "a.csv"
    table.write_text("click,a,b\n" + "1,2,3\n0,3,4\n" * 30)
    commands: list[tuple[Callable[[list[str]], Any], list[str]]] = [
        (data.prepare, tiny(place)), (data.fetch, tiny(place)),
        (data.generate, ["dataset=criteo", place, "rows=3000"]),
        (data.infer, [f"input={table}", "label=click", f"output={own / 'a.yaml'}"])]
    for main, arguments in commands[:1] + commands[2:]:
        with refusing(monkeypatch, own, "", number), pytest.raises(AmeirError, match=ERRORS[number]):
            main(arguments)
        assert contents(own) == {}
    for main, arguments in commands[2:]:
        main(arguments)


def test_another_error_stays_what_it_is(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours is not told as the machine's."""
    monkeypatch.setattr("ameir_pl.cli.search.open_session", lambda *_: open("/nowhere/x"))  # noqa: SIM115
    with pytest.raises(FileNotFoundError):
        search.main(tiny("stage=1"))
