"""MovieLens-100K's ``u.data``, ``u.item``, ``u.user`` (GroupLens), planted: interactions and behaviors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ameir_pl.data.movielens_files import FORMATS, GENRES
from ameir_pl.data.planted import draws
from ameir_pl.data.planted.behavior import Behavior, deal_groups, histories
from ameir_pl.data.planted.click_model import ClickModel, Parts
from ameir_pl.data.planted.registry import GENERATORS
from ameir_pl.data.planted.writing import VERSION, check, planting, write_truth

LEAST = 2000
BASE_RATE = 0.55
T = 20
START, DAYS = 874_713_600, 210
"""The ratings fall into seven months from 1997-09-20 00:00 UTC, as the real ones."""
INTERACTIONS = ((("gender", "release_year"), 0.5), (("age", "weekday"), 0.5), (("occupation", "hour"), 0.45),
                (("gender", "weekday", "zip"), 0.5), (("age", "hour", "release_year"), 0.45))
"""What is planted, with its weights, over the fields that the dataset derives from the files."""
MAIN = {"age": 0.15, "occupation": 0.15, "release_year": 0.3, "genres": 0.35, "hour": 0.15}

# The buckets of the dataset, and the ages they begin with.
_AGES = ["under 18", "18-24", "25-34", "35-44", "45-49", "50-55", "56+"]
_BOUNDS = (7, 18, 25, 35, 45, 50, 56, 74)
_JOBS = ["administrator", "artist", "doctor", "educator", "engineer", "entertainment", "executive", "healthcare",
         "homemaker", "lawyer", "librarian", "marketing", "none", "other", "programmer", "retired", "salesman",
         "scientist", "student", "technician", "writer"]
# Shares of Monday to Sunday: the last three make up half, so that signs can be even.
_WEEK = np.array([0.13, 0.12, 0.12, 0.13, 0.15, 0.18, 0.17])
_USERS = 256  # users whose movies are drawn at once


@GENERATORS.register("movielens")
def movielens(folder: Path, rows: int, seed: int, noise: float) -> dict[str, Any]:
    """Write ``u.data``, ``u.item``, ``u.user`` and ``truth.json``; return the truth.

    The files are GroupLens': tabs in ``u.data``, bars in the others, latin-1, ids from 1, every user with 20 ratings
    or more and none of them twice. 100,000 rows have 943 users and 1,682 movies. A rating is 4 or 5 where the click
    model says click. The main effect of genres, and the category of behaviors, is that of a movie's first genre in
    the order of ``u.item``. A user's ratings are spread over the seven months, so that hour and weekday depend on
    nothing else. 4 and 5 are 55 % of the ratings. All is drawn in memory.

    Args:
        folder: where the four files go.
        rows: ratings, from 2,000 on.
        seed: of everything.
        noise: share of the labels that do not depend on the row, from 0 to below 1.

    Raises:
        AmeirError: an argument is out of range, or ``folder`` holds one of the files.
    """
    check("movielens", rows, LEAST, seed, noise)
    generator = np.random.default_rng([seed, 41])
    users, movies = max(20, round(0.00943 * rows)), max(400, round(0.01682 * rows))
    tables = {
        "age": draws.values(_AGES, 0.3), "gender": draws.values(["M", "F"], 0.5), "occupation": draws.values(_JOBS),
        "zip": draws.numbers(10, 0.2), "hour": draws.numbers(24, 0.0),
        "weekday": draws.Values([str(day) for day in range(7)], _WEEK),
        "release_year": draws.values([str(1998 - i) for i in range(40)], 0.9),
        "genres": draws.values([*GENRES[1:]], 0.3)}
    order = generator.permutation(len(GENRES) - 1)  # the first genre is not the most popular one
    tables["genres"] = draws.Values(tables["genres"].words, tables["genres"].shares[order])
    groups = np.empty(len(order), np.int64)
    groups[np.argsort(order)] = deal_groups(generator, len(order))
    behavior = Behavior(1.2, 0.6, 0.8, T, "first genre", tables["genres"].words, groups)
    model = ClickModel(tables, MAIN, INTERACTIONS, behavior=behavior, base_rate=BASE_RATE, noise=noise,
                       generator=generator)

    person = {name: tables[name].draw(generator, users) for name in ("age", "gender", "occupation", "zip")}
    thing = {name: tables[name].draw(generator, movies) for name in ("release_year", "genres")}
    user, movie = _pairs(generator, rows, users, thing["genres"])
    days = _WEEK[(START // 86_400 + 3 + np.arange(DAYS)) % 7]
    time = START + draws.pick(generator, days, rows) * 86_400 + generator.integers(0, 86_400, rows)
    fields = {**{name: column[user] for name, column in person.items()},
              **{name: column[movie] for name, column in thing.items()},
              # 1970-01-01 was a Thursday; 0 is Monday.
              "hour": time // 3600 % 24, "weekday": (time // 86_400 + 3) % 7}
    by_movie = np.lexsort((movie, time))  # the loader's order of ratings that share a timestamp
    history = histories(user[by_movie], time[by_movie] - START, thing["genres"][movie[by_movie]], user, time - START,
                        T)
    parts = model.parts(fields, None, history, fields["genres"])
    model.calibrate(parts)
    label = generator.random(rows) < model.probability(parts)
    stars = np.where(label, generator.choice([4, 5], rows, p=[0.62, 0.38]),
                     generator.choice([1, 2, 3], rows, p=[0.13, 0.25, 0.62]))
    # The loader's split: 80/10/10 in the order of time, user, movie.
    test = np.lexsort((movie, user, time))[rows * 8 // 10 + rows // 10:]

    names = FORMATS["grouplens"]
    with planting(folder, list(names.values())) as temporary:
        ratings = np.column_stack([user + 1, movie + 1, stars, time])
        np.savetxt(temporary / names["ratings"], ratings, fmt="%d", delimiter="\t")
        _write(temporary / names["movies"], _movie_lines(generator, thing, tables))
        _write(temporary / names["users"], _user_lines(generator, person, tables))
        return write_truth(temporary, {
            "dataset": "movielens", "rows": rows, "seed": seed, "noise": noise, "version": VERSION, "users": users,
            "movies": movies, "click_rate": float(label.mean()),
            "determined_by": {**{name: ["user_id"] for name in person}, **{name: ["movie_id"] for name in thing}},
            "values": "genres: of a movie the first in the order of u.item; zip: first character; age: bucket",
            "test_rows": "the last tenth of the ratings in the order of (timestamp, user, movie)",
            **model.truth(Parts(parts.main[test], parts.interactions[test], parts.behavior[test]),
                          label[test].astype(np.uint8))})


def _pairs(generator: np.random.Generator, rows: int, users: int, genre: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Users and movies (rows,) of the ratings, no pair twice, in random order.

    A user rates movies by their popularity, more often those of three genres, each drawn for the user.
    """
    movies = len(genre)
    share = generator.gamma(1.0, size=users)
    most = movies // 2
    counts = np.full(users, 20)
    while (left := rows - int(counts.sum())) > 0:
        counts += generator.multinomial(left, share * (counts < most) / (share * (counts < most)).sum())
        counts = np.minimum(counts, most)
    popularity = generator.permutation(np.log(draws.zipf(movies, 0.8)))
    liked = generator.integers(0, len(GENRES) - 1, (users, 3))
    chosen = []
    for low in range(0, users, _USERS):
        taste = (genre == liked[low:low + _USERS, :, None]).any(1)
        # The largest of log weight + Gumbel noise are a draw by weight without replacement.
        keys = popularity + 2.0 * taste + generator.gumbel(size=taste.shape)
        order = np.argsort(-keys, axis=1)
        chosen += [row[:count] for row, count in zip(order, counts[low:low + _USERS], strict=True)]
    shuffle = generator.permutation(rows)
    return np.repeat(np.arange(users), counts)[shuffle], np.concatenate(chosen)[shuffle]


