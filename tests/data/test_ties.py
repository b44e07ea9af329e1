"""Ties in time: what the order of lines decides is counted, noted and, where it decides the split, warned of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ameir_pl.data import DATASETS, Encoded
from ameir_pl.data.ties import Ties
from tests.data.sequence_helpers import prepare

TIED = "interactions in the order of lines, at the same time as another of their user"
HELD = "users whose validation or test item is one of these"
COPIES = "interactions that repeat user, item and time of another"
DAY = 86_400


def ties(*sequences: str) -> Ties:
    """Each sequence is of one user: items as letters, with a blank where time goes on."""
    events = [(user, time, ord(item) - 97) for user, text in enumerate(sequences)
              for time, items in enumerate(text.split()) for item in items]
    return Ties.count(*(np.array(column) for column in zip(*events, strict=True)))


@pytest.mark.parametrize(("sequence", "tied", "decided"), [
    ("a b c d e", 0, 0), ("ab c d e", 2, 0), ("a bc d e", 2, 0), ("a b cd e", 2, 1), ("a b c de", 2, 1),
    ("a b cde", 3, 1), ("abcde", 5, 1), ("ab cd e", 4, 1), ("aa b c d", 0, 0), ("a b cc d", 0, 0), ("a b c dd", 0, 0),
    ("a b aab", 3, 1), ("a b ccd d e f", 3, 0)])
def test_what_lines_decide(sequence: str, tied: int, decided: int) -> None:
    found = ties("x y z", sequence, "z y x")
    assert (found.tied, found.users, found.decided) == (tied, 3, decided)
    assert found.interactions == 6 + len(sequence.replace(" ", ""))


@pytest.mark.parametrize(("sequence", "copies", "given_away"), [
    ("a b a b a", 0, 0), ("aa b c d", 1, 0), ("a b c dd", 1, 1), ("a bb c", 1, 1), ("aaa b bcb", 3, 1)])
def test_copies(sequence: str, copies: int, given_away: int) -> None:
    found = ties("x y z", sequence)
    assert (found.copies, found.given_away) == (copies, given_away)


def test_a_user_ends_a_moment() -> None:
    assert ties("a b c", "d e f").tied == 0
    one = Ties.count(np.array([0, 0, 0, 1, 1, 1]), np.array([1, 2, 3, 3, 4, 5]), np.arange(6))
    assert one == Ties(6, 0, 0, 2, 0, 0) and one.notes() == {} and one.warnings("") == []
    assert Ties.count(*(np.zeros(0, np.int64),) * 3) == Ties(0, 0, 0, 0, 0, 0)


def test_few_are_noted_and_many_are_warned_of() -> None:
    few = Ties(100_000, 7, 2, 10_000, 3, 1)
    assert few.notes() == {TIED: "7 of 100,000", HELD: "3 of 10,000", COPIES: "2 of 100,000"} and not few.warnings("")
    many = Ties(1_000, 996, 0, 50, 47, 0)
    assert many.notes() == {TIED: "996 of 1,000 (99.6 %)", HELD: "47 of 50 (94.0 %)"}
    (warning,) = many.warnings("Do this.")
    assert "the order of lines decides which items of 47 of 50 (94.0 %) users are held out" in warning
    assert warning.endswith("Do this.")


def events(days: bool, users: int = 20, taken: int = 12) -> list[tuple[int, int, int]]:
    """User, item and time; with days four interactions have the time of one."""
    generator = np.random.default_rng(0)
    return [(u, int(i), 1_600_000_000 // DAY * DAY + (t // 4 * DAY if days else t * DAY)) for u in range(users)
            for t, i in enumerate(generator.permutation(150)[:taken])]


def of_table(folder: Path, rows: list[tuple[int, int, int]], more: str = "") -> Encoded:
    folder.mkdir(exist_ok=True)
    (folder / "t.csv").write_text("user_id,item_id,day,seq\n" + "".join(
        f"{u},{i},{t},{n}\n" for n, (u, i, t) in enumerate(rows)))
    (folder / "t.yaml").write_text("task: retrieval\ninput: t.csv\nuser: user_id\nitem: item_id\n"
                                   f"time: {more or 'day'}\nbehaviors: {{max_len: 20}}\n")
    return DATASETS.get("table")(raw=folder, encoded=folder / "encoded", source=folder / "t.yaml").prepare()


def test_a_table_with_days_for_times(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    encoded = of_table(tmp_path, events(days=True))
    assert encoded.manifest["notes"] | {TIED: "240 of 240 (100.0 %)", HELD: "20 of 20 (100.0 %)"} == \
        encoded.manifest["notes"]
    first = " ".join(capsys.readouterr().err.split())
    of_table(tmp_path, events(days=True))
    again = " ".join(capsys.readouterr().err.split())
    for text in (first, again):  # said whenever the data are used
        assert "table: warning: the order of lines decides which items of 20 of 20 (100.0 %) users are held out" in text
        assert "t.yaml that has finer times, or whole numbers that count in the true order ('day' is taken now)" in text
    assert f"{TIED}: 240 of 240" in first


def test_finer_times_or_a_column_of_the_order_are_no_ties(tmp_path: Path) -> None:
    fine = of_table(tmp_path / "fine", events(days=False))
    ordered = of_table(tmp_path / "ordered", events(days=True), "seq")
    for encoded in (fine, ordered):
        assert encoded.manifest["warnings"] == [] and TIED not in encoded.manifest["notes"]
    assert np.array_equal(fine.columns["values"], ordered.columns["values"])
    # The order of lines does not matter then.
    shuffled = events(days=False)
    np.random.default_rng(1).shuffle(shuffled)
    assert np.array_equal(of_table(tmp_path / "shuffled", shuffled).columns["values"], fine.columns["values"])


def as_ratings(rows: list[tuple[int, int, int]]) -> str:
    return "user,item,rating,timestamp\n" + "".join(f"{u},{i},5,{t}\n" for u, i, t in rows)


def as_reviews(rows: list[tuple[int, int, int]]) -> str:
    return "".join(json.dumps({"reviewerID": f"A{u}", "asin": f"B{i}", "unixReviewTime": t}) + "\n" for u, i, t in rows)


def as_steam(rows: list[tuple[int, int, int]]) -> str:
    return "".join(json.dumps({"username": f"A{u}", "product_id": f"B{i}", "date": str(np.datetime64(t, "s"))[:10]})
                   + "\n" for u, i, t in rows)


@pytest.mark.parametrize(("write", "name"), [(as_ratings, "beauty"), (as_reviews, "amazon"), (as_steam, "steam")])
def test_publishers_files(write: Any, name: str, tmp_path: Path) -> None:
    """Days are what Amazon and Steam give."""
    found = []
    for days in (False, True):
        path = tmp_path / f"{days}.json"
        path.write_text(write(events(days)))
        found.append(prepare(path, tmp_path / "encoded", name, min_count=1).manifest)
    fine, coarse = found
    assert fine["warnings"] == [] and TIED not in fine["notes"]
    assert coarse["notes"][TIED] == "240 of 240 (100.0 %)" and coarse["notes"][HELD] == "20 of 20 (100.0 %)"
    (warning,) = coarse["warnings"]
    assert "20 of 20 (100.0 %) users" in warning and "dataset.source=FILE" in warning


def test_only_what_is_kept_counts(tmp_path: Path) -> None:
    """Ties with what the core filter drops, or of users with too few items, decide nothing."""
    rows = events(days=False, users=60, taken=30)
    rows += [(u, 1000 + u, t) for u, _, t in rows[29::30]]  # rare items at the time of each user's last one
    rows += [(99, 5, 7), (99, 6, 7)]
    path = tmp_path / "r.csv"
    path.write_text(as_ratings(rows))
    found = prepare(path, tmp_path / "encoded", min_count=3).manifest
    assert found["warnings"] == [] and TIED not in found["notes"]
    loose = prepare(path, tmp_path / "encoded", min_count=1).manifest
    assert loose["notes"][HELD] == "60 of 60 (100.0 %)"


def test_files_in_order_have_no_ties(sequence_files: dict[str, Path], tmp_path: Path) -> None:
    for kind in ("lines", "pairs"):
        manifest = prepare(sequence_files[kind], tmp_path / kind).manifest
        assert manifest["warnings"] == [] and TIED not in manifest["notes"]


def test_copies_of_lines_are_said(tmp_path: Path) -> None:
    rows = events(days=False)
    manifest = of_table(tmp_path, [row for row in rows for _ in (0, 1)]).manifest
    assert manifest["notes"][COPIES] == "240 of 480 (50.0 %)" and TIED not in manifest["notes"]
    (warning,) = manifest["warnings"]
    assert "a held-out item of 20 of 20 (100.0 %) users is there twice with the same time" in warning
