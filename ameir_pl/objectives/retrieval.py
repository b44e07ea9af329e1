"""Next item: sampled losses (paper, Eq. 7), ranking among sampled negatives and among the whole catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ameir_pl import ranks
from ameir_pl.batch import Batch
from ameir_pl.objectives.paired import mean_difference
from ameir_pl.schema import OOV, PAD

CUTOFFS = (("hr", 1), ("hr", 5), ("ndcg", 5), ("hr", 10), ("ndcg", 10))


class Retrieval:
    """Models give query vectors (B, K); the score of item i is e_i · q, or their cosine over a temperature. One with
    a true ``scores_items`` gives the scores (B, V) themselves, and one with a loss of its own is made for e_i · q.

    Args:
        item: the vocabulary that is ranked.
        loss: ``sampled_bce`` (the paper's: positives and as many negatives a row) or ``sampled_softmax`` (one
            positive against negatives shared by the batch).
        item_shares: (V,) how likely each item is drawn as a shared negative. Given, each score has its logarithm taken
            off in the loss (Bengio and Senécal 2008): popular items are negatives more often than they would be in a
            softmax of the whole catalogue.
        temperature: queries and items are compared by their cosine over this, which leaves a rare item's short vector
            as likely as a popular one's long one; None: by e_i · q.
    """

    fitness = "ndcg@5"

    def __init__(self, *, item: str, loss: str = "sampled_bce", item_shares: Tensor | None = None,
                 temperature: float | None = None) -> None:
        self.item, self.kind, self.temperature = item, loss, temperature
        self._log_shares = None if item_shares is None else item_shares.log().float()

    def loss(self, model: Any, output: Tensor, batch: Batch) -> Tensor:
        """Return the mean of the loss over the positives (one a row for ``sampled_softmax``)."""
        if self.kind == "sampled_softmax":
            return self._softmax(model, output, batch)
        return self._bce(model, output, batch)

    def _bce(self, model: Any, output: Tensor, batch: Batch) -> Tensor:
        # Eq. 7: each positive is one instance of S, with its share Q / P of the row's negatives. A row with fewer than
        # P positives counts its negatives in proportion, so that short histories do not push all items down.
        present = batch.positives != PAD  # (B, P)
        # One lookup, and so one gradient of the size of the embedding matrix.
        scores = self._scores(model, output, torch.cat([batch.positives, batch.negatives], 1))  # (B, P + Q)
        positive = F.logsigmoid(scores[:, :present.shape[1]]) * present
        negative = F.logsigmoid(-scores[:, present.shape[1]:])  # (B, Q)
        share = present.float().mean(1, keepdim=True)  # (B, 1)
        # Ranks average their losses: each divides by its part of the positives of all.
        count = ranks.total(present.sum().float()) / ranks.world()
        return -(positive.sum() + (negative * share).sum()) / count.clamp(min=1)

    def _softmax(self, model: Any, output: Tensor, batch: Batch) -> Tensor:
        own, others = batch.positives[:, :1], batch.shared_negatives  # (B, 1), (Q,)
        positive = self._scores(model, output, own)  # (B, 1)
        scores = self._queries(model, output) @ self._items(model, others).T  # (B, Q)
        if self._log_shares is not None:
            self._log_shares = self._log_shares.to(output.device)
            positive, scores = positive - self._log_shares[own], scores - self._log_shares[others]
        # A negative that is the row's own positive is not one.
        scores = scores.masked_fill(others == own, -torch.inf)
        return (torch.logsumexp(torch.cat([positive, scores], 1).float(), 1) - positive[:, 0].float()).mean()

    def _scores(self, model: Any, output: Tensor, items: Tensor) -> Tensor:
        if getattr(model, "scores_items", False):
            return output.gather(1, items)
        return torch.einsum("bk,bpk->bp", self._queries(model, output), self._items(model, items)).float()

    def _temperature(self, model: Any) -> float | None:
        return None if hasattr(model, "own_loss") else self.temperature

    def _queries(self, model: Any, output: Tensor) -> Tensor:
        temperature = self._temperature(model)
        return output if temperature is None else unit(output) / temperature

    def _items(self, model: Any, items: Tensor | None = None) -> Tensor:
        """Return the vectors that are compared with queries, of ``items`` or of all."""
        vectors = model.embedding.table(self.item) if items is None else model.embedding.rows(self.item, items)
        return vectors if self._temperature(model) is None else unit(vectors)

    def predictions(self, model: Any, output: Tensor, batch: Batch, full: bool = False) -> dict[str, Tensor]:
        """Return the rank (B,) of the held-out item among its negatives; with ``full`` also among every item that
        the user never touched."""
        output = output.detach()
        own = batch.positives[:, :1]  # (B, 1)
        # The positive's score is taken from the product that gives the others': two products round differently, and
        # a model that gives all items one vector would look as if it told them apart.
        scores = self._scores(model, output, torch.cat([own, batch.negatives], 1))  # (B, 1 + Q)
        ranks = {"rank": rank(scores[:, :1], scores[:, 1:])}
        if full:
            direct = getattr(model, "scores_items", False)
            scores = output.clone() if direct else \
                (self._queries(model, output) @ self._items(model).T).float()  # (B, V)
            positive = scores.gather(1, own)
            scores[:, [PAD, OOV]] = -torch.inf
            scores = scores.scatter(1, batch.seen, -torch.inf).scatter(1, own, -torch.inf)
            ranks["rank_full"] = rank(positive, scores)
        return ranks

    def metrics(self, predictions: Sequence[dict[str, Tensor]]) -> dict[str, float]:
        """Return hr@1, hr@5, ndcg@5, hr@10, ndcg@10, and the same with the prefix ``full_`` where it was asked."""
        result = {}
        for name, prefix in (("rank", ""), ("rank_full", "full_")):
            if name not in predictions[0]:
                continue
            ranks = torch.cat([p[name] for p in predictions]).double()
            for metric, cutoff in CUTOFFS:
                result[f"{prefix}{metric}@{cutoff}"] = gain(ranks, metric, cutoff).mean().item()
        return result

    def score(self, predictions: Sequence[dict[str, Tensor]]) -> float:
        """Return ``ndcg@5`` among the sampled negatives."""
        return self.metrics([{"rank": p["rank"]} for p in predictions])[self.fitness]

    def difference(self, first: dict[str, Tensor], second: dict[str, Tensor]) -> tuple[float, float]:
        """Return how much higher the first model's ``ndcg@5`` is than the second's, and the standard error of that."""
        metric, cutoff = self.fitness.split("@")
        return mean_difference(*(gain(one["rank"].double(), metric, int(cutoff)) for one in (first, second)))


def unit(vectors: Tensor) -> Tensor:
    """Return vectors (..., K) of length one, in single precision; one of zeros stays."""
    return F.normalize(vectors.float(), dim=-1)


def gain(ranks: Tensor, metric: str, cutoff: int) -> Tensor:
    """Return what each row (B,) adds to ``hr`` or ``ndcg`` at ``cutoff``, by its rank from 1."""
    hit = (ranks <= cutoff).double()
    return hit if metric == "hr" else hit / torch.log2(ranks + 1)


def rank(positive: Tensor, others: Tensor) -> Tensor:
    """Return the rank (B,) of ``positive`` (B, 1) among ``others`` (B, C), from 1; a tie counts half a rank.

    Whatever is not below the positive is above it, NaN on either side too: a broken model must not look perfect.
    """
    below = (others < positive).sum(1) + 0.5 * (others == positive).sum(1)
    return others.shape[1] - below + 1
