"""Every file under conf/ composes, is typed, and builds what it names."""

from __future__ import annotations

import inspect
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import get_method, instantiate
from omegaconf import OmegaConf
from pytorch_lightning import Trainer

from ameir_pl.architecture_file import read_architecture
from ameir_pl.baselines import BASELINES
from ameir_pl.baselines.base import options_of
from ameir_pl.cli.checks import LEAST
from ameir_pl.cli.compose import conf_folder, load_config, raw_config
from ameir_pl.cli.config import CONFIGS, RESULT_KEYS, TRAIN_KEYS, Config, RecipeSettings
from ameir_pl.cli.fingerprint import settings_fingerprint
from ameir_pl.cli.setup import make_dataset
from ameir_pl.errors import AmeirError

CONF = conf_folder()
GROUPS = {f.name: sorted(p.relative_to(f).with_suffix("").as_posix() for p in f.rglob("*.yaml"))
          for f in sorted(CONF.iterdir()) if f.is_dir()}
OPTIONS = [(group, option) for group, options in GROUPS.items() for option in options
           if group not in ("architecture", "dataset_budget", "dataset_model", "dataset_preset", "preset")]
OF_NEXT_ITEMS = ("dataset.train.negatives", "dataset.train.drawn_by", "dataset.train.log_q", "dataset.train.clips",
                 "dataset.model.embedding_dropout", "dataset.train.similarity", "dataset.train.temperature")
FREE = {"optimizer", "scheduler", "trainer", "logger", "callbacks"}


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_option_composes_and_its_targets_exist(group: str, option: str) -> None:
    more = ["architecture=paper/alimama_1"] if (group, option) == ("model", "ameir") else []
    config, composed = load_config("train", [f"{group}={option}", *more])
    assert type(config) is Config
    check_targets(OmegaConf.to_container(composed, resolve=True))


def check_targets(node: Any) -> None:
    if isinstance(node, list):
        for value in node:
            check_targets(value)
    if not isinstance(node, dict):
        return
    if "_target_" in node:
        target = get_method(node["_target_"])
        signature = inspect.signature(target)
        given = {key: value for key, value in node.items() if not key.startswith("_")}
        signature.bind_partial(**given)
        takes_any = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
        assert takes_any or given.keys() <= signature.parameters.keys()
    for value in node.values():
        check_targets(value)


@pytest.mark.parametrize("dataset", GROUPS["dataset"])
@pytest.mark.parametrize("budget", GROUPS["budget"])
@pytest.mark.parametrize("recipe", GROUPS["recipe"])
def test_each_dataset_with_each_budget(dataset: str, budget: str, recipe: str) -> None:
    config, composed = load_config("search", [f"dataset={dataset}", f"budget={budget}", f"recipe={recipe}"])
    assert config.dataset.name == dataset and config.budget.name == budget
    special = CONF / "dataset_budget" / f"{dataset}_{recipe}_{budget}.yaml"
    if special.exists():
        for key, value in OmegaConf.to_container(OmegaConf.load(special)).items():  # type: ignore[union-attr]
            assert composed.budget[key] == value


def test_every_dataset_budget_belongs_to_a_dataset_and_a_budget() -> None:
    names = {f"{d}_{r}_{b}" for d in GROUPS["dataset"] for r in GROUPS["recipe"] for b in GROUPS["budget"]}
    assert set(GROUPS["dataset_budget"]) <= names
    for name in GROUPS["dataset_budget"]:
        assert "@package budget" in (CONF / "dataset_budget" / f"{name}.yaml").read_text()


@pytest.mark.parametrize("name", GROUPS["dataset_preset"])
def test_each_preset_of_a_dataset(name: str) -> None:
    dataset, preset = name.split("_")
    path = CONF / "dataset_preset" / f"{name}.yaml"
    # What is given by hand is above what a preset says.
    config, composed = load_config("search", [f"dataset={dataset}", f"preset={preset}", "dataset.train.batch_size=3"])
    assert config.preset == preset == config.dataset.options["preset"] and config.dataset.train.batch_size == 3
    assert make_dataset(config).preset == preset  # type: ignore[attr-defined]
    assert "# @package dataset" in path.read_text()
    for part, values in OmegaConf.to_container(OmegaConf.load(path)).items():  # type: ignore[union-attr]
        found = OmegaConf.to_container(composed.dataset[part])
        assert {key: value for key, value in values.items() if key != "batch_size"}.items() <= found.items()


@pytest.mark.parametrize(("dataset", "preset", "there"), [
    ("movielens", "x4", "It has none; leave preset= out"), ("criteo", "dsin", "There is: x1, x4"),
    ("alimama", "x4", "There is: dsin, ours, x1")])
