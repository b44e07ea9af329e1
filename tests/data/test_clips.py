"""Clips of an epoch: every place as often as it should come, whatever the batches, the ranks and where it stopped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ameir_pl.data import EncodedSequences, clips
from ameir_pl.data.clips import Clips, clips_of, fewest
from ameir_pl.data.loader import AmeirDataModule
from ameir_pl.errors import AmeirError
from tests.data.sequence_helpers import prepare

PLACES = np.array([1, 7, 3, 40, 1, 12])


def of(clips: Clips, seed: int) -> list[tuple[int, int]]:
    """(user, place) of every clip of an epoch."""
    every = np.arange(len(clips))
    places = clips.places(every, np.random.default_rng(seed))
    return list(zip(clips.users(every).tolist(), places.tolist(), strict=True))


def test_all_clips_are_every_place_once() -> None:
    whole = clips_of("all", PLACES)
    assert whole is not None and len(whole) == PLACES.sum()
    assert of(whole, 1) == of(whole, 2) == [(user, place) for user, k in enumerate(PLACES) for place in range(k)]


@pytest.mark.parametrize("most", [2, 5, 11, 39])
def test_a_few_clips_of_a_user_are_spread_and_reach_every_place_alike(most: int) -> None:
    some, epochs = Clips(PLACES, most), 600
    assert len(some) == np.minimum(PLACES, most).sum()
    counts = [np.zeros(k) for k in PLACES]
    for seed in range(epochs):
        drawn = of(some, seed)
        for user, place in drawn:
            counts[user][place] += 1
        longest = [place for user, place in drawn if user == 3]
        assert longest == sorted(longest) and (np.diff(longest) <= 2 * -(-40 // most)).all()
    for k, found in zip(PLACES, counts, strict=True):
        expected = epochs * min(k, most) / k
        assert (np.abs(found - expected) <= 5 * np.sqrt(expected)).all()  # five deviations


def test_one_clip_a_user_is_drawn_as_before() -> None:
    assert clips_of(1, PLACES) is None


@pytest.mark.parametrize("least", [1, 6, 7, 20, 41, 60, 63, 64, 1000])
def test_auto_takes_no_more_clips_a_user_than_an_epoch_needs(least: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips, "LEAST", least)
    most = fewest(PLACES)
    if PLACES.sum() <= least:
        assert most is None
        return
    assert most is not None and len(Clips(PLACES, most)) >= least
    assert most == 1 or len(Clips(PLACES, most - 1)) < least


def test_few_users_with_long_sequences_get_an_epoch_worth_the_name() -> None:
    places = np.full(801, 966)
    made = clips_of("auto", places)
    assert made is not None and clips.LEAST <= len(made) < 1.01 * clips.LEAST
    many = clips_of("auto", np.full(300_000, 20))
    assert many is None  # one clip a user is enough


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, None, "some", "Auto", [2]])
def test_what_is_no_number_of_clips_is_refused(wrong: object) -> None:
    with pytest.raises(AmeirError, match=r"dataset\.train\.clips=.* must be a whole number"):
        clips_of(wrong, PLACES)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def sequences(tmp_path_factory: pytest.TempPathFactory) -> EncodedSequences:
    """30 users of 5 to 24 items among 200, each item of a user another one."""
    folder, generator = tmp_path_factory.mktemp("clips"), np.random.default_rng(0)
    lines = [f"{user} {item}" for user in range(30)
             for item in generator.choice(200, generator.integers(5, 25), replace=False)]
    (folder / "Beauty.txt").write_text("\n".join([*lines, *(f"99 {item}" for item in range(200))]) + "\n")
    return prepare(folder / "Beauty.txt", folder / "encoded", "beauty")


def module(sequences: EncodedSequences, **settings: object) -> AmeirDataModule:
    return AmeirDataModule(**{"encoded": sequences, "batch_size": 32, "eval_batch_size": 32, "seed": 1,  # type: ignore
                              "loss": "sampled_softmax", "negatives": 8, **settings})


def pairs(data: AmeirDataModule, epoch: int, skip: int = 0) -> list[tuple[int, int]]:
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)  # type: ignore[union-attr, attr-defined]
    loader.sampler.skip(skip)  # type: ignore[union-attr, attr-defined]
    return [pair for batch in loader
            for pair in zip(batch.users.tolist(), batch.positives[:, 0].tolist(), strict=True)]


def test_an_epoch_of_all_clips_asks_for_every_next_item_once(sequences: EncodedSequences) -> None:
    data = module(sequences, clips="all", batch_size=1)
    begin, end = (sequences.columns[name][:len(sequences.splits["train"])] for name in ("begin", "end"))
    values = sequences.columns["values"][:, 0]
    wanted = sorted((user, int(values[i])) for user, (b, e) in enumerate(zip(begin, end, strict=True))
                    for i in range(b + 1, e))
    assert sorted(pairs(data, 0)) == sorted(pairs(data, 1)) == wanted and pairs(data, 0) != pairs(data, 1)


def test_histories_end_before_the_item_and_hold_nothing_of_validation(sequences: EncodedSequences) -> None:
    values = sequences.columns["values"][:, 0]
    for batch in module(sequences, clips=4).train_dataloader():
        for user, item, row, mask in zip(batch.users, batch.positives[:, 0], batch.behaviors[..., 0], batch.mask,
                                         strict=True):
            begin, end = (int(sequences.columns[name][user]) for name in ("begin", "end"))
            place = begin + values[begin:end].tolist().index(int(item))
            assert row[mask].tolist() == values[max(begin, place - 15):place].tolist()


def test_an_epoch_goes_on_with_the_clips_that_are_left(sequences: EncodedSequences) -> None:
    data = module(sequences, clips=3)
    assert pairs(data, 4, skip=1) == pairs(data, 4)[32:] != []


def test_several_ranks_train_on_the_clips_of_one(sequences: EncodedSequences) -> None:
    data = module(sequences, clips=3)
    (whole,) = data.subset("train", 32, 1)
    again = data.subset("train", 32, 1)[0]
    assert whole.positives.tolist() == again.positives.tolist()
    dataset, sampler = data._dataset("train"), data.train_dataloader().sampler
    draw = next(iter(sampler))  # type: ignore[arg-type]
    halves = [dataset[draw._replace(own=slice(rank, None, 2))] for rank in range(2)]
    both = dataset[draw]
    for rank, half in enumerate(halves):
        assert half.positives.tolist() == both.positives[rank::2].tolist()
        assert half.shared_negatives.tolist() == both.shared_negatives.tolist()


def test_negatives_by_popularity_come_as_often_as_items_do(sequences: EncodedSequences, tmp_path: Path) -> None:
    shares = sequences.item_shares().numpy()
    assert shares[:2].tolist() == [0, 0] and shares.sum() == pytest.approx(1) and (shares[2:] > 0).all()
    drawn = np.zeros(len(shares))
    for seed in range(40):
        batch = sequences.gather_train(np.arange(8), np.random.default_rng(seed), "sampled_softmax", 5000, "popularity")
        np.add.at(drawn, batch.shared_negatives.numpy(), 1)
    expected = shares * 40 * 5000
    assert (np.abs(drawn - expected) <= 5 * np.sqrt(expected) + 1e-9).all()
    again = [module(sequences, drawn_by="popularity").subset("train", 8, 1)[0].shared_negatives.tolist()
             for _ in range(2)]
    assert again[0] == again[1]


def test_a_way_of_drawing_that_does_not_exist_is_refused(sequences: EncodedSequences) -> None:
    with pytest.raises(AmeirError, match="drawn_by='often' is no way of drawing negatives"):
        module(sequences, drawn_by="often")
