"""TouchedRows: of an embedding's gradient, ranks send each other the rows that a batch touched."""

from __future__ import annotations

from collections.abc import Sequence

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from ameir_pl import ranks
from ameir_pl.callbacks.phase import phase_of
from ameir_pl.nn.embedding import FieldEmbedding
from ameir_pl.progress import console

LEAST_BYTES = 1 << 24
"""A smaller embedding goes with the other gradients, which are sent while backward still runs."""
INDEX_BYTES = 4
"""Of the number of a touched row."""


def dense_bytes(rows: int, size: int, world: int) -> float:
    """Return what each of ``world`` ranks sends to average a gradient (rows, size) in fp32: a ring's all-reduce."""
    return 2 * (world - 1) / world * rows * size * 4


def touched_bytes(most: int, size: int, world: int) -> float:
    """Return what each rank sends when the touched rows are sent, at most ``most`` a rank: a ring's all-gather."""
    return float((world - 1) * most * (size * 4 + INDEX_BYTES))


def average(gradients: Sequence[Tensor], touched: Sequence[Tensor]) -> float:
    """Average gradients over the ranks, in place, each in the way that sends less.

    A row that no rank touched is zero everywhere and need not be sent. All ranks get the same bits: touched rows are
    added in the order of ranks, whole gradients in that of the backend.

    Args:
        gradients: (F, K) each, of the same tables on every rank.
        touched: of each, the rows (n,) beyond which this rank's gradient is zero; no row twice.

    Returns:
        The bytes that this rank sent.
    """
    world, device = ranks.world(), gradients[0].device
    own = torch.tensor([len(t) for t in touched], device=device)
    every = [torch.empty_like(own) for _ in range(world)]
    dist.all_gather(every, own)
    sent = 0.0
    for gradient, rows, most in zip(gradients, touched, torch.stack(every).amax(0).tolist(), strict=True):
        (count, size), share = gradient.shape, 1 / world
        if touched_bytes(most, size, world) >= dense_bytes(count, size, world):
            dist.all_reduce(gradient.mul_(share))
            sent += dense_bytes(count, size, world)
            continue
        # What is short of the longest is filled with zeros for row 0.
        indices = rows.new_zeros(most, dtype=torch.int32)
        indices[:len(rows)] = rows
        values = gradient.new_zeros(most, size)
        values[:len(rows)] = gradient[rows] * share
        all_indices = [torch.empty_like(indices) for _ in range(world)]
        all_values = [torch.empty_like(values) for _ in range(world)]
        dist.all_gather(all_indices, indices)
        dist.all_gather(all_values, values)
        gradient[rows] = 0.0
        for where, what in zip(all_indices, all_values, strict=True):
            gradient.index_add_(0, where, what)
        sent += touched_bytes(most, size, world)
    return sent


def distinct(rows: Sequence[Tensor], count: int) -> Tensor:
    """Return which of ``count`` rows are among ``rows`` (n,) int64 each, in order."""
    if not rows:
        return torch.zeros(0, dtype=torch.int64)
    every = torch.cat(list(rows))
    if count > 64 * len(every):  # to sort is quicker than to mark
        return every.unique()
    marks = torch.zeros(count, dtype=torch.bool, device=every.device)
    marks[every] = True
    return marks.nonzero().squeeze(1)


class TouchedRows(pl.Callback):
    """Takes the large embeddings out of DistributedDataParallel, which sends whole gradients, and averages theirs.

    With one rank it does nothing. At the end of a fit it says what was sent.

    Attributes:
        updates: how many there were.
        sent: bytes that this rank sent for the embeddings.
        dense: bytes that it would have sent with whole gradients.
    """

    def __init__(self) -> None:
        self._tables: list[FieldEmbedding] = []
        self.updates, self.sent, self.dense = 0, 0.0, 0.0

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Find the embeddings; the model is wrapped after this."""
        self.updates, self.sent, self.dense = 0, 0.0, 0.0
        tables = {f"{name}.weight": module for name, module in pl_module.named_modules()
                  if isinstance(module, FieldEmbedding)
                  and module.weight.numel() * module.weight.element_size() >= LEAST_BYTES} if ranks.world() > 1 else {}
        if tables and all(name in tables for name, _ in pl_module.named_parameters()):
            # DistributedDataParallel refuses a model that leaves it nothing: FM without dense values is all tables.
            del tables[min(tables, key=lambda name: tables[name].weight.numel())]
        self._tables = list(tables.values())
        for table in self._tables:
            table.touched = []
        if tables:
            DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(pl_module, list(tables))

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin with rank 0's weights, as DistributedDataParallel does with the others."""
        for table in self._tables:
            dist.broadcast(table.weight.detach(), 0)

    def on_after_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Average the gradients of an update: before a scaler looks at them, so that all ranks skip the same."""
        if not self._tables or trainer.fit_loop.epoch_loop._should_accumulate():
            return
        gradients, touched = [], []
        for table in self._tables:
            if table.weight.grad is None:
                table.weight.grad = torch.zeros_like(table.weight)
            gradients.append(table.weight.grad)
            touched.append(distinct(table.touched or [], len(table.weight)).to(table.weight.device))
            table.touched = []
        self.sent += average(gradients, touched)
        self.dense += sum(dense_bytes(len(g), g.shape[1], ranks.world()) for g in gradients)
        self.updates += 1

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Leave the embeddings as they were; also after an error."""
        for table in self._tables:
            table.touched = None

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say what was sent."""
        if self.updates and ranks.writes():
            sent, dense = (total / self.updates / 1e6 for total in (self.sent, self.dense))
            console().print(f"{phase_of(pl_module)}: {sent:.2f} MB of embedding gradients sent by each rank and update,"
                            f" {dense:.2f} MB if they were sent whole")
