"""What a history does to a click: matches, recency, and an order that no bag of behaviors knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ameir_pl.data.planted.draws import Values

GROUPS = 3
RECENT = 3


@dataclass(frozen=True)
class Behavior:
    """The effect of a history on the logit.

    * match: ``n / (n + 2)`` for the n of the last T behaviors that have the target's category.
    * recent: 1 where one of the last three behaviors has the target's category.
    * order: every category is in one of three groups, which beat each other in a ring: +1 where the group of the last
      behavior follows that of the one before (0→1→2→0), -1 where it precedes it, 0 where they are equal or there are
      fewer than two behaviors. Swapping the two turns the sign, and either of them alone says nothing.

    Args:
        match, recent, order: the weights of the three.
        max_len: T.
        category: the field that says the category of targets and of behaviors.
        words: spelling of the categories.
        groups: (categories,) 0 to 2.
    """

    match: float
    recent: float
    order: float
    max_len: int
    category: str
    words: list[str]
    groups: np.ndarray

    def effect(self, history: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Return the effect (rows,).

        Args:
            history: (rows, T) categories, latest last, -1 where there is none.
            target: (rows,) categories.
        """
        same = history == target[:, None]
        count = same.sum(1)
        recent = same[:, -RECENT:].any(1)
        last, before = history[:, -1], history[:, -2]
        turn = (self.groups[last] - self.groups[before]) % GROUPS
        order = np.where(before >= 0, np.array([0.0, 1.0, -1.0])[turn], 0.0)
        return self.match * count / (count + 2) + self.recent * recent + self.order * order

    def describe(self) -> dict[str, Any]:
        """Return the weights and what they mean, as plain values."""
        return {
            "T": self.max_len, "category": self.category,
            "weights": {"match": self.match, "recent": self.recent, "order": self.order},
            "groups": dict(zip(self.words, self.groups.tolist(), strict=True)),
            "meaning": {
                "match": f"times n / (n + 2), n of the last {self.max_len} behaviors having the target's category",
                "recent": f"where one of the last {RECENT} behaviors has the target's category",
                "order": "times +1 where (group of the last behavior - group of the one before) % 3 is 1, -1 where it "
                         "is 2; 0 where it is 0 or there are fewer than two behaviors"}}


def deal_groups(generator: np.random.Generator, categories: int) -> np.ndarray:
    """Return a group (categories,) for categories in the order of popularity, so that groups are about as popular."""
    deals = -(-categories // GROUPS)
    return np.concatenate([generator.permutation(GROUPS) for _ in range(deals)])[:categories]


def histories(users: np.ndarray, times: np.ndarray, categories: np.ndarray, row_users: np.ndarray,
              row_times: np.ndarray, max_len: int, sessions: tuple[int, int] | None = None) -> np.ndarray:
    """Return the last ``max_len`` categories (rows, T) of each row's user strictly before the row, latest last.

    Events of one time are in the order they are given in. Missing behaviors, in front, are -1.

    Args:
        users, times, categories: (events,) whole numbers from 0 on.
        row_users, row_times: (rows,) of the rows.
        max_len: T.
        sessions: the longest pause within a session, and how many of its events must lie before a row; None: all are
            seen.
    """
    span = int(max(times.max(initial=0), row_times.max(initial=0))) + 1
    key = users.astype(np.int64) * span + times
    order = np.argsort(key, kind="stable")
    key, ordered, owner = key[order], categories[order], users[order]
    first = np.zeros(len(key), np.int64)
    if sessions is not None:
        begins = np.ones(len(key), bool)
        begins[1:] = (owner[1:] != owner[:-1]) | (np.diff(key) > sessions[0])
        session = np.cumsum(begins) - 1
        long = np.bincount(session)[session] >= sessions[1]
        key, ordered = key[long], ordered[long]
        first = np.maximum.accumulate(np.where(begins[long], np.arange(len(key)), 0))
    if not len(key):
        return np.full((len(row_users), max_len), -1, np.int64)
    begin = np.searchsorted(key, row_users.astype(np.int64) * span)
    end = np.searchsorted(key, row_users.astype(np.int64) * span + row_times)
    if sessions is not None:
        begun = first[np.maximum(end - 1, 0)]
        end = np.where((end > begin) & (end - begun < sessions[1]), begun, end)
    place = end[:, None] + np.arange(-max_len, 0)
    return np.where(place >= begin[:, None], ordered[np.maximum(place, 0)], -1)


def by_interest(generator: np.random.Generator, table: Values, interests: np.ndarray, user: np.ndarray,
                share: float) -> np.ndarray:
    """Return a category (n,) for each of ``user`` (n,): with the chance ``share`` an interest of the user's, else any.

    Args:
        generator: of the draw.
        table: the categories and their shares.
        interests: (users, some) categories.
        user: (n,) rows of ``interests``.
        share: 0 to 1.
    """
    own = interests[user, generator.integers(0, interests.shape[1], len(user))]
    return np.where(generator.random(len(user)) < share, own, table.draw(generator, len(user)))
