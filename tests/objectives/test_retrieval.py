"""Sampled losses against NumPy, ranks against plain loops."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from ameir_pl.batch import Batch
from ameir_pl.errors import AmeirError
from ameir_pl.nn.embedding import FieldEmbedding
from ameir_pl.objectives import Retrieval, make_objective
from ameir_pl.objectives.retrieval import CUTOFFS, rank
from ameir_pl.schema import OOV, PAD
from tests.models.examples import ctr_schema, retrieval_schema

ITEMS = 20  # ids 2 to 19
SIZE = 6


def model(seed: int = 0) -> SimpleNamespace:
    """Something with item embeddings, as every model has."""
    embedding = FieldEmbedding(retrieval_schema(), SIZE)
    with torch.no_grad():
        embedding.weight.copy_(torch.randn(embedding.weight.shape, generator=torch.Generator().manual_seed(seed)))
        embedding.weight[PAD] = 0.0
    return SimpleNamespace(embedding=embedding)


def queries(rows: int, seed: int = 1) -> Tensor:
    return torch.randn(rows, SIZE, generator=torch.Generator().manual_seed(seed))


def vectors(of: SimpleNamespace) -> np.ndarray:
    """Row i is item i (one vocabulary: ids are rows)."""
    return of.embedding.weight.detach().double().numpy()


def ids(*rows: list[int]) -> Tensor:
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[PAD] * (longest - len(row))] for row in rows])


def log_sigmoid(z: float) -> float:
    return -math.log1p(math.exp(-z)) if z > 0 else z - math.log1p(math.exp(z))


# --- losses ---------------------------------------------------------------------------------------------------------

POSITIVES = ids([2, 3, 4, 5, 6], [7], [8, 9, 10], [11, 12, 13, 14, 15])


@pytest.mark.parametrize("negatives", [5, 3, 12])
def test_sampled_bce_equals_numpy(negatives: int) -> None:
    it, q = model(), queries(4)
    chosen = torch.randint(2, ITEMS, (4, negatives), generator=torch.Generator().manual_seed(4))
    e, queried = vectors(it), q.double().numpy()
    total, instances = 0.0, 0
    for b in range(4):
        own = [i for i in POSITIVES[b].tolist() if i != PAD]
        total += sum(log_sigmoid(e[i] @ queried[b]) for i in own)
        # each positive has its fifth of the row's negatives
        total += len(own) / 5 * sum(log_sigmoid(-(e[j] @ queried[b])) for j in chosen[b].tolist())
        instances += len(own)
    loss = make_objective(retrieval_schema(), "sampled_bce").loss(it, q, Batch(positives=POSITIVES, negatives=chosen))
    assert loss.item() == pytest.approx(-total / instances, rel=1e-5)


def test_sampled_bce_with_five_and_five_is_one_negative_a_positive() -> None:
    """Appendix D.2: the last five items as positives, another five as negatives; here a user with two positives."""
    it, q = model(), queries(1)
    e, queried = vectors(it), q[0].double().numpy()
    pushed = [11, 12, 13, 14, 15]
    loss = Retrieval(item="item").loss(it, q, Batch(positives=ids([2, 3, 0, 0, 0]), negatives=ids(pushed)))
    pulled = np.mean([log_sigmoid(e[i] @ queried) for i in (2, 3)])
    assert loss.item() == pytest.approx(-pulled - np.mean([log_sigmoid(-(e[j] @ queried)) for j in pushed]), rel=1e-5)


def test_rows_without_positives_change_nothing() -> None:
    it, q = model(), queries(2)
    objective = Retrieval(item="item")
    both = objective.loss(it, q, Batch(positives=ids([2, 3], [PAD, PAD]), negatives=ids([5, 6], [7, 8])))
    alone = objective.loss(it, q[:1], Batch(positives=ids([2, 3]), negatives=ids([5, 6])))
    assert both.item() == pytest.approx(alone.item(), rel=1e-6)
    assert objective.loss(it, q[:1], Batch(positives=ids([PAD, PAD]), negatives=ids([5, 6]))).item() == 0.0


def test_padding_gets_no_gradient() -> None:
    it, q = model(), queries(4).requires_grad_(True)
    negatives = torch.full((4, 5), 16)
    Retrieval(item="item").loss(it, q, Batch(positives=POSITIVES, negatives=negatives)).backward()
    gradient = it.embedding.weight.grad
    assert (gradient[PAD] == 0).all() and (gradient[OOV] == 0).all()
    assert (gradient[2:17].abs().amax(1) > 0).all() and (gradient[17:] == 0).all()


@pytest.mark.parametrize("shared", [[5, 6, 7, 5, 9], [2, 8, 3, 3], [2, 2]])
def test_sampled_softmax_equals_numpy(shared: list[int]) -> None:
    """A shared negative that is a row's own positive (2 and 3 here) is no negative of that row; repeats count."""
    it, q = model(), queries(2)
    e, queried = vectors(it), q.double().numpy()
    losses = []
    for b, own in enumerate((2, 3)):
        scores = [e[own] @ queried[b], *(e[j] @ queried[b] for j in shared if j != own)]
        losses.append(np.log(np.sum(np.exp(scores))) - scores[0])
    objective = make_objective(retrieval_schema(), "sampled_softmax")
    loss = objective.loss(it, q.requires_grad_(True), Batch(positives=ids([2], [3]),
                                                            shared_negatives=torch.tensor(shared)))
    assert loss.item() == pytest.approx(np.mean(losses), rel=1e-5, abs=1e-7)
    loss.backward()
    assert q.grad is not None and q.grad.isfinite().all() and it.embedding.weight.grad.isfinite().all()


