"""Clips: which parts of the training sequences an epoch has, and how many."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ameir_pl.errors import AmeirError, did_you_mean

AUTO, ALL = "auto", "all"
LEAST = 200_000
"""Clips of an epoch that ``auto`` sees to, where the sequences have as many: some 400 updates of 512 rows."""


class Clips:
    """The clips of an epoch. A clip is a user's sequence up to a place, whose items end it.

    Of a user with k places an epoch has ``min(most, k)`` clips. Where that is k they end at each place once; where it
    is fewer, the places are divided into as many equal parts, and a clip ends at a place drawn from each: over epochs
    every place comes equally often, and within one a user's clips are spread.

    Clips are numbered from 0, user after user, in every epoch alike: what a number stands for beyond its user and part
    is drawn with the batch, so that an epoch can be gone on with from any of its batches.

    Args:
        places: (users,) k, at least 1 each.
        most: of a user; None for no limit.
    """

    def __init__(self, places: np.ndarray, most: int | None) -> None:
        self._places = np.asarray(places, dtype=np.int64)
        taken = self._places if most is None else np.minimum(self._places, most)
        self._first = np.concatenate([[0], np.cumsum(taken)])

    def __len__(self) -> int:
        return int(self._first[-1])

    def users(self, clips: np.ndarray) -> np.ndarray:
        """Return (n,) the place of each clip's user among the users."""
        return np.searchsorted(self._first, clips, side="right") - 1

    def places(self, clips: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Return (n,) where each clip ends, a number from 0 to k - 1; the same state gives the same places."""
        users = self.users(clips)
        part, parts = clips - self._first[users], self._first[users + 1] - self._first[users]
        share = (part + generator.random(len(clips))) / parts
        return np.where(parts == self._places[users], part,
                        np.minimum(share * self._places[users], self._places[users] - 1)).astype(np.int64)


def clips_of(wanted: int | str, places: np.ndarray) -> Clips | None:
    """Return the clips that ``dataset.train.clips`` asks for; None for 1, a random one of each user.

    Args:
        wanted: the most of a user, ``all``, or ``auto``: the fewest a user with which an epoch has :data:`LEAST`.
        places: (users,) how many places each user has.

    Raises:
        AmeirError: it is none of these.
    """
    check_clips(wanted)
    most = None if wanted == ALL else fewest(places) if wanted == AUTO else int(wanted)
    return None if most == 1 else Clips(places, most)


def check_clips(wanted: object) -> None:
    """Raise ``AmeirError`` unless ``wanted`` is a whole number of at least 1, ``all`` or ``auto``."""
    if isinstance(wanted, int) and not isinstance(wanted, bool) and wanted >= 1:
        return
    known: Sequence[str] = (ALL, AUTO)
    if wanted in known and isinstance(wanted, str):
        return
    near = did_you_mean(wanted, known) if isinstance(wanted, str) else ""
    raise AmeirError(f"dataset.train.clips={wanted} must be a whole number of at least 1 (clips a user an epoch), all "
                     f"or auto.{near}")


def fewest(places: np.ndarray) -> int | None:
    """Return the fewest clips a user with which an epoch has :data:`LEAST`; None where all are no more."""
    ordered = np.sort(np.asarray(places, dtype=np.int64))
    if int(ordered.sum()) <= LEAST:
        return None
    # Clips of an epoch when users have at most as many as the i-th: those with fewer have all of theirs.
    before = np.concatenate([[0], np.cumsum(ordered)[:-1]])
    left = np.arange(len(ordered), 0, -1)
    user = int(np.flatnonzero(before + ordered * left >= LEAST)[0])
    return max(int(-(-(LEAST - before[user]) // left[user])), 1)
