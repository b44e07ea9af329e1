"""`ameir data infer`: writes once, says what it guessed and what comes next."""

from __future__ import annotations

from pathlib import Path

import pytest

from ameir_pl.cli.data import infer as command
from ameir_pl.cli.infer import infer, words
from ameir_pl.data.table_description import read_description
from ameir_pl.errors import AmeirError

ROWS = "click,user,item,ts\n" + "".join(f"{i % 2},{i % 7},{i % 5},{1_700_000_000 + i}\n" for i in range(80))


def test_it_writes_prints_and_overwrites_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "clicks.csv").write_text(ROWS)
    path = infer(str(tmp_path / "clicks.csv"), "click")
    assert path == tmp_path / "clicks.yaml" and read_description(path).stages == (2, 3)
    out = capsys.readouterr().out
    named = f"dataset=table dataset.source={path}"
    for line in ("user: categorical, user", "ts: time", "guesses", f"ameir data prepare {named}",
                  f"ameir search {named} stage=all budget=demo", "stage 2, 3"):
        assert line in out
    path.write_text("mine")
    with pytest.raises(AmeirError, match="overwrite=true"):
        infer(str(tmp_path / "clicks.csv"), "click")
    assert path.read_text() == "mine"
    infer(str(tmp_path / "clicks.csv"), "click", overwrite=True)
    assert read_description(path).label == "click"
    below = infer(str(tmp_path / "clicks.csv"), "click", output=str(tmp_path / "deep" / "own.yaml"),
                  events=str(tmp_path / "clicks.csv"))
    about = read_description(below)
    assert about.source.input == "../clicks.csv" and about.source.paths()[0].samefile(tmp_path / "clicks.csv")
    assert about.stages == (1, 2, 3)


def test_an_error_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "clicks.csv").write_text(ROWS)
    with pytest.raises(AmeirError, match="label=COLUMN"):
        infer(str(tmp_path / "clicks.csv"), None)
    with pytest.raises(AmeirError, match="no file"):
        infer(str(tmp_path / "click.csv"), "click")
    assert list(tmp_path.iterdir()) == [tmp_path / "clicks.csv"]


def test_what_is_not_enough_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "few.csv").write_text("click,item\n" + "0,a\n1,b\n" * 9)
    infer(str(tmp_path / "few.csv"), "click")
    assert "not complete yet" in capsys.readouterr().out


def test_what_fails_when_tried_is_not_presented_as_ready(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f"{int(i > 75)},{i % 7},{i % 5},{1_700_000_000 + i}\n" for i in range(80))
    (tmp_path / "late.csv").write_text("click,user,item,ts\n" + rows)
    with pytest.raises(AmeirError, match="late.yaml is not ready: .*every train row has the label 0"):
        infer(str(tmp_path / "late.csv"), "click")
    assert "Then:" not in capsys.readouterr().out and (tmp_path / "late.yaml").is_file()


def test_rows_that_cannot_be_read_are_in_the_next_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "clicks.csv").write_text(ROWS + "1,2\n")
    infer(str(tmp_path / "clicks.csv"), "click")
    out = capsys.readouterr().out
    assert "line 82: 2 columns" in out and "clicks.yaml dataset.on_bad_row=skip\n" in out


def test_the_keys_of_the_command(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text(ROWS.split("\n", 1)[1].replace(",", "~"))
    path = command([f"input={tmp_path / 't.txt'}", "separator=~", "columns=[Klick?,wer,was,wann]", "label=Klick?",
                    "user=wer", "item=was", "time=wann", "positive=0", "output='" + str(tmp_path / "a b.yaml") + "'"])
    about = read_description(path)
    assert (about.label, about.user, about.time, about.label_rule.positive) == ("Klick?", "wer", "wann", ("0",))
    assert {f.name: f.group for f in about.fields}["was"] == "target" and about.source.separator == "~"
    assert words("a, b") == words("[a,b]") == words(["a", "b"]) == ("a", "b") and words(None) == ()
