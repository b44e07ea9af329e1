"""InteractionRanker: all candidate interactions beside one MLP, so that each is judged by what it adds to the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ameir_pl.batch import Batch
from ameir_pl.models.ameir import Derived
from ameir_pl.nn.hadamard import HadamardProducts
from ameir_pl.schema import Schema
from ameir_pl.space.architecture import Architecture, Interaction, MlpLayer

ACTIVE = 0.5
"""The chance with which a candidate is active in a training row."""
DEVIATION = 0.5
"""Of the embeddings at the start. A product of small numbers has a smaller gradient still: from within ±0.05 the
products of two and more embeddings learn nothing in a few hundred updates."""
READOUT = 0.1
"""Deviation of the candidates' weights at the start."""
ROWS = 512
"""Rows of a batch that an update reads. What it costs grows with rows times candidates, of which Criteo's fields give
2,925; and an update of more rows is worth little more."""
AT_ONCE = 1 << 22
"""Numbers of products (rows x candidates x K) that are kept for the backward pass; more are made again in it."""
PART = 1 << 19
"""Numbers that are made at a time where there are more: they stay in a processor's cache."""


class InteractionRanker(nn.Module):
    """``logit = MLP([e_b, dense]) + sum over candidates c of m_c w_c · p_c`` with p_c the Hadamard product of c.

    In training m_c is 2 with chance one half and 0 otherwise, in each row and for each candidate on its own, as dropout
    has it; when it is not trained all are 1. A candidate is thus trained beside others as a selected one will be, gets
    a gradient from half of all rows whatever the number of candidates, and cannot rest on any other's being there. What
    it is worth is its *marginal* gain: how much the log loss of held-out rows rises without it.

    Args:
        schema: of a dataset of clicks.
        candidates: interactions, in canonical order.
        mlp: hidden layers of the MLP that reads fields and dense values; none: their first order alone.
        embedding_size: K.
        dropout: in the MLP.
    """

    def __init__(self, schema: Schema, candidates: Sequence[Interaction], *, mlp: Sequence[MlpLayer],
                 embedding_size: int, dropout: float) -> None:
        super().__init__()
        self.candidates = tuple(candidates)
        self.base = Derived(schema, Architecture(mlp=tuple(mlp)), embedding_size=embedding_size, behavior=False,
                            mlp_dropout=dropout)
        with torch.no_grad():
            self.base.embedding.weight[1:].normal_(0.0, DEVIATION)
        self.products = HadamardProducts(schema.field_names, self.candidates)
        self.weight = nn.Parameter(torch.empty(len(self.candidates), embedding_size))
        nn.init.normal_(self.weight, 0.0, READOUT)

    own_loss = "log loss of some of the rows"

    def training_loss(self, batch: Batch, own: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the mean log loss of the first :data:`ROWS` rows; batches come in random order."""
        part = batch[slice(0, ROWS)]
        return F.binary_cross_entropy_with_logits(self(part), part.label.to(self.weight.dtype))

    @property
    def embedding(self) -> nn.Module:
        """The embeddings of the fields."""
        return self.base.embedding

    def forward(self, batch: Batch) -> Tensor:
        """Return logits (B,): of a random half of the candidates in training mode, of all otherwise."""
        x = self.base.embed(batch)
        rows, size = x.fields.shape[0], self.weight.shape[1]
        active = torch.rand(rows, len(self.candidates), device=x.fields.device) < ACTIVE if self.training else None
        logits = self.base.predict(x, self.base.architecture)
        if not torch.is_grad_enabled():
            return logits + self.contributions(x.fields).sum(1)
        if rows * len(self.candidates) * size <= AT_ONCE:
            return logits + self._sum(x.fields, 0, len(self.candidates), active)
        for begin, end in self._parts(rows):
            logits = logits + checkpoint(self._sum, x.fields, begin, end, active, use_reentrant=False)
        return logits

    def contributions(self, fields: Tensor) -> Tensor:
        """Return ``w_c · p_c`` (B, C) of all candidates, given e_b (B, N, K)."""
        return torch.cat([self._some(fields, begin, end) for begin, end in self._parts(fields.shape[0])], 1)

    def _parts(self, rows: int) -> list[tuple[int, int]]:
        """Return the candidates in parts: where each begins and ends."""
        many, number = max(PART // max(rows * self.weight.shape[1], 1), 1), len(self.candidates)
        return [(begin, min(begin + many, number)) for begin in range(0, number, many)]

    def _some(self, fields: Tensor, begin: int, end: int) -> Tensor:
        which = torch.arange(begin, end, device=fields.device)
        return torch.einsum("bck,ck->bc", self.products(fields, which), self.weight[begin:end])

    def _sum(self, fields: Tensor, begin: int, end: int, active: Tensor | None) -> Tensor:
        parts = self._some(fields, begin, end)
        return (parts if active is None else parts * active[:, begin:end] / ACTIVE).sum(1)

    @torch.no_grad()
    def marginal_gains(self, batches: Sequence[Batch]) -> Tensor:
        """Return, for each candidate, by how much the mean log loss of these rows rises without it (C,), float64.

        All others stay active. The mode of the model does not matter: nothing is dropped.
        """
        was = self.training
        self.eval()
        device = self.weight.device
        gains = torch.zeros(len(self.candidates), dtype=torch.float64, device=device)
        rows = 0
        for batch in batches:
            batch = batch.to(device)
            x = self.base.embed(batch)
            parts = self.contributions(x.fields)  # (B, C)
            logits = self.base.predict(x, self.base.architecture) + parts.sum(1)
            label = batch.label.to(logits.dtype)
            whole = F.binary_cross_entropy_with_logits(logits, label, reduction="none")
            without = logits.unsqueeze(1) - parts
            loss = F.binary_cross_entropy_with_logits(without, label.unsqueeze(1).expand_as(without), reduction="none")
            gains += (loss - whole.unsqueeze(1)).double().sum(0)
            rows += len(batch)
        self.train(was)
        return gains / max(rows, 1)
