"""On noise next-item models are at chance: what they learn of the training part says nothing of the held-out items."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ameir_pl.baselines import build_baseline
from ameir_pl.data import EncodedSequences
from ameir_pl.data.encoded_sequences import LOSSES, Loss
from ameir_pl.objectives import make_objective
from ameir_pl.tasks.fit import FitTask
from tests.baselines.test_every_baseline import COUNTING, NAMES, refused
from tests.data.noise import write_noise
from tests.data.sequence_helpers import prepare
from tests.models.examples import retrieval_schema

USERS, ITEMS, TAKEN = 200, 130, 12
MODELS = [name for name in NAMES if name not in COUNTING and not refused(name, retrieval_schema())]
NEGATIVES: dict[Loss, int] = {"sampled_bce": 5, "sampled_softmax": 40}


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> EncodedSequences:
    """Every user takes items of the catalogue uniformly, in random order."""
    folder = tmp_path_factory.mktemp("noise")
    return prepare(write_noise(folder, "lines", USERS, ITEMS, TAKEN), folder / "encoded")


def task_of(name: str, encoded: EncodedSequences, loss: Loss) -> tuple[nn.Module, FitTask]:
    torch.manual_seed(0)
    model = build_baseline(name, encoded.schema, embedding_size=16, mlp=[], dropout=0.0)
    objective = make_objective(encoded.schema, loss)
    return model.train(), FitTask(model, objective, torch.optim.Adam, weight_decay=0.0, phase="test")


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("loss", LOSSES)
def test_held_out_items_are_ranked_low_as_often_as_others(name: str, loss: Loss, noise: EncodedSequences) -> None:
    """Batches of one user: the items whose embeddings have gradients are those that the loss compares."""
    model, task = task_of(name, noise, loss)
    user, draws, negatives = 3, 50, 30
    counts = np.zeros(noise.items + 2)
    for seed in range(draws):
        batch = noise.gather_train(np.full(2, user), np.random.default_rng(seed), loss, negatives)
        model.zero_grad()
        task.training_step(batch, 0).backward()
        gradient: Tensor = model.embedding.weight.grad  # type: ignore[union-attr, assignment]
        counts += gradient.abs().sum(1).gt(0).numpy()
    sequence = noise.columns["values"][:, 0].reshape(USERS, TAKEN)[user]
    others = counts[np.setdiff1d(np.arange(2, noise.items + 2), sequence)]
    share = others.mean() / draws
    assert share > 0.2, "they are compared at all"
    deviation = np.sqrt(draws * share * (1 - share))
    assert np.abs(counts[sequence[-2:]] - others.mean()).max() <= 4 * deviation


@pytest.mark.parametrize(("name", "loss"), [("bpr", "sampled_bce"), ("bpr", "sampled_softmax"),
                                            ("dnn", "sampled_bce"), ("dnn", "sampled_softmax")])
def test_noise_scores_at_chance(name: str, loss: Loss, noise: EncodedSequences) -> None:
    model, task = task_of(name, noise, loss)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    rows, losses = np.asarray(noise.splits["train"]), []
    for step in range(120):
        batch = noise.gather_train(rows, np.random.default_rng(step), loss, NEGATIVES[loss])
        optimizer.zero_grad()
        value = task.training_step(batch, 0)
        value.backward()
        optimizer.step()
        losses.append(value.item())
    assert np.mean(losses[-10:]) < 0.9 * np.mean(losses[:3]), "it learns the training part by heart"
    model.eval()
    test = noise.gather(np.asarray(noise.splits["test"]))
    with torch.no_grad():
        found = make_objective(noise.schema, loss).predictions(model, model(test), test, full=True)
    for rank, among in ((found["rank"], 101), (found["rank_full"], noise.items - TAKEN + 1)):
        # By chance every rank is as likely as any other, and users are independent.
        gains = 1 / np.arange(1, among + 1)
        error = gains.std() / np.sqrt(USERS)
        assert abs((1 / rank.numpy()).mean() - gains.mean()) < 4 * error
        assert abs(rank.mean().item() - (among + 1) / 2) < 4 * among / np.sqrt(12 * USERS)