def _movie_lines(generator: np.random.Generator, thing: dict[str, np.ndarray],
                 tables: dict[str, draws.Values]) -> list[str]:
    """Lines of ``u.item``: further genres come behind the first one."""
    lines = []
    for number, (year, genre) in enumerate(zip(thing["release_year"], thing["genres"], strict=True), 1):
        more = generator.random(len(GENRES)) < 0.06
        flags = "|".join(str(int(g == genre + 1 or (g > genre + 1 and more[g]))) for g in range(len(GENRES)))
        word = tables["release_year"].words[year]
        lines.append(f"{number}|Café {number} ({word})|01-Jan-{word}||"
                     f"http://us.imdb.com/M/title-exact?Caf%E9%20{number}%20({word})|{flags}")
    return lines


def _user_lines(generator: np.random.Generator, person: dict[str, np.ndarray],
                tables: dict[str, draws.Values]) -> list[str]:
    """Lines of ``u.user``: an age inside the bucket, five digits of zip code."""
    lines = []
    for number in range(len(person["age"])):
        bucket = person["age"][number]
        age = int(generator.integers(_BOUNDS[bucket], _BOUNDS[bucket + 1]))
        gender, job, region = (tables[name].words[person[name][number]] for name in ("gender", "occupation", "zip"))
        lines.append(f"{number + 1}|{age}|{gender}|{job}|{region}{generator.integers(10_000):04d}")
    return lines


def _write(path: Path, lines: list[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="latin-1", newline="\n")
