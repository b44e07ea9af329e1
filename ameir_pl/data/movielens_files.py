"""Reading MovieLens-100K: GroupLens' own files and RecBole's conversion of them give the same tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl

from ameir_pl.data.bad_rows import LINE, BadRows
from ameir_pl.data.delimited import chunks, header, need_header
from ameir_pl.data.text import open_bytes
from ameir_pl.errors import AmeirError

FORMATS = {"recbole": {"ratings": "ml-100k.inter", "movies": "ml-100k.item", "users": "ml-100k.user"},
           "grouplens": {"ratings": "u.data", "movies": "u.item", "users": "u.user"}}
"""File names of both formats, by part."""

GENRES = ("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama",
          "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western")
"""The 19 genres in the order of ``u.item``'s flags, spelled as RecBole spells them."""

OLDEST = 631_152_000
"""Seconds of 1990-01-01: an earlier timestamp is a number that was cut off."""

NEWEST = 4_102_444_800
"""Seconds of 2100-01-01: a later one counts something else, or is no time."""

_TYPED = {"ratings": ("user_id", "item_id", "rating", "timestamp"),
          "movies": ("item_id", "movie_title", "release_year", "class"),
          "users": ("user_id", "age", "gender", "occupation", "zip_code")}


class MovieLensTables(NamedTuple):
    """The three tables, the same whichever format they came from.

    Args:
        ratings: ``user``, ``movie``, ``rating``, ``timestamp`` (seconds, UTC) in file order.
        movies: ``movie``, ``year`` (four digits or ``unknown``), ``genres`` (list).
        users: ``user``, ``age``, ``gender``, ``occupation``, ``zip``.
    """

    ratings: pl.DataFrame
    movies: pl.DataFrame
    users: pl.DataFrame


def find(folder: Path) -> dict[str, Path] | None:
    """Return the files of the format that is whole in ``folder`` (or in ``folder/ml-100k``), else None."""
    for place in (folder, folder / "ml-100k"):
        for names in FORMATS.values():
            if all((place / name).is_file() for name in names.values()):
                return {part: place / name for part, name in names.items()}
    return None


def read(files: dict[str, Path], bad: BadRows) -> MovieLensTables:
    """Read the three files of either format.

    Args:
        files: paths by part, as :func:`find` gave them.
        bad: what happens to ratings that cannot be read. The users' and movies' tables are small and every rating
            needs them, so that a bad row of theirs is always an error.

    Raises:
        AmeirError: with file, line and column: a file is missing, empty or cut off, a column is missing, a number
            is not one, a genre is unknown, an id occurs twice, or a rating names an unknown movie or user.
    """
    typed = files["ratings"].suffix == ".inter"
    whole = BadRows("fail", f"{bad.advice} on_bad_row=skip leaves out ratings alone.")
    ratings = _ratings(files["ratings"], typed, bad)
    movies = _movies_typed(files["movies"], whole) if typed else _movies_flags(files["movies"], whole)
    users = _users(files["users"], typed, whole)
    for table, part in ((movies, "movies"), (users, "users")):
        column = part[:-1]
        again = table.filter(~pl.col(column).is_first_distinct()).head(1)
        if not again.is_empty():
            whole.add(f"{files[part]}, line {again[LINE][0]}, column '{column}': {again[column][0]} occurs on an "
                      "earlier line too.")
        ratings = bad.drop(ratings, ~ratings[column].is_in(table[column].implode()), files["ratings"], column,
                           f"a {column} of {files[part]}")
    return MovieLensTables(ratings.drop(LINE), movies.drop(LINE), users.drop(LINE))


def _table(path: Path, separator: str, bad: BadRows, wanted: Sequence[str], typed: bool) -> pl.DataFrame:
    """The columns ``line`` and ``wanted``. A typed file names them, with a type behind each (``user_id:token``)."""
    names = wanted
    if typed:
        names = [word.split(":")[0].strip() for word in header(path, separator, bad.advice)]
        need_header(names, wanted, path, bad.advice)
    tables = [table.rename(dict(zip(table.columns[1:], names, strict=True)))
              for table in chunks(path, separator, bad, None if typed else names)]
    if not tables:
        raise AmeirError(f"{path}: no row can be read. {bad.advice}")
    return pl.concat(tables).select(LINE, *wanted)


