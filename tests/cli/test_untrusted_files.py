"""Files of a stranger: nothing in them is run, also where every checksum fits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ameir_pl.atomic import sha256, unsealed, write_sealed
from ameir_pl.cli import derive, evaluate, search
from ameir_pl.data import Encoded
from ameir_pl.errors import AmeirError
from ameir_pl.search import behavior_step
from tests.tiny import Tiny, contents


class Evil:
    """Unpickling it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.path,))


def test_a_checkpoint_in_progress(tiny: Tiny, finished: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                  capsys: pytest.CaptureFixture[str]) -> None:
    """The checkpoints of an interrupted fit are replaced, and their checksums with them."""
    from ameir_pl.callbacks.checkpoints import Checkpoints

    saved = Checkpoints._save

    def once(self: Checkpoints, trainer: object) -> None:
        saved(self, trainer)  # type: ignore[arg-type]
        raise ValueError("the power went out")

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "_save", once)
        with pytest.raises(ValueError, match="the power went out"):
            search.main(tiny("stage=1", "checkpoint.every_steps=3"))
    folder = tiny.folder() / ".progress/stage1.supernet"
    index, = folder.glob("checkpoints.json")
    checkpoint, = folder.glob("*.ckpt")
    ran = tmp_path / "ran"
    whole = torch.load(checkpoint, weights_only=True)
    torch.save({**whole, "more": Evil(ran)}, checkpoint)
    from ameir_pl.atomic import content_sum

    value = json.loads(index.read_text())
    value["content"][checkpoint.name]["sha256"] = sha256(checkpoint)
    value["sha256"] = content_sum(value["content"])
    index.write_text(json.dumps(value))
    capsys.readouterr()
    search.main(tiny("stage=1"))
    assert not ran.exists()
    assert f"{checkpoint.name} cannot be used (it is no file of tensors" in capsys.readouterr().err
    ours, theirs = contents(tiny.folder()), contents(finished.folder())
    assert ours["stage1/winner.ckpt"] == theirs["stage1/winner.ckpt"]


def test_a_result_of_a_stage(copied: Tiny, tmp_path: Path) -> None:
    ran, stage = tmp_path / "ran", copied.folder() / "stage3"
    torch.save({"state": Evil(ran), "capacity": {}}, stage / "winner.ckpt")
    summary = unsealed(json.loads((stage / "summary.json").read_text()))
    summary["files"]["winner.ckpt"] = sha256(stage / "winner.ckpt")
    write_sealed(stage / "summary.json", summary)
    with pytest.raises(AmeirError, match=r"winner.ckpt cannot be read .*stage again"):
        derive.main(copied("overwrite=true"))
    assert not ran.exists()


def test_a_bundle(copied: Tiny, tmp_path: Path) -> None:
    ran, path = tmp_path / "ran", copied.folder() / "model/weights.safetensors"
    torch.save({"state": Evil(ran)}, path)
    with pytest.raises(AmeirError, match="weights.safetensors is damaged"):
        evaluate.main(copied())
    save_file({"a": torch.ones(2)}, path, {"bundle": "__import__('os').abort()"})
    with pytest.raises(AmeirError, match="weights.safetensors is damaged"):
        evaluate.main(copied())
    assert not ran.exists()


def test_an_encoded_column(copied: Tiny, tmp_path: Path) -> None:
    import shutil

    ran = tmp_path / "ran"
    folder = shutil.copytree(next((copied.data / "encoded").glob("movielens-*")), tmp_path / "movielens-1")
    evil = np.empty(3, object)
    evil[:] = [Evil(ran)] * 3
    np.save(folder / "label.npy", evil, allow_pickle=True)
    manifest = unsealed(json.loads((folder / "manifest.json").read_text()))
    manifest["files"]["label.npy"] = {"bytes": (folder / "label.npy").stat().st_size,
                                      "sha256": sha256(folder / "label.npy")}
    write_sealed(folder / "manifest.json", manifest)
    with pytest.raises(AmeirError, match="label.npy"):
        Encoded(folder)
    assert not ran.exists()


@pytest.mark.parametrize("name", ["config.yaml", "stage3/architecture.yaml", "model/architecture.yaml"])
def test_yaml_with_a_tag(name: str, copied: Tiny, tmp_path: Path) -> None:
    path = copied.folder() / name
    path.write_text(f"blocks: !!python/object/apply:subprocess.run [[touch, '{tmp_path}/ran']]\n"
                    f"seed: !!python/object/apply:os.system ['touch {tmp_path}/ran']\n")
    if name.startswith("stage3"):
        summary = unsealed(json.loads((copied.folder() / "stage3/summary.json").read_text()))
        summary["files"]["architecture.yaml"] = sha256(path)
        write_sealed(copied.folder() / "stage3/summary.json", summary)
    with pytest.raises(AmeirError, match=name.split("/")[-1]):
        evaluate.main(copied()) if name.startswith("model") else derive.main(copied("overwrite=true"))
    assert not (tmp_path / "ran").exists()


def test_a_table_of_scores_is_not_code(tiny: Tiny, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(behavior_step, "best_of", None)
        with pytest.raises(TypeError):
            search.main(tiny("stage=1"))
    scores = next((tiny.folder() / ".progress").glob("*/done.json"))
    scores.write_text(f"__import__('pathlib').Path('{tmp_path}/ran').touch()")
    search.main(tiny("stage=1"))
    assert not (tmp_path / "ran").exists()
