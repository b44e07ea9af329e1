"""Equal times of a described table: a split and histories do not silently depend on the order of lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from ameir_pl.cli.infer import infer
from ameir_pl.data.splits import TimeSplit, assign
from ameir_pl.data.table import Table
from ameir_pl.data.ties import CutTies, HistoryTies

DAYS, A_DAY = 20, 15


def write(folder: Path, seed: int, split: str, days: int = DAYS) -> Table:
    """A table of days with several rows each, its lines in an order that ``seed`` chooses."""
    folder.mkdir()
    rows = DAYS * A_DAY
    table = pl.DataFrame({"click": [i % 2 for i in range(rows)], "user": [f"u{i % 7}" for i in range(rows)],
                          "item": [f"i{i}" for i in range(rows)],
                          "t": [f"2020-09-{1 + i * days // rows:02d}" for i in range(rows)]})
    table.sample(fraction=1, shuffle=True, seed=seed).write_csv(folder / "a.csv")
    (folder / "a.yaml").write_text(f"input: a.csv\nlabel: click\nsplit: {{type: time, column: t{split}}}\n"
                                   "fields: [{name: user}, {name: item}]\n")
    return Table(raw="none", encoded=folder / "encoded", source=folder / "a.yaml")




def test_a_cut_inside_a_day_is_said_with_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = write(tmp_path / "a", 1, ", valid: 0.12, test: 0.12")
    encoded = table.prepare()
    assert encoded.manifest["notes"]["rows of one time on both sides of the cut between train and valid"] == \
        "3 train, 12 valid"
    warning, = encoded.manifest["warnings"]
    assert "12 of the 36 valid rows have the time of 3 train rows" in warning
    assert "6 of the 36 test rows have the time of 9 valid rows" in warning
    assert "`ties: together` under `split`" in warning and "a.yaml" in warning
    assert "warning: 12 of the 36" in capsys.readouterr().err
    table.prepare()
    assert "warning: 12 of the 36" in capsys.readouterr().err, "said whenever the data are used"


def test_whole_times_make_the_split_independent_of_the_order_of_lines(tmp_path: Path) -> None:
    found = []
    for seed in (1, 2):
        encoded = write(tmp_path / f"{seed}", seed, ", valid: 0.12, test: 0.12, ties: together").prepare()
        assert not encoded.manifest["warnings"]
        assert {name: len(rows) for name, rows in encoded.splits.items()} == {"train": 225, "valid": 45, "test": 30}
        found.append(sorted(encoded.vocabulary("item")))
    assert found[0] == found[1] == sorted(f"i{i}" for i in range(225)), "the items of the days that train"


def test_times_too_few_to_cut_between_are_said(tmp_path: Path) -> None:
    warning, = write(tmp_path / "a", 1, ", ties: together", days=2).prepare().manifest["warnings"]
    assert "too few to cut where they change" in warning and "30 of the 30 test rows" in warning


@pytest.mark.parametrize(("times", "cuts"), [
    (range(100), (80, 90)), ([i // 10 for i in range(100)], (80, 90)), ([i // 7 for i in range(100)], (77, 91)),
    ([i // 9 for i in range(100)], (81, 90)), ([0] * 100, (80, 90)), ([i // 50 for i in range(100)], (80, 90)),
    ([i // 40 for i in range(100)], (80, 90))])
def test_cuts_move_to_the_nearest_change_of_time(times: Any, cuts: tuple[int, int]) -> None:
    times = np.array(times)
    split = assign(TimeSplit(0.1, 0.1, together=True), np.zeros(100), times)
    assert (int((split == 0).sum()), int((split < 2).sum())) == cuts
    order = np.random.default_rng(1).permutation(100)
    again = assign(TimeSplit(0.1, 0.1, together=True), np.zeros(100), times[order])
    assert np.array_equal(np.bincount(again), np.bincount(split))
    moved = {times[cut - 1] != times[cut] for cut in cuts} == {True}
    assert (again == split[order]).all() or not moved


def test_infer_keeps_whole_times_together_where_times_are_equal(tmp_path: Path) -> None:
    write(tmp_path / "a", 1, "")
    text = infer(str(tmp_path / "a" / "a.csv"), "click", output=str(tmp_path / "a" / "b.yaml")).read_text()
    assert "test: 0.1, ties: together}" in text
    once = pl.read_csv(tmp_path / "a" / "a.csv").with_columns(t=pl.int_range(10**9, 10**9 + DAYS * A_DAY))
    once.write_csv(tmp_path / "a" / "c.csv")
    assert "ties" not in infer(str(tmp_path / "a" / "c.csv"), "click").read_text()


@pytest.mark.parametrize("own", [True, False])
def test_events_at_the_time_of_a_row_are_counted(own: bool, tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    rows = pl.DataFrame({"click": generator.integers(0, 2, 200), "user": generator.integers(0, 5, 200),
                         "item": generator.integers(0, 9, 200), "t": np.sort(generator.integers(0, 60, 200))})
    rows.write_csv(tmp_path / "a.csv")
    events = rows if own else pl.DataFrame({"user": generator.integers(0, 5, 90), "item": generator.integers(0, 9, 90),
                                            "t": generator.integers(0, 60, 90)})
    events.write_csv(tmp_path / "e.csv")
    (tmp_path / "a.yaml").write_text(f"""
input: a.csv
label: click
user: user
time: t
fields: [{{name: user, dtype: int}}, {{name: item, dtype: int}}]
behaviors: {{max_len: 300, input: {'a.csv' if own else 'e.csv'}, fields: [{{name: item, dtype: int}}]}}
""")
    encoded = Table(raw="none", encoded=tmp_path / "encoded", source=tmp_path / "a.yaml").prepare()
    past = list(events.select("user", "t").iter_rows())
    unseen = sum(past.count(row) > own for row in rows.select("user", "t").iter_rows())
    last = {user: max(t for who, t in rows.select("user", "t").iter_rows() if who == user) for user in range(5)}
    seen = [row for row in past if row[1] < last[row[0]]]
    tied = sum(seen.count(row) > 1 for row in seen)
    notes = encoded.manifest["notes"]
    assert notes["events that some row sees"] == len(seen)
    for words, count, total in (("rows with events of their user at the same time, which", unseen, 200),
                                ("events in the order of lines, at the same time", tied, len(seen))):
        note, = (value for name, value in notes.items() if name.startswith(words))
        assert note.startswith(f"{count} of {total} (")
    assert any("Histories end strictly before a row" in words for words in encoded.manifest["warnings"])
    assert any("stand in the order of lines" in words for words in encoded.manifest["warnings"])


def test_nothing_is_said_without_ties() -> None:
    cuts = CutTies.count(np.array([0, 0, 1, 2]), np.array([1, 1, 2, 3]), ("train", "valid", "test"))
    assert cuts.notes() == {} and cuts.warnings("") == []
    none = HistoryTies(10, 0, 10, 0)
    assert none.notes() == {} and none.warnings("") == []
