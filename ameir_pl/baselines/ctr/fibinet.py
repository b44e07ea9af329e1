"""FiBiNET (Huang et al., 2019): fields are weighed by squeeze and excitation, pairs multiplied through matrices."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ameir_pl.baselines.base import BASELINES, Baseline
from ameir_pl.baselines.parts import FirstOrder, Pairs, PlainMlp, check_whole, history_sum
from ameir_pl.batch import Batch
from ameir_pl.errors import AmeirError, did_you_mean
from ameir_pl.nn.embedding import FieldEmbedding
from ameir_pl.nn.heads import CtrHead
from ameir_pl.nn.initialization import he_normal, scaled_normal
from ameir_pl.schema import Schema

BILINEAR = ("all", "each", "interaction")
"""One matrix for all pairs, one for each first field, one for each pair."""


class SeNet(nn.Module):
    """``e_i · a_i`` with ``a = ReLU(W2 ReLU(W1 z))``, z the fields' means (Huang et al. 2019, "SENET layer").

    He normal.

    Args:
        fields: N.
        reduction: W1 has N / reduction rows, at least one.
    """

    def __init__(self, fields: int, reduction: int) -> None:
        super().__init__()
        units = max(1, fields // reduction)
        self.reduce = nn.Linear(fields, units, bias=False)  # W1
        self.expand = nn.Linear(units, fields, bias=False)  # W2
        he_normal(self.reduce.weight)
        he_normal(self.expand.weight)

    def forward(self, e: Tensor) -> Tensor:
        """Return (B, N, K) from ``e`` (B, N, K)."""
        return e * torch.relu(self.expand(torch.relu(self.reduce(e.mean(2))))).unsqueeze(2)


class BilinearInteraction(nn.Module):
    """``(e_i W) * e_j`` for all pairs i < j (Huang et al. 2019, "Bilinear-Interaction layer").

    W is normal with deviation 1/sqrt(K).

    Args:
        fields: N.
        size: K.
        kind: a name in :data:`BILINEAR`.
    """

    def __init__(self, fields: int, size: int, kind: str) -> None:
        super().__init__()
        self.pairs = Pairs(fields)
        self.of_pairs = kind == "interaction"
        # The last field is never the first of a pair.
        count = {"all": 1, "each": fields - 1, "interaction": len(self.pairs)}[kind]
        self.weight = nn.Parameter(torch.empty(count, size, size))
        scaled_normal(self.weight, size)

    def forward(self, e: Tensor) -> Tensor:
        """Return (B, P·K), pair by pair, from ``e`` (B, N, K)."""
        e = e.transpose(0, 1)  # (N, B, K): a product of matrices for each W
        if self.of_pairs:
            first = e.index_select(0, self.pairs.first) @ self.weight  # (P, B, K)
        else:
            first = (e[:-1] @ self.weight).index_select(0, self.pairs.first)
        return (first * e.index_select(0, self.pairs.second)).transpose(0, 1).flatten(1)


@BASELINES.register("fibinet")
class FibiNet(Baseline):
    """logit = <w, x> + w·MLP([history sum, bilinear(SENET(e)), bilinear(e), dense]) (Huang et al. 2019, Fig. 1).

    Both bilinear layers are one, with the same matrices. The embeddings themselves are not inputs of the MLP.

    Args:
        schema: of a dataset of clicks with two fields or more.
        embedding_size: K.
        mlp: units of the hidden layers, all ReLU.
        dropout: after each hidden layer.
        bilinear: ``all`` (one matrix), ``each`` (one a field) or ``interaction`` (one a pair).
        reduction: how many fields share a unit of the SENET.
    """

    needs = ("clicks", "fields")

    def __init__(self, schema: Schema, *, embedding_size: int, mlp: Sequence[int], dropout: float = 0.0,
                 bilinear: str = "interaction", reduction: int = 3) -> None:
        super().__init__()
        if bilinear not in BILINEAR:
            raise AmeirError(f"model=fibinet: model.options.bilinear must be one of {', '.join(BILINEAR)}, found "
                             f"{bilinear!r}.{did_you_mean(str(bilinear), BILINEAR)}")
        check_whole("fibinet", "reduction", reduction)
        fields = len(schema.fields)
        self.embedding = FieldEmbedding(schema, embedding_size)
        self.first_order = FirstOrder(schema)
        self.senet = SeNet(fields, reduction)
        self.bilinear = BilinearInteraction(fields, embedding_size, bilinear)
        products = 2 * len(self.bilinear.pairs)
        self.mlp = PlainMlp((len(schema.behaviors) + products) * embedding_size + len(schema.dense), mlp, dropout)
        self.head = CtrHead(self.mlp.out_features)

    def forward(self, batch: Batch) -> Tensor:
        """Return logits (B,)."""
        e = self.embedding.fields(batch.fields)  # (B, N, K)
        products = [self.bilinear(self.senet(e)), self.bilinear(e)]  # (B, P·K) each
        x = torch.cat([history_sum(self.embedding, batch), *products, batch.dense], 1)
        return self.first_order(batch) + self.head(self.mlp(x))
