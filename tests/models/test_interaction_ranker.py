"""InteractionRanker: what it computes, and that planted interactions add more than all others."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ameir_pl.baselines.base import OwnLoss
from ameir_pl.batch import Batch
from ameir_pl.models import interaction_ranker
from ameir_pl.models.interaction_ranker import InteractionRanker
from ameir_pl.schema import Field, Schema
from ameir_pl.space.architecture import MlpLayer, canonical_interactions

FIELDS = ("a", "b", "c", "d", "e")
VALUES = 8


def schema() -> Schema:
    return Schema("own", "ctr", tuple(Field(n, n, "user") for n in FIELDS), (), ("price",),
                  {n: VALUES + 2 for n in FIELDS}, 0)


def rows(count: int, seed: int, planted: tuple[str, ...] = ()) -> Batch:
    """Clicks whose logit is a product of one sign for each value of the planted fields: no fewer of them tell any."""
    drawn = np.random.default_rng(seed)
    ids = drawn.integers(0, VALUES, (count, len(FIELDS)))
    logit = np.zeros(count)
    if planted:
        signs = np.where(np.arange(VALUES) % 2, 1.0, -1.0)
        logit = 2.0 * np.prod([signs[ids[:, FIELDS.index(f)]] for f in planted], axis=0)
    label = drawn.random(count) < 1 / (1 + np.exp(-logit))
    return Batch(fields=torch.from_numpy(ids) + 2, dense=torch.from_numpy(drawn.uniform(-1, 1, (count, 1))).float(),
                 label=torch.from_numpy(label).float())


MLP = (MlpLayer(16, "relu"), MlpLayer(8, "relu"))


def ranker(seed: int = 0, dropout: float = 0.1, mlp: tuple[MlpLayer, ...] = MLP) -> InteractionRanker:
    torch.manual_seed(seed)
    sets = canonical_interactions([c for n in (2, 3) for c in combinations(FIELDS, n)])
    return InteractionRanker(schema(), sets, mlp=mlp, embedding_size=6, dropout=dropout)


def logits(model: InteractionRanker, batch: Batch, without: int | None = None) -> Tensor:
    """The formula, one candidate after the other."""
    x = model.base.embed(batch)
    total = model.base.predict(x, model.base.architecture)
    for place, candidate in enumerate(model.candidates):
        if place != without:
            product = torch.stack([x.fields[:, FIELDS.index(f)] for f in candidate]).prod(0)
            total = total + product @ model.weight[place]
    return total


def test_it_adds_every_candidate_up() -> None:
    model, batch = ranker().eval(), rows(50, 1)
    assert torch.allclose(model(batch), logits(model, batch), atol=1e-5)


def test_a_marginal_gain_is_what_the_loss_rises_without_the_candidate() -> None:
    model, parts = ranker().train(), [rows(40, 2), rows(25, 3)]
    gains = model.marginal_gains(parts)
    assert model.training and gains.dtype == torch.float64
    model.eval()
    with torch.no_grad():
        for place in (0, 7, len(model.candidates) - 1):
            loss = [torch.cat([F.binary_cross_entropy_with_logits(logits(model, p, w), p.label, reduction="none")
                               for p in parts]).mean() for w in (place, None)]
            assert gains[place].item() == pytest.approx(float(loss[0] - loss[1]), abs=1e-6)


def test_candidates_in_parts_have_the_same_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    batch, found = rows(30, 4), []
    for at_once in (interaction_ranker.AT_ONCE, 0):  # all at once, three at a time
        monkeypatch.setattr(interaction_ranker, "AT_ONCE", at_once)
        monkeypatch.setattr(interaction_ranker, "PART", 30 * 6 * 3)
        model = ranker(5, dropout=0.0).train()
        torch.manual_seed(6)
        F.binary_cross_entropy_with_logits(model(batch), batch.label).backward()
        found.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    assert found[0].keys() == found[1].keys()
    assert all(torch.allclose(g, found[1][n], atol=1e-6) for n, g in found[0].items())


def test_an_update_reads_some_of_the_rows() -> None:
    model, batch = ranker(5, dropout=0.0).eval(), rows(interaction_ranker.ROWS + 100, 4)
    first = batch[slice(0, interaction_ranker.ROWS)]
    assert isinstance(model, OwnLoss)
    expected = F.binary_cross_entropy_with_logits(model(first), first.label)
    assert torch.allclose(model.training_loss(batch, lambda output: output.sum()), expected, atol=1e-6)


@pytest.mark.parametrize("planted", [("b", "d"), ("a", "c", "e")])
def test_a_planted_interaction_adds_most(planted: tuple[str, ...]) -> None:
    """Beside first orders alone, that is: an MLP learns a strong product of two times eight values by itself."""
    train, valid = rows(8000, 8, planted), rows(2000, 9, planted)
    gains = {}
    for name, mlp in (("linear", ()), ("mlp", MLP)):
        model = ranker(7, mlp=mlp).train()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
        for step in range(120):
            batch = train[slice(step * 256 % 7936, step * 256 % 7936 + 256)]
            optimizer.zero_grad()
            F.binary_cross_entropy_with_logits(model(batch), batch.label).backward()
            optimizer.step()
        gains[name] = model.marginal_gains([valid])
        place = model.candidates.index(planted)
    assert int(gains["linear"].argmax()) == place
    assert int((gains["linear"] + gains["mlp"]).argmax()) == place
    others = [float(g) for c, g in zip(model.candidates, gains["linear"], strict=True) if not set(planted) <= set(c)]
    assert gains["linear"][place] > 3 * max(others)