def test_a_preset_of_another_dataset_is_refused(dataset: str, preset: str, there: str) -> None:
    with pytest.raises(AmeirError, match=f"dataset={dataset} has no preset={preset}. {there}"):
        load_config("search", [f"dataset={dataset}", f"preset={preset}"])


def test_every_dataset_preset_belongs_to_a_dataset_and_a_preset() -> None:
    assert set(GROUPS["dataset_preset"]) <= {f"{d}_{p}" for d in GROUPS["dataset"] for p in GROUPS["preset"]}


@pytest.mark.parametrize("dataset", ["beauty", "amazon", "steam", "table"])
@pytest.mark.parametrize("recipe", GROUPS["recipe"])
def test_next_items_are_trained_as_their_recipe_says(dataset: str, recipe: str) -> None:
    config, composed = load_config("search", [f"dataset={dataset}", f"recipe={recipe}"])
    assert config.recipe.name == recipe
    wanted = OmegaConf.to_container(OmegaConf.load(CONF / "recipe" / f"{recipe}.yaml"))
    assert isinstance(wanted, dict) and wanted.keys() == typed(RecipeSettings)
    own = {"name"}
    if dataset == "table":
        own |= {"loss", "batch_size", "weight_decay", "embedding_dropout", "block_dropout"}
    found = {**OmegaConf.to_container(composed.dataset.train), **OmegaConf.to_container(composed.dataset.model)}
    assert {key: found[key] for key in wanted.keys() - own} == {key: wanted[key] for key in wanted.keys() - own}
    # What is given by hand is above what a recipe says.
    assert load_config("search", [f"dataset={dataset}", "dataset.train.clips=7"])[0].dataset.train.clips == 7


def test_a_recipe_is_of_next_items_and_leaves_clicks_alone() -> None:
    prints = {settings_fingerprint(raw_config("search", [f"recipe={recipe}"])) for recipe in GROUPS["recipe"]}
    assert len(prints) == 1


def test_the_shared_negatives_of_a_batch_are_not_taken_for_those_of_a_row() -> None:
    with pytest.raises(AmeirError, match="negatives=1000 of recipe=best are shared by a batch"):
        load_config("search", ["dataset=beauty", "dataset.train.loss=sampled_bce"])
    for more in ("recipe=paper", "dataset.train.negatives=5"):
        assert load_config("search", ["dataset=beauty", "dataset.train.loss=sampled_bce", more])


@pytest.mark.parametrize("wrong", ["clips=0", "clips=often", "drawn_by=luck", "log_q=true", "drawn_by=popularity",
                                   "similarity=euclid", "temperature=0"])
def test_a_setting_of_drawing_that_means_nothing_is_refused(wrong: str) -> None:
    with pytest.raises(AmeirError, match=f"dataset.train.{wrong}"):
        load_config("search", ["dataset=beauty", "recipe=paper", f"dataset.train.{wrong}"])


def test_every_model_of_a_dataset_is_one_of_its_options() -> None:
    names = {f"{d}_{m}": (d, m) for d in GROUPS["dataset"] for m in GROUPS["model"]}
    for file in GROUPS.get("dataset_model", ()):
        dataset, model = names[file]
        config, _ = load_config("train", [f"dataset={dataset}", f"model={model}"])
        special = OmegaConf.to_container(OmegaConf.load(CONF / "dataset_model" / f"{file}.yaml"))
        assert "# @package model.options" in (CONF / "dataset_model" / f"{file}.yaml").read_text()
        assert special and special.keys() <= options_of(model).keys()
        assert special.items() <= config.model.options.items()


def test_every_model_has_a_file() -> None:
    assert set(GROUPS["model"]) == {"ameir", *BASELINES.names()}


@pytest.mark.parametrize("optimizer", GROUPS["optimizer"])
@pytest.mark.parametrize("scheduler", GROUPS["scheduler"])
def test_optimizers_and_schedulers_are_built(optimizer: str, scheduler: str) -> None:
    composed = raw_config("search", [f"optimizer={optimizer}", f"scheduler={scheduler}"])
    made = instantiate(composed.optimizer)([torch.nn.Parameter(torch.zeros(2))])
    decay = instantiate(composed.scheduler)(made, T_max=10)
    rates = []
    for _ in range(10):
        made.step()
        decay.step()
        rates.append(decay.get_last_lr()[0])
    assert made.defaults["lr"] == composed.dataset.train.learning_rate
    assert rates[-1] == pytest.approx(made.defaults["lr"] if scheduler == "constant" else 0.0, abs=1e-9)


