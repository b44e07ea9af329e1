"""Architecture files: reading, writing, finding, and what is said when there is nothing to read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ameir_pl.architecture_file import find_architecture, read_architecture, write_architecture
from ameir_pl.errors import AmeirError
from ameir_pl.space.architecture import Architecture, Block, MlpLayer

CONF = Path(__file__).resolve().parents[1] / "conf"
SOME = Architecture((Block("dconv7", "swish"), Block("zero")), (("On", "brand"),), (MlpLayer(42), MlpLayer(10, "dice")))


def message(call: object, *args: object) -> str:
    with pytest.raises(AmeirError) as caught:
        call(*args)  # type: ignore[operator]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "run" / "architecture.yaml"
    write_architecture(path, SOME)
    assert read_architecture(path) == read_architecture(str(path)) == SOME
    write_architecture(path, Architecture())
    assert read_architecture(path) == Architecture()
    assert os.listdir(path.parent) == ["architecture.yaml"]


def test_missing_file_names_the_nearest_of_its_folder(tmp_path: Path) -> None:
    write_architecture(tmp_path / "architecture.yaml", SOME)
    (tmp_path / "notes.txt").write_text("")
    text = message(read_architecture, tmp_path / "architecure.yaml")
    assert str(tmp_path / "architecure.yaml") in text
    assert text.endswith("Did you mean 'architecture.yaml'?")
    assert message(read_architecture, tmp_path / "zzz").endswith("Known: architecture.yaml.")
    assert f"no folder {tmp_path / 'rum'}" in message(read_architecture, tmp_path / "rum" / "a.yaml")
    assert "is a folder" in message(read_architecture, tmp_path)


@pytest.mark.parametrize(("text", "expected"), [
    ("", "is empty"),
    ("# only a comment\n", "is empty"),
    ("blocks: []\nmlp: [\n", "line 3 is not YAML"),
    ("blocks: []\n  mlp: []\n", "line 2 is not YAML"),
    ("blocks: !!python/object/apply:os.system [ls]\n", "line 1 is not YAML"),
    ("interactions: [[2001-99-99, a]]\n", "is not YAML"),
    ("blocks: []\x00\n", "is not YAML"),
    ("blocks: []\n---\nmlp: []\n", "is not YAML"),
    ("- zero\n", "expected a mapping"),
    ("just words\n", "expected a mapping"),
    ("blocs: []\n", "Did you mean 'blocks'?"),
    ("blocks: zero\n", "'blocks' must be a list"),
    ("interactions: [[on, a]]\n", "interactions[0]: expected a list of field names, found [True, 'a']"),
    ("mlp: [{units: 1.5}]\n", "mlp[0]: units must be a whole number"),
    ("mlp: []\nblocks: []\nmlp: [{units: 3}]\n", "line 3: 'mlp' stands twice, first on line 1"),
    ("[a, b]: c\n", "line 1 is not YAML"),
    ("[" * 1000, "is not YAML"),
])
def test_malformed_file_is_one_clear_error(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    found = message(read_architecture, path)
    assert found.startswith(str(path))
    assert expected in found


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xff\xfe\x00\x80")
    assert "cannot be read as UTF-8 text" in message(read_architecture, path)


def test_a_name_is_found_under_conf() -> None:
    path = CONF / "architecture" / "paper" / "alimama_1.yaml"
    assert find_architecture("paper/alimama_1", CONF) == find_architecture("paper/alimama_1.yaml", CONF) == path
    assert read_architecture(path).blocks[0] == Block("dconv7", "swish")


def test_a_path_on_disk_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_architecture(tmp_path / "mine.yaml", SOME)
    write_architecture(tmp_path / "extensionless", SOME)
    assert find_architecture(str(tmp_path / "mine.yaml"), CONF) == tmp_path / "mine.yaml"
    assert find_architecture(str(tmp_path / "extensionless"), CONF) == tmp_path / "extensionless"
    monkeypatch.chdir(tmp_path)
    assert find_architecture("mine.yaml", CONF) == Path("mine.yaml")
    assert find_architecture("mine.yaml", tmp_path / "no-such-conf") == Path("mine.yaml")


def test_unknown_names_are_answered_with_the_nearest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert message(find_architecture, "paper/alimama1", CONF).endswith("Did you mean 'paper/alimama_1'?")
    assert message(find_architecture, "paper/alimama_9.yaml", CONF).startswith("There is no architecture file")
    assert "Known: " in message(find_architecture, "", CONF)
    assert "Unknown architecture 'x'" in message(find_architecture, "x", tmp_path)
    write_architecture(tmp_path / "mine.yaml", SOME)
    assert message(find_architecture, "mind.yaml", CONF).endswith("Did you mean 'mine.yaml'?")
    write_architecture(tmp_path / "runs" / "a" / "architecture.yaml", SOME)
    assert message(find_architecture, "runs/a", CONF).endswith("Did you mean 'architecture.yaml'?")
