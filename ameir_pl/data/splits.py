"""Which rows train, validate and test. A split is an array (rows,) of uint8: 0 train, 1 valid, 2 test."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ameir_pl.data.store import SPLITS
from ameir_pl.errors import AmeirError

TRAIN, VALID, TEST = range(3)
# First words of the seeds of generators that serve different ends, so that no two are the same.
_TEST, _VALID, _USERS = 31, 32, 33


@dataclass(frozen=True)
class RandomSplit:
    """Rows drawn at random.

    Args:
        test: share of all rows; their number is rounded up.
        valid: share of the rows that are left.
        seed: of the draw; it is not the seed of training, so that several seeds train on the same rows.
        stratified: keep the proportion of clicks in each part.
    """

    test: float
    valid: float
    seed: int = 1
    stratified: bool = True


@dataclass(frozen=True)
class TimeSplit:
    """The last rows in the order of time test, those before them validate; rows of one time stay in their order.

    Args:
        test, valid: shares of all rows, rounded down.
        together: a cut that would lie between rows of one time moves to the nearest that does not, unless a part
            would have less than half or more than twice of its rows then. The order of lines plays no part then.
    """

    test: float = 0.1
    valid: float = 0.1
    together: bool = False


@dataclass(frozen=True)
class GivenSplit:
    """Each row says where it belongs.

    Args:
        valid: share of the train rows that validate instead, drawn at random; 0 where rows say so themselves.
        seed: of that draw.
    """

    valid: float = 0.0
    seed: int = 1


Split = RandomSplit | TimeSplit | GivenSplit


def assign(split: Split, label: np.ndarray, time: np.ndarray | None = None,
           given: np.ndarray | None = None) -> np.ndarray:
    """Return the split (rows,) uint8 of every row.

    Args:
        split: the rule.
        label: (rows,) 0 or 1.
        time: (rows,) whole numbers that grow with time, for :class:`TimeSplit`.
        given: (rows,) uint8, for :class:`GivenSplit`.
    """
    rows = len(label)
    if isinstance(split, TimeSplit):
        if time is None:
            raise ValueError("a time split needs times")
        test, valid = int(rows * split.test), int(rows * split.valid)
        order = np.argsort(time, kind="stable")
        first, second = rows - test - valid, rows - test
        if split.together:
            first, second = _moved(time[order], first, second)
        result = np.zeros(rows, np.uint8)
        result[order[first:second]] = VALID
        result[order[second:]] = TEST
        return result
    if isinstance(split, GivenSplit):
        if given is None:
            raise ValueError("a given split needs the splits of rows")
        result = given.astype(np.uint8)
    else:
        result = np.zeros(rows, np.uint8)
        strata = label if split.stratified else np.zeros(rows, np.uint8)
        result[draw(np.ones(rows, bool), strata, split.test, [_TEST, split.seed])] = TEST
    if split.valid:
        strata = label if isinstance(split, RandomSplit) and split.stratified else np.zeros(rows, np.uint8)
        result[draw(result == TRAIN, strata, split.valid, [_VALID, split.seed])] = VALID
    return result


def _moved(times: np.ndarray, first: int, second: int) -> tuple[int, int]:
    """Two cuts of sorted times, moved to where the time changes; as they were where that is too far."""
    rows = len(times)
    changes = np.flatnonzero(times[1:] != times[:-1]) + 1
    if len(changes) < 2 or second in (first, rows):
        return first, second
    latest = int(changes[1:][np.argmin(np.abs(changes[1:] - second))])
    earlier = changes[changes < latest]
    earliest = int(earlier[np.argmin(np.abs(earlier - first))])
    parts = ((latest - earliest, second - first), (rows - latest, rows - second))
    return (earliest, latest) if all(old <= 2 * new and new <= 2 * old for new, old in parts) else (first, second)


def draw(among: np.ndarray, strata: np.ndarray, share: float, seed: list[int]) -> np.ndarray:
    """Draw a share of some rows, the same share of each stratum.

    Args:
        among: (rows,) bool, the rows to draw from.
        strata: (rows,) small whole numbers.
        share: of the rows to draw from; the number is rounded up, and divided among strata by largest remainder.
        seed: of the draw. A row's chance does not depend on how rows were read.

    Returns:
        (rows,) bool.
    """
    # 32-bit keys: four bytes a row instead of the sixteen of a permutation and its source.
    keys = np.random.default_rng(seed).integers(0, 2**32, len(among), dtype=np.uint32)
    values = np.unique(strata[among])
    sizes = np.array([int(np.count_nonzero(among & (strata == value))) for value in values])
    total = math.ceil(share * int(sizes.sum()) - 1e-9)
    exact = share * sizes
    counts = np.floor(exact).astype(np.int64)
    for i in np.argsort(-(exact - counts), kind="stable")[:max(total - int(counts.sum()), 0)]:
        counts[i] += 1
    drawn = np.zeros(len(among), bool)
    for value, count in zip(values, counts, strict=True):
        if count:
            # Masks, of one byte a row, where indices would take eight.
            inside = among & (strata == value)
            own = keys[inside]
            own.partition(count - 1)
            below = inside & (keys < own[count - 1])
            drawn |= below
            ties = np.flatnonzero(inside & (keys == own[count - 1]))  # the first of equal keys, as many as are missing
            drawn[ties[:count - int(np.count_nonzero(below))]] = True
    return drawn


def sampled_users(users: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Return which users a seeded sample holds, (n,) bool.

    A user is in or out by a hash of (id, seed) alone, so tables can be filtered while they are read, in any order.

    Args:
        users: (n,) whole numbers.
        share: of the users, 0 to 1.
        seed: of the sample.
    """
    mixed = users.astype(np.uint64) + np.uint64(np.random.default_rng([_USERS, seed]).integers(0, 2**63))
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):  # splitmix64 (Steele et al., 2014)
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    # 53 bits are exact in a float.
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53 < share


def pandas_sample(rows: int, share: float, seed: int) -> np.ndarray:
    """Return the positions that pandas' ``DataFrame.sample(frac=share, random_state=seed)`` draws of ``rows`` rows, in
    its order: NumPy's legacy generator, whose numbers are frozen."""
    return np.random.RandomState(seed).choice(rows, size=round(share * rows), replace=False)


def check(split: np.ndarray, label: np.ndarray, path: Path, rule: str, advice: str) -> dict[str, int]:
    """Return the rows of each split.

    Args:
        split, label: (rows,) of all rows.
        path: where they came from, for the message.
        rule: the split in words, for the message.
        advice: the sentence that ends the message.

    Raises:
        AmeirError: a split is empty, or the train rows have one label only.
    """
    counts = dict(zip(SPLITS, np.bincount(split, minlength=3).tolist(), strict=True))
    empty = [name for name, count in counts.items() if count == 0]
    if empty:
        raise AmeirError(f"{path}: no row is left for {' and '.join(empty)} ({rule}; {len(split)} rows). {advice}")
    clicks = float(label[split == TRAIN].mean())
    if clicks in (0.0, 1.0):
        raise AmeirError(f"{path}: every train row has the label {int(clicks)}; there is nothing to tell apart. "
                         f"Is it the right column, and is the file cut off? {advice}")
    return counts
