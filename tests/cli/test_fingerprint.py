"""Every setting is in a run's fingerprint, or on the list of what cannot matter, or refused by name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf, open_dict

from ameir_pl.cli import train
from ameir_pl.cli.compose import load_config, raw_config
from ameir_pl.cli.config import CONFIGS, RESULT_KEYS, TRAIN_KEYS
from ameir_pl.cli.fingerprint import LATER, NO_EFFECT, counted, differences, settings_fingerprint
from ameir_pl.cli.trainer_keys import DEFAULTS, INSTEAD, WORKS, check_trainer
from ameir_pl.errors import AmeirError
from tests.tiny import Tiny

ALL = RESULT_KEYS + TRAIN_KEYS
OTHER = {"max_steps": 5, "limit_train_batches": 5, "limit_val_batches": 5, "overfit_batches": 5,
         "accumulate_grad_batches": 5, "gradient_clip_val": 5.0, "gradient_clip_algorithm": "value",
         "deterministic": True, "benchmark": True, "inference_mode": False, "profiler": "simple", "accelerator": "gpu",
         "devices": 5, "num_nodes": 5, "strategy": "ddp", "precision": "bf16-mixed"}
"""Another value of every setting of Lightning's that works."""


@cache
def whole(name: str) -> DictConfig:
    composed = raw_config(name, ["logger=tensorboard"])
    OmegaConf.resolve(composed)
    return composed


def leaves(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


KEYS = {key: (name, value) for name in CONFIGS if name != "infer"
        for key, value in leaves(OmegaConf.to_container(whole(name)))}


def changed(name: str, key: str, value: Any) -> DictConfig:
    composed = whole(name).copy()
    with open_dict(composed):
        OmegaConf.update(composed, key, value, force_add=True)
    return composed


def has_no_effect(key: str) -> bool:
    return any(key == known or key.startswith(f"{known}.") for known in NO_EFFECT)


def test_every_key_of_every_command_counts_or_cannot_matter() -> None:
    before = {name: (settings_fingerprint(whole(name), ALL), counted(whole(name), ALL)) for name, _ in KEYS.values()}
    for key, (name, value) in KEYS.items():
        another = (not value if type(value) is bool else value + 1 if isinstance(value, int | float)
                   else f"{value}x" if isinstance(value, str) else [*value, 1] if isinstance(value, list)
                   else {"x": 1} if isinstance(value, dict) else "x")
        composed = changed(name, key, another)
        silent = has_no_effect(key) or key.startswith("callbacks.progress")
        assert (settings_fingerprint(composed, ALL) == before[name][0]) is silent or "progress._target_" in key, key
        assert bool(differences(before[name][1], counted(composed, ALL))) is not silent or "progress._target_" in key


def test_every_setting_of_lightning_counts_or_cannot_matter_or_is_refused() -> None:
    assert set(DEFAULTS) == {*WORKS, *INSTEAD} and not {*WORKS} & {*INSTEAD}
    assert set(OTHER) == set(WORKS)
    plain = settings_fingerprint(whole("train"), ALL)
    for name, default in DEFAULTS.items():
        node = OmegaConf.to_container(whole("train").trainer)
        assert isinstance(node, dict)
        key = f"trainer.{name}"
        if name in INSTEAD:
            check_trainer({**node, name: default})
            with pytest.raises(AmeirError, match=f"^Configuration: {key}=something has no part here: "):
                check_trainer({**node, name: "something"})
            continue
        check_trainer({**node, name: OTHER[name]})
        same = settings_fingerprint(changed("train", key, OTHER[name]), ALL) == plain
        assert same is has_no_effect(key), key
        if name not in node or node[name] is None:  # what it is anyway changes nothing, said or not
            for value in (None, default):
                assert settings_fingerprint(changed("train", key, value), ALL) == plain, key


CALLBACKS = [("callbacks.stop._target_", "pytorch_lightning.callbacks.EarlyStopping"),
             ("callbacks.uniform_sampling", None), ("callbacks.activation_counts", None),
             ("callbacks.uniform_sampling.x", 1),
             ("callbacks.progress._target_", "tests.Other")]


@pytest.mark.parametrize(("key", "value"), CALLBACKS)
def test_a_callback_that_is_added_removed_or_changed_counts(key: str, value: Any) -> None:
    for name in ("search", "train"):
        assert settings_fingerprint(changed(name, key, value)) != settings_fingerprint(whole(name))
        assert differences(counted(whole(name)), counted(changed(name, key, value)))
    one, two = (changed("train", "callbacks.stop", {"_target_": "x", "patience": n}) for n in (1, 2))
    assert settings_fingerprint(one) != settings_fingerprint(two)


def test_one_batch_is_not_all_of_them() -> None:
    for name in ("limit_train_batches", "limit_val_batches", "overfit_batches"):
        one, share = (changed("train", f"trainer.{name}", value) for value in (1, 1.0))
        assert settings_fingerprint(one) != settings_fingerprint(share)
        assert differences(counted(one), counted(share))


EARLIER = ["interaction_search=evolution", "shared_l2=false", "finetuning.peak=null", "budget.least_updates=0",
           "budget.patient_updates=0", "dataset.model.embedding_bound=0.05", "dataset.model.supernet_bound=0.05"]
"""What settings of today did when there was no choice."""


def test_plain_settings_have_the_fingerprint_of_earlier_versions() -> None:
    earlier = raw_config("search", EARLIER)
    OmegaConf.resolve(earlier)
    values = {key: OmegaConf.select(earlier, key) for key in RESULT_KEYS}
    values = {key: OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
              for key, value in values.items() if value is not None or not key.startswith("trainer.")}
    for key in LATER:  # which they did not have
        group, _, name = key.rpartition(".")
        values.get(group, {}).pop(name, None)
    before = hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:16]
    assert settings_fingerprint(earlier) == before != settings_fingerprint(whole("search"))
    for more in ("callbacks.progress=null", "+trainer.max_steps=-1", "+trainer.limit_train_batches=1.0", "logger=csv",
                 "detect_anomaly=true", "+trainer.profiler=simple"):
        assert settings_fingerprint(raw_config("search", [*EARLIER, more])) == before, more


SMOKE = ("+trainer.max_steps=2", "+trainer.limit_val_batches=1", "+trainer.overfit_batches=1",
         "+callbacks.look._target_=tests.cli.test_trainer_keys.Look")


@pytest.mark.parametrize("smoke", SMOKE)
def test_a_smoke_run_is_not_taken_for_the_finished_result(smoke: str, tiny: Tiny) -> None:
    arguments = tiny("model=lr", "run=a", "budget.finetune_epochs=1")
    train.main([*arguments, smoke])
    key = smoke.lstrip("+").split("=")[0]
    with pytest.raises(AmeirError, match=f"results of other settings: {key}"):
        train.main(arguments)


def test_both_are_refused_the_smoke_run_and_the_clock(tiny: Tiny) -> None:
    for smoke in ("+trainer.fast_dev_run=true", "+trainer.max_time=00:00:01:00", "+trainer.check_val_every_n_epoch=2"):
        with pytest.raises(AmeirError, match=f"{smoke.lstrip('+').split('=')[0]}=.* has no part here"):
            load_config("train", tiny(smoke))
