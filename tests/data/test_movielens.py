"""MovieLens-100K: fields, split, histories and both formats, against slow loops over the raw files."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from ameir_pl.data import DATASETS, Encoded
from ameir_pl.data.movielens_files import GENRES
from ameir_pl.errors import AmeirError
from ameir_pl.schema import OOV, PAD
from tests.data.make import write_movielens


def raw_rows(folder: Path) -> list[tuple[int, int, int, int]]:
    """(timestamp, user, movie, rating) in the order of the split."""
    lines = (folder / "ml-100k.inter").read_text().splitlines()[1:]
    return sorted((int(t), int(u), int(m), int(r)) for u, m, r, t in (line.split("\t") for line in lines))


def raw_movies(folder: Path) -> dict[int, list[str]]:
    """Genres of each movie."""
    lines = (folder / "ml-100k.item").read_text(encoding="utf-8").splitlines()[1:]
    return {int(line.split("\t")[0]): line.split("\t")[3].split(" ") for line in lines}


def test_every_row_equals_a_slow_loop(movielens: Encoded, raw_movielens: Path) -> None:
    rows, genres = raw_rows(raw_movielens), raw_movies(raw_movielens)
    train = len(rows) * 8 // 10
    assert [len(movielens.splits[s]) for s in ("train", "valid", "test")] == [train, len(rows) // 10,
                                                                             len(rows) - train - len(rows) // 10]
    words = {name: movielens.vocabulary(name) for name in movielens.schema.vocabularies}
    assert set(words["movie_id"]) == {str(m) for _, _, m, _ in rows[:train]}
    assert set(words["user_id"]) == {str(u) for _, u, _, _ in rows[:train]}
    assert set(words["user_id"]) != {str(u) for _, u, _, _ in rows}, "the data must show a new user after the cut"
    batch = movielens.gather(np.arange(len(rows)))
    names, width = movielens.schema.field_names, movielens.schema.fields[-1].width
    assert width == max(map(len, genres.values()))

    def padded(movie: int) -> list[int]:
        ids = [words["genres"].get(g, OOV) for g in genres[movie]]
        return ids + [PAD] * (width - len(ids))

    for i, (time, user, movie, rating) in enumerate(rows):
        column = dict(zip(names, batch.fields[i].tolist(), strict=False))
        moment = datetime.fromtimestamp(time, UTC)
        assert column["user_id"] == words["user_id"].get(str(user), OOV)
        assert column["movie_id"] == words["movie_id"].get(str(movie), OOV)
        assert column["hour"] == words["hour"].get(str(moment.hour), OOV)
        assert column["weekday"] == words["weekday"].get(str(moment.weekday()), OOV)
        assert batch.fields[i, 9:].tolist() == padded(movie)
        assert batch.label[i] == (rating >= 4)
        # Strictly before, latest last, the last T; ties among the past in the order of movies.
        past = sorted((t, m, r) for t, u, m, r in rows if u == user and t < time)[-10:]
        assert int(batch.mask[i].sum()) == len(past)
        assert batch.mask[i, :len(past)].all(), "valid positions are a prefix"
        assert batch.behaviors[i, :len(past)].tolist() == [
            [words["movie_id"].get(str(m), OOV), *padded(m), words["rating"][str(r)]] for _, m, r in past]
        assert (batch.behaviors[i, len(past):] == PAD).all()
        pauses = [b - a > 1800 for (a, _, _), (b, _, _) in pairwise(past)]
        assert batch.starts[i].tolist() == ([True, *pauses] if past else []) + [False] * (10 - len(past))
    assert 0.1 < batch.starts.sum() / batch.mask.sum() < 0.9


def test_users_are_described(movielens: Encoded) -> None:
    assert list(movielens.vocabulary("gender")) == ["F", "M"]
    assert set(movielens.vocabulary("zip")) == {"8", "9", "V", "0"}
    assert set(movielens.vocabulary("age")) <= {"under 18", "18-24", "25-34", "35-44", "45-49", "50-55", "56+"}
    assert set(movielens.vocabulary("genres")) <= set(GENRES)
    assert "unknown" in movielens.vocabulary("release_year")
    assert "V" not in movielens.vocabulary("release_year")


def test_behaviors_are_trimmed_but_never_empty(movielens: Encoded) -> None:
    lengths = movielens.columns["end"] - movielens.columns["begin"]
    none = movielens.gather(np.flatnonzero(lengths == 0)[:4])
    assert none.behaviors.shape[:2] == (4, 1) and not none.mask.any()
    assert movielens.gather(np.flatnonzero(lengths == 3)[:2]).behaviors.shape[1] == 3
    empty = movielens.gather(np.array([], dtype=np.int64))
    assert len(empty) == 0 and empty.fields.shape == (0, movielens.schema.slots)


def same(one: Encoded, other: Encoded) -> None:
    assert one.schema == other.schema
    for name, column in one.columns.items():
        np.testing.assert_array_equal(column, other.columns[name])
    for name in one.schema.vocabularies:
        assert one.vocabulary(name) == other.vocabulary(name)


def test_both_formats_give_the_same_data(movielens: Encoded, tmp_path: Path) -> None:
    raw = write_movielens(tmp_path / "raw", form="grouplens")
    same(movielens, DATASETS.get("movielens")(raw=raw, encoded=tmp_path / "encoded", max_len=10).prepare())


def test_real_files_converted_to_grouplens_format(real: Path, tmp_path: Path) -> None:
    source = real / "ml_100k"
    target = tmp_path / "raw"
    target.mkdir()
    table = {end: [line.split("\t") for line in (source / f"ml-100k.{end}").read_text(encoding="utf-8").splitlines()
                   ][1:] for end in ("inter", "item", "user")}
    (target / "u.data").write_text("".join("\t".join(row) + "\n" for row in table["inter"]))
    (target / "u.user").write_text("".join("|".join(row) + "\n" for row in table["user"]))
    items = []
    for movie, title, year, genres in table["item"]:
        flags = "|".join(str(int(g in genres.split(" "))) for g in GENRES)
        items.append(f"{movie}|unknown||||{flags}" if year == "unkonwn" else
                     f"{movie}|{title} ({year})|01-Jan-1995||http://us.imdb.com/M/title-exact?x|{flags}")
    (target / "u.item").write_text("\n".join(items) + "\n\n", encoding="latin-1")
    make = DATASETS.get("movielens")
    recbole = make(raw=Path("none"), encoded=tmp_path / "encoded", source=source).prepare()
    same(recbole, make(raw=target, encoded=tmp_path / "encoded").prepare())
    assert {split: len(rows) for split, rows in recbole.splits.items()} == {"train": 80000, "valid": 10000,
                                                                            "test": 10000}
    assert recbole.schema.fields[-1].width == 6
    assert set(recbole.vocabulary("genres")) == set(GENRES)


@pytest.mark.bad_input
@pytest.mark.parametrize(("name", "change", "words"), [
    ("ml-100k.inter", lambda s: "", ["empty"]),
    ("ml-100k.inter", lambda s: s.splitlines()[0] + "\n", ["nothing follows the header"]),
    ("ml-100k.inter", lambda s: s.replace("rating:float", "stars:float"), ["lacks rating", "stars"]),
    ("ml-100k.inter", lambda s: s[:-12], ["line 2501", "3 columns", "cut off"]),
    ("ml-100k.inter", lambda s: s[:-4], ["line 2501", "column 'timestamp'"]),
    ("ml-100k.inter", lambda s: s + "1\t2\tgood\t875000000\n", ["line 2502", "column 'rating'", "'good'"]),
    ("ml-100k.inter", lambda s: s + "1\t2\tnan\t875000000\n", ["line 2502", "column 'rating'", "'nan'"]),
    ("ml-100k.inter", lambda s: s + "1\t2\t9\t875000000\n", ["line 2502", "column 'rating'", "from 1 to 5"]),
    ("ml-100k.inter", lambda s: s + "1\t999\t3\t875000000\n", ["line 2502", "column 'movie'", "'999'", "ml-100k.item"]),
    ("ml-100k.inter", lambda s: s + "999\t1\t3\t875000000\n", ["line 2502", "column 'user'", "'999'", "ml-100k.user"]),
    ("ml-100k.inter", lambda s: "\n".join(s.splitlines()[:4]) + "\n", ["too few"]),
    ("ml-100k.item", lambda s: s.replace("class:", "genre:"), ["lacks class"]),
    ("ml-100k.item", lambda s: s[:-3], ["line 81", "column 'class'", "genres of"]),
    ("ml-100k.item", lambda s: s + s.splitlines()[-1] + "\n", ["line 82", "earlier line"]),
    ("ml-100k.user", lambda s: s.replace("\n5\t", "\nfive\t"), ["line 6", "column 'user_id'", "'five'"]),
])
def test_bad_files_are_refused(name: str, change: object, words: list[str], tmp_path: Path) -> None:
    raw = write_movielens(tmp_path / "raw")
    text = (raw / name).read_text(encoding="utf-8")
    (raw / name).write_text(change(text), encoding="utf-8")  # type: ignore[operator]
    with pytest.raises(AmeirError) as error:
        DATASETS.get("movielens")(raw=raw, encoded=tmp_path / "encoded").prepare()
    for word in (str(raw / name), *words, "ameir data fetch dataset=movielens"):
        assert word in str(error.value)
    assert not any((tmp_path / "encoded").glob("*")), "bad input leaves nothing behind"


@pytest.mark.bad_input
@pytest.mark.parametrize(("change", "words"), [
    (lambda s: s[:-4], ["line 80", "columns where 24"]),
    (lambda s: s.replace("|0|", "|x|", 1), ["line 1", "'x'", "from 0 to 1"]),
    (lambda s: s.replace("|1", "|0"), ["no genre flag"]),
])
def test_bad_grouplens_items_are_refused(change: object, words: list[str], tmp_path: Path) -> None:
    raw = write_movielens(tmp_path / "raw", form="grouplens")
    text = (raw / "u.item").read_text(encoding="latin-1")
    (raw / "u.item").write_text(change(text), encoding="latin-1")  # type: ignore[operator]
    with pytest.raises(AmeirError) as error:
        DATASETS.get("movielens")(raw=raw, encoded=tmp_path / "encoded").prepare()
    assert all(word in str(error.value) for word in words), str(error.value)


@pytest.mark.bad_input
def test_bad_ratings_are_skipped_and_counted(tmp_path: Path) -> None:
    raw = write_movielens(tmp_path / "raw")
    make = DATASETS.get("movielens")
    clean = make(raw=raw, encoded=tmp_path / "encoded", on_bad_row="skip").prepare()
    with (raw / "ml-100k.inter").open("a") as file:
        file.write("1\t2\tgood\t875000000\n1\t2\n-1\t2\t3\t875000000\n1\t999\t3\t875000000\n999\t1\t3\t875000000\n"
                   f"{2**63}\t1\t3\t875000000\nuser_id:token\titem_id:token\trating:float\ttimestamp:float\n")
    skipped = make(raw=raw, encoded=tmp_path / "encoded", on_bad_row="skip").prepare()
    same(clean, skipped)
    notes = skipped.manifest["notes"]
    assert notes["bad rows, skipped"] == 7 and len(notes["the first of them"]) == 5
    assert "bad rows, skipped" not in clean.manifest["notes"]


@pytest.mark.bad_input
@pytest.mark.parametrize(("name", "row"), [("ml-100k.user", "x\t20\tM\twriter\t02138\n"), ("ml-100k.item", "9\n")])
def test_users_and_movies_must_be_whole(name: str, row: str, tmp_path: Path) -> None:
    raw = write_movielens(tmp_path / "raw")
    with (raw / name).open("a", encoding="utf-8") as file:
        file.write(row)
    with pytest.raises(AmeirError, match=f"{name}, line [68][12].*leaves out ratings alone"):
        DATASETS.get("movielens")(raw=raw, encoded=tmp_path / "encoded", on_bad_row="skip").prepare()


@pytest.mark.bad_input
def test_missing_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "ml-100k.inter").write_text("x")
    with pytest.raises(AmeirError) as error:
        DATASETS.get("movielens")(raw=tmp_path, encoded=tmp_path / "encoded").prepare()
    for word in ("ml-100k.item", "ml-100k.user", "u.item", "grouplens.org", "no redistribution", "commercial",
                 "ameir data fetch dataset=movielens", "dataset.source="):
        assert word in str(error.value)
    assert str(tmp_path / "ml-100k.inter") not in str(error.value)


@pytest.mark.bad_input
def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    raw = write_movielens(tmp_path / "raw")
    (raw / "ml-100k.user").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(AmeirError, match="line 1: byte 1 of the line is not UTF-8"):
        DATASETS.get("movielens")(raw=raw, encoded=tmp_path / "encoded").prepare()


def test_settings_are_closed_and_checked(tmp_path: Path) -> None:
    with pytest.raises(AmeirError, match="max_len=0"):
        DATASETS.get("movielens")(raw=tmp_path, encoded=tmp_path, max_len=0)
    with pytest.raises(TypeError):
        DATASETS.get("movielens")(raw=tmp_path, encoded=tmp_path, maxlen=3)  # type: ignore[call-arg]


def test_generated_ratings_can_be_learned(movielens: Encoded) -> None:
    train, test = movielens.splits["train"], movielens.splits["test"]
    movie, label = movielens.columns["fields"][:, 7], movielens.columns["label"]
    liked = np.bincount(movie[:train.stop], label[:train.stop], minlength=200)
    score = ((liked + 1) / (np.bincount(movie[:train.stop], minlength=200) + 2))[movie[test.start:]]
    positive, negative = score[label[test.start:] == 1], score[label[test.start:] == 0]
    above = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    assert above.mean() > 0.65, "AUC of the movies' means alone"
    assert 0.2 < label.mean() < 0.8
