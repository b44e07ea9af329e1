"""Journal: what is whole is used, what is damaged or belongs to something else is said and done again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from ameir_pl import ranks
from ameir_pl.errors import AmeirError
from ameir_pl.search.journal import Journal, Phase, signature, unfinished

VALUES = {"counts": {"layer": {"conv1": 3}}, "seconds": 0.1 + 0.2}
TENSORS = {"a": torch.arange(6.0).view(2, 3), "b.c": torch.tensor(True), "same": torch.ones(3)}


@pytest.fixture
def phase(tmp_path: Path) -> Phase:
    return Journal(tmp_path / ".progress", "settings").phase("stage1/supernet", "model")


def holding(text: str) -> Callable[[Path], None]:
    """Return what writes a checkpoint."""
    return lambda path: torch.save({"text": text}, path)


def again(phase: Phase, identity: str = "settings", model: str = "model") -> Phase:
    return Journal(phase.folder.parent, identity).phase("stage1/supernet", model)


def test_a_finished_phase_comes_back_exactly(phase: Phase) -> None:
    assert phase.done() is None
    phase.save(holding("x"), 3)
    phase.finish(VALUES, TENSORS)
    values, tensors = again(phase).done()  # type: ignore[misc]
    assert values == VALUES
    assert tensors.keys() == TENSORS.keys() and all(torch.equal(tensors[n], t) for n, t in TENSORS.items())
    assert again(phase).checkpoint() is None and not list(phase.folder.glob("*.ckpt"))


@pytest.mark.parametrize("other", [{"identity": "others"}, {"model": "another"}])
def test_what_belongs_to_something_else_is_not_used(phase: Phase, other: dict[str, str],
                                                    capsys: pytest.CaptureFixture[str]) -> None:
    phase.finish(VALUES, TENSORS)
    phase.keep_scores([0.5])
    assert again(phase, **other).done() is None and again(phase, **other).scores() == []
    assert "it belongs to another model or other settings" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["done.json", "done.safetensors"])
def test_every_flipped_bit_of_a_result_is_noticed(phase: Phase, name: str) -> None:
    phase.finish(VALUES, TENSORS)
    path = phase.folder / name
    content = path.read_bytes()
    for position in range(0, len(content), max(len(content) // 20, 1)):
        damaged = bytearray(content)
        damaged[position] ^= 4
        path.write_bytes(damaged)
        found = again(phase).done()
        assert found is None, position
    path.write_bytes(content[:-2])
    assert again(phase).done() is None


def test_checkpoints_the_two_newest_are_kept_and_a_damaged_one_passed_over(phase: Phase) -> None:
    for step in (1, 2, 3):
        phase.save(holding(f"at {step}"), step)
    assert sorted(p.name for p in phase.folder.glob("*.ckpt")) == ["step-2.ckpt", "step-3.ckpt"]
    assert again(phase).checkpoint() == phase.folder / "step-3.ckpt"
    (phase.folder / "step-3.ckpt").write_text("at 4")
    assert again(phase).checkpoint() == phase.folder / "step-2.ckpt"
    (phase.folder / "step-2.ckpt").unlink()
    assert again(phase).checkpoint() is None


class Evil:
    """Unpickling it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.path,))


def test_a_checkpoint_that_would_run_code_is_passed_over(phase: Phase, tmp_path: Path,
                                                         capsys: pytest.CaptureFixture[str]) -> None:
    phase.save(holding("at 1"), 1)
    phase.save(lambda path: torch.save({"state": TENSORS, "more": Evil(tmp_path / "ran")}, path), 2)
    assert again(phase).checkpoint() == phase.folder / "step-1.ckpt"
    assert not (tmp_path / "ran").exists()
    assert "step-2.ckpt cannot be used (it is no file of tensors and plain values" in capsys.readouterr().err


def test_an_index_cannot_point_outside(phase: Phase, tmp_path: Path) -> None:
    phase.save(holding("at 1"), 1)
    (phase.folder / "step-1.ckpt").rename(tmp_path / "out.ckpt")
    index = phase.folder / "checkpoints.json"
    index.write_text(index.read_text().replace("step-1.ckpt", "../../out.ckpt"))
    assert again(phase).checkpoint() is None


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(phase: Phase) -> None:
    phase.save(holding("at 1"), 1)

    def full(path: Path) -> None:
        path.write_text("hal")
        raise OSError(28, "No space left on device")

    with pytest.raises(AmeirError, match=r"step-2.ckpt cannot be written \(No space left on device\).* make room"):
        phase.save(full, 2)
    assert again(phase).checkpoint() == phase.folder / "step-1.ckpt"
    assert sorted(p.name for p in phase.folder.iterdir()) == ["checkpoints.json", "step-1.ckpt"]


