"""A killed or stopped command goes on to the same results; two do not write to one folder."""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from ameir_pl.callbacks.metrics_csv import MetricsCsv
from ameir_pl.cli import search, train
from ameir_pl.cli.engine import LightningEngine
from ameir_pl.errors import AmeirError
from ameir_pl.search import behavior_step, evaluator, interaction_step, mlp_step
from tests.processes import start_search
from tests.tiny import Tiny, contents, numbers, results


def measured(folder: Path) -> dict:
    return numbers(json.loads((folder / "metrics.json").read_text()))


@pytest.mark.parametrize("module", [behavior_step, interaction_step, mlp_step])
def test_a_stage_that_fails_late_goes_on_with_what_it_trained(finished: Tiny, tiny: Tiny, module: object,
                                                              monkeypatch: pytest.MonkeyPatch,
                                                              capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("the power went out")

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_stage", fail)
        with pytest.raises(ValueError, match="the power went out"):
            search.main(tiny("stage=all"))
    assert (tiny.folder() / ".progress").exists() and not (tiny.folder() / ".lock").exists()
    number = {behavior_step: 1, interaction_step: 2, mlp_step: 3}[module]  # type: ignore[index]
    capsys.readouterr()
    search.main(tiny("stage=all"))
    err = capsys.readouterr().err
    assert "Going on with what was left unfinished" in err
    assert f"stage{number}/supernet:" not in err and f"stage{number}/cycle1:" not in err, "trained a second time"
    assert results(tiny.folder()) == results(finished.folder())
    assert measured(tiny.folder()) == measured(finished.folder())
    assert not (tiny.folder() / ".progress").exists()


def test_metrics_csv_of_which_all_was_taken_back(finished: Tiny, tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    log = MetricsCsv.log_metrics

    def once(self: MetricsCsv, *rest: object, **named: object) -> None:
        log(self, *rest, **named)  # type: ignore[arg-type]
        raise ValueError("the power went out")

    with monkeypatch.context() as patch:
        patch.setattr(MetricsCsv, "log_metrics", once)
        with pytest.raises(ValueError, match="the power went out"):
            search.main(tiny("stage=1", "checkpoint.every_steps=4"))
    search.main(tiny("stage=1"))
    lines = (tiny.folder() / "metrics.csv").read_text().splitlines()
    assert lines == (finished.folder() / "metrics.csv").read_text().splitlines()[:len(lines)]
    assert lines[0] == "step,name,value" and len(lines) > 3


def test_scoring_goes_on(finished: Tiny, tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluator, "KEEP", 2)
    scored = []
    scores = evaluator.CandidateScorer.scores

    def some(self: evaluator.CandidateScorer, candidates: list, *rest: object) -> list[float]:
        if len(scored) == 4:
            raise ValueError("the power went out")
        scored.extend(candidates)
        return scores(self, candidates, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(evaluator.CandidateScorer, "scores", some)
    with pytest.raises(ValueError, match="the power went out"):
        search.main(tiny("stage=1"))
    first = list(scored)
    scored.clear()
    search.main(tiny("stage=1"))
    assert len(first) == 4 and len(scored) == 2 and not set(first) & set(scored)
    for name in ("stage1/candidates.parquet", "stage1/architecture.yaml", "stage1/winner.ckpt"):
        assert contents(tiny.folder())[name] == contents(finished.folder())[name]


def test_unfinished_work_of_other_settings_is_refused_and_overwrite_drops_it(
        tiny: Tiny, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(behavior_step, "best_of", None)
        with pytest.raises(TypeError):
            search.main(tiny("stage=1"))
    before = contents(tiny.folder())
    with pytest.raises(AmeirError, match=r"results of other settings: seed: 1 -> 2 .*overwrite=true"):
        search.main(tiny("stage=1", "seed=2"))
    assert contents(tiny.folder()) == before
    capsys.readouterr()
    search.main(tiny("stage=1", "seed=2", "overwrite=true"))
    assert "is dropped (it was begun with other settings, data or versions)" in capsys.readouterr().err


def test_overwriting_that_was_interrupted_goes_on(copied: Tiny, monkeypatch: pytest.MonkeyPatch,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    before = results(copied.folder())
    with monkeypatch.context() as patch:
        patch.setattr(interaction_step, "write_stage", None)
        with pytest.raises(TypeError):
            search.main(copied("stage=all", "overwrite=true"))
    capsys.readouterr()
    search.main(copied("stage=all", "overwrite=true"))
    err = capsys.readouterr().err
    assert "Stage 1 is finished" in err and "stage2/cycle2:" not in err and "stage3/supernet:" in err
    assert results(copied.folder()) == before


def test_a_baseline_goes_on(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = train.main([*tiny(), "model=din", "run=whole"])
    with monkeypatch.context() as patch:
        patch.setattr("ameir_pl.search.pipeline.measure", None)
        with pytest.raises(TypeError):
            train.main([*tiny(), "model=din", "run=parts"])
    monkeypatch.setattr("ameir_pl.cli.engine.LightningEngine._run", None)  # any training would fail
    assert numbers(train.main([*tiny(), "model=din", "run=parts"])) == numbers(whole)


@pytest.mark.parametrize("command", [
    ("model=autofis", "model.options.c=0.01"),
    ("model=autocross", "model.options.first_rows=100", "model.options.number=2"),
    ("model=autoctr", "model.options.trials=4", "model.options.population=2", "model.options.epochs=0.5")],
    ids=lambda command: command[0].removeprefix("model="))
def test_a_model_that_has_to_be_found_goes_on(tiny: Tiny, command: tuple[str, ...],
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    whole = train.main([*tiny(), *command, "run=whole"])
    assert next(iter(whole["models"].values()))["found"]
    run, fits = LightningEngine._run, 0

    def runs_once(*args: object, **kwargs: object) -> object:
        nonlocal fits
        fits += 1
        if fits == 2:
            raise InterruptedError
        return run(*args, **kwargs)  # type: ignore[arg-type]

    for _ in range(10):
        fits = 0
        with suppress(InterruptedError), monkeypatch.context() as patch:
            patch.setattr(LightningEngine, "_run", runs_once)
            assert numbers(train.main([*tiny(), *command, "run=parts"])) == numbers(whole)
            break
    else:
        raise AssertionError("it never ended")


def test_killed_at_random_moments_it_ends_the_same(finished: Tiny, tiny: Tiny) -> None:
    generator = random.Random(5)
    arguments = tiny("stage=all", "checkpoint.every_steps=3")
    killed = 0
    for earliest in (0.5, 1.5):
        process = start_search(tiny.runs.parent / "output", arguments)
        with suppress(TimeoutError):
            process.wait(earliest + generator.random())
        assert process.returncode in (0, -signal.SIGKILL), process.output
        killed += process.returncode != 0
    assert killed, "it ended before it was killed"
    search.main(arguments)
    assert results(tiny.folder()) == results(finished.folder())
    assert measured(tiny.folder()) == measured(finished.folder())


def until(condition: Callable[[], bool]) -> None:
    for _ in range(900):
        if condition():
            return
        time.sleep(0.1)
    raise TimeoutError


def test_signals_save_and_end_and_a_second_process_is_refused(tiny: Tiny) -> None:
    endless = tiny("stage=1", "budget.stage1_epochs=5000")
    lock, log = tiny.folder() / ".lock", tiny.folder() / "metrics.csv"
    for number, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        started = time.time()
        process = start_search(tiny.runs.parent / "output", endless)
        until(lambda: lock.exists() and log.exists() and log.stat().st_mtime > started)  # noqa: B023  an epoch is done
        with pytest.raises(AmeirError, match=f"written by process {process.pid} on .* choose another run="):
            search.main(endless)
        process.send_signal(number)
        ended = process.wait(30)
        output = process.output
        assert ended == code, output
        assert "Stopping after this batch" in output and "the same command goes on from there" in output
        assert "Traceback" not in output
        assert list((tiny.folder() / ".progress/stage1.supernet").glob("step-*.ckpt"))
        assert not lock.exists()
    assert "Going on with what was left unfinished" in output
