"""Splits: exact sizes, the same rows for the same seed, nothing of the test rows before the cut."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from ameir_pl.data.splits import GivenSplit, RandomSplit, TimeSplit, assign, check, sampled_users
from ameir_pl.errors import AmeirError


@pytest.mark.parametrize("rows", [10, 999, 10_001])
def test_random_splits_have_the_stated_sizes(rows: int) -> None:
    label = (np.random.default_rng(rows).random(rows) < 0.3).astype(np.uint8)
    split = assign(RandomSplit(0.1, 0.1, seed=3), label)
    test = math.ceil(rows * 0.1)
    assert np.bincount(split).tolist() == [rows - test - math.ceil((rows - test) * 0.1),
                                           math.ceil((rows - test) * 0.1), test]
    for part in range(3):  # the proportion of clicks is kept to one row
        clicks = label[split == part]
        assert abs(clicks.sum() - label.mean() * len(clicks)) <= 1.5
    assert np.array_equal(split, assign(RandomSplit(0.1, 0.1, seed=3), label))
    assert not np.array_equal(split, assign(RandomSplit(0.1, 0.1, seed=4), label))


def test_the_papers_sizes() -> None:
    """Table 8: 10 % of Criteo's 45,840,617 rows and 20 % of Avazu's 40,428,967, rounded up."""
    assert math.ceil(0.1 * 45_840_617) == 4_584_062 and 45_840_617 - 4_584_062 == 41_256_555
    assert math.ceil(0.2 * 40_428_967) == 8_085_794 and 40_428_967 - 8_085_794 == 32_343_173
    rows = 45_841  # a thousandth
    split = assign(RandomSplit(0.1, 0.1), np.zeros(rows, np.uint8))
    assert np.count_nonzero(split == 2) == 4585


def test_every_row_is_as_likely() -> None:
    counts = sum((assign(RandomSplit(0.2, 0.1, seed=s, stratified=False), np.zeros(50)) == 2).astype(int)
                 for s in range(600))
    assert abs(counts - 120).max() < 4.5 * math.sqrt(600 * 0.2 * 0.8)


def test_time_splits_cut_at_time_and_keep_the_order_of_ties() -> None:
    time = np.array([5, 1, 9, 9, 3, 9, 7, 2, 8, 9])
    split = assign(TimeSplit(test=0.2, valid=0.2), np.zeros(10), time)
    order = np.argsort(time, kind="stable")
    assert split[order].tolist() == [0] * 6 + [1, 1] + [2, 2]
    assert split[[5, 9]].tolist() == [2, 2], "of the four rows of time 9 the last two test"


def test_given_splits() -> None:
    given = np.array([0] * 100 + [2] * 20, np.uint8)
    split = assign(GivenSplit(valid=0.05, seed=1), np.zeros(120), given=given)
    assert np.bincount(split).tolist() == [95, 5, 20] and (split[100:] == 2).all()
    assert np.array_equal(assign(GivenSplit(), np.zeros(120), given=given), given)


def test_sampled_users_do_not_depend_on_who_else_is_there() -> None:
    users = np.random.default_rng(0).integers(0, 2**32, 20_000)
    chosen = sampled_users(users, 0.25, 1)
    assert abs(chosen.mean() - 0.25) < 0.01
    assert np.array_equal(chosen[::7], sampled_users(users[::7], 0.25, 1))
    assert abs((chosen & sampled_users(users, 0.25, 2)).mean() - 0.0625) < 0.01, "another seed is another sample"
    assert sampled_users(users, 1.0, 1).all() and not sampled_users(users, 0.0, 1).any()
    small = sampled_users(np.arange(20_000), 0.25, 1)
    assert abs(small.mean() - 0.25) < 0.01, "consecutive numbers are mixed as well"


def test_checks(tmp_path: Path) -> None:
    label = np.array([0, 1, 0, 1])
    assert check(np.array([0, 0, 1, 2]), label, tmp_path, "r", "a") == {"train": 2, "valid": 1, "test": 1}
    with pytest.raises(AmeirError, match="no row is left for valid and test"):
        check(np.array([0, 0, 0, 0]), label, tmp_path, "r", "a")
    with pytest.raises(AmeirError, match="every train row has the label 0"):
        check(np.array([0, 1, 0, 2]), label, tmp_path, "r", "a")
