"""Damaged files of a run: the message names the file and what to do, and nothing is trained on them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ameir_pl.atomic import unsealed, write_sealed
from ameir_pl.cli import derive, evaluate, finetune, search
from ameir_pl.errors import AmeirError
from tests.tiny import Tiny


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) * 2 // 3] ^= 1
    path.write_bytes(bytes(content))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def edit(path: Path) -> None:
    """Another valid architecture, as an editor would leave it."""
    path.write_text(path.read_text().replace("relu", "gelu").replace("identity", "relu") + "\n# mine\n")


DAMAGES = [cut, flip, empty]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(("name", "stage"), [("stage1/winner.ckpt", 1), ("stage1/architecture.yaml", 1),
                                             ("stage2/supernet.ckpt", 2)])
def test_a_damaged_stage_file_is_named(copied: Tiny, name: str, stage: int, damage: Callable[[Path], None]) -> None:
    damage(copied.folder() / name)
    with pytest.raises(AmeirError, match=rf"{name} is damaged.* run=default stage={stage} overwrite=true"):
        search.main(copied("stage=3", "overwrite=true"))


def test_a_damaged_winner_is_not_derived_from(copied: Tiny) -> None:
    flip(copied.folder() / "stage3/winner.ckpt")
    with pytest.raises(AmeirError, match=r"stage3/winner.ckpt is damaged.* stage=3 overwrite=true"):
        derive.main(copied("overwrite=true"))
    (copied.folder() / "stage3/winner.ckpt").unlink()
    with pytest.raises(AmeirError, match=r"stage3/winner.ckpt is missing.* stage=3 overwrite=true"):
        derive.main(copied("overwrite=true"))


def test_an_edited_stage_is_not_taken_for_what_the_stage_decided(copied: Tiny) -> None:
    edit(copied.folder() / "stage3/architecture.yaml")
    with pytest.raises(AmeirError, match=r"stage3/architecture.yaml is damaged"):
        derive.main(copied("overwrite=true"))


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"schema": 1}'])
def test_a_damaged_summary(copied: Tiny, text: str) -> None:
    (copied.folder() / "stage1/summary.json").write_text(text)
    for main in (search.main, derive.main):
        with pytest.raises(AmeirError, match=r"stage1/summary.json is damaged.* stage=1 overwrite=true"):
            main(copied())


def test_results_of_another_schema(copied: Tiny) -> None:
    path = copied.folder() / "stage1/summary.json"
    write_sealed(path, unsealed(json.loads(path.read_text())) | {"schema": "0123456789abcdef"})
    with pytest.raises(AmeirError, match=r"stage1 was made with another schema .*0123456789abcdef.*overwrite=true"):
        search.main(copied("stage=2"))


def test_a_damaged_or_foreign_config(copied: Tiny) -> None:
    path = copied.folder() / "config.yaml"
    whole = path.read_text()
    path.write_text("seed: [1\n")
    with pytest.raises(AmeirError, match=r"config.yaml is damaged.*another run=…"):
        search.main(copied())
    path.write_text(whole.replace("name: movielens", "name: beauty"))
    with pytest.raises(AmeirError, match="dataset.name: beauty -> movielens"):
        search.main(copied())


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["weights.safetensors", "architecture.yaml", "schema.json", "vocabulary.parquet"])
def test_a_damaged_bundle_file_is_named(copied: Tiny, name: str, damage: Callable[[Path], None]) -> None:
    damage(copied.folder() / "model" / name)
    with pytest.raises(AmeirError, match=r"ameir derive overwrite=true") as caught:
        evaluate.main(copied())
    named = "weights.safetensors" if name in ("architecture.yaml", "schema.json") else name
    assert name in str(caught.value) or named in str(caught.value)
    with pytest.raises(AmeirError, match="damaged|not a schema|not YAML|empty|architecture"):
        finetune.main(copied())


def test_a_bundle_whose_architecture_was_edited(copied: Tiny) -> None:
    edit(copied.folder() / "model/architecture.yaml")
    with pytest.raises(AmeirError, match="does not fit architecture.yaml"):
        evaluate.main(copied())


def test_a_damaged_bundle_is_replaced_by_derive(copied: Tiny) -> None:
    empty(copied.folder() / "model/weights.safetensors")
    derive.main(copied("overwrite=true"))
    evaluate.main(copied())


def test_a_truncated_raw_file(copied: Tiny, tmp_path: Path) -> None:
    import shutil

    raw = shutil.copytree(copied.source, tmp_path / "raw")
    ratings = raw / "ml-100k.inter"
    ratings.write_text(ratings.read_text()[:-9])
    with pytest.raises(AmeirError, match=r"ml-100k.inter, line 1501.*dataset.source"):
        search.main(copied(f"dataset.source={raw}", "run=new"))
    ratings.unlink()
    with pytest.raises(AmeirError, match=r"ml-100k.inter.*are missing"):
        search.main(copied(f"dataset.source={raw}", "run=new"))
    assert not copied.folder("new").exists()
