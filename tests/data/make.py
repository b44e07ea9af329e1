"""Small generated raw files in the formats the real ones have, for tests that need data but no download."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from ameir_pl.data.movielens_files import FORMATS, GENRES

OCCUPATIONS = ("artist", "doctor", "engineer", "student", "writer")
START = 875_000_000
"""Seconds: September 1997, when MovieLens-100K begins."""


def write_movielens(folder: Path, users: int = 60, movies: int = 80, ratings: int = 2500, seed: int = 0,
                    form: Literal["recbole", "grouplens"] = "recbole") -> Path:
    """Write generated MovieLens files; the same numbers give the same data in both formats.

    A rating is the movie's quality plus the user's taste for its genres plus noise, so a model that learns from ids,
    genres or histories beats an AUC of 0.5. Some timestamps are shared, as in the real data.

    Args:
        folder: where the three files go; made if missing.
        users, movies, ratings: their numbers; ``ratings`` is at most ``users * movies``.
        seed: of everything.
        form: which publisher's files.

    Returns:
        ``folder``.
    """
    generator = np.random.default_rng(seed)
    taste = generator.normal(size=(users, len(GENRES)))
    quality = generator.normal(scale=0.6, size=movies)
    has = [sorted(generator.choice(np.arange(1, 19), generator.integers(1, 5), replace=False)) for _ in range(movies)]
    has[1] = [0]  # "unknown", as two movies of the real data
    years = [str(1950 + int(generator.integers(0, 48))) for _ in range(movies)]
    pairs = generator.choice(users * movies, ratings, replace=False)
    who, what = pairs // movies, pairs % movies
    liking = np.array([taste[u, has[m]].mean() for u, m in zip(who, what, strict=True)])
    stars = np.clip(np.round(3.4 + quality[what] + 1.2 * liking + generator.normal(scale=0.5, size=ratings)), 1, 5)
    # Every user rates within a stretch of days, in steps of minutes: many share a timestamp with themselves.
    base = generator.integers(0, 180 * 86_400, size=users)
    times = START + base[who] + 60 * generator.integers(0, 2000, size=ratings)
    people = [(generator.integers(7, 73), generator.choice(["F", "M"]), generator.choice(OCCUPATIONS),
               generator.choice(["85711", "94043", "V3N4P", "02138"])) for _ in range(users)]

    names = FORMATS[form]
    folder.mkdir(parents=True, exist_ok=True)
    recbole = form == "recbole"
    inter = [f"{u + 1}\t{m + 1}\t{int(s)}\t{t}" for u, m, s, t in zip(who, what, stars, times, strict=True)]
    _write(folder / names["ratings"], (["user_id:token\titem_id:token\trating:float\ttimestamp:float"]
                                       if recbole else []) + inter)
    gap = "\t" if recbole else "|"
    person = [gap.join(str(v) for v in (i + 1, *p)) for i, p in enumerate(people)]
    _write(folder / names["users"], (["user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token"]
                                     if recbole else []) + person)
    if recbole:
        header = "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq"
        _write(folder / names["movies"], [header, *(_typed(m, years[m], has[m]) for m in range(movies))])
    else:
        _write(folder / names["movies"], [_flags(m, years[m], has[m]) for m in range(movies)], "latin-1")
    return folder


def _typed(movie: int, year: str, has: list[int]) -> str:
    genres = " ".join(GENRES[g] for g in has)
    if movie == 1:  # RecBole's spelling of the movie without a title
        return f"{movie + 1}\tunkonwn\tunkonwn\t{genres}"
    if movie == 2:  # a video, whose "(V)" RecBole took for the year
        return f"{movie + 1}\tVidéo {movie + 1} ({year})\tV\t{genres}"
    return f"{movie + 1}\tMovie {movie + 1} (Né)\t{year}\t{genres}"


def _flags(movie: int, year: str, has: list[int]) -> str:
    flags = "|".join(str(int(g in has)) for g in range(len(GENRES)))
    if movie == 1:
        return f"{movie + 1}|unknown||||{flags}"
    title = f"Vidéo {movie + 1} ({year}) (V)" if movie == 2 else f"Movie {movie + 1} (Né) ({year})"
    return f"{movie + 1}|{title}|01-Jan-{year}||http://us.imdb.com/M/title-exact?{movie + 1}|{flags}"


def _write(path: Path, lines: list[str], encoding: str = "utf-8") -> None:
    path.write_text("\n".join(lines) + "\n", encoding=encoding, newline="\n")


def write_sequences(folder: Path, users: int = 300, items: int = 200, seed: int = 0) -> dict[str, Path]:
    """Write the same generated sequences in the three published formats.

    Items belong to ten groups; the next item stays in the group of the last one four times out of five, so a model
    that sees the history beats popularity. Every user has 6 to 20 items, none twice, and every item comes five times
    or more (with the numbers given here).

    Args:
        folder: where the files go; made if missing.
        users, items: their numbers.
        seed: of everything.

    Returns:
        Paths by format: ``lines`` (S3-Rec), ``pairs`` (SASRec; with two more users too short to split) and
        ``ratings`` (CSV with ids as Amazon has them; with four more users whom the 5-core filter drops).
    """
    generator = np.random.default_rng(seed)
    groups = generator.integers(0, 10, size=items)
    popularity = generator.uniform(0.5, 1.5, size=items)
    sequences = []
    for _ in range(users):
        sequence: list[int] = []
        for _ in range(int(generator.integers(6, 21))):
            weight = popularity.copy()
            if sequence and generator.random() < 0.8:
                weight[groups != groups[sequence[-1]]] *= 1e-3
            weight[sequence] = 0
            sequence.append(int(generator.choice(items, p=weight / weight.sum())))
        sequences.append([i + 1 for i in sequence])
    folder.mkdir(parents=True, exist_ok=True)
    paths = {"lines": folder / "lines.txt", "pairs": folder / "pairs.txt", "ratings": folder / "ratings.csv"}
    _write(paths["lines"], [" ".join(map(str, (u + 1, *s))) for u, s in enumerate(sequences)])
    short = [f"{users + 1} 1", f"{users + 2} 2", f"{users + 2} 3"]
    _write(paths["pairs"], [f"{u + 1} {i}" for u, s in enumerate(sequences) for i in s] + short)
    rows = [f"A{u + 1:013d},B{i:09d},{generator.integers(1, 6)}.0,{START + 86_400 * t}"
            for u, s in enumerate(sequences) for t, i in enumerate(s)]
    rows = [rows[i] for i in generator.permutation(len(rows))]  # publishers' files are in no order of time
    rows += [f"AX{u:012d},B{i:09d},5.0,{START}" for u in range(4) for i in range(1, 4)]
    _write(paths["ratings"], rows)
    return paths
