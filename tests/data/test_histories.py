"""Histories: what each row sees, against a slow loop over all events, whatever the chunks, ranges and orders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ameir_pl.data import Encoded, histories
from ameir_pl.data.histories import STARTS, TIME, TRAIN, USER, Histories
from ameir_pl.data.spill import Spill
from ameir_pl.data.splits import GivenSplit
from ameir_pl.data.store import store
from ameir_pl.data.table_encoder import encode_table
from ameir_pl.data.table_plan import LABEL, LISTED, SPLIT, Plan
from ameir_pl.schema import OOV, Field

Event = tuple[int, int, int]  # user, time, number of its arrival


def draw(seed: int, users: int = 12, events: int = 150, rows: int = 80, ordered: bool = False
         ) -> tuple[list[Event], list[tuple[int, int]]]:
    """Events in the order of arrival and rows (user, time): few times, so many are equal; some users have nothing."""
    generator = np.random.default_rng(seed)
    busy = generator.permutation(users)[:users - 3]  # three users without events
    when = generator.integers(0, 15, events)
    when = np.sort(when) if ordered else when
    made = [(int(u), int(t), i) for i, (u, t) in enumerate(zip(generator.choice(busy, events), when, strict=True))]
    made += [(users + 5, 3, events), (users + 6, 4, events + 1)]  # users whom no row has
    # Two users without rows; their events are strays.
    return made, [(int(u), int(t)) for u, t in zip(generator.integers(0, users - 2, rows),
                                                   generator.integers(0, 16, rows), strict=True)]


def seen(events: list[Event], user: int, time: int, max_len: int) -> list[int]:
    """What a row sees, latest last; events of one time in the order of their arrival."""
    past = sorted((t, i) for u, t, i in events if u == user and t < time)
    return [i for _, i in past][-max_len:]


def table(events: list[Event]) -> pl.DataFrame:
    return pl.DataFrame({USER: [u for u, _, _ in events], TIME: [t for _, t, _ in events],
                         "item": [i for _, _, i in events]}, schema={USER: pl.UInt32, TIME: pl.Int64, "item": pl.Int64})


def cut(frame: pl.DataFrame, size: int) -> list[pl.DataFrame]:
    return [frame.slice(i, size) for i in range(0, len(frame), size)]


def collect(folder: Path, events: list[Event], rows: list[tuple[int, int]], max_len: int, train: np.ndarray,
            size: int = 10**6, buckets: int = 1, pause: int = 0) -> Histories:
    folder.mkdir()
    users = sorted({u for u, _ in rows})
    codes = np.array([users.index(u) for u, _ in rows], np.int32)
    return histories.collect(cut(table(events), size), pl.DataFrame({USER: users}, schema={USER: pl.UInt32}), codes,
                             np.array([t for _, t in rows]), train, max_len, folder, buckets, pause)


def stored(found: Histories, column: str) -> list[int]:
    return [value for _, part in found.events.read([column]) for value in part[column].to_list()]


@pytest.mark.parametrize("max_len", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(("size", "buckets"), [(10**6, 1), (7, 3), (1, 4), (13, 500)])
def test_every_row_sees_what_a_slow_loop_sees(tmp_path: Path, max_len: int, size: int, buckets: int) -> None:
    for seed in range(2):
        events, rows = draw(seed)
        train = np.random.default_rng(seed).random(len(rows)) < 0.6
        found = collect(tmp_path / str(seed), events, rows, max_len, train, size, buckets)
        items = stored(found, "item")
        windows = [seen(events, *row, max_len) for row in rows]
        for (begin, end), window in zip(zip(found.begin, found.end, strict=True), windows, strict=True):
            assert items[max(begin, end - max_len):end] == window
        # An event that no row sees is not kept, and each says whether a train row sees it.
        assert sorted(items) == sorted({i for window in windows for i in window})
        by_train = {i for window, is_train in zip(windows, train, strict=True) if is_train for i in window}
        assert stored(found, TRAIN) == [i in by_train for i in items]
        with_rows = {u for u, _ in rows}
        assert found.strays == sum(u not in with_rows for u, _, _ in events)


@pytest.mark.parametrize(("max_len", "pause", "buckets"), [(1, 1, 1), (2, 1, 3), (4, 2, 500), (50, 3, 1)])
def test_sessions_begin_behind_pauses_of_all_events(tmp_path: Path, max_len: int, pause: int, buckets: int) -> None:
    """Whether an event begins a session depends on the one before it, also where no row sees that one."""
    events, rows = draw(4)
    found = collect(tmp_path / "a", events, rows, max_len, np.ones(len(rows), bool), 7, buckets, pause)
    begins = {}
    for user in {u for u, _, _ in events}:
        before = None
        for time, i in sorted((t, i) for u, t, i in events if u == user):
            begins[i] = before is None or time - before > pause
            before = time
    assert stored(found, STARTS) == [begins[i] for i in stored(found, "item")]
    assert 0 < sum(stored(found, STARTS)) < found.events.rows
    assert STARTS not in collect(tmp_path / "b", events, rows, max_len, np.ones(len(rows), bool)).events.schema


def test_users_whose_events_come_unsorted_are_counted(tmp_path: Path) -> None:
    events, rows = draw(1)
    train = np.ones(len(rows), bool)
    times = {user: [t for u, t, _ in events if u == user] for user in {u for u, _ in rows}}
    back = [user for user, when in times.items() if when != sorted(when)]
    assert len(back) > 3
    for i, (size, buckets) in enumerate([(10**6, 1), (5, 4)]):
        assert collect(tmp_path / str(i), events, rows, 3, train, size, buckets).unsorted == len(back)
    events, rows = draw(1, ordered=True)
    assert collect(tmp_path / "ordered", events, rows, 3, train).unsorted == 0


def test_no_event_and_no_row_that_sees_one(tmp_path: Path) -> None:
    _, rows = draw(2)
    train = np.ones(len(rows), bool)
    for name, events in (("none", []), ("late", [(u, 99, 0) for u, _ in rows]), ("strays", [(77, 1, 0)])):
        found = collect(tmp_path / name, events, rows, 2, train, buckets=3)
        assert found.events.rows == 0 and (found.begin == found.end).all()


def test_files_on_the_way_are_removed_range_by_range(tmp_path: Path) -> None:
    events, rows = draw(3)
    collect(tmp_path / "a", events, rows, 2, np.ones(len(rows), bool), buckets=4)
    assert not list((tmp_path / "a").glob("bucket-*"))


@pytest.mark.parametrize("max_len", [1, 2, 3, 5])
def test_lists_are_the_histories_of_their_rows(tmp_path: Path, max_len: int) -> None:
    lists = [[1, 2, 3, 4, 5, 6], None, [], [7], [8, None, 9], [10, 11, 12]]
    genres = [[["a"], ["b", "c"], [], ["a"], ["d"], ["e", "a"]], None, [], [["a", "b"]], [["c"], None, ["c"]],
              [["a"], ["b"], ["c"]]]
    spill = Spill(tmp_path / "rows", segment=2)
    kinds = {"items": pl.List(pl.Int64), "kinds": pl.List(pl.List(pl.String))}
    for i in range(0, 6, 2):
        spill.add(pl.DataFrame({"items": lists[i:i + 2], "kinds": genres[i:i + 2]}, schema=kinds))
    train = np.array([True, False, True, False, True, False])
    found = histories.from_lists(spill, {"item": "items", "genre": "kinds"}, train, max_len, tmp_path)
    items, kept, flags = (stored(found, name) for name in ("item", "genre", TRAIN))
    for row, (begin, end) in enumerate(zip(found.begin, found.end, strict=True)):
        assert items[begin:end] == (lists[row] or [])[-max_len:]
        assert kept[begin:end] == (genres[row] or [])[-max_len:]
        assert flags[begin:end] == [bool(train[row])] * (end - begin)


def encode(folder: Path, events: list[Event] | None, rows: pl.DataFrame, max_len: int, size: int, buckets: int,
           multivalent: bool = False) -> Encoded:
    behaviors = (Field("item", "item"), *((Field("genres", "genres"),) if multivalent else ()))
    fields = (Field("item", "item", "target"), *((Field("genres", "genres", "target", 0),) if multivalent else ()))
    plan = Plan("made", fields, GivenSplit(), "as given", behaviors, (), max_len, buckets=buckets)
    made = None if events is None else (lambda users: cut(table(events).with_columns(pl.col("item") % 7), size))
    store(folder, lambda part: encode_table(plan, cut(rows, size), part, Path("made"), "No advice.", made), {
        "fingerprint": "0" * 16})
    return Encoded(folder)


def same(one: Encoded, other: Encoded) -> None:
    assert one.schema == other.schema
    for name, column in one.columns.items():
        np.testing.assert_array_equal(column, other.columns[name])


def test_an_encoded_row_sees_what_a_slow_loop_sees(tmp_path: Path) -> None:
    for seed, max_len in enumerate((1, 3, 5)):
        events, rows = draw(seed)
        generator = np.random.default_rng(seed)
        split = generator.permutation(np.arange(len(rows)) % 3).astype(np.uint8)
        frame = pl.DataFrame({USER: [u for u, _ in rows], TIME: [t for _, t in rows], "item": [i % 9 for i, _ in rows],
                              LABEL: generator.integers(0, 2, len(rows)), SPLIT: split},
                             schema_overrides={USER: pl.UInt32, LABEL: pl.UInt8, SPLIT: pl.UInt8})
        made = [encode(tmp_path / f"{seed}-{i}", events, frame, max_len, size, buckets)
                for i, (size, buckets) in enumerate([(10**6, 1), (11, 3), (2, 50)])]
        same(made[0], made[1])
        same(made[0], made[2])
        words = made[0].vocabulary("item")
        order = np.argsort(split, kind="stable")
        windows = [[i % 7 for i in seen(events, *rows[r], max_len)] for r in order]
        train = [i for i, r in enumerate(order) if split[r] == 0]
        assert set(words) == {str(v) for i in train for v in [*windows[i], rows[order[i]][0] % 9]}
        batch = made[0].gather(np.arange(len(rows)))
        for i, window in enumerate(windows):
            assert batch.behaviors[i, :, 0][batch.mask[i]].tolist() == [words.get(str(v), OOV) for v in window]
            assert batch.fields[i, 0] == words.get(str(rows[order[i]][0] % 9), OOV)


def test_lists_of_several_ids_a_behavior_are_encoded_as_they_are(tmp_path: Path) -> None:
    generator = np.random.default_rng(5)

    def several(most: int) -> list[str]:
        return [str(v) for v in generator.integers(0, 6, int(generator.integers(0, most + 1)))]

    count = 60
    lengths = generator.integers(0, 6, count)
    items = [[int(v) for v in generator.integers(0, 8, n)] for n in lengths]
    genres = [[several(3) for _ in range(n)] for n in lengths]
    target = [several(2) for _ in range(count)]
    split = (np.arange(count) % 3).astype(np.uint8)
    frame = pl.DataFrame({"item": generator.integers(0, 8, count), "genres": target, LISTED + "item": items,
                          LISTED + "genres": genres, LABEL: generator.integers(0, 2, count), SPLIT: split},
                         schema_overrides={LABEL: pl.UInt8, SPLIT: pl.UInt8, "genres": pl.List(pl.String),
                                           LISTED + "genres": pl.List(pl.List(pl.String))})
    made = [encode(tmp_path / str(size), None, frame, 3, size, 1, multivalent=True) for size in (1000, 7, 1)]
    same(made[0], made[1])
    same(made[0], made[2])
    words = {name: made[0].vocabulary(name) for name in ("item", "genres")}
    assert [b.width for b in made[0].schema.behaviors] == [1, 3]
    batch = made[0].gather(np.arange(count))
    for i, row in enumerate(np.argsort(split, kind="stable")):
        past = list(zip(items[row][-3:], genres[row][-3:], strict=True))
        assert batch.behaviors[i][batch.mask[i]].tolist() == [
            [words["item"].get(str(v), OOV), *([words["genres"].get(g, OOV) for g in several] + [0, 0, 0])[:3]]
            for v, several in past]
