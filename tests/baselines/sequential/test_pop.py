"""POP ranks items by how often they come in the training sequences."""

from __future__ import annotations

import torch

from ameir_pl.baselines import build_baseline
from ameir_pl.baselines.base import CountsItems
from ameir_pl.objectives import make_objective
from tests.models.examples import make_batch, retrieval_schema


def test_scores_are_counts() -> None:
    schema, batch = retrieval_schema(), make_batch(retrieval_schema())
    model = build_baseline("pop", schema, embedding_size=4, mlp=[], dropout=0.0)
    assert isinstance(model, CountsItems) and not list(model.parameters())
    counts = torch.randperm(20, generator=torch.Generator().manual_seed(0)).double()
    model.set_counts(counts)
    out = model(batch)
    assert out.shape == (16, 1) and out.dtype == torch.float32
    scores = model.embedding.rows("item", batch.negatives) @ out.unsqueeze(-1)
    assert scores.squeeze(-1).tolist() == [[counts[i] for i in row] for row in batch.negatives.tolist()]
    assert (out @ model.embedding.table("item").T)[0].tolist() == counts.tolist()
    found = make_objective(schema, "sampled_bce").predictions(model, out, batch, full=True)
    for row, own in enumerate(batch.positives[:, 0].tolist()):
        above = sum(bool(counts[i] > counts[own]) for i in batch.negatives[row].tolist())
        same = sum(i == own for i in batch.negatives[row].tolist())
        assert found["rank"][row] == 1 + above + same / 2
        assert found["rank_full"][row] == 1 + sum(bool(counts[i] > counts[own]) for i in range(2, 20))


def test_counts_are_kept_in_its_state() -> None:
    model, other = (build_baseline("pop", retrieval_schema(), embedding_size=4, mlp=[], dropout=0.0) for _ in range(2))
    model.set_counts(torch.arange(20.0))  # type: ignore[operator]
    other.load_state_dict(model.state_dict())
    assert other.embedding.counts.tolist() == list(range(20))  # type: ignore[union-attr, operator]
