"""BPR (Rendle et al., 2009): matrix factorization, trained to rank what a user took above what not."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ameir_pl.baselines.base import BASELINES, Baseline
from ameir_pl.baselines.next_item import user_vectors
from ameir_pl.batch import Batch
from ameir_pl.nn.embedding import FieldEmbedding
from ameir_pl.nn.initialization import embedding_uniform
from ameir_pl.schema import PAD, Schema


@BASELINES.register("bpr")
class Bpr(Baseline):
    """query = w_u, the user's vector (Rendle et al. 2009, Sec. 4.3.1); the items' vectors are their embeddings.

    Loss: the mean of -ln sigmoid(x_ui - x_uj) over the pairs of a positive i and a negative j of the row (BPR-Opt,
    Sec. 4.1; its L2 term is the optimizer's weight decay). The order of the history does not matter: it is not read.

    Args:
        schema: of a dataset of sequences with numbered users.
        embedding_size: K.
        mlp: ignored.
        dropout: ignored; the model has none.
    """

    needs = ("next item", "users")
    own_loss = "BPR, each positive against each negative of the row"

    def __init__(self, schema: Schema, *, embedding_size: int, mlp: Sequence[int], dropout: float = 0.0) -> None:
        super().__init__()
        self.item = schema.item
        self.embedding = FieldEmbedding(schema, embedding_size)
        self.users = nn.Parameter(torch.empty(schema.users, embedding_size))
        embedding_uniform(self.users)

    def forward(self, batch: Batch) -> Tensor:
        """Return query vectors (B, K)."""
        return user_vectors(batch.users, self.users)

    def training_loss(self, batch: Batch, own: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the mean over rows; see the class and :class:`~ameir_pl.baselines.base.OwnLoss`."""
        query = self(batch)
        positive = self._scores(query, batch.positives)  # (B, P)
        shared = batch.shared_negatives  # (Q,), where the batch has such ones only
        negative = query @ self.embedding.rows(self.item, shared).T if len(shared) else \
            self._scores(query, batch.negatives)  # (B, Q)
        pairs = -F.logsigmoid(positive.unsqueeze(2) - negative.unsqueeze(1))  # (B, P, Q)
        present = batch.positives != PAD
        # A shared negative may be a positive of the row, and is not one then.
        counted = present.unsqueeze(2)
        if len(shared):
            counted = counted & (shared != batch.positives.unsqueeze(2)).all(1, keepdim=True)
        counted = counted.expand_as(pairs)
        return (torch.where(counted, pairs, 0.0).sum((1, 2)) / counted.sum((1, 2)).clamp(min=1)).mean()

    def _scores(self, query: Tensor, items: Tensor) -> Tensor:
        return (self.embedding.rows(self.item, items) @ query.unsqueeze(-1)).squeeze(-1).float()
