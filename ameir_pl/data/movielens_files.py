"""Reading MovieLens-100K: GroupLens' own files and RecBole's conversion of them give the same tables."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import polars as pl

from ameir_pl.data.reading import LINE, need_columns, number, read_table, unique
from ameir_pl.errors import AmeirError

FORMATS = {"recbole": {"ratings": "ml-100k.inter", "movies": "ml-100k.item", "users": "ml-100k.user"},
           "grouplens": {"ratings": "u.data", "movies": "u.item", "users": "u.user"}}
"""File names of both formats, by part."""

GENRES = ("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama",
          "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western")
"""The 19 genres in the order of ``u.item``'s flags, spelled as RecBole spells them."""

OLDEST = 631_152_000
"""Seconds of 1990-01-01: an earlier timestamp is a number that was cut off."""

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


def read(files: dict[str, Path], advice: str) -> MovieLensTables:
    """Read the three files of either format.

    Args:
        files: paths by part, as :func:`find` gave them.
        advice: the sentence that ends every error.

    Raises:
        AmeirError: with file, line and column: a file is missing, empty or cut off, a column is missing, a number
            is not one, a genre is unknown, an id occurs twice, or a rating names an unknown movie or user.
    """
    typed = files["ratings"].suffix == ".inter"
    ratings = _ratings(files["ratings"], typed, advice)
    movies = _movies_typed(files["movies"], advice) if typed else _movies_flags(files["movies"], advice)
    users = _users(files["users"], typed, advice)
    for table, part in ((movies, "movies"), (users, "users")):
        column = part[:-1]
        unique(table, column, files[part], advice)
        stray = ratings.filter(~pl.col(column).is_in(table[column].implode())).head(1)
        if not stray.is_empty():
            raise AmeirError(f"{files['ratings']}, line {stray[LINE][0]}, column '{column}': {column} "
                             f"{stray[column][0]} is not in {files[part]}. Is that file cut off? {advice}")
    return MovieLensTables(ratings.drop(LINE), movies.drop(LINE), users.drop(LINE))


def _ratings(path: Path, typed: bool, advice: str) -> pl.DataFrame:
    names = _TYPED["ratings"]
    table = read_table(path, "\t", advice, None if typed else names)
    need_columns(table, names, path, advice)
    return pl.DataFrame({
        LINE: table[LINE], "user": number(table, "user_id", path, advice, low=0),
        "movie": number(table, "item_id", path, advice, low=0),
        "rating": number(table, "rating", path, advice, low=1, high=5, whole=False),
        "timestamp": number(table, "timestamp", path, advice, low=OLDEST, whole=False).cast(pl.Int64)})


def _movies_typed(path: Path, advice: str) -> pl.DataFrame:
    table = read_table(path, "\t", advice)
    need_columns(table, _TYPED["movies"], path, advice)
    genres = table["class"].str.split(" ")
    known = genres.list.eval(pl.element().is_in(list(GENRES))).list.all()
    if not known.all():
        i = int((~known).arg_true()[0])
        raise AmeirError(f"{path}, line {table[LINE][i]}, column 'class': found '{table['class'][i]}' where genres of "
                         f"MovieLens-100K were expected ({', '.join(GENRES)}). Is the file cut off? {advice}")
    # RecBole took whatever the title's last parentheses hold for the year ("V" of a video, in one title):
    # where that is no year, the title still has it.
    year = pl.coalesce(pl.col("release_year").str.extract(r"^(\d{4})$"), _title_year(pl.col("movie_title")),
                       pl.lit("unknown"))
    return table.select(LINE, number(table, "item_id", path, advice, low=0).alias("movie"), year.alias("year"),
                        genres.alias("genres"))


def _movies_flags(path: Path, advice: str) -> pl.DataFrame:
    names = ("movie_id", "movie_title", "release_date", "video_release_date", "imdb_url", *GENRES)
    table = read_table(path, "|", advice, names, encoding="latin-1")
    flags = [number(table, genre, path, advice, low=0, high=1) for genre in GENRES]
    genres = pl.concat_list(*(pl.when(flag == 1).then(pl.lit(genre)) for flag, genre in zip(flags, GENRES, strict=True)
                              )).list.drop_nulls()
    table = table.select(LINE, number(table, "movie_id", path, advice, low=0).alias("movie"),
                         pl.coalesce(_title_year(pl.col("movie_title")), pl.lit("unknown")).alias("year"),
                         genres.alias("genres"))
    bare = table.filter(pl.col("genres").list.len() == 0).head(1)
    if not bare.is_empty():
        raise AmeirError(f"{path}, line {bare[LINE][0]}: no genre flag is 1. {advice}")
    return table


def _users(path: Path, typed: bool, advice: str) -> pl.DataFrame:
    names = _TYPED["users"]
    table = read_table(path, "\t" if typed else "|", advice, None if typed else names)
    need_columns(table, names, path, advice)
    return table.select(LINE, number(table, "user_id", path, advice, low=0).alias("user"),
                        number(table, "age", path, advice, low=0, high=130).alias("age"), "gender", "occupation",
                        pl.col("zip_code").alias("zip"))


def _title_year(title: pl.Expr) -> pl.Expr:
    """The last four digits in parentheses of a title, else null."""
    return title.str.extract_all(r"\(\d{4}\)").list.last().str.strip_chars("()")
