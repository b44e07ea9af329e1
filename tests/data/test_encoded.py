"""Encoded folders: reuse, fingerprints, damage, and that a killed run leaves none."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from ameir_pl.data import DATASETS, Dataset, Encoded, store
from ameir_pl.errors import AmeirError
from tests.data.make import write_movielens


@pytest.mark.parametrize("name", DATASETS.names())
def test_registered_names_agree(name: str) -> None:
    kind = DATASETS.get(name)
    assert kind.name == name and kind.__doc__
    if name not in ("table", "synthetic"):  # yours; made on the fly
        assert kind.offered.startswith("https://") and kind.terms.endswith(".")


@pytest.mark.parametrize("name", ["beauty", "steam"])
def test_what_cannot_be_fetched_says_where_it_is(name: str, tmp_path: Path) -> None:
    kind = DATASETS.get(name)
    with pytest.raises(AmeirError) as error:
        kind.fetch(tmp_path)
    assert kind.offered in str(error.value) and "dataset.source=" in str(error.value)
    with pytest.raises(AmeirError, match="dataset.source="):
        kind(raw=tmp_path, encoded=tmp_path).prepare()


def folders(encoded: Path) -> list[str]:
    return sorted(path.name for path in encoded.iterdir())


def test_unchanged_data_are_reused_and_changed_ones_encoded_again(
        tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    raw, out = write_movielens(tmp_path / "raw"), tmp_path / "encoded"
    kind = DATASETS.get("movielens")
    first = kind(raw=raw, encoded=out, max_len=5).prepare()
    assert "encoding" in capsys.readouterr().err
    assert first.folder.name == f"movielens-{first.fingerprint}" and len(first.fingerprint) == 16
    with monkeypatch.context() as patch:
        patch.setattr(kind, "encode", lambda *_: pytest.fail("encoded again"))
        assert kind(raw=raw, encoded=out, max_len=5).prepare().folder == first.folder
        # The contents count, not where they lie.
        elsewhere = shutil.copytree(raw, tmp_path / "elsewhere")
        assert kind(raw=Path("none"), encoded=out, source=elsewhere, max_len=5).prepare().folder == first.folder
    assert "up to date" in capsys.readouterr().err
    other = kind(raw=raw, encoded=out, max_len=6).prepare()
    path = raw / "ml-100k.inter"
    path.write_text(path.read_text() + "1\t1\t5\t899999999\n")
    changed = kind(raw=raw, encoded=out, max_len=5).prepare()
    assert folders(out) == sorted({first.folder.name, other.folder.name, changed.folder.name})
    assert len(changed) == len(first) + 1


@pytest.mark.parametrize("moment", ["encode", "save", "manifest", "rename"])
def test_a_killed_run_leaves_no_folder(moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw, out = write_movielens(tmp_path / "raw"), tmp_path / "encoded"
    kind = DATASETS.get("movielens")

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if moment == "encode":
            patch.setattr(kind, "encode", killed)
        elif moment == "save":
            save = np.save
            patch.setattr(store.np, "save", lambda path, *a, **k: killed() if path.name == "values.npy"
                          else save(path, *a, **k))
        elif moment == "manifest":
            patch.setattr(store, "write_json", killed)
        else:
            patch.setattr(Path, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            kind(raw=raw, encoded=out).prepare()
    assert not out.exists() or folders(out) == []
    assert len(kind(raw=raw, encoded=out).prepare()) == 2500


@pytest.mark.bad_input
@pytest.mark.parametrize(("name", "damage"), [
    ("fields.npy", "cut"), ("fields.npy", "gone"), ("values.npy", "flip"), ("label.npy", "empty"),
    ("starts.npy", "flip"), ("schema.json", "cut"), ("vocabulary.parquet", "flip"), ("manifest.json", "cut"),
    ("manifest.json", "gone"), ("manifest.json", "other"), ("manifest.json", "no files")])
def test_damage_is_named(name: str, damage: str, movielens: Encoded, tmp_path: Path) -> None:
    folder = shutil.copytree(movielens.folder, tmp_path / movielens.folder.name)
    path = folder / name
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    elif damage == "other":
        path.write_text("[]")
    elif damage == "no files":
        path.write_text(json.dumps(json.loads(content) | {"files": 3}))
    else:
        path.write_bytes({"cut": content[:-7], "empty": b"",
                          "flip": content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]}[damage])
    with pytest.raises(AmeirError) as error:
        Encoded(folder)
    for word in (name, "delete the folder", str(folder), "ameir data prepare dataset=movielens"):
        assert word in str(error.value)


def test_a_large_source_is_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, memory = tmp_path / "big", tmp_path / "memory.json"
    path.write_bytes(b"abc")
    monkeypatch.setattr(store, "SMALL_FILE", 2)
    first = store.remembered_sha256(path, memory)
    with monkeypatch.context() as patch:
        patch.setattr(store, "sha256", lambda _: pytest.fail("hashed again"))
        assert store.remembered_sha256(path, memory) == first
    path.write_bytes(b"abcd")
    assert store.remembered_sha256(path, memory) != first


def test_types_pickling_and_vocabularies(movielens: Encoded) -> None:
    batch = movielens.gather(np.array([5, 3, 5]))
    assert batch.fields.dtype == batch.behaviors.dtype == torch.int64
    assert batch.label.dtype == batch.dense.dtype == torch.float32 and batch.mask.dtype == torch.bool
    assert batch.dense.shape == (3, 0) and torch.equal(batch.fields[0], batch.fields[2])
    again = pickle.loads(pickle.dumps(movielens))
    assert len(pickle.dumps(movielens)) < 1000, "columns do not travel to workers"
    assert torch.equal(again.gather(np.array([5])).behaviors, movielens.gather(np.array([5])).behaviors)
    with pytest.raises(AmeirError, match="no vocabulary 'movie'"):
        movielens.vocabulary("movie")
    for name, size in movielens.schema.vocabularies.items():
        assert sorted(movielens.vocabulary(name).values()) == list(range(2, size))


@pytest.mark.parametrize("limit", [1, 3, 1000])
def test_windows_are_the_last_events_padded_behind(movielens: Encoded, limit: int) -> None:
    values, rng = movielens.columns["values"], np.random.default_rng(0)
    begin = rng.integers(0, len(values), 200)
    end = np.minimum(begin + rng.integers(0, 9, 200), len(values))
    begin[:2], end[:2] = len(values) - 1, len(values)  # the file's last event
    begin[2:4] = end[2:4] = len(values)  # no history, behind the file
    ids, mask = movielens.window(begin, end, limit)
    assert ids.dtype == torch.int64 and mask.dtype == torch.bool and ids.is_contiguous()
    assert ids.shape == (200, min(limit, int((end - begin).max())), values.shape[1])
    for row, (first, last) in enumerate(zip(begin, end, strict=True)):
        expected = values[max(first, last - limit):last]
        assert mask[row].tolist() == [step < len(expected) for step in range(mask.shape[1])]
        assert ids[row, :len(expected)].tolist() == expected.tolist() and not ids[row, len(expected):].any()
    with pytest.raises(IndexError):
        movielens.window(begin[:1], end[:1] + 1, limit)


def test_rows_without_any_history(movielens: Encoded) -> None:
    movielens = Encoded(movielens.folder)
    movielens.columns["values"] = movielens.columns["values"][:0]
    nowhere = np.zeros(3, dtype=np.int64)
    ids, mask = movielens.window(nowhere, nowhere, 5)
    assert ids.shape == (3, 1, movielens.schema.behavior_slots) and not ids.any() and not mask.any()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    raw = write_movielens(tmp_path / "raw")
    (tmp_path / "file").write_text("")
    with pytest.raises(AmeirError, match="cannot be written .*paths.data=FOLDER"):
        DATASETS.get("movielens")(raw=raw, encoded=tmp_path / "file" / "encoded").prepare()


def test_two_processes_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw, out = write_movielens(tmp_path / "raw"), tmp_path / "encoded"
    kind = DATASETS.get("movielens")
    encode = kind.encode

    def slower(self: Dataset, files: dict[str, Path], folder: Path) -> store.Tables:
        with monkeypatch.context() as patch:
            patch.setattr(kind, "encode", encode)
            kind(raw=raw, encoded=out).prepare()
        return encode(self, files, folder)

    monkeypatch.setattr(kind, "encode", slower)
    encoded = kind(raw=raw, encoded=out).prepare()
    assert folders(out) == [encoded.folder.name] and len(encoded) == 2500


def test_a_dataset_is_abstract() -> None:
    with pytest.raises(TypeError):
        Dataset(raw=Path(), encoded=Path())  # type: ignore[abstract]


def test_a_file_that_changes_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw, out = write_movielens(tmp_path / "raw"), tmp_path / "encoded"
    kind = DATASETS.get("movielens")
    encode = kind.encode

    def meanwhile(self: Dataset, files: dict[str, Path], folder: Path) -> store.Tables:
        with files["ratings"].open("a") as file:
            file.write("1\t1\t5\t899999999\n")
        return encode(self, files, folder)

    monkeypatch.setattr(kind, "encode", meanwhile)
    with pytest.raises(AmeirError, match="ml-100k.inter changed while being read"):
        kind(raw=raw, encoded=out).prepare()
    assert folders(out) == []
