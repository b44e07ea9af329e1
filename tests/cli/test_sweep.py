"""The jobs of a multirun, and the same as tasks of Ray: refused, killed, failed, and every result there once."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from ameir_pl.cli import evaluate, search, train
from ameir_pl.cli.overrides import jobs_of
from ameir_pl.cli.sweep import planned
from ameir_pl.errors import AmeirError
from ameir_pl.ray_cluster import cluster
from ameir_pl.search.lock import FolderInUse, RunLock
from ameir_pl.stopping import handling_signals
from tests.tiny import Tiny, contents, numbers, results

RAY = "launcher=ray"


def test_every_combination_is_a_job() -> None:
    assert jobs_of(["seed=1,2", "fairness=split,full", "run=x"]) == [
        [f"seed={s}", f"fairness={f}", "run=x"] for s in (1, 2) for f in ("split", "full")]
    assert jobs_of(["seed=1", "run='a,b'"]) == [["seed=1", "run='a,b'"]]
    with pytest.raises(AmeirError, match="Cannot read the override"):
        jobs_of(["seed=[1"])


def test_jobs_may_have_different_numbers_of_overrides(tiny: Tiny, one_process: None) -> None:
    jobs = planned("train", [tiny("model=dnn", "run=a"), tiny("model=ameir", "architecture=like/din", "run=b")])
    assert [job.overrides for job in jobs] == [
        ("model=dnn", "run=a"), ("model=ameir", "architecture=like/din", "run=b")]


@pytest.fixture
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOCAL_RANK", "SLURM_NTASKS", "SLURM_STEP_ID", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)


REFUSED = [
    (("seed=1,2",), r"job 1 .*seed=1.* and job 2 .*one run folder.*Give each its own: 'run=\$\{seed\}'"),
    (("seed=1,2", "fairness=split,full", "run=${seed}"), r"'run=\$\{seed\}-\$\{fairness\}'"),
    (("budget=demo,paper",), r"'run=\$\{budget.name\}'"),
    (("dataset.train.learning_rate=0.1,0.01",), r"'run=\$\{dataset.train.learning_rate\}'"),
    (("seed=1,2", "run=${seed}", "trainer=ddp_cpu"), r"one process.*asks for 2.*launcher=local"),
    (("seed=1,2", "run=${seed}", "fairness=fair"), "There is no fairness=fair"),
    (("seed=1,2", "run=${seed}", "dataset.source=nowhere"), "nowhere"),
]


@pytest.mark.parametrize(("overrides", "message"), REFUSED)
def test_what_cannot_run_side_by_side_is_refused(overrides: tuple[str, ...], message: str, tiny: Tiny,
                                                 one_process: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ameir_pl.cli.command.run_jobs", lambda *_: pytest.fail("a job began"))
    with pytest.raises(AmeirError, match=f"(?s){message}"):
        search.main(["--multirun", *tiny(RAY, *overrides)])
    assert not tiny.runs.exists()


def test_one_of_several_ranks_starts_no_sweep(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "0")
    with pytest.raises(AmeirError, match="without torchrun"):
        planned("search", [tiny("seed=1")])


def test_without_multirun_there_are_no_jobs(tiny: Tiny) -> None:
    for main in (search.main, train.main, evaluate.main):
        with pytest.raises(AmeirError, match="launcher=ray runs the jobs of --multirun"):
            main(tiny(RAY))
    with pytest.raises(AmeirError, match="There is no launcher=rai.*Did you mean 'ray'"):
        search.main(tiny("launcher=rai"))


def test_what_a_job_takes(tiny: Tiny, one_process: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.chdir(tmp_path)
    (job,) = planned("search", [tiny("trainer=gpu", "paths.runs=\"it's, here\"")])
    assert (job.threads, job.gpus, job.folder) == (3, 1, tmp_path / "it's, here/movielens/default")
    config = planned("search", [job.arguments])[0].config
    assert config.paths.runs == str(tmp_path / "it's, here") and config.launcher == config.preparation == "local"
    monkeypatch.setenv("OMP_NUM_THREADS", "some")
    with pytest.raises(AmeirError, match="OMP_NUM_THREADS=some must be a whole number"):
        planned("search", [tiny()])
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert planned("search", [tiny()])[0].threads == 1


def test_ray_is_missing(tiny: Tiny, one_process: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(AmeirError, match=r"launcher=ray needs a package that is not installed: pip install "
                                         r"'ameir-pl\[ray\]', or use launcher=local"):
        search.main(["--multirun", *tiny(RAY, "seed=1,2", "run=${seed}")])
    assert not tiny.runs.exists()


@pytest.fixture
def two_nodes(one_process: None) -> Iterator[Any]:
    """A cluster of two machines with a processor each, all of them here."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    for _ in range(2):
        cluster.add_node(num_cpus=1, include_dashboard=False)
    ray.init(address=cluster.address, log_to_driver=False)
    try:
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """What the jobs of Ray have, so that sums are made in the same order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


LONG = ("model=dnn", "dataset.train.batch_size=64", "budget.finetune_epochs=20", "budget.patience=20",
        "checkpoint.every_steps=10")


def kill_while_it_trains(folder: Path) -> int:
    """Kill the process that writes to a run folder once it has left a checkpoint."""
    for _ in range(20_000):
        if list(folder.glob(".progress/*/step-*.ckpt")):
            process = int(json.loads((folder / ".lock").read_text())["process"])
            os.kill(process, signal.SIGKILL)
            return process
        time.sleep(0.005)
    raise TimeoutError(f"{folder} was never trained")


@pytest.mark.ray
def test_a_worker_that_is_killed_changes_nothing(tiny: Tiny, two_nodes: Any, one_thread: None, tmp_path: Path,
                                                 monkeypatch: pytest.MonkeyPatch,
                                                 capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    here = tiny.at(tmp_path / "here")
    rest = ("run=s${seed}", *LONG)
    sweep_of = ("seed=1,2,3,4", *rest)
    expected = train.main(["--multirun", *here(*sweep_of)])
    killed: list[int] = []
    killer = threading.Thread(target=lambda: killed.append(kill_while_it_trains(tiny.folder("s2"))), daemon=True)
    killer.start()
    capsys.readouterr()
    found = train.main(["--multirun", *tiny(RAY, *sweep_of)])
    killer.join(1)
    err = capsys.readouterr().err
    assert killed and f"started, process {killed[0]} on " in err and err.count(": begun again, ") == 1, err
    assert err.count(": done after ") == 4
    assert list(map(numbers, found)) == list(map(numbers, expected))
    for seed in range(1, 5):
        mine, theirs = tiny.folder(f"s{seed}"), here.folder(f"s{seed}")
        assert numbers(json.loads((mine / "metrics.json").read_text())) == numbers(expected[seed - 1])
        assert results(mine) == results(theirs) and contents(mine).keys() == contents(theirs).keys()
        assert len((mine / "metrics.csv").read_text().splitlines()) == len(
            (theirs / "metrics.csv").read_text().splitlines()), "each line once"
    again = train.main(["--multirun", *tiny(RAY, "seed=2", *rest)])
    assert again == found[1:2], "a finished run is found"


@pytest.mark.ray
def test_a_job_that_fails_does_not_end_the_others(tiny: Tiny, two_nodes: Any, capsys: pytest.CaptureFixture[str]
                                                  ) -> None:
    train.main(tiny("model=dnn", "seed=9", "run=s1"))
    with pytest.raises(AmeirError, match=r"(?s)1 of 2 jobs failed.*job 1 \(.*seed=1.*results of other settings: "
                                         r"seed: 9 -> 1"):
        train.main(["--multirun", *tiny(RAY, "model=dnn", "seed=1,2", "run=s${seed}")])
    assert (tiny.folder("s2") / "metrics.json").exists()
    err = capsys.readouterr().err
    assert err.count(": done after ") == 1 and err.count(": failed after ") == 1


def test_a_held_folder_has_an_error_of_its_own(tmp_path: Path) -> None:
    first, second = RunLock(tmp_path / ".lock"), RunLock(tmp_path / ".lock")
    first.acquire()
    with pytest.raises(FolderInUse, match="is being written by process"):
        second.acquire()
    first.release()


@pytest.mark.ray
def test_sigterm_stays_ours() -> None:
    pytest.importorskip("ray")
    with handling_signals():
        ours = signal.getsignal(signal.SIGTERM)
        with cluster("launcher=ray", "launcher=local"):
            assert signal.getsignal(signal.SIGTERM) is ours
        assert signal.getsignal(signal.SIGTERM) is ours