def test_scores_come_back_exactly_and_damaged_ones_do_not(phase: Phase) -> None:
    scores = [0.1, 1 / 3, float("nan"), 0.7]
    phase.keep_scores(scores)
    assert str(again(phase).scores()) == str(scores)
    path = phase.folder / "scores.json"
    path.write_text(path.read_text().replace("0.7", "0.8"))
    assert again(phase).scores() == []


def test_the_clock_goes_on(tmp_path: Path) -> None:
    first = Journal(tmp_path, "settings")
    first._before = 100.0
    first.phase("stage2/cycle1").keep_scores([])
    second = Journal(tmp_path, "settings")
    second.open()
    second.begin()
    assert 100 <= second.spent < 160
    second.stage_done(2)
    assert second.spent < 60 and not list(tmp_path.glob("stage2*"))


def test_a_stage_made_again_is_not_made_a_third_time(tmp_path: Path) -> None:
    first = Journal(tmp_path, "settings", overwrite=True)
    first.open()
    first.phase("stage1/supernet").keep_scores([])
    first.stage_done(1)
    for overwrite, remade in ((True, True), (False, True)):
        later = Journal(tmp_path, "settings", overwrite=overwrite)
        later.open()
        assert later.remade(1) is remade and not later.remade(2)


def test_overwriting_does_not_go_on_with_what_did_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = Journal(tmp_path / "p", "settings")
    first.phase("stage1/supernet").finish(VALUES, TENSORS)
    later = Journal(tmp_path / "p", "settings", overwrite=True)
    later.open()
    assert later.phase("stage1/supernet").done() is None
    assert "dropped (overwrite=true begins anew)" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"identity": "settings", "overwrite": false}'])
def test_a_damaged_journal_is_dropped(tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "p"
    Journal(path, "settings").phase("stage1/supernet").finish(VALUES, TENSORS)
    (path / "journal.json").write_text(content)
    Journal(path, "settings").open()
    assert not unfinished(path) and "is dropped" in capsys.readouterr().err


def test_closing_keeps_what_is_unfinished(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "p", "settings")
    journal.close()
    journal.phase("finetune/AMEIR-C").keep_scores([1.0])
    journal.close()
    assert journal.path.exists()
    journal.drop()
    journal.close()
    assert not journal.path.exists()


def test_another_rank_does_not_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path / "p", "settings")
    journal.phase("a").finish(VALUES, TENSORS)
    monkeypatch.setattr(ranks, "_rank", 1)
    journal.phase("a").keep_scores([1.0])
    journal.phase("b").finish(VALUES, TENSORS)
    journal.drop()
    journal.close()
    monkeypatch.undo()
    assert journal.phase("a").done() is not None and journal.phase("a").scores() == []
    assert not (tmp_path / "p" / "b").exists()


def test_the_log_is_cut_to_what_was_kept(tmp_path: Path) -> None:
    log = tmp_path / "metrics.csv"

    def write(line: str) -> None:
        with log.open("a") as file:
            file.write(line)

    def begin() -> Journal:
        journal = Journal(tmp_path / "p", "settings", log=log)
        journal.open()
        return journal

    write("before\n")
    journal = begin()
    write("lost\n")
    journal = begin()  # killed before anything was kept
    assert journal.phase("a").checkpoint() is None and log.read_text() == "before\n"
    write("a\n")
    journal.phase("a").finish({}, TENSORS)
    write("b1\n")
    journal.phase("b").save(holding("1"), 1)
    write("b2\n")
    journal = begin()
    assert journal.phase("a").done() is not None
    assert journal.phase("b").checkpoint() is not None and log.read_text() == "before\na\nb1\n"
    (tmp_path / "p/b/step-1.ckpt").write_text("2")
    journal = begin()
    assert journal.phase("a").done() is not None
    assert journal.phase("b").checkpoint() is None and log.read_text() == "before\na\n"
    journal.stage_done(1)
    write("lost\n")
    journal = begin()
    assert journal.phase("c").checkpoint() is None and log.read_text() == "before\na\n"


def test_a_signature_tells_shapes_apart() -> None:
    assert signature(nn.Linear(2, 3)) == signature(nn.Linear(2, 3)) != signature(nn.Linear(3, 2))
