"""--help, --cfg, --multirun, the data commands and the loggers."""

from __future__ import annotations

import builtins
import hashlib
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from ameir_pl.cli import data, search, train
from ameir_pl.cli import main as ameir
from ameir_pl.data import fetch
from ameir_pl.errors import AmeirError
from tests.tiny import Tiny, contents

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("main", [search.main, train.main, data.fetch, data.prepare])
def test_help_names_the_keys(main: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) is None
    out = capsys.readouterr().out
    assert out.startswith("usage:") and main.__doc__.splitlines()[0] in out
    for key in ("fairness: split", "batch_size:", "overwrite: false"):
        assert key in out


def test_cfg_job_shows_what_would_run(capsys: pytest.CaptureFixture[str]) -> None:
    search.main(["--cfg", "job", "dataset=beauty", "seed=9"])
    out = capsys.readouterr().out
    assert "seed: 9" in out and "name: beauty" in out and "hydra" not in out


def test_numbers_next_to_nothing_are_nothing(tiny: Tiny) -> None:
    torch.set_flush_denormal(False)
    assert (torch.full((1,), 1e-38) / 10).item() != 0.0
    data.prepare(tiny())
    assert (torch.full((1,), 1e-38) / 10).item() == 0.0


def test_multirun_runs_every_combination(tiny: Tiny) -> None:
    runs = search.main(tiny("--multirun", "seed=1,2", "run=s${seed}", "stage=1"))
    assert [run["seed"] for run in runs] == [1, 2]
    assert contents(tiny.folder("s1"))["stage1/winner.ckpt"] != contents(tiny.folder("s2"))["stage1/winner.ckpt"]


@pytest.mark.parametrize("script", ["search.py", "train.py"])
def test_the_launchers(script: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", [script, "--help"])
    runpy.run_path(str(ROOT / script), run_name="__main__")
    assert capsys.readouterr().out.startswith(f"usage: {ROOT / script} ")


def shell(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["ameir", *words])
    ameir.main()


@pytest.mark.parametrize("words", [[], ["--help"], ["help"]])
def test_ameir_lists_its_commands(words: list[str], monkeypatch: pytest.MonkeyPatch,
                                  capsys: pytest.CaptureFixture[str]) -> None:
    shell(monkeypatch, *words)
    out = capsys.readouterr().out
    for name in ("search", "derive", "finetune", "train", "evaluate", "data fetch", "data prepare"):
        assert f"\n  {name} " in out


@pytest.mark.parametrize("name", ameir.COMMANDS)
def test_every_command_has_help(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    shell(monkeypatch, *name.split(), "--help")
    assert f"usage: ameir {name}" in capsys.readouterr().out


def test_data_fetch_and_prepare(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                capsys: pytest.CaptureFixture[str]) -> None:
    folder = f"paths.data={tmp_path / 'data'}"
    with pytest.raises(AmeirError, match=r"checksum of ml-100k.*dataset.source=FOLDER"):
        data.fetch(["dataset=movielens", f"dataset.source={tiny.source}", folder])
    assert not (tmp_path / "data").exists()
    with pytest.raises(AmeirError, match="beauty cannot be fetched.*offered at"):
        data.fetch(["dataset=beauty", folder])
    sums = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in tiny.source.iterdir()}
    monkeypatch.setattr(fetch, "SHA256", {**fetch.SHA256, **sums})
    shell(monkeypatch, "data", "fetch", "dataset=movielens", f"dataset.source={tiny.source}", folder)
    assert str(tmp_path / "data/raw/movielens") in capsys.readouterr().out
    encoded = data.prepare(["dataset=movielens", folder])
    assert encoded.parent == tmp_path / "data/encoded" and (encoded / "manifest.json").exists()
    before = contents(encoded)
    assert data.prepare(["dataset=movielens", folder]) == encoded
    assert "up to date" in capsys.readouterr().err and contents(encoded) == before


def test_wandb_needs_no_account_and_stays_in_the_run_folder(tiny: Tiny, monkeypatch: pytest.MonkeyPatch,
                                                            tmp_path: Path) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(builtins, "input", lambda *_: pytest.fail("wandb asked for something"))
    search.main(tiny("stage=1", "logger=wandb"))
    assert list((tiny.folder() / "wandb").glob("offline-run-*"))
    assert not (tmp_path / "wandb").exists()


def test_tensorboard_when_it_is_missing_and_when_it_is_there(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    from pytorch_lightning.loggers import TensorBoardLogger

    def missing(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("No module named 'tensorboard'")

    with monkeypatch.context() as patch:
        patch.setattr(TensorBoardLogger, "__init__", missing)
        with pytest.raises(AmeirError, match=r"logger=tensorboard needs.*pip install 'ameir-pl\[tensorboard\]'"):
            search.main(tiny("stage=1", "logger=tensorboard"))
    assert not contents(tiny.runs)
    pytest.importorskip("tensorboard")
    search.main(tiny("stage=1", "logger=tensorboard"))
    assert list(tiny.folder().rglob("events.out.tfevents.*"))