@pytest.mark.parametrize("temperature", [0.05, 0.5])
def test_cosines_equal_numpy_in_the_loss_and_in_both_rankings(temperature: float) -> None:
    it, q = model(), queries(2)
    e, queried = vectors(it), q.double().numpy()

    def score(b: int, item: int) -> float:
        length = np.linalg.norm(e[item])
        return 0.0 if length == 0 else e[item] @ queried[b] / length / np.linalg.norm(queried[b]) / temperature

    others, losses = [5, 6, 7, 9], []
    for b, own in enumerate((2, 3)):
        losses.append(np.log(sum(np.exp(score(b, j)) for j in (own, *others))) - score(b, own))
    objective = make_objective(retrieval_schema(), "sampled_softmax", temperature=temperature)
    batch = Batch(positives=ids([2], [3]), negatives=ids(others, others), shared_negatives=torch.tensor(others),
                  seen=ids([PAD], [PAD]))
    assert objective.loss(it, q, batch).item() == pytest.approx(np.mean(losses), rel=1e-5)
    found = objective.predictions(it, q, batch, full=True)
    for b, own in enumerate((2, 3)):
        assert found["rank"][b] == 1 + sum(score(b, j) > score(b, own) for j in others)
        assert found["rank_full"][b] == 1 + sum(score(b, j) > score(b, own) for j in range(2, ITEMS))


def test_cosines_do_not_depend_on_lengths_and_a_model_with_its_own_loss_keeps_its_products() -> None:
    it, q = model(), queries(3)
    objective = Retrieval(item="item", loss="sampled_softmax", temperature=0.1)
    batch = Batch(positives=ids([2], [3], [4]), negatives=ids(*[list(range(5, 12))] * 3))
    before = objective.predictions(it, q, batch)["rank"]
    with torch.no_grad():
        it.embedding.weight[6] *= 50.0
    assert torch.equal(objective.predictions(it, 7.0 * q, batch)["rank"], before)
    own = SimpleNamespace(embedding=it.embedding, own_loss="BPR")
    product = Retrieval(item="item").predictions(it, q, batch)["rank"]
    assert torch.equal(objective.predictions(own, q, batch)["rank"], product) and not torch.equal(product, before)


