"""Ties in time: how much of the order of interactions is that of the lines of a file, because their times are equal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

HELD_OUT = 2
"""Of a user's items the last one tests and the one before it validates."""
WARNED = 0.01
"""Share of users from which on there is a warning."""


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


def _of(count: int, total: int) -> str:
    share = 100 * count / total
    return f"{count:,} of {total:,} ({share:.1f} %)" if share >= 0.05 else f"{count:,} of {total:,}"
