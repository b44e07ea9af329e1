"""Progress: plain lines where there is no terminal, nothing on standard output."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from ameir_pl import progress
from ameir_pl.progress import Meter, track


def test_plain_lines_without_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    with Meter("search [fair]", total=4, unit="rows") as meter:
        meter.advance(0)  # nothing done yet: no rate to divide by
        meter.advance(2, note="auc [0.61] :100:")
        meter.advance(2)
    out, err = capsys.readouterr()
    assert out == ""
    assert "\x1b" not in err and "\r" not in err
    lines = err.splitlines()
    assert lines[0] == "search [fair]: 0/4 rows, 0.0 rows/s, ? s left"
    assert re.fullmatch(r"search \[fair\]: 2/4 rows, [\d.]+ rows/s, \d+ s left, auc \[0\.61\] :100:", lines[1])
    assert re.fullmatch(r"search \[fair\]: 4/4 rows, [\d.]+ rows/s, 0 s left, auc \[0\.61\] :100:", lines[2])
    assert re.fullmatch(r"search \[fair\]: 4 rows in [\d.]+ s, auc \[0\.61\] :100:", lines[3])
    assert len(lines) == 4


def test_a_quick_task_prints_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track(range(1000), "count", total=1000)) == list(range(1000))
    assert re.fullmatch(r"count: 1000 it in [\d.]+ s\n", capsys.readouterr().err)


def test_what_was_done_before_says_nothing_of_the_rate(capsys: pytest.CaptureFixture[str],
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([100.0, 102.0, 104.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(times))
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    with Meter("fit", total=100, unit="batches") as meter:
        meter.skip(80)
        meter.advance(4)
    assert capsys.readouterr().err.splitlines() == ["fit: 84/100 batches, 2.0 batches/s, 8 s left",
                                                    "fit: 84 batches (4 of them now) in 4.0 s"]


def test_a_long_line_is_not_wrapped(capsys: pytest.CaptureFixture[str]) -> None:
    with Meter("x" * 300, total=1) as meter:
        meter.advance()
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_an_exception_prints_no_success(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError), Meter("fail", total=3) as meter:
        meter.advance()
        raise RuntimeError
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar_and_one_line_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(progress, "console", lambda: Console(file=stream, force_terminal=True, highlight=False,
                                                             soft_wrap=True, width=120))
    with Meter("epoch [1]", total=2) as meter:
        meter.advance(note="loss [0.5]")
        meter.advance()
    text = stream.getvalue()
    assert "2/2" in text and "epoch [1]" in text and "[0.5]" in text
    assert re.search(r"epoch \[1\]: 2 it in [\d.]+ s, loss \[0\.5\]\n$", text)