def test_log_q_turns_what_is_drawn_by_popularity_into_the_softmax_of_the_catalogue() -> None:
    """With the logarithm of an item's share taken off, the mean over many draws of the sum of exponentials is that of
    all items; without, popular ones weigh as often as they are drawn."""
    it, q, draws = model(), queries(1), 200_000
    e, queried = vectors(it), q.double().numpy()
    shares = torch.arange(float(ITEMS)).double()
    shares[:2] = 0
    shares /= shares.sum()
    others = torch.multinomial(shares, draws, replacement=True, generator=torch.Generator().manual_seed(0))
    own = 5
    objective = make_objective(retrieval_schema(), "sampled_softmax", item_shares=shares)
    loss = objective.loss(it, q, Batch(positives=ids([own]), shared_negatives=others)).item()
    p = shares.numpy()
    by_hand = [np.exp(e[j] @ queried[0]) / p[j] for j in others.tolist() if j != own]
    first = np.exp(e[own] @ queried[0]) / p[own]
    assert loss == pytest.approx(math.log(first + sum(by_hand)) - math.log(first), rel=1e-4)
    whole = sum(np.exp(e[j] @ queried[0]) for j in range(2, ITEMS) if j != own)
    assert sum(by_hand) / draws == pytest.approx(whole, rel=0.02)
    plain = make_objective(retrieval_schema(), "sampled_softmax").loss(
        it, q, Batch(positives=ids([own]), shared_negatives=others)).item()
    assert abs(plain - loss) > 0.1


@pytest.mark.parametrize("loss", ["logloss", "sampled_bcee"])
def test_losses_that_do_not_fit_the_task(loss: str) -> None:
    with pytest.raises(AmeirError, match=f"loss={loss} does not fit items, a retrieval dataset"):
        make_objective(retrieval_schema(), loss)
    with pytest.raises(AmeirError, match="does not fit example, a ctr dataset"):
        make_objective(ctr_schema(), "sampled_bce")
    with pytest.raises(AmeirError, match="Did you mean 'sampled_bce'"):
        make_objective(retrieval_schema(), "sampled_bcee")


# --- ranks and metrics ----------------------------------------------------------------------------------------------


def rank_by_loop(positive: float, others: list[float]) -> float:
    if math.isnan(positive):
        return len(others) + 1
    place = 1.0
    for other in others:
        if other > positive or math.isnan(other):
            place += 1
        elif other == positive:
            place += 0.5
    return place


def metrics_by_loop(ranks: list[float]) -> dict[str, float]:
    found = {f"{m}@{k}": 0.0 for m, k in CUTOFFS}
    for r in ranks:
        for m, k in CUTOFFS:
            if r <= k:
                found[f"{m}@{k}"] += (1 if m == "hr" else 1 / math.log2(r + 1)) / len(ranks)
    return found


def test_ranks_and_metrics_equal_loops() -> None:
    rng = torch.Generator().manual_seed(0)
    positive = (torch.randn(200, 1, generator=rng) * 2 + 2).round() / 2
    others = (torch.randn(200, 30, generator=rng) * 4).round() / 4
    ranks = rank(positive, others)
    expected = [rank_by_loop(p, o) for (p,), o in zip(positive.tolist(), others.tolist(), strict=True)]
    assert ranks.tolist() == expected and any(r % 1 for r in expected) and 1.0 in expected
    found = Retrieval(item="item").metrics([{"rank": part} for part in ranks.tensor_split(3)])
    assert found == pytest.approx(metrics_by_loop(expected), abs=1e-12)
    assert found["hr@1"] == pytest.approx(np.mean([r == 1 for r in expected]))


