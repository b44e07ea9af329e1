"""bf16 and fp16 mixed precision: the loss follows that of fp32, and what must stay fp32 does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.precision import MixedPrecision

from ameir_pl.callbacks import UniformSampling
from ameir_pl.models.ameir import Derived
from ameir_pl.nn.operations import OPERATIONS
from ameir_pl.objectives import make_objective
from ameir_pl.space.architecture import Architecture, Block, MlpLayer
from tests.models.examples import LENGTHS, ctr_schema, make_batch, randomized, retrieval_schema
from tests.tasks.fitting import batches, fit_task, same, supernet_task, trainer, weights

EVERYTHING = Architecture((Block("self_attention2", "gelu", "layer_norm"), Block("bigru", "swish"),
                           Block("target_attention", "relu")), (("item", "user"),),
                          (MlpLayer(8, "dice"), MlpLayer(6, "swish")))


class Losses(pl.Callback):
    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, index: int) -> None:
        assert outputs["loss"].dtype == torch.float32
        self.losses.append(float(outputs["loss"]))


def curve(task: pl.LightningModule, **precision: Any) -> list[float]:
    losses = Losses()
    trainer([UniformSampling(), losses], epochs=4, limit_val_batches=0, **precision).fit(task, batches())
    return losses.losses


@pytest.mark.parametrize("make", [supernet_task, lambda: fit_task(architecture=EVERYTHING)],
                         ids=["supernet", "finetuning"])
def test_the_curve_of_bf16_is_that_of_fp32(make: Any) -> None:
    full, task = curve(make()), make()
    mixed = curve(task, precision="bf16-mixed")
    assert full != mixed  # bf16 was used
    assert sum(full[-7:]) < sum(full[:7])  # the last epoch against the first
    torch.testing.assert_close(torch.tensor(mixed), torch.tensor(full), atol=0.02, rtol=0)
    for name, tensor in task.state_dict().items():
        assert tensor.dtype in (torch.float32, torch.int64), name


def scaled(epochs: int) -> pl.Trainer:
    """fp16 with a scaler that begins so high that it has to skip updates."""
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**30, growth_interval=3)
    return trainer([UniformSampling()], epochs=epochs, limit_val_batches=0,
                   plugins=[MixedPrecision("16-mixed", "cpu", scaler=scaler)])


def test_the_scaler_is_saved_and_gone_on_with(tmp_path: Path) -> None:
    whole, half, rest = (fit_task(architecture=EVERYTHING) for _ in range(3))
    through = scaled(4)
    through.fit(whole, batches())
    first = scaled(2)
    first.fit(half, batches())
    first.save_checkpoint(tmp_path / "half.ckpt")
    kept = torch.load(tmp_path / "half.ckpt", weights_only=True)["MixedPrecision"]
    assert kept["scale"] < 2.0**30  # it had to come down
    last = scaled(4)
    last.fit(rest, batches(), ckpt_path=tmp_path / "half.ckpt", weights_only=True)
    assert same(weights(whole), weights(rest))
    ends = [t.precision_plugin.state_dict() for t in (through, last)]
    assert ends[0] == ends[1]


@pytest.mark.parametrize("name", [n for n in OPERATIONS.names() if n != "zero"])
def test_an_operation_in_bf16_is_near_that_in_fp32(name: str) -> None:
    """Softmax, sums over positions and norms are made in fp32: what is left is the rounding of products."""
    torch.manual_seed(0)
    operation = OPERATIONS.get(name)(16).eval()
    mask = torch.arange(40) < torch.tensor([40, 17, 1, 0]).unsqueeze(1)
    h, target = torch.randn(4, 40, 16), torch.randn(4, 16)
    with torch.no_grad():
        full = operation(h, mask, target)
        with torch.autocast("cpu", torch.bfloat16):
            mixed = operation(h, mask, target)
    valid = mask.unsqueeze(-1)
    spread = (full * valid).std().clamp(min=1e-3)
    assert float(((mixed.float() - full) * valid).abs().max()) < 0.1 * float(spread) + 0.02


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_the_softmax_of_attention_is_in_fp32(scale: float) -> None:
    """Against the formula in fp64 on the same bf16 numbers: one rounding of the result, not one of each weight."""
    q, k, v = (torch.randn(3, 2, 50, 8, generator=torch.Generator().manual_seed(i)).bfloat16() for i in range(3))
    q = q * scale
    found = torch.nn.functional.scaled_dot_product_attention(q, k, v)
    weights = (q.double() @ k.double().mT / 8**0.5).softmax(-1)
    wanted = weights @ v.double()
    assert float((found.double() - wanted).abs().max()) < 2 * 2.0**-8 * float(wanted.abs().max())


@pytest.mark.parametrize("loss", ["logloss", "sampled_bce", "sampled_softmax"])
def test_losses_and_what_metrics_are_made_of_are_fp32(loss: str) -> None:
    schema = ctr_schema() if loss == "logloss" else retrieval_schema()
    batch, objective = make_batch(schema, LENGTHS), make_objective(schema, loss)
    batch.shared_negatives = torch.arange(2, 12)
    model = randomized(Derived(schema, Architecture((Block("conv3", "relu"),)), embedding_size=4))
    with torch.autocast("cpu", torch.bfloat16):
        output = model(batch)
        found = objective.loss(model, output, batch)
        predictions = objective.predictions(model, output, batch)
    assert output.dtype == torch.bfloat16 and found.dtype == torch.float32
    assert all(tensor.dtype == torch.float32 for tensor in predictions.values())
    wanted = objective.loss(model, model(batch), batch)
    torch.testing.assert_close(found, wanted, atol=0.02, rtol=0.02)
