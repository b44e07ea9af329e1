"""Next-item data from a known model, in SASRec's pair format, and the best ranking there is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ameir_pl.data.planted import draws
from ameir_pl.data.planted.writing import VERSION, check, planting, write_truth
from ameir_pl.errors import AmeirError

LEAST = 3000
SHORTEST, LONGEST = 5, 60
"""Items of a user, at least and at most."""
NEGATIVES = 100
GROUPS = 12
PLANNED, STAY = 0.7, 0.15
"""Chances that the next item is of the group that the last two plan, or of the last one's; else it is any item."""


@dataclass(frozen=True)
class NextItem:
    """``P(item | history) ∝ P(group of item | groups of the last two items) · popularity`` among items not yet taken.

    With the groups g before last and h last, the next group is ``plan[g, h]`` with :data:`PLANNED`, ``h`` with
    :data:`STAY`, else any by popularity; all that times ``1 - noise``, and any item by popularity with ``noise``. The
    plan is not symmetric: which of the two was last matters.

    Args:
        group: (items,) the group of each item.
        popularity: (items,) shares.
        plan: (GROUPS, GROUPS) the planned next group.
        noise: 0 to 1.
    """

    group: np.ndarray
    popularity: np.ndarray
    plan: np.ndarray
    noise: float

    @property
    def mass(self) -> np.ndarray:
        """Popularity (GROUPS,) of groups."""
        return np.bincount(self.group, self.popularity, GROUPS)

    def transitions(self) -> np.ndarray:
        """Return P(next group | group before last, last group), (GROUPS, GROUPS, GROUPS)."""
        table = np.broadcast_to((1 - PLANNED - STAY) * self.mass, (GROUPS, GROUPS, GROUPS)).copy()
        before, last = np.indices((GROUPS, GROUPS))
        table[before, last, self.plan] += PLANNED
        table[before, last, last] += STAY
        return (1 - self.noise) * table + self.noise * self.mass

    def scores(self, before: np.ndarray, last: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """Return probabilities (users, C) of ``candidates`` (users, C), up to a factor a user, after two items."""
        groups = self.group[candidates]
        chance = self.transitions()[self.group[before][:, None], self.group[last][:, None], groups]
        return chance * self.popularity[candidates] / self.mass[groups]


def generate(dataset: str, file: str, folder: Path, rows: int, seed: int, noise: float, *, mean_length: float,
             rows_per_item: float) -> dict[str, Any]:
    """Write a file of ``user item`` pairs, in time order within a user, and ``truth.json``; return the truth.

    Ids count from 1, every user and every item has 5 interactions or more, and no user an item twice. The truth has
    the best HR@1, HR@5 and NDCG@5: each user's last item is ranked by its true probability among 100 uniform
    negatives the user never touched (rank 1 + those above + half of those equal). The negatives are drawn with the
    generator's seed, so a run's own differ and its scores with them, by chance. All is drawn in memory.

    Args:
        dataset, file: names of the dataset and of its file.
        folder: where the two files go.
        rows: interactions, from 3,000 on.
        seed: of everything.
        noise: share of next items that are drawn by popularity alone.
        mean_length: interactions of a user, on average.
        rows_per_item: interactions of an item, on average.

    Raises:
        AmeirError: an argument is out of range, or ``folder`` holds one of the files.
    """
    check(dataset, rows, LEAST, seed, noise)
    generator = np.random.default_rng([seed, 51])
    users, items = round(rows / mean_length), max(250, round(rows / rows_per_item))
    if 8 * items > rows:
        items = rows // 8
    lengths = _lengths(generator, rows, users)
    group = generator.permutation(np.arange(items) % GROUPS)
    model = NextItem(group, generator.permutation(draws.zipf(items, 0.35)),
                     generator.integers(0, GROUPS, (GROUPS, GROUPS)), noise)
    taken = _draw(generator, model, lengths)
    _spread(generator, model, taken, lengths)
    own = np.arange(taken.shape[1]) < lengths[:, None]
    with planting(folder, [file]) as temporary:
        pairs = pl.DataFrame({"user": np.repeat(np.arange(users), lengths) + 1, "item": taken[own] + 1})
        pairs.write_csv(temporary / file, separator=" ", include_header=False)
        return write_truth(temporary, {
            "dataset": dataset, "rows": rows, "seed": seed, "noise": noise, "version": VERSION, "users": users,
            "items": items, "interactions": [], **_ranking(generator, model, taken, lengths),
            "test_rows": "the last item of every user",
            "negatives": f"{NEGATIVES} uniform among the items the user never touched, drawn with the generator's "
                         f"seed: a run draws others, and its scores differ by chance",
            "model": {"formula": f"P(item) in proportion to P(group of item) * popularity / popularity of the group, "
                                 f"among items the user has not; P(group) = (1 - noise) * ({PLANNED} where it is "
                                 f"plan[group before last][last group] + {STAY} where it is the last group + "
                                 f"{1 - PLANNED - STAY:.2f} * popularity of the group) + noise * that popularity",
                      "plan": model.plan.tolist(), "group": model.group.tolist(),
                      "popularity": model.popularity.tolist()}})


def _lengths(generator: np.random.Generator, rows: int, users: int) -> np.ndarray:
    """Interactions (users,) of each user: a few have many."""
    lengths = np.full(users, SHORTEST)
    weight = generator.gamma(0.7, size=users)
    while (left := rows - int(lengths.sum())) > 0:
        free = weight * (lengths < LONGEST) + 1e-9 * (lengths < LONGEST)
        lengths = np.minimum(lengths + generator.multinomial(left, free / free.sum()), LONGEST)
    return lengths


def _draw(generator: np.random.Generator, model: NextItem, lengths: np.ndarray) -> np.ndarray:
    """Draw the items (users, longest) of all users, -1 behind a user's last."""
    users = len(lengths)
    taken = np.full((users, int(lengths.max())), -1, np.int32)
    chances = np.cumsum(model.transitions(), axis=2)
    # Items by group, and where each group's stretch of cumulated popularity begins.
    by_group = np.argsort(model.group, kind="stable")
    cumulative = np.cumsum(model.popularity[by_group])
    begin = np.append(0.0, np.cumsum(model.mass))
    for step in range(taken.shape[1]):
        waiting = np.flatnonzero(lengths > step)
        while len(waiting):  # an item the user has already is drawn again
            if step < 2:
                point = generator.random(len(waiting))
            else:
                before, last = model.group[taken[waiting, step - 2]], model.group[taken[waiting, step - 1]]
                rule = chances[before, last]
                group = np.minimum((generator.random(len(waiting))[:, None] >= rule).sum(1), GROUPS - 1)
                point = begin[group] + generator.random(len(waiting)) * (begin[group + 1] - begin[group])
            place = np.minimum(np.searchsorted(cumulative, point, side="right"), len(cumulative) - 1)
            item = by_group[place]
            new = (taken[waiting, :step] != item[:, None]).all(1)
            taken[waiting[new], step] = item[new]
            waiting = waiting[~new]
    return taken


def _spread(generator: np.random.Generator, model: NextItem, taken: np.ndarray, lengths: np.ndarray) -> None:
    """Give items with fewer than five interactions the missing ones, in place of more frequent items of their group.

    Last items stay, and so do all groups: the model's probabilities of the last items are the same as before.
    """
    counts = np.bincount(taken[taken >= 0], minlength=len(model.group))
    users, steps = np.nonzero(np.arange(taken.shape[1]) < lengths[:, None] - 1)
    shuffle = generator.permutation(len(users))
    users, steps = users[shuffle], steps[shuffle]
    starts = model.group[taken[users, steps]]
    places = {g: iter(np.flatnonzero(starts == g)) for g in range(GROUPS)}
    for item in np.flatnonzero(counts < SHORTEST):
        while counts[item] < SHORTEST:
            place = next(places[model.group[item]], None)
            if place is None:
                raise AmeirError(f"rows={lengths.sum()} are too few for {len(counts)} items of {SHORTEST} "
                                 f"interactions each; take more rows or another seed.")
            user, step = users[place], steps[place]
            old = taken[user, step]
            if counts[old] > SHORTEST + 1 and not (taken[user] == item).any():
                taken[user, step] = item
                counts[old] -= 1
                counts[item] += 1


def _ranking(generator: np.random.Generator, model: NextItem, taken: np.ndarray,
             lengths: np.ndarray) -> dict[str, dict[str, float]]:
    """The best metrics, and popularity's, under the same negatives."""
    users, items = np.arange(len(lengths)), len(model.group)
    trained = taken[np.arange(taken.shape[1]) < lengths[:, None] - 2]
    counts = np.bincount(trained, minlength=items).astype(np.float64)
    ranks: dict[str, list[np.ndarray]] = {"bayes": [], "popularity": []}
    for low in range(0, len(users), 4096):
        some = users[low:low + 4096]
        keys = generator.random((len(some), items), dtype=np.float32)
        touched = taken[some]
        row, column = np.nonzero(touched >= 0)
        keys[row, touched[row, column]] = 2.0  # never among the smallest
        negatives = np.argpartition(keys, NEGATIVES, axis=1)[:, :NEGATIVES]
        own = taken[some, lengths[some] - 1]
        candidates = np.column_stack([own, negatives])
        before, last = taken[some, lengths[some] - 3], taken[some, lengths[some] - 2]
        for name, scores in (("bayes", model.scores(before, last, candidates)), ("popularity", counts[candidates])):
            above = (scores[:, 1:] > scores[:, :1]).sum(1) + 0.5 * (scores[:, 1:] == scores[:, :1]).sum(1)
            ranks[name].append(1 + above)
    return {name: _metrics(np.concatenate(parts)) for name, parts in ranks.items()}


def _metrics(ranks: np.ndarray) -> dict[str, float]:
    hit = ranks <= 5
    return {"rows": len(ranks), "hr@1": float((ranks <= 1).mean()), "hr@5": float(hit.mean()),
            "ndcg@5": float((hit / np.log2(ranks + 1)).mean())}