def _ratings(path: Path, typed: bool, bad: BadRows) -> pl.DataFrame:
    table = _table(path, "\t", bad, _TYPED["ratings"], typed)
    for name in ("user_id", "item_id"):
        table = bad.number(table, name, path, low=0)
    table = bad.number(table, "rating", path, low=1, high=5, whole=False)
    table = bad.number(table, "timestamp", path, low=OLDEST, high=NEWEST, whole=False)
    return table.select(LINE, pl.col("user_id").alias("user"), pl.col("item_id").alias("movie"), "rating",
                        pl.col("timestamp").cast(pl.Int64))


def _movies_typed(path: Path, bad: BadRows) -> pl.DataFrame:
    table = bad.number(_table(path, "\t", bad, _TYPED["movies"], True), "item_id", path, low=0)
    genres = table["class"].str.split(" ")
    known = genres.list.eval(pl.element().is_in(list(GENRES))).list.all()
    bad.drop(table, ~known, path, "class", f"genres of MovieLens-100K ({', '.join(GENRES)})")
    # RecBole took whatever the title's last parentheses hold for the year ("V" of a video, in one title):
    # where that is no year, the title still has it.
    year = pl.coalesce(pl.col("release_year").str.extract(r"^(\d{4})$"), _title_year(pl.col("movie_title")),
                       pl.lit("unknown"))
    return table.select(LINE, pl.col("item_id").alias("movie"), year.alias("year"),
                        genres.alias("genres"))


def _movies_flags(path: Path, bad: BadRows) -> pl.DataFrame:
    names = ("movie_id", "movie_title", "release_date", "video_release_date", "imdb_url", *GENRES)
    with open_bytes(path, bad.advice) as file:  # the one file that is not UTF-8
        lines = file.read().decode("latin-1").split("\n")
    rows = {i: line.rstrip("\r").split("|") for i, line in enumerate(lines, 1) if line.strip()}
    if not rows:
        raise AmeirError(f"{path}: the file is empty. {bad.advice}")
    for i, row in rows.items():
        if len(row) != len(names):
            bad.add(f"{path}, line {i}: {len(row)} columns where {len(names)} were expected. Is the file cut off, or "
                    "another one?")
    table = pl.DataFrame(list(rows.values()), schema=dict.fromkeys(names, pl.String), orient="row")
    table = table.insert_column(0, pl.Series(LINE, list(rows), pl.UInt32))
    table = bad.number(table, "movie_id", path, low=0)
    for genre in GENRES:
        table = bad.number(table, genre, path, low=0, high=1)
    genres = pl.concat_list(*(pl.when(pl.col(genre) == 1).then(pl.lit(genre)) for genre in GENRES)).list.drop_nulls()
    table = table.select(LINE, pl.col("movie_id").alias("movie"),
                         pl.coalesce(_title_year(pl.col("movie_title")), pl.lit("unknown")).alias("year"),
                         genres.alias("genres"))
    bare = table.filter(pl.col("genres").list.len() == 0).head(1)
    if not bare.is_empty():
        bad.add(f"{path}, line {bare[LINE][0]}: no genre flag is 1.")
    return table


def _users(path: Path, typed: bool, bad: BadRows) -> pl.DataFrame:
    table = _table(path, "\t" if typed else "|", bad, _TYPED["users"], typed)
    table = bad.number(bad.number(table, "user_id", path, low=0), "age", path, low=0, high=130)
    return table.select(LINE, pl.col("user_id").alias("user"), "age", "gender", "occupation",
                        pl.col("zip_code").alias("zip"))


def _title_year(title: pl.Expr) -> pl.Expr:
    """The last four digits in parentheses of a title, else null."""
    return title.str.extract_all(r"\(\d{4}\)").list.last().str.strip_chars("()")
