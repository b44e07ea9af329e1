"""Histories from an event table of any size: sorted by user and time in parts, each event stored once."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa

from ameir_pl.data.spill import Spill
from ameir_pl.data.ties import HistoryTies

USER, TIME, TRAIN, STARTS = "@user", "@time", "@train", "@starts"
"""Reserved names of columns: whose row or event it is, when it was, whether a train row sees the event, whether the
event begins a session."""
PAUSE = 30 * 60
"""Seconds: a session ends where its user does nothing for longer (DSIN, Feng et al. 2019)."""
_CODE, _BUCKET = "@code", "@bucket"


class Histories(NamedTuple):
    """Events of all users, and where each row's history lies among them.

    Args:
        events: the behavior columns, ``@train``, and ``@starts`` where sessions are known; sorted by user and time.
        begin, end: (rows,) int64; the history of a row is the last T events of ``begin:end``.
        unsorted: users whose events did not come in the order of time.
        strays: events of users that no row has.
        owned: rows whose user has events, at any time; None where histories are no events.
        ties: what equal times do to them; None for histories that are lists.
    """

    events: Spill
    begin: np.ndarray
    end: np.ndarray
    unsorted: int
    strays: int
    owned: int | None = None
    ties: HistoryTies | None = None


def collect(events: Iterable[pl.DataFrame], users: pl.DataFrame, codes: np.ndarray, times: np.ndarray,
            train: np.ndarray, max_len: int, folder: Path, buckets: int, pause: int = 0, least: int = 1,
            own_events: bool = False) -> Histories:
    """Sort events by user and time, and point each row at those strictly before it.

    Events go to one file for each range of users and are sorted range by range, so the memory needed is that of the
    largest range. Events that no row will ever see are dropped: a row sees its last ``max_len``.

    Args:
        events: tables with ``@user``, ``@time`` (whole numbers) and the behavior columns; in any order. Events of
            one user and time stay in their order.
        users: ``@user``, each once; its row is the user's code. Of ``events``' type.
        codes: (rows,) int32, each row's user.
        times: (rows,) int64, each row's time, in the unit of the events'.
        train: (rows,) bool.
        max_len: T.
        folder: for files on the way; they stay there.
        buckets: how many ranges of users.
        pause: the longest one within a session, in the unit of times; 0: sessions are not known.
        least: events of a session that must lie before a row for the row to see them; 1: all are seen.
        own_events: each row is an event itself, which is no tie.
    """
    numbered = users.with_row_index(_CODE)
    wide = max(-(-len(users) // max(buckets, 1)), 1)
    strays, paths = _distribute(events, numbered, wide, folder)
    order = np.argsort(codes, kind="stable")
    spill = Spill(folder / "events")
    begin, end = np.zeros(len(codes), np.int64), np.zeros(len(codes), np.int64)
    unsorted = kept = owned = unseen = tied = 0
    for bucket in range(-(-len(users) // wide)):
        first, last = np.searchsorted(codes, [bucket * wide, (bucket + 1) * wide], sorter=order)
        rows = order[first:last]
        if bucket not in paths:
            begin[rows] = end[rows] = kept
            continue
        table = pl.read_ipc_stream(paths[bucket])
        paths[bucket].unlink()
        arrived = table.sort(_CODE, maintain_order=True).select(
            pl.col(_CODE), (pl.col(TIME).diff() < 0).alias("back") & (pl.col(_CODE).diff() == 0))
        unsorted += arrived.filter(pl.col("back"))[_CODE].n_unique()
        table = table.sort(_CODE, TIME, maintain_order=True)
        if least > 1:
            session = np.cumsum(session_starts(table[_CODE].to_numpy(), table[TIME].to_numpy(), pause)) - 1
            table = table.filter(pl.Series(np.bincount(session)[session] >= least))
        owner = table[_CODE].to_numpy()
        starts = session_starts(owner, table[TIME].to_numpy(), pause) if pause else None
        start, stop = _pointers(owner, table[TIME].to_numpy(), codes[rows], times[rows])
        unseen += int(_at_same_time(stop + own_events, owner, table[TIME].to_numpy(), codes[rows], times[rows]).sum())
        if least > 1 and starts is not None:
            stop = _behind_short(starts, start, stop, least)
        owned += int(np.isin(codes[rows], owner).sum())
        seen = _seen(start, stop, max_len, len(table))
        by_train = _seen(start[train[rows]], stop[train[rows]], max_len, len(table))
        tied += int((seen & _tied(owner, table[TIME].to_numpy())).sum())
        before = np.concatenate([[0], np.cumsum(seen)])
        begin[rows], end[rows] = kept + before[start], kept + before[stop]
        flags = [pl.Series(TRAIN, by_train)]
        if starts is not None:  # of all events: one that is dropped may lie between two of a session
            flags.append(pl.Series(STARTS, starts))
        spill.add(table.drop(_CODE, TIME).with_columns(flags).filter(pl.Series(seen)))
        kept += int(before[-1])
    return Histories(spill, begin, end, unsorted, strays, owned, HistoryTies(len(codes), unseen, kept, tied))


def session_starts(owner: np.ndarray, when: np.ndarray, pause: int) -> np.ndarray:
    """Return which of events sorted by owner and time begin a session, (events,) bool.

    It is an owner's first event, and each that comes more than ``pause`` after the one before.
    """
    starts = np.ones(len(owner), bool)
    starts[1:] = (owner[1:] != owner[:-1]) | (when[1:] - when[:-1] > pause)
    return starts


def _behind_short(starts: np.ndarray, start: np.ndarray, stop: np.ndarray, least: int) -> np.ndarray:
    """Return ``stop`` put back to where the last session begins, where fewer than ``least`` of its events lie before:
    how long a session became is not known until it is over.

    Args:
        starts: (events,) bool, which events begin a session.
        start, stop: (rows,) where the events of a row's user begin, and how far those before the row reach.
        least: events that a session needs.
    """
    if not len(starts):
        return stop
    begun = np.maximum.accumulate(np.where(starts, np.arange(len(starts)), 0))[np.maximum(stop - 1, 0)]
    return np.where((stop > start) & (stop - begun < least), begun, stop)


def _distribute(events: Iterable[pl.DataFrame], numbered: pl.DataFrame, wide: int, folder: Path
                ) -> tuple[int, dict[int, Path]]:
    """Write each event to the file of its user's range; returns the number of strays, and the files."""
    writers: dict[int, pa.ipc.RecordBatchStreamWriter] = {}
    paths: dict[int, Path] = {}
    strays = 0
    try:
        for table in events:
            known = table.join(numbered, on=USER, how="inner", maintain_order="left").drop(USER)
            strays += len(table) - len(known)
            known = known.with_columns((pl.col(_CODE) // wide).alias(_BUCKET))
            for (bucket,), part in known.partition_by(_BUCKET, maintain_order=True, include_key=False,
                                                      as_dict=True).items():
                batch = part.to_arrow(compat_level=pl.CompatLevel.oldest())
                if bucket not in writers:
                    paths[bucket] = folder / f"bucket-{bucket:05d}.arrows"
                    writers[bucket] = pa.ipc.new_stream(str(paths[bucket]), batch.schema)
                writers[bucket].write_table(batch)
    finally:
        for writer in writers.values():
            writer.close()
    return strays, paths


def _pointers(owner: np.ndarray, when: np.ndarray, codes: np.ndarray, times: np.ndarray
              ) -> tuple[np.ndarray, np.ndarray]:
    """Where each row's user begins among sorted events, and how far the events strictly before the row reach."""
    begin = np.searchsorted(owner, codes, side="left")
    low, high = begin, np.searchsorted(owner, codes, side="right")
    # A binary search of all rows at once, each among the events of its user.
    while (searching := low < high).any():
        middle = (low + high) // 2
        earlier = searching & (when[np.minimum(middle, len(when) - 1)] < times)
        low, high = np.where(earlier, middle + 1, low), np.where(searching & ~earlier, middle, high)
    return begin, low


def _at_same_time(place: np.ndarray, owner: np.ndarray, when: np.ndarray, codes: np.ndarray, times: np.ndarray
                  ) -> np.ndarray:
    """Which rows have an event of their user at their time at a place among sorted events, (rows,) bool."""
    if not len(when):
        return np.zeros(len(place), bool)
    there = np.minimum(place, len(when) - 1)
    return (place < len(when)) & (owner[there] == codes) & (when[there] == times)


def _tied(owner: np.ndarray, when: np.ndarray) -> np.ndarray:
    """Which of sorted events share owner and time with another, (events,) bool."""
    same = np.r_[False, (owner[1:] == owner[:-1]) & (when[1:] == when[:-1]), False]
    return same[1:] | same[:-1]


def _seen(start: np.ndarray, stop: np.ndarray, max_len: int, count: int) -> np.ndarray:
    """Which of ``count`` events lie among the last ``max_len`` of ``start:stop`` of any row, (count,) bool."""
    steps = np.zeros(count + 1, np.int64)
    np.add.at(steps, np.maximum(start, stop - max_len), 1)
    np.add.at(steps, stop, -1)
    return np.cumsum(steps[:-1]) > 0


def from_lists(rows: Spill, columns: dict[str, str], train: np.ndarray, max_len: int, folder: Path) -> Histories:
    """Return the histories of rows that hold them as lists, latest last.

    Args:
        rows: with the list columns.
        columns: behavior field → list column.
        train: (rows,) bool.
        max_len: T; the last T elements are kept.
        folder: for the events.
    """
    spill = Spill(folder / "events")
    begin, end = np.zeros(rows.rows, np.int64), np.zeros(rows.rows, np.int64)
    kept = 0
    for part, table in rows.read(list(columns.values())):
        cut = table.select(pl.col(column).list.tail(max_len).alias(name) for name, column in columns.items())
        lengths = cut[next(iter(columns))].list.len().fill_null(0).to_numpy().astype(np.int64)
        stop = kept + np.cumsum(lengths)
        begin[part], end[part] = stop - lengths, stop
        kept = int(stop[-1])
        flags = pl.Series(TRAIN, train[part])
        filled = pl.Series(lengths > 0)
        spill.add(cut.with_columns(flags).filter(filled).explode(list(columns)))
    return Histories(spill, begin, end, 0, 0)
