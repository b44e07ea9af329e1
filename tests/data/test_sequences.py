"""Next-item data: formats agree, leave one out, clips and negatives, and popularity on the real Beauty file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from ameir_pl.data import DATASETS, EncodedSequences
from ameir_pl.data.bad_rows import BadRows
from ameir_pl.data.beauty import Beauty
from ameir_pl.data.sequence_files import core, read
from ameir_pl.errors import AmeirError
from ameir_pl.schema import PAD
from tests.data.sequence_helpers import prepare


def users_of(path: Path) -> list[list[int]]:
    """Each user's items, in order."""
    return [[int(i) for i in line.split()[1:]] for line in path.read_text().splitlines()]


def stored(encoded: EncodedSequences) -> list[list[int]]:
    """Each user's ids, in order."""
    values, test = encoded.columns["values"][:, 0], encoded.splits["test"]
    return [values[encoded.columns["begin"][i]:encoded.columns["stop"][i]].tolist() for i in test]


def test_three_formats_hold_the_same_sequences(sequence_files: dict[str, Path], tmp_path: Path) -> None:
    kinds = {kind: prepare(path, tmp_path) for kind, path in sequence_files.items()}
    for kind, encoded in kinds.items():
        assert encoded.manifest["notes"]["format"] == kind
        words = {v: k for k, v in encoded.vocabulary("item").items()}
        decoded = [[int(words[i].removeprefix("B")) for i in s] for s in stored(encoded)]
        assert decoded == users_of(sequence_files["lines"])
        assert encoded.items == 200
        assert {s: len(r) for s, r in encoded.splits.items()} == {"train": 300, "valid": 300, "test": 300}
    dropped = "users with fewer than 3 items, dropped"
    assert [e.manifest["notes"][dropped] for e in kinds.values()] == [0, 2, 0]
    assert kinds["ratings"].manifest["notes"]["interactions outside the 5-core, dropped"] == 12


def test_leave_one_out(sequences: EncodedSequences, sequence_files: dict[str, Path]) -> None:
    words = sequences.vocabulary("item")
    users = [[words[str(i)] for i in s] for s in users_of(sequence_files["lines"])]
    for split, held in (("valid", -2), ("test", -1)):
        batch = sequences.gather(np.asarray(sequences.splits[split]))
        assert batch.negatives.shape == (300, 100) and batch.fields.shape == (300, 0)
        for i, items in enumerate(users):
            history = items[:held][-8:]
            assert batch.positives[i].tolist() == [items[held]]
            assert batch.behaviors[i, batch.mask[i], 0].tolist() == history
            assert batch.mask[i, :len(history)].all()
            assert set(batch.seen[i].tolist()) - {PAD} == set(items) - {items[held]}
            assert not set(batch.negatives[i].tolist()) & set(items), "negatives were never touched"
            assert len(set(batch.negatives[i].tolist())) == 100
        assert batch.negatives.min() >= 2 and batch.negatives.max() <= 201


def test_negatives_are_fixed_by_the_seed_alone(sequences: EncodedSequences) -> None:
    rows = np.concatenate([sequences.splits["test"], sequences.splits["valid"]])
    whole = sequences.gather(rows, seed=3).negatives
    again = EncodedSequences(sequences.folder)
    order = np.random.default_rng(0).permutation(len(rows))
    parts = torch.cat([again.gather(rows[order[i:i + 7]], seed=3).negatives for i in range(0, len(rows), 7)])
    assert torch.equal(whole[torch.from_numpy(order)], parts)
    assert not torch.equal(whole, sequences.gather(rows, seed=4).negatives)
    assert not torch.equal(whole[:300], whole[300:]), "validation has negatives of its own"


def test_negatives_are_uniform(sequences: EncodedSequences) -> None:
    begin = sequences.columns["begin"][sequences.splits["test"].start:]
    generator = np.random.default_rng(0)
    drawn = np.concatenate([sequences.draw_untouched(generator, begin[:1], 100) for _ in range(2000)])
    counts = np.bincount(drawn.ravel(), minlength=202)[2:]
    left = 200 - len(set(stored(sequences)[0]))
    assert (counts > 0).sum() == left
    expected = 2000 * 100 / left
    assert np.abs(counts[counts > 0] - expected).max() < 6 * np.sqrt(expected)


def test_nearly_everything_touched(tmp_path: Path) -> None:
    # One user touched all but 101 of 2,000 items, too many to find by chance; the others touched three.
    path = tmp_path / "s.txt"
    path.write_text("1 " + " ".join(map(str, range(1, 1900))) + "\n" +
                    "\n".join(f"{u} {u % 1999 + 1} {(u + 1) % 1999 + 1} 2000" for u in range(2, 1999)) + "\n")
    encoded = prepare(path, tmp_path / "encoded")
    assert encoded.items == 2000
    batch = encoded.gather(np.asarray(encoded.splits["test"])[:2])
    assert not set(batch.negatives[0].tolist()) & set(stored(encoded)[0])
    assert len(set(batch.negatives[0].tolist())) == 100
    with pytest.raises(AmeirError, match="leaves 101 of 2000"):
        encoded.draw_untouched(np.random.default_rng(0), encoded.columns["begin"][encoded.splits["test"].start:][:1],
                               102)


