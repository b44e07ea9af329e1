"""Settings of Lightning's Trainer have their effect, or are refused by name before anything runs."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from pytorch_lightning.callbacks import Callback

from ameir_pl.cli import search, train
from ameir_pl.cli.compose import load_config
from ameir_pl.cli.launch import check_machine, wanted_processes
from ameir_pl.cli.overrides import parsed
from ameir_pl.cli.trainer_keys import Limits, check_trainer
from ameir_pl.errors import AmeirError
from tests.tiny import Tiny, numbers

SEEN: list[tuple[str, Any]] = []


class Look(Callback):
    """Notes what a fit does."""

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        SEEN.append(("batch", (trainer.current_epoch, round(float(batch.label.sum()), 3))))

    def on_validation_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        SEEN.append(("valid", batch_idx))

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        SEEN.append(("updates", trainer.global_step))


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    SEEN.clear()


def seen(kind: str) -> list[Any]:
    return [value for name, value in SEEN if name == kind]


def fit(tiny: Tiny, *more: str) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return train.main(tiny("model=lr", "run=a", "budget.finetune_epochs=3", "budget.patience=9",
                               "dataset.train.eval_batch_size=50",
                               "+callbacks.look._target_=tests.cli.test_trainer_keys.Look", *more))


def test_the_usual_fit(tiny: Tiny) -> None:
    fit(tiny)
    assert len(seen("batch")) == 27 and seen("updates") == [27] and len(seen("valid")) == 9


@pytest.mark.parametrize(("steps", "validations"), [(5, 1), (9, 1), (13, 2), (99, 3)])
def test_max_steps_are_the_updates_of_a_fit(steps: int, validations: int, tiny: Tiny) -> None:
    metrics = fit(tiny, f"trainer.max_steps={steps}")
    assert seen("updates") == [min(steps, 27)] and len(seen("valid")) == 3 * validations
    assert next(iter(metrics["models"].values()))["best_epoch"] >= 1


@pytest.mark.parametrize("limit", ["trainer.max_steps=13", "trainer.overfit_batches=5"])
def test_a_limited_fit_that_is_interrupted_goes_on_to_the_same(limit: str, tiny: Tiny,
                                                               monkeypatch: pytest.MonkeyPatch) -> None:
    once = numbers(fit(tiny, limit))
    with monkeypatch.context() as patch:
        patch.setattr(Look, "on_train_batch_end", fail_at_12, raising=False)
        with pytest.raises(ValueError, match="the power went out"):
            fit(tiny, limit, "run=b", "checkpoint.every_steps=1")
    SEEN.clear()
    assert numbers(fit(tiny, limit, "run=b", "checkpoint.every_steps=1")) == once
    assert 0 < len(seen("batch")) <= 4


def fail_at_12(self: Look, trainer: Any, *_: Any) -> None:
    if trainer.global_step == 12:
        raise ValueError("the power went out")


def test_max_steps_count_updates_not_batches(tiny: Tiny) -> None:
    fit(tiny, "+trainer.max_steps=2", "+trainer.accumulate_grad_batches=3")
    assert seen("updates") == [2] and len(seen("batch")) == 6


@pytest.mark.parametrize(("more", "batches"), [(["+trainer.limit_train_batches=2"], 2),
                                               (["+trainer.limit_train_batches=0.5"], 4),
                                               (["+trainer.limit_train_batches=99"], 9)])
def test_an_epoch_s_training_batches(more: list[str], batches: int, tiny: Tiny) -> None:
    fit(tiny, *more)
    assert len(seen("batch")) == 3 * batches


def test_an_epoch_s_validation_batches(tiny: Tiny) -> None:
    fit(tiny, "+trainer.limit_val_batches=2")
    assert seen("valid") == [0, 1] * 3


def test_overfitting_sees_the_same_batches_in_every_epoch(tiny: Tiny) -> None:
    fit(tiny, "+trainer.overfit_batches=2")
    by_epoch = [[value for epoch, value in seen("batch") if epoch == n] for n in range(3)]
    assert by_epoch[0] == by_epoch[1] == by_epoch[2] and len(by_epoch[0]) == 2 and seen("valid") == [0, 1] * 3


@pytest.mark.parametrize("kind", ["simple", "advanced"])
def test_a_profiler_writes_to_the_run_folder(kind: str, tiny: Tiny) -> None:
    fit(tiny, f"+trainer.profiler={kind}", "+trainer.max_steps=2")
    (file,) = (tiny.folder("a") / "profile").iterdir()
    assert "run_training_batch" in file.read_text() or "training_step" in file.read_text()


def test_a_supernet_s_rate_has_decayed_at_the_last_of_its_updates(tiny: Tiny) -> None:
    rates: list[float] = []

    class Rate(Look):
        def on_train_end(self, trainer: Any, pl_module: Any) -> None:
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    globals()["Rate"] = Rate
    search.main(tiny("stage=1", "+trainer.max_steps=4", "budget.top_epochs=0",
                     "+callbacks.look._target_=tests.cli.test_trainer_keys.Rate"))
    assert seen("updates")[0] == 4 and rates[0] == pytest.approx(0.0, abs=1e-9)


WRONG = {
    "trainer.accelerator=tpu": "trainer.accelerator=tpu", "trainer.accelerator=5": "trainer.accelerator=5",
    "trainer.devices=0": "trainer.devices=0", "trainer.devices=-2": "trainer.devices=-2",
    "trainer.devices=1.5": "trainer.devices=1.5", "trainer.devices=abc": "trainer.devices=abc",
    "trainer.devices=null": "trainer.devices=None", "trainer.devices={a:1}": "trainer.devices={'a': 1}",
    "trainer.precision=foo": "trainer.precision=foo", "trainer.precision=64-true": "trainer.precision=64-true",
    "trainer.precision=[32]": r"trainer.precision=\[32\]", "+trainer.strategy=fsdp": "trainer.strategy=fsdp",
    "+trainer.strategy=ddp_spawn": "trainer.strategy=ddp_spawn", "trainer.num_nodes=0": "trainer.num_nodes=0",
    "trainer.max_steps=0": "trainer.max_steps=0", "trainer.max_steps=1.5": "trainer.max_steps=1.5",
    "trainer.max_steps=true": "trainer.max_steps=True", "trainer.max_steps=-2": "trainer.max_steps=-2",
    "trainer.limit_train_batches=0": "trainer.limit_train_batches=0",
    "trainer.limit_val_batches=0": "trainer.limit_val_batches=0.*early stopping",
    "trainer.limit_train_batches=1.5": "trainer.limit_train_batches=1.5",
    "trainer.overfit_batches=-1": "trainer.overfit_batches=-1",
    "trainer.accumulate_grad_batches=0": "trainer.accumulate_grad_batches=0",
    "trainer.accumulate_grad_batches={0:4}": "trainer.accumulate_grad_batches={0: 4}",
    "trainer.gradient_clip_val=-1": "trainer.gradient_clip_val=-1",
    "trainer.gradient_clip_val=inf": "trainer.gradient_clip_val=inf",
    "trainer.gradient_clip_algorithm=max": "trainer.gradient_clip_algorithm=max",
    "trainer.profiler=xla": "trainer.profiler=xla", "trainer.benchmark=5": "trainer.benchmark=5",
    "trainer.deterministic=maybe": "trainer.deterministic=maybe",
    "trainer._partial_=false": "'trainer' cannot be built", "trainer._target_=os.getcwd": "'trainer' cannot be built",
    "trainer.max_epochs=5": "trainer.max_epochs=5 has no part here: .*budget.finetune_epochs",
    "trainer.logger=true": "trainer.logger=True has no part here: .*logger=csv",
    "trainer.limit_test_batches=1": "limit_test_batches=1 has no part here: .*measure_test=false",
    "trainer.enable_progress_bar=true": "enable_progress_bar=True has no part here",
    "trainer.detect_anomaly=true": "write detect_anomaly=true", "trainer.plugins=x": "trainer.plugins=x has no part",
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_wrong_setting_is_named_before_anything_is_read(mistake: str) -> None:
    (override,) = parsed([mistake])
    node = {"_target_": "pytorch_lightning.Trainer", "_partial_": True,
            override.key_or_group.removeprefix("trainer."): override.value()}
    with pytest.raises(AmeirError, match=WRONG[mistake]):
        check_trainer(node)


def test_two_settings_that_say_the_same_thing_otherwise() -> None:
    with pytest.raises(AmeirError, match="overfit_batches=2 says .*leave trainer.limit_val_batches=3 out"):
        load_config("train", ["+trainer.overfit_batches=2", "+trainer.limit_val_batches=3"])


def test_lightning_s_own_variables_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PL_TRAINER_FAST_DEV_RUN", "1")
    with pytest.raises(AmeirError, match="PL_TRAINER_FAST_DEV_RUN, which Lightning takes for trainer.fast_dev_run"):
        load_config("search", [])


MACHINE = [({"accelerator": "cpu", "devices": 9999}, "trainer.devices=9999: this machine has"),
           ({"accelerator": "cpu", "devices": [0, 1]}, "processors have no numbers"),
           ({"accelerator": "cpu", "devices": -1}, "processors have no numbers"),
           ({"accelerator": "cpu", "num_nodes": 2}, "with torchrun, or with srun"),
           ({"accelerator": "gpu", "devices": 99}, "trainer.accelerator=gpu: PyTorch finds no|PyTorch finds . GPUs")]


@pytest.mark.parametrize(("node", "message"), MACHINE)
def test_what_this_machine_does_not_have(node: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOCAL_RANK", "SLURM_NTASKS", "SLURM_STEP_ID"):
        monkeypatch.delenv(name, raising=False)
    from omegaconf import OmegaConf

    with pytest.raises(AmeirError, match=message):
        check_machine(OmegaConf.create(node))


def test_devices_by_number_are_counted() -> None:
    assert wanted_processes({"accelerator": "gpu", "devices": "0,1"}) == 2
    assert wanted_processes({"accelerator": "gpu", "devices": [3]}) == 1


def test_a_share_that_is_no_batch() -> None:
    with pytest.raises(AmeirError, match="trainer.limit_val_batches=0.1 of 3 valid batches is less than one"):
        Limits(valid_batches=0.1).batches("valid", 3)
    assert Limits(valid_batches=0.1, same_batches=True).batches("valid", 3) == 1
    assert [Limits(train_batches=n).batches("train", 8) for n in (3, 99, 0.5, 1.0, None)] == [3, 8, 4, 8, 8]


def test_clipping_in_mixed_precision_needs_an_optimizer_that_is_not_fused(tiny: Tiny) -> None:
    more = ["trainer.precision=bf16-mixed", "trainer.gradient_clip_val=1"]
    with pytest.raises(AmeirError, match="add optimizer.fused=false"):
        fit(tiny, *more)
    fit(tiny, *more, "optimizer.fused=false", "+trainer.max_steps=1")


def test_a_callback_of_lightning_that_fails_is_named(tiny: Tiny) -> None:
    with pytest.raises(AmeirError, match="callback EarlyStopping failed: RuntimeError: .*`foo`") as caught:
        fit(tiny, "+callbacks.mine._target_=pytorch_lightning.callbacks.EarlyStopping", "+callbacks.mine.monitor=foo")
    assert "\n" not in str(caught.value)