@pytest.mark.parametrize("trainer", GROUPS["trainer"])
def test_trainers_are_built_where_there_is_the_hardware(trainer: str) -> None:
    make = instantiate(raw_config("search", [f"trainer={trainer}"]).trainer)
    assert isinstance(make, partial)
    if make.keywords["accelerator"] == "cpu" or torch.cuda.is_available():
        made = make(max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False)
        assert made.precision == make.keywords["precision"]


def test_callbacks_and_loggers_are_built(tmp_path: Path) -> None:
    for option in GROUPS["callbacks"]:
        assert instantiate(raw_config("search", [f"callbacks={option}"]).callbacks)
    for option in GROUPS["logger"]:
        for make in instantiate(raw_config("search", [f"logger={option}"]).logger).values():
            assert isinstance(make, partial)
            inspect.signature(make.func).bind_partial(save_dir=str(tmp_path))


@pytest.mark.parametrize("name", GROUPS["architecture"])
def test_architectures_are_read(name: str) -> None:
    assert read_architecture(CONF / "architecture" / f"{name}.yaml")
    assert load_config("train", ["model=ameir", f"architecture={name}"])[0].architecture == name


@pytest.mark.parametrize("name", CONFIGS)
def test_each_command_s_file_is_typed(name: str) -> None:
    config, composed = load_config(name, [])
    assert type(config) is CONFIGS[name]
    keys, known = composed_keys(OmegaConf.to_container(composed, resolve=True)), typed(CONFIGS[name])
    missing = {"model.name", "architecture", *OF_NEXT_ITEMS}  # of train.yaml and of retrieval alone
    own = ("dataset.options", "model.options")
    assert {k for k in keys - known if not k.startswith(own) and k != "hydra"} == set()
    assert {k for k in known - keys if not k.startswith(own)} <= missing


def typed(kind: Any, prefix: str = "") -> set[str]:
    """The keys of a dataclass, down to plain values."""
    found = set()
    for f in fields(kind):
        value = f.default_factory() if callable(f.default_factory) else f.default  # type: ignore[misc]
        found |= typed(type(value), f"{prefix}{f.name}.") if is_dataclass(value) else {f"{prefix}{f.name}"}
    return found


def composed_keys(node: Any, prefix: str = "") -> set[str]:
    found = set()
    for key, value in node.items():
        inside = isinstance(value, dict) and f"{prefix}{key}" not in FREE
        found |= composed_keys(value, f"{prefix}{key}.") if inside else {f"{prefix}{key}"}
    return found


@pytest.mark.parametrize("dataset", GROUPS["dataset"])
def test_conf_and_the_typed_configuration_have_the_same_keys(dataset: str) -> None:
    keys = composed_keys(OmegaConf.to_container(raw_config("train", [f"dataset={dataset}"]), resolve=True))
    # Only retrieval draws negatives; the options are a dataset's and a model's own.
    own = (*OF_NEXT_ITEMS, "dataset.options", "model.options")
    optional = {k for k in keys | typed(Config) if k.startswith(own)}
    assert keys | optional == typed(Config) | optional


def test_the_keys_that_are_checked_and_compared_exist() -> None:
    whole = raw_config("train", [])
    missing = object()
    for key in (*RESULT_KEYS, *TRAIN_KEYS, *LEAST):
        if key.startswith("trainer."):  # any setting of Lightning's
            assert key.removeprefix("trainer.") in inspect.signature(Trainer).parameters
        elif key not in OF_NEXT_ITEMS:
            assert OmegaConf.select(whole, key, default=missing) is not missing, key


def test_a_setting_of_lightning_that_is_not_given_changes_no_fingerprint() -> None:
    known = [key for key in RESULT_KEYS if not key.startswith("trainer.") or key == "trainer.precision"]
    whole = raw_config("train", [])
    assert settings_fingerprint(whole) == settings_fingerprint(whole, known)
    assert settings_fingerprint(raw_config("train", ["trainer.gradient_clip_val=1"])) != settings_fingerprint(whole)


def test_every_number_has_a_least_value() -> None:
    numbers = {k for k in typed(Config) if isinstance(value_of(Config(), k), int | float)
               and not isinstance(value_of(Config(), k), bool)}
    assert numbers == {*LEAST, "dataset.train.clips", "runs"}  # which may be a word; a list


def value_of(config: Any, key: str) -> Any:
    for part in key.split("."):
        config = getattr(config, part)
    return config


def test_no_file_is_left_out() -> None:
    tops = {p.stem for p in CONF.glob("*.yaml")}
    assert tops == set(CONFIGS)
    known = {"architecture", "budget", "callbacks", "dataset", "dataset_budget", "dataset_preset", "logger", "model",
             "optimizer", "preset", "recipe", "scheduler", "trainer"}
    assert set(GROUPS) - {"dataset_model"} == known  # a new group needs its tests above