@pytest.mark.parametrize("loss", ["sampled_bce", "sampled_softmax"])
def test_clips_are_pieces_of_the_training_part(sequences: EncodedSequences, loss: str) -> None:
    users, rows = stored(sequences), np.asarray(sequences.splits["train"])
    ends: dict[int, set[int]] = {i: set() for i in range(len(rows))}
    for seed in range(60):
        batch = sequences.gather_train(rows, np.random.default_rng(seed), loss, 7)  # type: ignore[arg-type]
        assert batch.behaviors.shape[1] <= 8 and batch.mask.any(dim=1).all(), "at least one item of history"
        for i, items in enumerate(users):
            train = items[:-2]
            positives = [p for p in batch.positives[i].tolist() if p != PAD]
            clip = batch.behaviors[i, batch.mask[i], 0].tolist() + positives
            # No item comes twice, so the place of the last one fixes the clip.
            end = train.index(clip[-1]) + 1
            assert train[end - len(clip):end] == clip
            assert len(positives) == (min(5, end - 1) if loss == "sampled_bce" else 1)
            assert len(clip) - len(positives) == min(8, end - len(positives))
            assert batch.positives[i, :len(positives)].tolist() == positives, "PAD follows"
            ends[i].add(end)
            if loss == "sampled_bce":
                assert len(set(batch.negatives[i].tolist()) - set(train)) == 7
    assert all(ends[i] <= set(range(2, len(items) - 1)) for i, items in enumerate(users))
    assert ends[0] == set(range(2, len(users[0]) - 1)), "every end point is drawn"
    assert batch.shared_negatives.shape == ((0,) if loss == "sampled_bce" else (7,))


def test_counts_are_those_of_the_training_parts(tmp_path: Path) -> None:
    path = tmp_path / "s.txt"
    path.write_text("7 1 2 3\n5 1 2 1 4 4\n3 2 9 2 2 1 1\n" + "9 " + " ".join(map(str, range(10, 200))) + "\n")
    encoded = prepare(path, tmp_path / "encoded")
    counts = [0] * (encoded.items + 2)
    for items in stored(encoded):
        for i in items[:-2] if len(items) > 3 else ():  # of three items one is left, and no row
            counts[i] += 1
    found = encoded.item_counts()
    assert found.dtype == torch.float64 and found.tolist() == counts
    words = encoded.vocabulary("item")
    assert [counts[words[w]] for w in ("1", "2", "3", "4", "9", "10", "198")] == [2, 4, 0, 0, 1, 1, 0]


def test_counts_of_the_sequences(sequences: EncodedSequences) -> None:
    training = np.concatenate([items[:-2] for items in stored(sequences)])
    assert sequences.item_counts().tolist() == np.bincount(training, minlength=202).tolist()


def test_users_keep_their_number_in_every_split(tmp_path: Path) -> None:
    # The second user has no train row, so that rows and users are not counted alike.
    path = tmp_path / "s.txt"
    path.write_text("5 1 2 3 4\n7 1 2 3\n" + "".join(
        f"{user} {' '.join(map(str, range(100 * user, 100 * user + 120)))}\n" for user in (8, 9)))
    encoded = prepare(path, tmp_path / "encoded")
    assert encoded.schema.users == 4
    numbers = {"train": [0, 2, 3], "valid": [0, 1, 2, 3], "test": [0, 1, 2, 3]}
    for split, expected in numbers.items():
        rows = np.asarray(encoded.splits[split])
        batch = (encoded.gather_train(rows, np.random.default_rng(0), negatives=1) if split == "train" else
                 encoded.gather(rows))
        assert batch.users.dtype == torch.int64 and batch.users.tolist() == expected
        assert [encoded.columns["begin"][r] for r in rows] == [encoded.columns["begin"][
            encoded.splits["test"].start + number] for number in expected], "the sequence of that user"
        assert batch[torch.tensor([2, 0])].users.tolist() == [expected[2], expected[0]]


def test_rows_of_the_wrong_split(sequences: EncodedSequences) -> None:
    with pytest.raises(AmeirError, match="gather_train"):
        sequences.gather(np.array([0]))
    with pytest.raises(AmeirError, match="only train rows"):
        sequences.gather_train(np.array([sequences.splits["valid"].start]), np.random.default_rng(0))


def test_three_items_are_enough_to_test_but_not_to_train(tmp_path: Path) -> None:
    path = tmp_path / "s.txt"
    path.write_text("7 1 2 3\n5 1 2 3 4\n" + "9 " + " ".join(map(str, range(10, 200))) + "\n")
    encoded = prepare(path, tmp_path / "encoded")
    assert {s: len(r) for s, r in encoded.splits.items()} == {"train": 2, "valid": 3, "test": 3}
    assert [len(s) for s in stored(encoded)] == [4, 3, 190], "in the order of users"


