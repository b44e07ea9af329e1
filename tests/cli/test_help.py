"""``--help`` shows conf/ with its comments and choices, and a reader that has gone ends nothing with a traceback."""

from __future__ import annotations

import fcntl
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ameir_pl.cli import data, search, train
from ameir_pl.cli import main as ameir
from ameir_pl.cli.conf_files import conf_folder
from ameir_pl.cli.help import docstring, help_text
from ameir_pl.progress import console, ending_quietly
from tests.tiny import Tiny

CONF = conf_folder()


def comments(path: Path) -> list[str]:
    return [line.partition("#")[2].strip() for line in path.read_text().splitlines()
            if "#" in line and "@package" not in line]


@pytest.mark.parametrize("config", ["search", "train", "compare", "tune", "export", "generate", "infer"])
def test_the_settings_come_with_their_comments(config: str) -> None:
    text = help_text("ameir x", "What it does.", config)
    for comment in comments(CONF / f"{config}.yaml"):
        assert comment in text or comment.startswith("no folder and no log of Hydra's own")
    assert config == "infer" or "true: name the operation whose gradient is NaN (slow)" in text
    assert text.startswith("usage: ameir x [key=value ...]") and "What it does." in text
    assert "hydra" not in text and "defaults:" not in text


def test_every_choice_of_every_group_is_listed_with_what_it_is() -> None:
    text = help_text("ameir train", "", "train")
    for group in ("dataset", "budget", "trainer", "logger", "optimizer", "scheduler", "model", "preset", "recipe"):
        assert f"\n{group}=\n" in text
        for path in (CONF / group).glob("*.yaml"):
            assert any(path.stem in line.split()[:2] and comments(path)[0] in line for line in text.splitlines())
    assert "  * movielens" in text and "  * dnn" in text and "paper/beauty_3" in text
    assert "\nmodel=" not in help_text("ameir search", "", "search")
    beauty = help_text("ameir search", "", "search", ["dataset=beauty", "budget=demo", "recipe=paper"])
    assert "* beauty" in beauty and "of dataset=beauty, in place of the above" in beauty and "samples: 60" in beauty


@pytest.mark.parametrize("name", ameir.COMMANDS)
def test_help_is_there_without_loading_what_trains(name: str, monkeypatch: pytest.MonkeyPatch,
                                                   capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["ameir", *name.split(), "--help"])
    monkeypatch.setattr(ameir.importlib, "import_module", lambda name: pytest.fail(f"{name} was imported"))
    ameir.main()
    module, function, _ = ameir.COMMANDS[name]
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: ameir {name} ")
    assert docstring(f"ameir_pl.cli.{module}", function).splitlines()[0] in shown


def test_the_script_s_own_help_is_the_same(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["ameir train"])
    train.main(["--help"])
    shown = capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["ameir", "train", "--help"])
    ameir.main()
    assert "".join(capsys.readouterr().out.split()) == "".join(shown.split())


@pytest.fixture
def no_reader(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Standard output and error as pipes whose readers have gone."""
    streams = []
    for name in ("stdout", "stderr"):
        read, write = os.pipe()
        os.close(read)
        streams.append(os.fdopen(write, "w"))
        monkeypatch.setattr(sys, name, streams[-1])
    yield
    for stream in streams:
        stream.close()


def from_shell(main: Callable[[], Any], *words: str) -> Callable[[], None]:
    def run() -> None:
        sys.argv = list(words)
        main()

    return run


ENDS = [from_shell(ameir.main, "ameir"), from_shell(ameir.main, "ameir", "--help"),
        from_shell(ameir.main, "ameir", "data"), from_shell(ameir.main, "ameir", "train", "--help"),
        from_shell(train.main, "train.py", "--help"),
        from_shell(search.main, "search.py", "--cfg", "job"), from_shell(search.main, "search.py", "--version"),
        from_shell(ameir.main, "ameir", "--version"), from_shell(ameir.main, "ameir", "data", "infer", "--help")]


@pytest.mark.parametrize("run", ENDS)
def test_a_reader_that_has_gone_ends_it_quietly(run: Callable[[], None], no_reader: None,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [])
    try:
        run()
    except SystemExit as end:
        assert end.code == 0
    sys.stdout.flush(), sys.stderr.flush()  # nothing is left that the interpreter would stumble over


def test_a_reader_that_goes_in_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    fcntl.fcntl(write, getattr(fcntl, "F_SETPIPE_SZ", 1031), 4096)  # what is longer waits for the reader

    def head() -> None:
        os.read(read, 100)
        os.close(read)

    with os.fdopen(write, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(sys, "argv", ["ameir", "train", "--help"])
        reader = threading.Thread(target=head)
        reader.start()
        try:
            ameir.main()
        except SystemExit as end:
            assert end.code == 0
        reader.join()


def test_a_training_goes_on_without_a_reader(no_reader: None, tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", *tiny("model=lr", "run=a", "budget.finetune_epochs=1")])
    assert train.main()["models"]
    assert (tiny.folder("a") / "metrics.json").exists() and not (tiny.folder("a") / ".progress").exists()


def test_a_mistake_without_a_reader_is_still_code_2(no_reader: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["data", "input=/nowhere/x.csv", "label=y"])
    with pytest.raises(SystemExit) as end:
        data.infer()
    assert end.value.code == 2
    console().print("nothing")


def test_another_broken_pipe_is_no_quiet_end() -> None:
    with pytest.raises(BrokenPipeError), ending_quietly():
        raise BrokenPipeError
