"""Ties in time: how much of the order of interactions is that of the lines of a file, because their times are equal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

HELD_OUT = 2
"""Of a user's items the last one tests and the one before it validates."""
WARNED = 0.01
"""Share of users, or of the rows of a split, from which on there is a warning."""
HISTORIES_WARNED = 0.1
"""Share of rows, or of events, from which on there is a warning of ties in histories."""


@dataclass(frozen=True)
class Ties:
    """What equal times do to sequences of users.

    Args:
        interactions: all of them.
        tied: how many share user and time with one of another item: their order is that of the lines.
        copies: how many repeat an earlier one, user, item and time.
        users: all of them.
        decided: how many have a held-out item among the tied ones.
        given_away: how many have a held-out item that is a copy of another interaction, or has one.
    """

    interactions: int
    tied: int
    copies: int
    users: int
    decided: int
    given_away: int

    @classmethod
    def count(cls, users: np.ndarray, times: np.ndarray, items: np.ndarray, held_out: int = HELD_OUT) -> Ties:
        """Count the ties of interactions that are sorted by user and, within a user, by time.

        Args:
            users: (n,) whose each interaction is.
            times: (n,) when it was.
            items: (n,) ids from 0 on.
            held_out: how many of a user's last interactions are held out.
        """
        if len(users) == 0:
            return cls(0, 0, 0, 0, 0, 0)
        first = np.r_[True, users[1:] != users[:-1]]
        moments = first | np.r_[True, times[1:] != times[:-1]]
        moment = np.cumsum(moments) - 1  # numbers the times of all users
        other = ~moments & np.r_[False, items[1:] != items[:-1]]
        tied = (np.bincount(moment, other) > 0)[moment]
        _, which, count = np.unique(moment * (int(items.max()) + 1) + items, return_inverse=True, return_counts=True)
        user = np.cumsum(first) - 1
        lengths = np.bincount(user)
        held = np.cumsum(lengths)[user] - np.arange(len(user)) <= held_out
        return cls(len(user), int(tied.sum()), len(user) - len(count), len(lengths),
                   *(int((np.bincount(user, held & these) > 0).sum()) for these in (tied, count[which] > 1)))

    def notes(self) -> dict[str, str]:
        """Return what to note beside other counts; nothing where no interaction is tied or a copy."""
        notes = {}
        if self.tied:
            notes["interactions in the order of lines, at the same time as another of their user"] = \
                _of(self.tied, self.interactions)
            notes["users whose validation or test item is one of these"] = _of(self.decided, self.users)
        if self.copies:
            notes["interactions that repeat user, item and time of another"] = _of(self.copies, self.interactions)
        return notes

    def warnings(self, advice: str) -> list[str]:
        """Return what to warn of.

        Args:
            advice: what to do where the order of lines decides.
        """
        found = []
        if self.decided and self.decided >= WARNED * self.users:
            found.append(f"the order of lines decides which items of {_of(self.decided, self.users)} users are held "
                         "out, because their last interactions have equal times. With the lines in another order, "
                         f"split, histories and all numbers are others. {advice}")
        if self.given_away and self.given_away >= WARNED * self.users:
            found.append(f"a held-out item of {_of(self.given_away, self.users)} users is there twice with the same "
                         "time, so that it may be the last of its own history. Take lines that repeat user, item and "
                         "time of another out of the file.")
        return found


@dataclass(frozen=True)
class CutTies:
    """What equal times do to a split by time, whose parts follow each other.

    Args:
        cuts: of each cut inside a time, the splits before and behind it, how many of their rows have that time, and
            the rows of the two splits.
    """

    cuts: tuple[tuple[str, str, int, int, int, int], ...]

    @classmethod
    def count(cls, split: np.ndarray, times: np.ndarray, names: Sequence[str]) -> CutTies:
        """Count the rows whose time is on both sides of a cut.

        Args:
            split: (rows,) numbers of splits that follow each other in time.
            times: (rows,) when each row was.
            names: of the splits.
        """
        found = []
        for number, (before, behind) in enumerate(pairwise(names)):
            here, there = times[split == number], times[split == number + 1]
            if len(here) and len(there) and (at := here.max()) == there.min():
                found.append((before, behind, int((here == at).sum()), int((there == at).sum()), len(here), len(there)))
        return cls(tuple(found))

    def notes(self) -> dict[str, str]:
        """Return what to note beside other counts; nothing where each time lies on one side."""
        return {f"rows of one time on both sides of the cut between {before} and {behind}":
                f"{n:,} {before}, {m:,} {behind}" for before, behind, n, m, _, _ in self.cuts}

    def warnings(self, advice: str) -> list[str]:
        """Return what to warn of: the order of lines decides about a hundredth of a part; ``advice``: what to do."""
        found = [f"{m:,} of the {rows:,} {behind} rows have the time of {n:,} {before} rows"
                 for before, behind, n, m, least, rows in self.cuts if min(n, m) >= WARNED * min(least, rows)]
        if not found:
            return []
        return [f"{' and '.join(found)}: only the order of lines tells them apart, and with another order the split "
                f"and all numbers are others. {advice}"]


@dataclass(frozen=True)
class HistoryTies:
    """What equal times do to histories from events.

    Args:
        rows: all of them.
        unseen: how many have an event of their user at their very time, which their history leaves out.
        events: all that some row sees.
        tied: how many of them share user and time with another: their order is that of the lines.
    """

    rows: int
    unseen: int
    events: int
    tied: int

    def notes(self) -> dict[str, str]:
        """Return what to note beside other counts; nothing without ties."""
        notes = {}
        if self.unseen:
            notes["rows with events of their user at the same time, which histories leave out"] = \
                _of(self.unseen, self.rows)
        if self.tied:
            notes["events in the order of lines, at the same time as another of their user"] = \
                _of(self.tied, self.events)
        return notes

    def warnings(self, advice: str) -> list[str]:
        """Return what to warn of; ``advice``: what to do."""
        found = []
        if self.unseen and self.unseen >= HISTORIES_WARNED * self.rows:
            found.append(f"{_of(self.unseen, self.rows)} rows have events of their user at the very same time. "
                         f"Histories end strictly before a row, so they leave these out. {advice}")
        if self.tied and self.tied >= HISTORIES_WARNED * self.events:
            found.append(f"{_of(self.tied, self.events)} events of histories have the time of another event of their "
                         f"user, and stand in the order of lines. {advice}")
        return found


def _of(count: int, total: int) -> str:
    share = 100 * count / total
    return f"{count:,} of {total:,} ({share:.1f} %)" if share >= 0.05 else f"{count:,} of {total:,}"
