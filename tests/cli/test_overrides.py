"""Hydra's grammar: each form works as in Hydra or is refused in one message that names what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ameir_pl.cli import data, derive, search, train
from ameir_pl.cli.compose import load_config
from ameir_pl.cli.conf_files import options
from ameir_pl.cli.overrides import jobs_of
from ameir_pl.errors import AmeirError
from tests.tiny import Tiny

SWEEPS = {
    "model=glob(l*)": ["model=lr"],
    "model=glob([d*,l*],exclude=d*)": ["model=lr"],
    "trainer=glob(*cpu*)": ["trainer=cpu", "trainer=ddp_cpu"],
    "architecture=glob(paper/beauty_*)": [f"architecture=paper/beauty_{n}" for n in range(1, 5)],
    "seed=range(1,4)": ["seed=1", "seed=2", "seed=3"],
    "seed=range(4,1,-2)": ["seed=4", "seed=2"],
    "seed=choice(3,5)": ["seed=3", "seed=5"],
    "seed=sort(5,3,4)": ["seed=3", "seed=4", "seed=5"],
    "seed=sort(range(1,4),reverse=true)": ["seed=3", "seed=2", "seed=1"],
    "seed=tag(mine,choice(1,2))": ["seed=1", "seed=2"],
    "+trainer.max_steps=1,2": ["+trainer.max_steps=1", "+trainer.max_steps=2"],
    "space.norms=[none],[layer_norm]": ["space.norms=[none]", "space.norms=[layer_norm]"],
    "run='a,b'": ["run='a,b'"], "seed=7": ["seed=7"],
}


@pytest.mark.parametrize("override", SWEEPS)
def test_what_a_sweep_runs(override: str) -> None:
    assert [job for (job,) in jobs_of([override])] == SWEEPS[override]


def test_shuffled_values_have_the_same_order_in_every_process() -> None:
    first, again = (jobs_of(["seed=shuffle(range(1,20))"]) for _ in range(2))
    assert first == again and first != sorted(first) and len(first) == 19


NO_SWEEP = {
    "dataset.train.learning_rate=interval(0.001,0.1)": r"learning_rate=interval\(0.001,0.1\): .*tune sampler=optuna",
    "seed=range(3,1)": r"seed=range\(3,1\) has no value", "model=glob(zz*)": r"model=glob\(zz\*\) matches none of afm",
    "seed=glob(1*)": r"seed=glob\(1\*\): glob\(\) chooses among the files of a group, and seed is none",
    "seed=range(1,100000000)": "makes more than 10,000 jobs", "seed=[1": "Cannot read the override 'seed=.1'",
}


@pytest.mark.parametrize("override", NO_SWEEP)
def test_what_no_sweep_can_run(override: str) -> None:
    with pytest.raises(AmeirError, match=NO_SWEEP[override]):
        train.main(["--multirun", override])


WRONG = {
    # several values, without --multirun
    "seed=1,2": "seed=1,2 has several values.*--multirun", "seed=choice(1,2)": "seed=choice.1,2. has several",
    "seed=range(1,3)": "seed=range.1,3. has several", "model=glob(l*)": "model=glob.l.. has several",
    "dataset.train.learning_rate=interval(0,1)": "interval.0,1.: interval",
    # what is not there, what is there already
    "sed=1": "'sed'.*'seed'", "~sed": "~sed would leave the command without sed",
    "~trainer.gradient_clip_val": "~trainer.gradient_clip_val leaves out a key that has no value",
    "~trainer.gradient_clip": "~trainer.gradient_clip leaves out what is not there",
    "+seed=1": "seed=1: there is seed already, so it is written without a plus: seed=1",
    "+dataset.train.batch_size=1": "there is dataset.train.batch_size already",
    "dataset.train.batchsize=1": "'dataset.train.batchsize'", "++sed=1": "'sed'", "+sed=1": "'sed'",
    "callbacks.mine._target_=x": r"'callbacks.mine._target_'.*with a plus: \+callbacks.mine._target_=x",
    "dataset.options.foo=1": r"'dataset.options.foo'.*with a plus: \+dataset.options.foo=1",
    "optimizer.lrr=1": "'optimizer.lrr'.*mean 'lr'", "scheduler.T_maxx=1": "'scheduler.T_maxx'",
    "trainer.devces=1": "'trainer.devces'.*mean 'devices'",
    # what something else says
    "optimizer.weight_decay=0.1": "optimizer.weight_decay=0.1 has no part here: L2 is dataset.train.weight_decay",
    "optimizer.lr=0.5": "rate is dataset.train.learning_rate=[0-9.]*, and optimizer.lr=0.5 is another",
    "~optimizer.lr": "optimizer.lr is left out", "scheduler.T_max=3": "scheduler.T_max=3 has no part here",
    **{f"+callbacks.mine._target_=pytorch_lightning.callbacks.{name}": f"{name} has no part here: {instead}"
       for name, instead in {"Timer": "where a clock", "ModelCheckpoint": "how often", "RichProgressBar": "progress",
                             "ModelSummary": "the table"}.items()},
    # groups
    "model=din2": "no model=din2", "dataset=": "dataset= is empty: it names no option. There are: alimama",
    "~scheduler": "~scheduler would leave the command without scheduler. Choose one: scheduler=constant|cosine",
    "~trainer": "~trainer would leave", "~dataset": "~dataset would leave", "~budget": "~budget would leave",
    "~optimizer": "~optimizer would leave", "~callbacks": "~callbacks would leave", "~model": "~model would leave",
    "scheduler=null": "scheduler=null would leave", "~scheduler=cosine": "~scheduler=cosine would leave",
    "~callbacks.uniform_sampling": "uniform_sampling draws the paths",
    "~dataset.train": "~dataset.train would leave the command without dataset.train",
    "~dataset.train.learning_rate": "~dataset.train.learning_rate would leave",
    "~seed": "~seed would leave the command without seed. Give it a value: seed=VALUE",
    "+logger=csv": "logger", "+optimizer=adam": "optimizer", "+grup=x": "grup",
    # values
    "seed=": "seed= is empty: write a value, or seed=null", "run=": "run= is empty", "seed=abc": "seed: Value 'abc'",
    "seed=[1]": "seed", "seed={a:1}": "seed", "seed=null": "seed", 
    "space=5": "space=5: space is several settings", "dataset.train=null": "dataset.train is several settings. Set one",
    "seed=${sed}": "sed", "run=${seed": "run=", "optimizer=null": "optimizer=null",
    "trainer.max_steps=x": "trainer.max_steps=x", "logger.wandb.projct=5": "logger.wandb.projct",
    "optimizer._target_=os.nothing": "optimizer._target_=os.nothing",
    "+callbacks.mine=5": "'callbacks.mine' cannot be built", "+logger.mine={x:1}": "'logger.mine' cannot be built",
    # Hydra's own
    "hydra.run.dir=x": "hydra.run.dir=x has no part here: .*paths.runs", "hydra.sweep.dir=x": "hydra.sweep.dir=x",
    "hydra.job.name=x": "hydra.job.name=x", "hydra/launcher=joblib": "hydra/launcher=joblib.*launcher=ray",
    "hydra/sweeper=optuna": "hydra/sweeper=optuna.*ameir tune", "hydra.verbose=true": "debug=true",
    "+hydra.foo=1": "hydra.foo=1 has no part here", "hydra.mode=MULTIRUN": "--multirun",
    # what cannot be read
    "seed=(1": "Cannot read the override 'seed=.1'", "seed": "Cannot read the override 'seed': .*key=value",
    "=5": "Cannot read the override '=5': .*key=value", "+=5": "Cannot read the override '.=5'",
}
RIGHT = ("fairness=full", "+trainer.limit_train_batches=5", "dataset.train.batch_size=64", "budget=light")


@pytest.mark.parametrize("wrong", WRONG)
def test_the_override_that_is_wrong_is_the_one_that_is_named(wrong: str) -> None:
    before = list(WRONG).index(wrong) % (len(RIGHT) + 1)  # it stands in every place
    with pytest.raises(AmeirError, match=WRONG[wrong]) as caught:
        load_config("train", [*RIGHT[:before], wrong, *RIGHT[before:]])
    message = str(caught.value)
    assert "\n" not in message and len(message) < 700
    assert not any(right in message for right in RIGHT)


def test_what_may_be_left_out_or_added() -> None:
    for more in ("~logger", "logger=null"):
        assert load_config("train", [more])[0].logger == {}
    assert "progress" not in load_config("train", ["~callbacks.progress"])[0].callbacks
    for more in ("trainer.max_steps=5", "+trainer.max_steps=5", "++trainer.max_steps=5"):
        assert load_config("train", [more])[0].trainer["max_steps"] == 5
    assert load_config("train", ["optimizer.betas=[0.8,0.9]"])[0].optimizer["betas"] == [0.8, 0.9]
    assert load_config("train", ["~optimizer.fused"])[0].optimizer.keys() == {"_target_", "_partial_", "lr"}
    assert load_config("train", ["run='a'", 'fairness="full"'])[0].fairness == "full"
    for wrong in ("model=din", "+model=din", "architecture=paper/beauty_1", "+architecture=x"):
        with pytest.raises(AmeirError, match="is a setting of `ameir train`"):
            load_config("search", [wrong])


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    for name, text in (("dataset/mine", "defaults:\n  - movielens\nmax_len: 7"), ("model/zz", "name: lr\noptions: {}"),
                       ("architecture/own", "mlp: [{units: 4, activation: relu}]")):
        (tmp_path / "my conf" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "my conf" / f"{name}.yaml").write_text(text)
    return tmp_path / "my conf"


@pytest.mark.parametrize("form", ["--config-dir=", "--config-dir", "-cd", "hydra.searchpath="])
def test_a_folder_of_the_user_s(form: str, mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = [f"{form}{mine}"] if form == "--config-dir=" else [f"{form}['file://{mine}']"] if "=" in form else [
        form, str(mine)]
    train.main([*given, "dataset=mine", "model=zz", "--cfg", "job", "--package", "dataset.max_len"])
    assert capsys.readouterr().out == "7\n"
    train.main([*given, "model=ameir", "architecture=own", "--cfg", "job", "-p", "architecture"])
    assert capsys.readouterr().out == f"{mine}/architecture/own.yaml\n"
    with pytest.raises(AmeirError, match="no dataset=mime. Did you mean 'mine'"):
        train.main([*given, "dataset=mime"])


def test_a_sweep_over_a_folder_of_the_user_s(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train.main(["-m", f"--config-dir={mine}", "model=glob([zz,lr])", "--cfg", "job", "-p", "run"])
    assert capsys.readouterr().out == "lr\nlr\n"
    assert "zz" not in options("model") and "zz" in options("model", [mine])


FLAGS = {
    "--config-name=x": "--config-name=x has no part here", "-cn": "-cn has no part", "--config-path=x": "--config-dir",
    "--info": "--info has no part here: --cfg job", "--info=all": "--info=all", "--hydra-help": "--help tells",
    "--cfg=hydra": "--cfg hydra has no part", "--cfg=all": "--cfg all has no part", "--cfg": "--cfg needs a value",
    "--package=dataset": "--package dataset is the part that --cfg job shows", "--multirn": "mean '--multirun'",
    "--config-dir=/nowhere": "--config-dir=/nowhere: there is no such folder", "--experimental-rerun=x": "config.yaml",
    "--help=x": "Unknown option --help=x", "-x": "Unknown option -x", "--shell-completion": "--help lists",
}


@pytest.mark.parametrize("flag", FLAGS)
def test_options_that_have_no_part_here(flag: str) -> None:
    with pytest.raises(AmeirError, match=FLAGS[flag]):
        search.main([flag])


def test_parts_of_a_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    search.main(["-c", "job", "--resolve", "-p", "optimizer", "dataset.train.learning_rate=0.5"])
    assert "lr: 0.5" in capsys.readouterr().out
    search.main(["--version"])
    assert capsys.readouterr().out.count(".") == 2
    with pytest.raises(AmeirError, match="--package optimiser: there is no such part.*mean 'optimizer'"):
        search.main(["--cfg=job", "--package=optimiser"])


SHARED = [(train.main, ["seed=1,2", "run=m1"], r"job 1 \(seed=1\) and job 2 \(seed=2\).*m1. Give each .*run=..seed."),
          (train.main, ["model=lr,fm,lr", "run=${model.name}"], r"job 1 \(model=lr\) and job 3 \(model=lr\)"),
          (train.main, ["fairness=split,full"], "one run folder"), (train.main, ["seed=1,1"], "one run folder"),
          (search.main, ["seed=range(1,3)"], "one run folder"), (search.main, ["stage=1,1"], "one run folder"),
          (search.main, ["stage=1,2", "seed=1,2"], "one run folder"), (derive.main, ["variant=A,B"], "one run folder"),
          (train.main, ["trainer=cpu,ddp_cpu", "run=${trainer.devices}"], "asks for 2 processes, the first job for 1"),
          (data.generate, ["rows=5,10"], "would write to one")]


@pytest.mark.parametrize(("main", "overrides", "message"), SHARED)
def test_jobs_that_share_a_folder_are_refused(main: Any, overrides: list[str], message: str, tiny: Tiny,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ameir_pl.cli.command._one", lambda *_: pytest.fail("a job began"))
    with pytest.raises(AmeirError, match=message):
        main(["--multirun", *tiny(*overrides)])
    assert not tiny.runs.exists()


def test_a_later_job_s_mistake_is_said_before_the_first(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ameir_pl.cli.command._one", lambda *_: pytest.fail("a job began"))
    with pytest.raises(AmeirError, match="seed=-1 must be at least 0"):
        train.main(["-m", *tiny("seed=1,-1", "run=${seed}")])


def test_stages_of_one_run_are_no_conflict(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr("ameir_pl.cli.command._one", lambda _, config, *more: seen.append((config.stage, config.run)))
    search.main(["-m", *tiny("stage=1,2,3", "run=a,b")])
    assert seen == [(stage, run) for stage in (1, 2, 3) for run in "ab"]
    data.prepare(["-m", *tiny("dataset.max_len=3,4")])
    assert len(seen) == 8
