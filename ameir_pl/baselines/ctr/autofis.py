"""AutoFIS (Liu et al., 2020): gates find which pairs of fields the factorization machine of DeepFM needs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ameir_pl.baselines.base import BASELINES, Baseline, Finding
from ameir_pl.baselines.grda import Grda
from ameir_pl.baselines.parts import FirstOrder, PlainMlp, deep_input, deep_width
from ameir_pl.batch import Batch
from ameir_pl.errors import AmeirError
from ameir_pl.nn.dice import MOMENTUM, shared_statistics
from ameir_pl.nn.embedding import FieldEmbedding
from ameir_pl.nn.heads import CtrHead
from ameir_pl.progress import console
from ameir_pl.schema import Schema

START = 0.6
"""Of every gate: all pairs count alike, and none is chosen by chance."""
EPSILON = 1e-3
"""Of batch normalization."""


@BASELINES.register("autofis")
class AutoFis(Baseline):
    """logit = <w, x> + sum over pairs of a_ij BN(<e_i, e_j>) + w·MLP([history sum, e, dense]) (Liu et al. 2020, Eq. 6).

    Found first: the gates a_ij of all pairs learn with :class:`~ameir_pl.baselines.grda.Grda` beside the other
    weights, BN (without weights of its own) keeps a gate from being made up for by the embeddings' scale, and what is
    zero at the best epoch is dropped. Then a new model of the pairs that are left is trained; their gates start from
    what was found and are weights like others.

    Args:
        schema: of a dataset of clicks.
        embedding_size: K.
        mlp: units of the hidden layers, all ReLU.
        dropout: after each hidden layer.
        rate: of the gates' optimizer.
        c: strength of its threshold: larger leaves fewer pairs. A gate that nothing holds up is zero after
            (0.6 / c)^(1 / mu) updates of rate 1: 7,000 with the default, an epoch of the whole Criteo.
        mu: how it grows.
        pairs: of field names, those to train with; null: they are to be found.

    Raises:
        AmeirError: an unknown field among ``pairs``, or settings of GRDA out of range.
    """

    needs = ("clicks", "fields")
    mean: Tensor
    variance: Tensor
    left: Tensor
    right: Tensor

    def __init__(self, schema: Schema, *, embedding_size: int, mlp: Sequence[int], dropout: float = 0.0,
                 rate: float = 1.0, c: float = 0.0005, mu: float = 0.8,
                 pairs: Sequence[Sequence[str]] | None = None) -> None:
        super().__init__()
        names = schema.field_names
        for pair in pairs or ():
            if len(pair) != 2 or len(set(pair)) != 2 or not set(pair) <= set(names):
                raise AmeirError(f"model.options.pairs: {list(pair)} is not a pair of fields of {schema.dataset}. "
                                 f"Its fields are {', '.join(names)}.")
        if pairs is not None and len({frozenset(pair) for pair in pairs}) != len(pairs):
            raise AmeirError(f"model.options.pairs={[list(pair) for pair in pairs]} names a pair twice.")
        chosen = list(combinations(names, 2)) if pairs is None else [tuple(pair) for pair in pairs]
        self._again = partial(AutoFis, schema, embedding_size=embedding_size, mlp=mlp, dropout=dropout)
        self._grda = {"lr": rate, "c": c, "mu": mu} if pairs is None else None
        Grda([torch.zeros(1)], lr=rate, c=c, mu=mu)  # a setting out of range is said before anything is trained
        self.pairs = chosen
        self.embedding = FieldEmbedding(schema, embedding_size)
        self.first_order = FirstOrder(schema)
        self.mlp = PlainMlp(deep_width(schema, embedding_size), mlp, dropout)
        self.head = CtrHead(self.mlp.out_features)
        self.gates = nn.Parameter(torch.full((len(chosen),), START)) if chosen else None
        for name, value in (("mean", 0.0), ("variance", 1.0)):
            self.register_buffer(name, torch.full((len(chosen),), value))
        for name, at in (("left", 0), ("right", 1)):
            index = torch.tensor([names.index(pair[at]) for pair in chosen], dtype=torch.int64)
            self.register_buffer(name, index, persistent=False)

    def own_optimizers(self) -> list[Optimizer]:
        """Return the gates' while the pairs are to be found."""
        return [] if self._grda is None or self.gates is None else [Grda([self.gates], **self._grda)]

    def found(self, finding: Finding) -> tuple[nn.Module, dict[str, Any]]:
        """Train the gates, and return a new model of the pairs whose gates are not zero."""
        if self._grda is None or self.gates is None:
            return self, {}
        finding.train(self, "gates")
        gates = self.gates.detach().cpu()
        kept = [i for i, gate in enumerate(gates.tolist()) if gate != 0.0]
        more = " No gate became zero in so few updates; a larger model.options.c drops more." \
            if len(kept) == len(self.pairs) else ""
        console().print(f"autofis keeps {len(kept)} of {len(self.pairs)} pairs of fields.{more}", markup=False)
        pairs = [list(self.pairs[i]) for i in kept]
        model = self._again(pairs=pairs)
        if model.gates is not None:
            with torch.no_grad():
                model.gates.copy_(gates[kept])
        return model, {"pairs": pairs}

    def forward(self, batch: Batch) -> Tensor:
        """Return logits (B,)."""
        e = self.embedding.fields(batch.fields)  # (B, N, K)
        logit = self.first_order(batch) + self.head(self.mlp(deep_input(self.embedding, batch, e)))
        if self.gates is None:
            return logit
        products = e @ e.mT  # (B, N, N)
        return logit + self._normalized(products[:, self.left, self.right]) @ self.gates

    def _normalized(self, x: Tensor) -> Tensor:
        """Batch normalization of ``x`` (B, P), the batch being that of all ranks."""
        if self.training:
            mean, variance = shared_statistics(x)
            with torch.no_grad():
                self.mean += MOMENTUM * (mean - self.mean)
                self.variance += MOMENTUM * (variance - self.variance)
        else:
            mean, variance = self.mean, self.variance
        return (x - mean) * torch.rsqrt(variance + EPSILON)