def test_ties_are_never_in_the_models_favor() -> None:
    one = torch.ones(1, 1)
    assert rank(one, torch.tensor([[1.0, 0.0]])).tolist() == [1.5]
    found = Retrieval(item="item").metrics([{"rank": rank(one, torch.tensor([[1.0, 0.0]]))}])
    assert found["hr@1"] == 0.0 and found["hr@5"] == 1.0 and found["ndcg@5"] == 1 / math.log2(2.5)
    constant = Retrieval(item="item").metrics([{"rank": rank(torch.zeros(7, 1), torch.zeros(7, 100))}])
    assert rank(torch.zeros(7, 1), torch.zeros(7, 100)).tolist() == [51.0] * 7
    assert all(value == 0.0 for value in constant.values())


def test_scores_that_are_no_numbers_rank_last() -> None:
    nan = math.nan
    positive = torch.tensor([[nan], [1.0], [1.0], [nan]])
    others = torch.tensor([[0.0, 1.0], [nan, nan], [nan, 0.0], [nan, nan]])
    assert rank(positive, others).tolist() == [3.0, 3.0, 2.0, 3.0]
    it, q = model(), torch.full((1, SIZE), nan)
    batch = Batch(positives=ids([2]), negatives=ids(list(range(3, 19))), seen=ids([4]))
    found = Retrieval(item="item").predictions(it, q, batch, full=True)
    assert found["rank"].tolist() == [17.0] and found["rank_full"].item() > 15


def test_full_ranking_equals_a_loop() -> None:
    it, q = model(), queries(5)
    seen = ids([3, 4, 5], [], [2], [19, 18, 17, 16, 15, 14], [6, 6])
    positives = ids([2], [19], [7], [3], [8])
    e, queried = vectors(it), q.double().numpy()
    expected = []
    for b in range(5):
        own = positives[b, 0].item()
        left = [i for i in range(2, ITEMS) if i not in seen[b].tolist() and i != own]
        expected.append(rank_by_loop(e[own] @ queried[b], [e[i] @ queried[b] for i in left]))
    negatives = torch.randint(2, ITEMS, (5, 10), generator=torch.Generator().manual_seed(9))
    batch = Batch(positives=positives, negatives=negatives, seen=seen)
    objective = Retrieval(item="item")
    found = objective.predictions(it, q.requires_grad_(True), batch, full=True)
    assert found["rank_full"].tolist() == expected and not found["rank_full"].requires_grad
    metrics = objective.metrics([found])
    assert {n.removeprefix("full_"): v for n, v in metrics.items() if n.startswith("full_")} == pytest.approx(
        metrics_by_loop(expected))
    assert set(objective.predictions(it, q, batch)) == {"rank"}


def test_special_ids_are_not_ranked() -> None:
    it, q = model(), queries(1)
    with torch.no_grad():  # the unknown item scores best of all, padding second
        it.embedding.weight[OOV] = 100 * q[0]
        it.embedding.weight[2:] = -q[0] * torch.linspace(1, 2, ITEMS - 2)[:, None]
    found = Retrieval(item="item").predictions(it, q, Batch(positives=ids([2]), negatives=ids([3]), seen=ids([PAD])),
                                               full=True)
    assert found["rank_full"].tolist() == [1.0]


@pytest.mark.parametrize("rows", [1, 7, 64])
def test_items_with_one_vector_rank_in_the_middle(rows: int) -> None:
    """Two products of the same numbers round differently; that must not look like telling items apart."""
    embedding = FieldEmbedding(retrieval_schema(), 128)
    with torch.no_grad():
        embedding.weight[1:] = torch.randn(128, generator=torch.Generator().manual_seed(0))
    q = torch.randn(rows, 128, generator=torch.Generator().manual_seed(2))
    batch = Batch(positives=torch.full((rows, 1), 2), negatives=torch.arange(3, 19).expand(rows, 16),
                  seen=torch.zeros(rows, 1, dtype=torch.int64))
    found = Retrieval(item="item").predictions(SimpleNamespace(embedding=embedding), q, batch, full=True)
    # A product may treat its last column differently, hence up to half a rank beside the middle.
    assert (found["rank"] - (1 + 16 / 2)).abs().max() <= 0.5
    assert (found["rank_full"] - (1 + 17 / 2)).abs().max() <= 0.5
