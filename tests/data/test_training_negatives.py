"""Negatives of training know the training part only: held-out items come up as often as any other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ameir_pl.data import DATASETS, EncodedSequences
from ameir_pl.data.encoded_sequences import LOSSES, Loss
from ameir_pl.data.loader import AmeirDataModule
from ameir_pl.errors import AmeirError
from tests.data.noise import write_noise
from tests.data.sequence_helpers import prepare

USERS, ITEMS, TAKEN = 20, 30, 12
DRAWS = 400


def of_table(folder: Path) -> EncodedSequences:
    """Noise as a table of one's own: enough items that held-out ones can be ranked."""
    dataset = DATASETS.get("table")(raw=folder, encoded=folder / "encoded",
                                    source=write_noise(folder, "table", USERS, 150, TAKEN))
    encoded = dataset.prepare()
    assert isinstance(encoded, EncodedSequences)
    return encoded


def encode(kind: str, folder: Path) -> EncodedSequences:
    if kind == "table":
        return of_table(folder)
    return prepare(write_noise(folder, "lines", USERS, ITEMS, TAKEN), folder / "encoded", kind,
                   **({"category": "Noise"} if kind == "amazon" else {}))


def drawn(encoded: EncodedSequences, loss: Loss, negatives: int) -> np.ndarray:
    """How often each item (users, V) is a negative of each user in many batches."""
    rows, counts = np.asarray(encoded.splits["train"]), np.zeros((USERS, encoded.items + 2))
    for seed in range(DRAWS):
        batch = encoded.gather_train(rows, np.random.default_rng(seed), loss, negatives)
        items = batch.negatives if loss == "sampled_bce" else batch.shared_negatives.expand(len(rows), -1)
        np.add.at(counts, (np.arange(USERS)[:, None], items.numpy()), 1)
    return counts


@pytest.mark.parametrize("kind", ["beauty", "steam", "amazon", "table"])
@pytest.mark.parametrize("loss", LOSSES)
def test_held_out_items_are_drawn_as_often_as_others(kind: str, loss: Loss, tmp_path: Path) -> None:
    encoded, negatives = encode(kind, tmp_path), 12
    counts = drawn(encoded, loss, negatives)
    values, begins = encoded.columns["values"][:, 0], encoded.columns["begin"][encoded.splits["test"].start:]
    for user, begin in enumerate(begins):
        trained, held = values[begin:begin + TAKEN - 2], values[begin + TAKEN - 2:begin + TAKEN]
        if loss == "sampled_bce":
            assert counts[user, trained].sum() == 0, "training items are no negatives"
        left = encoded.items - (len(trained) if loss == "sampled_bce" else 0)
        expected = DRAWS * negatives / left
        # Five standard deviations: among all items of all users one comes that far in 10,000 such tests.
        assert np.abs(counts[user, held] - expected).max() < 5 * np.sqrt(expected)
        others = np.setdiff1d(np.arange(2, encoded.items + 2), values[begin:begin + TAKEN])
        assert np.abs(counts[user, others] - expected).max() < 5 * np.sqrt(expected)


def test_an_item_that_is_held_out_and_trained_on_is_no_negative(tmp_path: Path) -> None:
    path = tmp_path / "s.txt"
    path.write_text("1 4 5 6 5 4\n2 4 5 6 7 8\n3 9 9 9 9\n")
    encoded = prepare(path, tmp_path / "encoded")
    words = encoded.vocabulary("item")
    found = [encoded.draw_untrained(np.random.default_rng(seed), encoded.columns["begin"][:3], 3)
             for seed in range(50)]
    for user, trained in enumerate(({"4", "5", "6"}, {"4", "5", "6"}, {"9"})):
        assert {i for items in found for i in items[user].tolist()} == {words[w] for w in words if w not in trained}
    with pytest.raises(AmeirError, match="4 items outside a user's training items .* leaves 3 of 6"):
        encoded.draw_untrained(np.random.default_rng(0), encoded.columns["begin"][:3], 4)


def test_users_without_a_training_row_move_no_one_else(tmp_path: Path) -> None:
    path = tmp_path / "s.txt"
    path.write_text("5 1 2 3 4\n7 1 2 3\n8 5 6 7 8\n6 4 3 2\n")
    encoded = prepare(path, tmp_path / "encoded")
    ids, words = encoded.vocabulary("item"), {v: k for k, v in encoded.vocabulary("item").items()}
    batch = encoded.gather_train(np.asarray(encoded.splits["train"]), np.random.default_rng(0), negatives=6)
    assert [{words[i] for i in row} for row in batch.negatives.tolist()] == [set(ids) - {"1", "2"},
                                                                             set(ids) - {"5", "6"}]


def test_negatives_of_evaluation_stay_untouched_ones(tmp_path: Path) -> None:
    encoded = of_table(tmp_path)
    for split in ("valid", "test"):
        batch = encoded.gather(np.asarray(encoded.splits[split]))
        for user, begin in enumerate(encoded.columns["begin"][encoded.splits[split].start:][:USERS]):
            assert not set(batch.negatives[user].tolist()) & set(encoded.columns["values"][begin:begin + TAKEN, 0])


def test_fixed_clips_are_drawn_alike(tmp_path: Path) -> None:
    """Training rows of a search's calibration are clips too."""
    encoded = encode("beauty", tmp_path)
    data = AmeirDataModule(encoded=encoded, batch_size=4, eval_batch_size=100, seed=1)
    found: set[tuple[int, int]] = set()
    for seed in range(60):
        for batch in data.subset("train", USERS, seed):
            found |= {(user, item) for user, items in zip(batch.users.tolist(), batch.negatives.tolist(), strict=True)
                      for item in items}
    values = encoded.columns["values"][:, 0].reshape(USERS, TAKEN)
    held = {(user, item) for user, items in enumerate(values[:, -2:].tolist()) for item in items}
    assert held <= found
    assert torch.equal(data.subset("train", 5, 3)[0].negatives, data.subset("train", 5, 3)[0].negatives)
