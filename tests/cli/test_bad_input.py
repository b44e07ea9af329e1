"""A user's mistake is one clear message before anything is written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ameir_pl.cli import derive, evaluate, finetune, search, train
from ameir_pl.cli import main as ameir
from ameir_pl.cli.checks import check_labels
from ameir_pl.errors import AmeirError
from ameir_pl.export.bundle import read_bundle
from tests.tiny import Tiny

ROOT = Path(__file__).parents[2]

MISTAKES = {
    # keys
    "sed=1": r"Unknown configuration key 'sed'\. Did you mean 'seed'\?",
    "dataset.train.lerning_rate=1": "'dataset.train.lerning_rate'.*mean 'dataset.train.learning_rate'",
    "budget.sample=3": "'budget.sample'.*mean 'budget.samples'",
    "+foo=1": "Unknown configuration key 'foo'.*--cfg job",
    "+learning_rate=1": "Did you mean 'dataset.train.learning_rate'",
    "+budget.sample=3": "mean 'budget.samples'",
    "+optimizer.lrr=1": "'optimizer.lrr'.*mean 'lr'",
    "+trainer.devces=1": "'trainer.devces'.*mean 'devices'",
    "model=dnn": "'model' is a setting of `ameir train`",
    "seed": "Cannot read the override 'seed'",
    "=1": "Cannot read the override '=1': settings are written key=value",
    "seed=1,2": "--multirun",
    "--sed=1": "Unknown option --sed=1.*key=value",
    # options of groups
    "dataset=movilens": r"no dataset=movilens\. Did you mean 'movielens'",
    "budget=dmo": r"no budget=dmo\. Did you mean 'demo'",
    "logger=wandbb": r"no logger=wandbb\. Did you mean 'wandb'",
    "trainer=cpuu": r"no trainer=cpuu\. Did you mean 'cpu'",
    "optimizer=adm": r"no optimizer=adm\. Did you mean 'adam'",
    # types and ranges
    "seed=abc": "seed: Value 'abc' of type 'str' could not be converted to Integer",
    "seed=1.5": "seed",
    "seed=-1": "seed=-1 must be at least 0",
    "overwrite=maybe": "overwrite",
    "budget.top=0": "budget.top=0 must be at least 1",
    "budget.cycles=0": "budget.cycles=0 must be at least 1",
    "budget.samples=0": "budget.samples=0 must be at least 1",
    "budget.stage3_epochs=0": "budget.stage3_epochs=0.0 must be at least 0.01",
    "dataset.train.learning_rate=nan": "learning_rate=nan",
    "dataset.train.learning_rate=-1": "learning_rate=-1.0 must be at least 0",
    "dataset.model.mlp_dropout=1.5": "mlp_dropout=1.5 must be below 1",
    "dataset.model.mlp=[]": "stage 2 needs dataset.model.mlp",
    "dataset.model.mlp=[8,0]": "at least 1 unit",
    "dataset.model.blocks=0": "stage 1 needs dataset.model.blocks",
    "dataset.stages=[1,3]": "stage 3 builds on stage 2",
    "dataset.stages=[4]": "some of 1, 2, 3",
    "budget.valid_rows=1": r"all have the label .* Raise budget.valid_rows",
    f"{'a' * 500}=movielens": "Unknown configuration key 'aaaa",
    f"dataset={'a' * 500}": "aaaa",
    "trainer.precision=99": "'trainer' cannot be built",
    "trainer.precision=16-mixed": "trainer.precision=16-mixed .fp16. needs a GPU",
    # names
    "stage=4": "stage must be 1, 2, 3 or all, found '4'",
    "stage=foo": "stage must be 1, 2, 3 or all, found 'foo'",
    "fairness=fair": "no fairness=fair.*full, split, uniform",
    "fairness=spilt": "Did you mean 'split'",
    "space.layers=[conv2,zero]": "unknown layer 'conv2'. Did you mean 'conv3'",
    "space.layers=[]": r"space.layers=\[\] must name at least one",
    "space.layers=[conv3,conv3]": "each once",
    "space.norms=[batch_norm]": "unknown norm 'batch_norm'. Did you mean 'layer_norm'",
    "space.mlp_activations=[gelu]": "unknown activation 'gelu'",
    "dataset.train.loss=sampled_bce": "does not fit movielens, a ctr dataset.*logloss",
    "dataset.name=movielenz": "Unknown dataset 'movielenz'. Did you mean 'movielens'",
    "reference=dn": "Unknown model 'dn'. Did you mean 'dnn'",
    "variant=D": "AMEIR-D does not exist on movielens.*AMEIR-A, AMEIR-B, AMEIR-C",
    "run=../x": "run=../x names a folder under runs/",
    "run=.hidden": "names a folder under runs/",
    "dataset.source=/nowhere": "/nowhere/ml-100k.inter.*are missing.*dataset.source=PATH",
    # what cannot work together
    "dataset.train.batch_size=9": "stage 1 has 12 paths and a batch has 9 rows. Raise dataset.train.batch_size",
    "budget.keep=50": "stage 2 has 150 paths and a batch has 128 rows.*lower budget.paths",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_answered_before_anything_is_written(mistake: str, tiny: Tiny) -> None:
    with pytest.raises(AmeirError, match=MISTAKES[mistake]) as caught:
        search.main(tiny(mistake))
    assert not tiny.runs.exists()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 900


def test_target_attention_and_stages_that_beauty_does_not_have(beauty: Tiny) -> None:
    for mistake, message in (("space.layers=[target_attention,zero]", "target_attention needs a target"),
                             ("stage=2", "beauty has no stage 2; its only stage is 1"),
                             ("dataset.train.loss=logloss", "does not fit beauty, a retrieval dataset"),
                             ("dataset.train.loss=sampled_softmx", "mean 'sampled_softmax'"),
                             ("variant=C", "AMEIR-C does not exist on beauty.*AMEIR-A")):
        with pytest.raises(AmeirError, match=message):
            search.main(beauty(mistake))
    assert not beauty.runs.exists()


def test_a_missing_stage_is_named_with_its_command(tiny: Tiny, finished: Tiny) -> None:
    command = "ameir search dataset=movielens .*run=default stage="
    for main, more, message in (
            (search.main, "stage=2", f"Stage 2 needs the result of stage 1.* {command}1"),
            (search.main, "stage=3", f"Stage 3 needs the result of stage 1.* {command}1"),
            (derive.main, "seed=1", f"AMEIR-C needs the result of stage 1.* {command}1"),
            (finetune.main, "seed=1", f"needs the result of stage 1.* {command}1"),
            (evaluate.main, "seed=1", "weights.safetensors is missing. Make it with `ameir derive`")):
        with pytest.raises(AmeirError, match=message):
            main(tiny(more))
    with pytest.raises(AmeirError, match=f"{command[:-6]}budget=demo stage=1"):  # given as it is it makes what fits
        search.main(tiny("stage=2", "budget=demo"))
    assert not tiny.runs.exists()


def test_later_stages_name_the_first_that_is_missing(copied: Tiny) -> None:
    (copied.folder() / "stage2" / "summary.json").unlink()
    for main in (derive.main, finetune.main):
        with pytest.raises(AmeirError, match=r"needs the result of stage 2.*run=default stage=2"):
            main(copied())
    with pytest.raises(AmeirError, match="Stage 3 needs the result of stage 2"):
        search.main(copied("stage=3"))


def test_a_run_without_a_bundle_names_derive(copied: Tiny) -> None:
    for file in (copied.folder() / "model").iterdir():
        file.unlink()
    (copied.folder() / "model").rmdir()
    with pytest.raises(AmeirError, match="no derived AMEIR-C.*ameir derive dataset=movielens .*run=default"):
        finetune.main(copied())


def test_a_folder_of_other_settings_is_not_touched(copied: Tiny) -> None:
    before = (copied.folder() / "config.yaml").read_bytes()
    for main, change, shown in ((search.main, "seed=7", "seed: 1 -> 7"),
                                (derive.main, "fairness=full", "fairness: split -> full"),
                                (finetune.main, "dataset.model.embedding_size=8", "embedding_size: 4 -> 8"),
                                (finetune.main, "trainer.gradient_clip_val=1", "gradient_clip_val: None -> 1"),
                                (evaluate.main, "budget.samples=7", "budget.samples: 6 -> 7")):
        with pytest.raises(AmeirError, match=rf"results of other settings: .*{shown} \(there -> asked for\)"):
            main(copied(change))
    with pytest.raises(AmeirError, match="seed: 1 -> 7.*begin it anew with its first command"):
        search.main(copied("seed=7", "stage=2", "overwrite=true"))  # would mix stages of two seeds
    assert (copied.folder() / "config.yaml").read_bytes() == before


def test_a_variant_that_the_bundle_is_not(copied: Tiny) -> None:
    holds = read_bundle(copied.folder() / "model").variant
    other = "AMEIR-A" if holds != "AMEIR-A" else "AMEIR-B"
    with pytest.raises(AmeirError, match=rf"model holds {holds}, not {other}.*variant={other} overwrite=true"):
        derive.main(copied(f"variant={other[-1]}"))


def test_an_unwritable_runs_folder(generated: Tiny, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AmeirError, match=r"cannot be written \(Not a directory\).*paths.runs=FOLDER"):
        search.main(generated.at(tmp_path / "file")("stage=1"))


ARCHITECTURES = {
    "interactions: [[movie, user_id]]": "unknown field 'movie'. Did you mean 'movie_id'",
    "mlp: [{units: 4000, activation: relu}]": "4000 units, more than K0",
    "mlp: [{units: 10, activation: relu}, {units: 20, activation: relu}]": "20 units after 10.*must not increase",
    "blocks: [{layer: conv9, activation: relu, norm: none}]": "unknown layer 'conv9'",
    "blocks: [zero, zero, zero, zero]": "4 blocks, the dataset's models have 3",
    "blokcs: []": "blokcs.*blocks",
    "": "is empty",
    "{": "is not YAML",
}


@pytest.mark.parametrize("text", ARCHITECTURES)
def test_an_architecture_that_does_not_fit(text: str, tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(AmeirError, match=ARCHITECTURES[text]) as caught:
        train.main(tiny("model=ameir", f"architecture={tmp_path / 'a.yaml'}"))
    assert "a.yaml" in str(caught.value)
    assert not tiny.runs.exists()


def test_architecture_and_model_belong_together(tiny: Tiny) -> None:
    for more, message in ((["model=ameir"], "belong together"), (["architecture=paper/alimama_1"], "belong together"),
                          (["model=ameir", "architecture=paper/alimama_9"], "mean 'paper/alimama_1'|paper/alimama_"),
                          (["model=ameir", "architecture=paper/alimama_1"], "unknown field '"),
                          (["model=ameir", "architecture=paper/beauty_1"], "6 blocks, the dataset's models have 3"),
                          (["model=din2"], "no model=din2.*Did you mean|Known"),
                          (["model.name=dn"], "Unknown model 'dn'. Did you mean 'dnn'")):
        with pytest.raises(AmeirError, match=message):
            train.main(tiny(*more))
    assert not tiny.runs.exists()


def shell(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=cwd, check=False,
                          env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=120)


def test_from_a_shell_a_mistake_is_exit_code_2_without_a_traceback(tiny: Tiny) -> None:
    done = shell("search.py", *tiny("stage=2"))
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith("error: Stage 2 needs the result of stage 1")
    assert "Traceback" not in done.stderr


def test_debug_shows_the_traceback(tiny: Tiny, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
                                   ) -> None:
    monkeypatch.setattr(sys, "argv", ["search.py", *tiny("stage=4", "debug=true")])
    with pytest.raises(SystemExit) as stopped:
        search.main()
    assert stopped.value.code == 2 and "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["--help"], ["data"], ["data", "--help"]])
def test_help_lists_the_commands(words: list[str], monkeypatch: pytest.MonkeyPatch,
                                 capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["ameir", *words])
    ameir.main()
    assert "data infer" in capsys.readouterr().out


@pytest.mark.parametrize(("words", "near"), [(["derve"], "derive"), (["data", "fetsh"], "data fetch")])
def test_an_unknown_command_is_answered_with_the_nearest(words: list[str], near: str, monkeypatch: pytest.MonkeyPatch,
                                                         capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["ameir", *words])
    with pytest.raises(SystemExit) as stopped:
        ameir.main()
    assert stopped.value.code == 2
    assert f"unknown command '{' '.join(words)}'. Did you mean '{near}'?" in capsys.readouterr().err


@pytest.mark.parametrize(("split", "label"), [("valid", 0.0), ("test", 1.0)])
def test_a_split_of_one_class_is_named_before_anything_is_trained(split: str, label: float) -> None:
    labels = np.array([0, 1, 0, 1, 0, 1], np.float32)
    splits = {"train": range(2), "valid": range(2, 4), "test": range(4, 6)}
    labels[splits[split].start:splits[split].stop] = label
    data: Any = SimpleNamespace(schema=SimpleNamespace(task="ctr", dataset="mine"),
                                encoded=SimpleNamespace(columns={"label": labels}, splits=splits))
    with pytest.raises(AmeirError, match=f"mine: all 2 {split} rows have the label {label:g}; AUC needs both"):
        check_labels(data)


def test_a_small_table_is_not_told_to_raise_the_batch(tmp_path: Path) -> None:
    rows = "".join(f"{i % 2},u{i % 5},i{i % 4},{1_700_000_000 + i}\n" for i in range(10))
    (tmp_path / "t.csv").write_text("click,user,item,time\n" + rows)
    (tmp_path / "t.yaml").write_text("input: t.csv\nlabel: click\nfields: [{name: user}, {name: item}]\n"
                                     "split: {type: random, valid: 0.2, test: 0.2}\n")
    with pytest.raises(AmeirError, match=r"stage . has \d+ paths and there are only 6 train rows.* Take more data, use "
                                         "fairness=full") as caught:
        search.main(["dataset=table", f"dataset.source={tmp_path / 't.yaml'}", "stage=all", "budget=demo", "logger=csv",
                     f"paths.data={tmp_path}", f"paths.runs={tmp_path / 'runs'}", "run=x"])
    assert "Raise dataset.train.batch_size" not in str(caught.value)
