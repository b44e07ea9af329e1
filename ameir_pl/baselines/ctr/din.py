"""DIN (Zhou et al., 2018): each behavior counts as much as it matters for the target."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ameir_pl.baselines.base import BASELINES, Baseline
from ameir_pl.baselines.parts import PlainMlp
from ameir_pl.batch import Batch
from ameir_pl.nn.attention import LocalActivationUnit
from ameir_pl.nn.embedding import FieldEmbedding
from ameir_pl.nn.heads import CtrHead
from ameir_pl.nn.history import HistoryInput
from ameir_pl.schema import Schema


@BASELINES.register("din")
class Din(Baseline):
    """h = MLP([sum over i of a(h_i, target) h_i, field embeddings, dense]), all hidden layers Dice.

    The weights a are those of the paper's Eq. 3 and Fig. 2: 36 units, no softmax. The history and the target are laid
    out as for AMEIR (see :class:`~ameir_pl.nn.history.HistoryInput`): a row without history has one learned behavior,
    and where a behavior's field has no like in the target, say a rating, a learned vector stands for it.

    Args:
        schema: of a dataset of clicks with behaviors and a target.
        embedding_size: K.
        mlp: units of the hidden layers.
        dropout: after each hidden layer.
    """

    needs = ("clicks", "history", "target")

    def __init__(self, schema: Schema, *, embedding_size: int, mlp: Sequence[int], dropout: float = 0.0) -> None:
        super().__init__()
        self.embedding = FieldEmbedding(schema, embedding_size)
        self.history = HistoryInput(schema, embedding_size)
        behavior = len(schema.behaviors) * embedding_size
        self.attention = LocalActivationUnit(behavior)
        width = behavior + len(schema.fields) * embedding_size + len(schema.dense)
        self.mlp = PlainMlp(width, mlp, dropout, "dice")
        self.head = CtrHead(self.mlp.out_features)

    def forward(self, batch: Batch) -> Tensor:
        """Return logits (B,)."""
        e = self.embedding.fields(batch.fields)  # (B, N, K)
        h, mask, target = self.history(self.embedding.behaviors(batch.behaviors), batch.mask, e)  # (B, T, D)
        weights = self.attention(h, mask, target)  # (B, T)
        interest = torch.einsum("bt,btd->bd", weights, h)
        return self.head(self.mlp(torch.cat([interest, e.flatten(1), batch.dense], 1)))
