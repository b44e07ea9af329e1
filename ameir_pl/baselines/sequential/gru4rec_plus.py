"""GRU4Rec+ (Hidasi and Karatzoglou, 2018): a GRU over the history, trained with BPR-max on additional samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ameir_pl import ranks
from ameir_pl.baselines.base import BASELINES
from ameir_pl.baselines.next_item import NextItem, at_least, gru, last, linear
from ameir_pl.batch import Batch
from ameir_pl.errors import AmeirError
from ameir_pl.nn.dropout import Dropout
from ameir_pl.schema import PAD, Schema


@BASELINES.register("gru4rec_plus")
class Gru4RecPlus(NextItem):
    """query = W Dropout(h_n) + b, h_n the last state of a GRU on Dropout(e_1), ..., Dropout(e_n).

    Loss of a positive i against the samples j, with scores r and s = softmax of r over the samples (Hidasi and
    Karatzoglou 2018, "BPR-max with score regularization"):
    ``-log sum_j s_j sigmoid(r_i - r_j) + bpreg · sum_j s_j r_j²``, averaged over a row's positives. The samples are
    the negatives of all rows of the batch, as in the paper, but those that are a positive of the row.

    Args:
        schema: of a dataset of sequences.
        embedding_size: K.
        mlp: ignored.
        dropout: of the embeddings and of the last state.
        units: of the GRU.
        bpreg: weight of the score regularization.

    Raises:
        AmeirError: an option is out of range.
    """

    own_loss = "BPR-max with score regularization, against the negatives of the whole batch"

    def __init__(self, schema: Schema, *, embedding_size: int, mlp: Sequence[int], dropout: float = 0.0,
                 units: int = 100, bpreg: float = 1.0) -> None:
        super().__init__(schema, embedding_size)
        at_least("gru4rec_plus", "units", units)
        if bpreg < 0:
            raise AmeirError(f"model=gru4rec_plus takes `bpreg` of at least 0; found model.options.bpreg={bpreg}.")
        self.item, self.bpreg = schema.item, bpreg
        self.gru = gru(embedding_size, units)
        self.output = linear(units, embedding_size)
        self.dropout = Dropout(dropout)

    def forward(self, batch: Batch) -> Tensor:
        """Return query vectors (B, K)."""
        h, mask = self.history(batch)
        states, _ = self.gru(self.dropout(h))
        return self.output(self.dropout(last(states, mask)))

    def training_loss(self, batch: Batch, own: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the mean over rows; see the class and :class:`~ameir_pl.baselines.base.OwnLoss`."""
        query, samples = self(batch), self._samples(batch)  # (B, K), (N,)
        present = batch.positives != PAD  # (B, P)
        positive = (self.embedding.rows(self.item, batch.positives) @ query.unsqueeze(-1)).squeeze(-1).float()
        scores = (query @ self.embedding.rows(self.item, samples).T).float()  # (B, N)
        hit = (samples == batch.positives.unsqueeze(-1)).any(1)  # (B, N)
        # Not -inf: a row whose positives are all the samples would give NaN.
        weights = F.log_softmax(scores.masked_fill(hit, torch.finfo(scores.dtype).min), 1)  # (B, N), log s_j
        chance = F.logsigmoid(positive.unsqueeze(2) - scores.unsqueeze(1)) + weights.unsqueeze(1)  # (B, P, N)
        size = (weights.exp() * scores.square()).sum(1)  # (B,)
        ranking = torch.where(present, -chance.logsumexp(2), 0.0).sum(1) / present.sum(1).clamp(min=1)  # (B,)
        return (ranking + self.bpreg * size).mean()

    def _samples(self, batch: Batch) -> Tensor:
        """Return the item ids (N,) that every row of all ranks is compared with."""
        if len(batch.shared_negatives):
            return batch.shared_negatives
        rows = len(batch) * ranks.world()  # as many on every rank
        return ranks.shared_rows({"negatives": batch.negatives}, rows)["negatives"].flatten()
