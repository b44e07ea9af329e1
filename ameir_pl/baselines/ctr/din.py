"""DIN (Zhou et al., 2018): each behavior counts as much as it matters for the target."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ameir_pl.baselines.base import BASELINES
from ameir_pl.batch import Batch
from ameir_pl.errors import AmeirError
from ameir_pl.nn.attention import LocalActivationUnit
from ameir_pl.nn.elastic import ElasticMlp
from ameir_pl.nn.embedding import FieldEmbedding
from ameir_pl.nn.heads import CtrHead
from ameir_pl.nn.history import HistoryInput
from ameir_pl.schema import Schema


@BASELINES.register("din")
class Din(nn.Module):
    """h = MLP([sum over i of a(h_i, target) h_i, field embeddings, dense]), all hidden layers Dice.

    The weights a are those of the paper's Eq. 3 and Fig. 2: 36 units, no softmax. The history and the target are laid
    out as for AMEIR (see :class:`~ameir_pl.nn.history.HistoryInput`): a row without history has one learned behavior,
    and where a behavior's field has no like in the target, say a rating, a learned vector stands for it.

    Args:
        schema: of a dataset of clicks with behaviors and a target.
        embedding_size: K.
        mlp: units of the hidden layers.
        dropout: after each hidden layer.

    Raises:
        AmeirError: the dataset has no behaviors, or nothing to compare them with.
    """

    def __init__(self, schema: Schema, *, embedding_size: int, mlp: Sequence[int], dropout: float = 0.0) -> None:
        super().__init__()
        check_schema(schema)
        self.embedding = FieldEmbedding(schema, embedding_size)
        self.history = HistoryInput(schema, embedding_size)
        behavior = len(schema.behaviors) * embedding_size
        self.attention = LocalActivationUnit(behavior)
        width = behavior + len(schema.fields) * embedding_size + len(schema.dense)
        self.layers = [(units, "dice") for units in mlp]
        self.mlp = ElasticMlp(width, mlp, [("dice",)] * len(mlp), dropout=dropout)
        self.head = CtrHead(mlp[-1] if mlp else width)

    def forward(self, batch: Batch) -> Tensor:
        """Return logits (B,)."""
        e = self.embedding.fields(batch.fields)  # (B, N, K)
        h, mask, target = self.history(self.embedding.behaviors(batch.behaviors), batch.mask, e)  # (B, T, D)
        weights = self.attention(h, mask, target)  # (B, T)
        interest = torch.einsum("bt,btd->bd", weights, h)
        return self.head(self.mlp(torch.cat([interest, e.flatten(1), batch.dense], 1), self.layers))


def check_schema(schema: Schema) -> None:
    """Raise ``AmeirError`` where DIN has nothing to weigh, or nothing to weigh it by."""
    if schema.task != "ctr":
        raise AmeirError(f"model=din weighs behaviors by the ad or item to be clicked, and {schema.dataset} is a "
                         f"dataset of {schema.task}, which has none. Use model=dnn.")
    if not schema.behaviors:
        raise AmeirError(f"model=din weighs behaviors, and {schema.dataset} has none. Use model=deepfm or model=dnn.")
    if not schema.has_target:
        raise AmeirError(f"model=din compares behaviors with the target, and no target field of {schema.dataset} "
                         f"shares a vocabulary with one of {', '.join(f.name for f in schema.behaviors)}. Describe "
                         "one (group: target), or use model=deepfm or model=dnn.")
