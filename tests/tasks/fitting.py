"""Tasks and Trainers small enough for a second: what the tests of tasks and callbacks share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ameir_pl.batch import Batch
from ameir_pl.models.ameir import Ameir, Derived
from ameir_pl.models.capacity import Capacity
from ameir_pl.objectives import make_objective
from ameir_pl.schema import Schema
from ameir_pl.space.architecture import Architecture, Block, MlpLayer
from ameir_pl.space.sampling import BlockRounds
from ameir_pl.space.space import BlockSpace
from ameir_pl.tasks.fit import FitTask
from ameir_pl.tasks.supernet import SupernetTask
from tests.models.examples import LENGTHS, ctr_schema, make_batch

ADAM = partial(torch.optim.Adam, lr=1e-2)
COSINE = torch.optim.lr_scheduler.CosineAnnealingLR
SPACE = BlockSpace(2, ("conv1", "avg_pool3", "zero", "target_attention", "bigru"))
BASE = Architecture(mlp=(MlpLayer(8),))
ARCHITECTURE = Architecture((Block("conv3", "swish", "layer_norm"),), (("item", "user"),), (MlpLayer(8, "dice"),))


def batches(number: int = 7, first: int = 0) -> DataLoader[Batch]:
    """A loader of generated batches, always in the same order."""
    rows = [make_batch(ctr_schema(), LENGTHS, seed=first + i) for i in range(number)]
    return DataLoader(rows, batch_size=None, shuffle=False)  # type: ignore[arg-type]


def trainer(callbacks: Sequence[pl.Callback] = (), *, epochs: int = 2, logger: Any = False, **more: Any) -> pl.Trainer:
    return pl.Trainer(**({"accelerator": "cpu", "devices": 1, "max_epochs": epochs, "callbacks": list(callbacks),
                          "logger": logger, "enable_checkpointing": False, "enable_progress_bar": False,
                          "enable_model_summary": False, "num_sanity_val_steps": 0, "log_every_n_steps": 1,
                          "use_distributed_sampler": False} | more))


def supernet_task(fairness: str = "split", seed: int = 0, schema: Schema | None = None, dropout: float = 0.0,
                  kind: type[SupernetTask] = SupernetTask) -> SupernetTask:
    """Step 1 on a small space."""
    torch.manual_seed(seed)
    schema = ctr_schema() if schema is None else schema
    model = Ameir(schema, Capacity.of(BASE).with_blocks(SPACE), embedding_size=4, block_dropout=dropout,
                  mlp_dropout=dropout)
    return kind(model, BlockRounds(SPACE, BASE, seed), make_objective(schema, "logloss"), ADAM, COSINE,
                weight_decay=1e-4, fairness=fairness, phase="stage1/supernet")


def fit_task(seed: int = 0, schema: Schema | None = None, architecture: Architecture = ARCHITECTURE,
             kind: type[FitTask] = FitTask, dropout: float = 0.0) -> FitTask:
    """Finetuning of one architecture."""
    torch.manual_seed(seed)
    schema = ctr_schema() if schema is None else schema
    model = Derived(schema, architecture, embedding_size=4, block_dropout=dropout, mlp_dropout=dropout)
    return kind(model, make_objective(schema, "logloss"), ADAM, weight_decay=1e-4, phase="finetune/AMEIR-C")


def weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Whether all weights are equal bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def predictions(model: nn.Module, loader: Iterable[Batch]) -> tuple[Tensor, Tensor]:
    """Logits and labels of all rows, in eval mode."""
    model.eval()
    with torch.no_grad():
        pairs = [(model(b), b.label) for b in loader]
    return torch.cat([p[0] for p in pairs]), torch.cat([p[1] for p in pairs])
