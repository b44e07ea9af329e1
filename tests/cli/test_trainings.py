"""Several trainings: what fails is noted whatever it is, and what was made anew is not made twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ameir_pl.cli import train
from ameir_pl.cli.trainings import Remade, run_of, train_all
from ameir_pl.errors import AmeirError, NotFinite, Stopped

JOBS = [["dataset=x", f"{word}=true", f"run=r{i}"] for i, word in enumerate(("overwrite", "++overwrite", "overwrite"))]


def test_whatever_fails_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
                                 ) -> None:
    done: list[str] = []

    def one(job: list[str]) -> Any:
        if run_of(job) == "run=r0":
            raise RuntimeError("CUDA out of memory")
        if run_of(job) == "run=r1":
            raise AmeirError("no such file")
        done.append(run_of(job))

    monkeypatch.setattr(train, "main", one)
    failed = train_all(JOBS, "local", Remade(tmp_path, False, "data"))
    assert failed == {"run=r0": "RuntimeError: CUDA out of memory", "run=r1": "no such file"} and done == ["run=r2"]
    assert "Traceback" in capsys.readouterr().err, "where a mistake of ours came from is not lost"


@pytest.mark.parametrize("kind", [RuntimeError, NotFinite])
def test_with_several_processes_what_one_of_them_may_be_alone_with_ends_all(
        kind: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ameir_pl.ranks.world", lambda: 2)
    monkeypatch.setattr(train, "main", lambda _: (_ for _ in ()).throw(kind("one of two")))
    with pytest.raises(kind, match="one of two"):
        train_all(JOBS, "local", Remade(tmp_path, False, "data"))


def test_what_was_made_anew_is_not_made_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def one(job: list[str]) -> None:
        if len(seen) == 2:
            raise Stopped(15)
        seen.append(job)

    monkeypatch.setattr(train, "main", one)
    with pytest.raises(Stopped):
        train_all(JOBS, "local", Remade(tmp_path, True, "data"))
    assert all("overwrite=true" in job for job in seen)

    seen.clear()
    monkeypatch.setattr(train, "main", seen.append)
    other = [*JOBS[:1], ["dataset=y", *JOBS[1][1:]], JOBS[2]]
    assert "overwrite=true" in Remade(tmp_path, True, "other data").rest(JOBS[0])
    remade = Remade(tmp_path, True, "data")
    assert train_all(other, "local", remade) == {}
    assert ["overwrite=true" in job for job in seen] == [False, True, True], "other settings are made anew"
    remade.end()
    assert list(tmp_path.iterdir()) == []
    assert "overwrite=true" in Remade(tmp_path, True, "data").rest(JOBS[0]), "a later command begins anew"


def test_a_damaged_list_makes_all_anew(tmp_path: Path) -> None:
    (tmp_path / ".remade.json").write_text('{"data": [[')
    assert "overwrite=true" in Remade(tmp_path, True, "data").rest(JOBS[0])
