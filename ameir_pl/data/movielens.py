"""MovieLens-100K: click-through data small enough for a laptop, with users, targets and behaviors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from ameir_pl.data import vocabulary
from ameir_pl.data.bad_rows import BadRows, Policy
from ameir_pl.data.dataset import DATASETS, Dataset
from ameir_pl.data.fetch import fetch_movielens
from ameir_pl.data.histories import PAUSE, session_starts
from ameir_pl.data.movielens_files import FORMATS, find, read
from ameir_pl.data.store import SPLITS, Tables
from ameir_pl.errors import AmeirError
from ameir_pl.schema import PAD, Field, Schema

AGES = ((18, "under 18"), (25, "18-24"), (35, "25-34"), (45, "35-44"), (50, "45-49"), (56, "50-55"))
"""Age buckets as (first age above, name), the ones MovieLens-1M uses; the rest is ``56+``."""


@DATASETS.register("movielens")
class MovieLens(Dataset):
    """MovieLens-100K as click-through data.

    * label: rating ≥ 4.
    * user: ``user_id``, ``age`` (bucket), ``gender``, ``occupation``, ``zip`` (first character: a digit is a region
      of the USA, a letter one of Canada).
    * context: ``hour``, ``weekday`` (0 is Monday), both UTC.
    * target: ``movie_id``, ``release_year``, ``genres`` (multivalent, as wide as the movie with most genres).
    * behaviors: the user's ratings with a strictly smaller timestamp, latest last: ``movie_id`` and ``genres``
      (ids shared with the target) and ``rating`` (whole stars).

    **Split**: rows in the order of (timestamp, user, movie); the first 80 % train, the next 10 % validate, the rest
    test. Ratings with the timestamp of a cut fall on its two sides in the order of user, then movie; as a history is
    strictly earlier, such a row never sees one that shares its timestamp. Within a history, ratings of one timestamp
    are in the order of movie ids. A history may hold earlier rows of any split: they are the past by then.

    **Vocabularies** are fitted on train rows alone; what those never show is ``OOV``.

    Args:
        raw, encoded, source: as :class:`Dataset`; ``source`` is a folder with RecBole's ``ml-100k.inter``,
            ``.item``, ``.user`` or GroupLens' ``u.data``, ``u.item``, ``u.user``.
        max_len: T, the most behaviors of a history.
        on_bad_row: as :class:`Dataset`, for ratings; the other two tables must be whole.

    Raises:
        AmeirError: ``max_len`` is below 1.
    """

    name = "movielens"
    offered = "https://grouplens.org/datasets/movielens/100k/"
    terms = ("research use; no redistribution without permission; no commercial use without permission of the "
             "GroupLens Research Project.")

    def __init__(self, *, raw: Path | str, encoded: Path | str, source: Path | str | None = None,
                 max_len: int = 50, on_bad_row: Policy = "fail") -> None:
        super().__init__(raw=raw, encoded=encoded, source=source, max_len=max_len, on_bad_row=on_bad_row)
        if max_len < 1:
            raise AmeirError(f"movielens: max_len={max_len}; a history needs at least 1 behavior.")

    @property
    def protocol(self) -> str:
        """How rows are split."""
        return "time split 80/10/10"

    def files(self) -> dict[str, Path]:
        """Return the paths of ``ratings``, ``movies`` and ``users`` in either format."""
        folder = self.source or self.raw
        found = find(folder)
        if found is None:
            missing, other = ([str(folder / name) for name in FORMATS[form].values() if not (folder / name).is_file()]
                              for form in ("recbole", "grouplens"))
            parts = [f"{', '.join(missing)} (RecBole's format)", f"or {', '.join(other)} (GroupLens' format)"]
            raise AmeirError(f"{self.missing(parts)} `ameir data fetch dataset=movielens` gets them.")
        return found

    def encode(self, files: dict[str, Path], folder: Path) -> Tables:
        """Read either format and encode it; raises ``AmeirError`` with file, line and column for bad input."""
        advice = ("Correct the line, or fetch the files again: `ameir data fetch dataset=movielens`."
                  if self.source is None else "Correct the line, or take another dataset.source.")
        bad = BadRows(self.on_bad_row, advice)
        ratings, movies, users = read(files, bad)
        ratings = ratings.sort("timestamp", "user", "movie", maintain_order=True)
        count = len(ratings)
        train, valid = count * 8 // 10, count // 10
        rows = dict(zip(SPLITS, (train, valid, count - train - valid), strict=True))
        if min(rows.values()) == 0:
            raise AmeirError(f"{files['ratings']}: {count} ratings are too few to split 80/10/10. {advice}")

        joined = ratings.join(_describe(users), on="user", how="left", maintain_order="left").join(
            movies, on="movie", how="left", maintain_order="left")
        plain = {"user_id": joined["user"], "age": joined["age"], "gender": joined["gender"],
                 "occupation": joined["occupation"], "zip": joined["zip"], "hour": joined["timestamp"] // 3600 % 24,
                 # 1970-01-01 was a Thursday.
                 "weekday": (joined["timestamp"] // 86400 + 3) % 7, "movie_id": joined["movie"],
                 "release_year": joined["year"], "rating": joined["rating"].floor().cast(pl.Int64)}
        words = {name: vocabulary.fit(values.head(train)) for name, values in plain.items()}
        words["genres"] = vocabulary.fit(joined["genres"].head(train).explode())
        ids = {name: vocabulary.encode(values, words[name]) for name, values in plain.items()}
        genres = _genre_ids(movies, words["genres"])[_positions(ratings["movie"], movies["movie"])]
        schema = _schema({name: vocabulary.size(values) for name, values in words.items()}, genres.shape[1],
                         self.max_len)
        fields = np.column_stack([genres if f.name == "genres" else ids[f.name] for f in schema.fields])
        history, begin, end = _histories(ratings)
        events = np.column_stack([ids["movie_id"], genres, ids["rating"]])[history]
        label = (ratings["rating"].to_numpy() >= 4).astype(np.float32)
        columns = {"fields": fields, "dense": np.zeros((count, 0), np.float32), "label": label, "values": events,
                   "users": np.unique(ratings["user"].to_numpy(), return_inverse=True)[1].astype(np.int32),
                   "begin": begin, "end": end, "starts": session_starts(
                       ratings["user"].to_numpy()[history], ratings["timestamp"].to_numpy()[history], PAUSE)}
        stamps = ratings["timestamp"]
        notes = {"timestamps that begin validation and test": [int(stamps[train]), int(stamps[train + valid])],
                 **bad.notes()}
        return Tables(schema, words, columns, rows, notes)

    @classmethod
    def fetch(cls, raw: Path, source: Path | None = None) -> str:
        """Put MovieLens-100K into ``raw``; see :func:`~ameir_pl.data.fetch.fetch_movielens`."""
        return fetch_movielens(raw, source)


def _schema(sizes: dict[str, int], genre_width: int, max_len: int) -> Schema:
    fields = (*(Field(name, name, "user") for name in ("user_id", "age", "gender", "occupation", "zip")),
              *(Field(name, name, "context") for name in ("hour", "weekday")),
              *(Field(name, name, "target") for name in ("movie_id", "release_year")),
              Field("genres", "genres", "target", genre_width))
    behaviors = (Field("movie_id", "movie_id"), Field("genres", "genres", width=genre_width),
                 Field("rating", "rating"))
    return Schema("movielens", "ctr", fields, behaviors, (), sizes, max_len, sessions=True)


def _describe(users: pl.DataFrame) -> pl.DataFrame:
    """Ages as buckets, zip codes as their first character."""
    age = pl.lit("56+")
    for above, bucket in reversed(AGES):
        age = pl.when(pl.col("age") < above).then(pl.lit(bucket)).otherwise(age)
    return users.with_columns(age.alias("age"), pl.col("zip").str.strip_chars().str.slice(0, 1).alias("zip"))


def _positions(keys: pl.Series, table: pl.Series) -> np.ndarray:
    """Where each key is in ``table``, which holds every one of them once."""
    order = np.argsort(table.to_numpy(), kind="stable")
    return order[np.searchsorted(table.to_numpy()[order], keys.to_numpy())]


def _genre_ids(movies: pl.DataFrame, words: list[str]) -> np.ndarray:
    """Ids (movies, width) int32 of each movie's genres, ``PAD`` behind them."""
    counts = movies["genres"].list.len().to_numpy()
    ids = np.full((len(movies), int(counts.max())), PAD, np.int32)
    ids[np.arange(ids.shape[1]) < counts[:, None]] = vocabulary.encode(movies["genres"].explode(), words)
    return ids


def _histories(ratings: pl.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Order all events by (user, timestamp, movie) and point each row at what its user did strictly before it.

    Returns:
        ``history`` (events,) row numbers in that order; ``begin`` and ``end`` (rows,) positions in it.
    """
    user, time, movie = (ratings[name].to_numpy() for name in ("user", "timestamp", "movie"))
    history = np.lexsort((movie, time, user))
    _, number = np.unique(user, return_inverse=True)
    # One sorted key for (user, timestamp), so that both pointers are one binary search for all rows.
    key = number * (int(time.max()) - int(time.min()) + 2) + (time - time.min())
    ordered = key[history]
    begin = np.searchsorted(number[history], number, side="left")
    return history, begin.astype(np.int64), np.searchsorted(ordered, key, side="left").astype(np.int64)
