"""Drawing columns: shares of values, heavy tails, unique ids and hashed words."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import polars as pl
import pyarrow as pa


@dataclass(frozen=True)
class Values:
    """The values of a column that is drawn from a table.

    Args:
        words: the values as the raw file spells them; ``""`` is a gap.
        shares: (values,) their probabilities, which add up to 1.
    """

    words: list[str]
    shares: np.ndarray

    def draw(self, generator: np.random.Generator, count: int) -> np.ndarray:
        """Return positions (count,) int64 in ``words``."""
        return pick(generator, self.shares, count)


def zipf(count: int, exponent: float) -> np.ndarray:
    """Return shares (count,) in proportion to 1 / rank^exponent; 0 makes them equal."""
    weights = 1.0 / np.arange(1, count + 1) ** exponent
    return weights / weights.sum()


# Shares of few values that can be split into two halves.
_FEW = {2: (0.5, 0.5), 3: (0.5, 0.3, 0.2), 4: (0.4, 0.3, 0.2, 0.1), 5: (0.3, 0.25, 0.2, 0.15, 0.1)}


def values(words: list[str], exponent: float = 0.5, gap: float = 0.0) -> Values:
    """Return values whose shares fall as :func:`zipf`'s, behind a gap (``""``) that has its own share.

    Two to five values have other shares: some of them, or some and the gap, make up half, so that signs can be even.
    """
    few = _FEW.get(len(words))
    shares = zipf(len(words), exponent) if few is None else np.array(few)
    if not gap:
        return Values(words, shares)
    if few is not None and gap < few[-1]:
        return Values(["", *words], np.array([gap, *few[:-1], few[-1] - gap]))
    return Values(["", *words], np.append(gap, shares * (1 - gap)))


def numbers(count: int, exponent: float = 0.5, gap: float = 0.0, first: int = 0) -> Values:
    """Return values spelled as the whole numbers from ``first`` on."""
    return values([str(first + i) for i in range(count)], exponent, gap)


def pick(generator: np.random.Generator, shares: np.ndarray, count: int) -> np.ndarray:
    """Return positions (count,) int64, each drawn with its share."""
    cumulative = np.cumsum(shares)
    drawn = np.searchsorted(cumulative, generator.random(count) * cumulative[-1], side="right")
    return np.minimum(drawn, len(shares) - 1)


def heavy(generator: np.random.Generator, size: int | np.ndarray, count: int) -> np.ndarray:
    """Return (count,) int64 below ``size``, their logarithm uniform: close to 1 / rank, without a table of shares."""
    return np.minimum(np.power(size + 1.0, generator.random(count)).astype(np.int64) - 1, np.asarray(size) - 1)


def scramble(index: np.ndarray, salt: int) -> np.ndarray:
    """Return (n,) uint32 for whole numbers below 2^32, different ones for different ones (murmur3's finalizer)."""
    mixed = index.astype(np.uint32) + np.uint32(salt)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        mixed = (mixed ^ (mixed >> np.uint32(shift))) * np.uint32(factor)
    return mixed ^ (mixed >> np.uint32(16))


def scramble64(index: np.ndarray, salt: int) -> np.ndarray:
    """Return (n,) uint64 over the whole range, different ones for different numbers (splitmix64's finalizer)."""
    mixed = index.astype(np.uint64) + np.uint64(salt)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))


@lru_cache(maxsize=1)
def _quads() -> np.ndarray:
    """The four hex digits of every 16-bit number, (65536,) bytes."""
    return np.array([b"%04x" % i for i in range(1 << 16)])


def hexadecimal(codes: np.ndarray, gaps: np.ndarray | None = None) -> pl.Series:
    """Return eight lower-case hex digits for each of ``codes`` (n,) uint32, null where ``gaps`` (n,) bool says so."""
    # The digits are laid side by side and become strings without a Python object each.
    digits = _quads()[codes.astype(">u4").view(">u2").astype(np.intp)].tobytes()
    offsets = np.arange(len(codes) + 1, dtype=np.int64) * 8
    valid = None if gaps is None else pa.py_buffer(np.packbits(~gaps, bitorder="little").tobytes())
    array = pa.LargeStringArray.from_buffers(len(codes), pa.py_buffer(offsets), pa.py_buffer(digits), valid)
    return pl.Series(pl.from_arrow(array))


def hex_words(count: int, salt: int) -> list[str]:
    """Return ``count`` different words of eight hex digits."""
    return hexadecimal(scramble(np.arange(count), salt)).to_list()