def test_an_item_that_returns_stays_rankable(tmp_path: Path) -> None:
    path = tmp_path / "s.txt"
    path.write_text("1 4 5 4 6 4\n" + "".join(f"{u} {u} {u + 1} {u + 2}\n" for u in range(2, 150)))
    encoded = prepare(path, tmp_path / "encoded")
    batch = encoded.gather(np.asarray(encoded.splits["test"])[:1])
    assert batch.positives.item() not in batch.seen[0].tolist()


def test_core_is_a_fixed_point() -> None:
    generator = np.random.default_rng(0)
    # Squares make some users and items rare, so that dropping takes several rounds.
    table = pl.DataFrame({"user": (60 * generator.random(900) ** 2).astype(int),
                          "item": (70 * generator.random(900) ** 2).astype(int)})
    pairs = list(table.iter_rows())
    while True:
        for side in (0, 1):
            count = {k: sum(p[side] == k for p in pairs) for k in {p[side] for p in pairs}}
            pairs = [p for p in pairs if count[p[side]] > 5]
        if all(sum(q[s] == p[s] for q in pairs) > 5 for p in pairs for s in (0, 1)):
            break
    assert 0 < len(pairs) < 900
    assert list(core(table, 6).iter_rows()) == pairs


def test_core_of_sequence_files_is_a_setting(sequence_files: dict[str, Path], tmp_path: Path) -> None:
    plain = prepare(sequence_files["lines"], tmp_path)
    tight = prepare(sequence_files["lines"], tmp_path, filter_sequences=True, min_count=10)
    assert plain.folder != tight.folder and tight.items <= plain.items
    assert len(tight.splits["test"]) < 300 and min(map(len, stored(tight))) >= 10


def test_ratings_in_time_order_with_stable_ties(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("user,item,rating,timestamp\r\nb,x,5,20\r\na,q,3.5,9\r\nb,y,1,10\r\nb,w,2,20\r\n\r\n")
    kind, table = read(path, BadRows("fail", ""))
    assert kind == "ratings"
    assert table.rows() == [("a", "q", 9.0), ("b", "y", 10.0), ("b", "x", 20.0), ("b", "w", 20.0)]


def test_settings_are_checked(tmp_path: Path) -> None:
    with pytest.raises(AmeirError, match="min_count=0"):
        Beauty(raw=tmp_path, encoded=tmp_path, min_count=0)
    found = DATASETS.get("beauty")(raw=tmp_path, encoded=tmp_path)
    assert found.max_len == 15 and DATASETS.get("steam")(raw=tmp_path, encoded=tmp_path).max_len == 25
    assert "100 uniform negatives, ties half a rank" in found.protocol
    (tmp_path / "ratings_Beauty.csv").write_text("x")
    assert found.files() == {"sequences": tmp_path / "ratings_Beauty.csv"}


def test_popularity_on_the_real_beauty_file(real: Path, tmp_path: Path) -> None:
    encoded = DATASETS.get("beauty")(raw=Path("none"), encoded=tmp_path,
                                     source=real / "amazon_beauty" / "Beauty.txt").prepare()
    assert isinstance(encoded, EncodedSequences)
    test = encoded.splits["test"]
    assert (len(test), encoded.items, len(encoded.columns["values"])) == (22363, 12101, 198502)
    counts = np.bincount(encoded.columns["values"][:, 0], minlength=encoded.items + 2)
    for held in ("valid", "test"):
        rows = encoded.splits[held]
        counts -= np.bincount(encoded.columns["values"][encoded.columns["end"][rows.start:rows.stop], 0],
                              minlength=len(counts))
    batch = encoded.gather(np.asarray(test), seed=1)
    positive, negative = counts[batch.positives], counts[batch.negatives]
    rank = (negative > positive).sum(axis=1) + 0.5 * (negative == positive).sum(axis=1)
    assert (rank < 5).mean() == pytest.approx(0.173, abs=0.003)
    assert np.where(rank < 5, 1 / np.log2(rank + 2), 0).mean() == pytest.approx(0.113, abs=0.003)


def test_generated_sequences_can_be_learned(sequences: EncodedSequences) -> None:
    counts = np.zeros((202, 202))
    for items in stored(sequences):
        np.add.at(counts, (items[:-3], items[1:-2]), 1)
    batch = sequences.gather(np.asarray(sequences.splits["test"]))
    last = batch.behaviors[torch.arange(300), batch.mask.sum(dim=1) - 1]
    # Two items after one item belong to its group, and so do those that follow them.
    score = counts @ counts.T @ counts
    rank = (score[last, batch.negatives] >= score[last, batch.positives]).sum(axis=1)
    assert (rank < 5).mean() > 0.2, "by chance it is 0.05"
