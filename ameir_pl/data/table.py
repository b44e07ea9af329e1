"""Table: any table of a user's own, loaded by describing it in a YAML file. See docs/your-own-data.md."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from ameir_pl.data.bad_rows import Policy
from ameir_pl.data.dataset import DATASETS, Dataset
from ameir_pl.data.encoded_sequences import RANKED, EncodedSequences
from ameir_pl.data.histories import PAUSE, TIME, USER
from ameir_pl.data.leave_one_out import leave_one_out, most_items
from ameir_pl.data.sequence_files import core
from ameir_pl.data.splits import GivenSplit, TimeSplit
from ameir_pl.data.store import SCRATCH, Tables
from ameir_pl.data.table_columns import (
    Output,
    behavior_lists,
    field_output,
    key_output,
    split_output,
    time_output,
)
from ameir_pl.data.table_description import Behaviors, read_description
from ameir_pl.data.table_encoder import Events, encode_table
from ameir_pl.data.table_fields import FieldSpec
from ameir_pl.data.table_label import label_output
from ameir_pl.data.table_plan import LABEL, LISTED, SPLIT, Plan
from ameir_pl.data.table_reader import TableReader
from ameir_pl.data.table_times import COARSE, Clock
from ameir_pl.errors import AmeirError
from ameir_pl.pages import page
from ameir_pl.schema import Field

BUCKET = 2**28
"""Bytes of event files for each range of users that events are sorted in."""


class NoEvents(AmeirError):
    """None of the events is of a user of the rows."""


@DATASETS.register("table")
class Table(Dataset):
    """A table of the user's own: click-through rows, or interactions for next-item models.

    Args:
        raw, encoded, on_bad_row: as :class:`Dataset`; ``raw`` is not used.
        source: the description.
        max_len: T, instead of the description's; 0 leaves it.

    Attributes:
        description: what the YAML file says.

    Raises:
        AmeirError: no description is named, or there is a mistake in it.
    """

    name = "table"
    version = 4
    in_parts = True

    def __init__(self, *, raw: Path | str, encoded: Path | str, source: Path | str | None = None, max_len: int = 0,
                 on_bad_row: Policy = "fail") -> None:
        super().__init__(raw=raw, encoded=encoded, source=source, max_len=max_len, on_bad_row=on_bad_row)
        if self.source is None:
            raise AmeirError("table: name the description of your table: dataset.source=clicks.yaml. "
                             "`ameir data infer input=TABLE label=COLUMN` writes one; "
                             f"{page('your-own-data.md')} tells how.")
        if max_len < 0:
            raise AmeirError(f"table: max_len={max_len}; it must be at least 1, or 0 for what the description says.")
        self.description = read_description(self.source)
        if self.description.task == "retrieval":
            self.opens = EncodedSequences  # type: ignore[misc]
            self.version = type(self).version + 1  # type: ignore[misc]

    @property
    def stages(self) -> tuple[int, ...]:
        """The steps of the search that make sense: 1 with behaviors, 2 and 3 with two fields or more."""
        return self.description.stages

    @property
    def protocol(self) -> str:
        """How rows are split and measured."""
        if self.description.task == "retrieval":
            return f"leave one out; test item ranked among {RANKED} uniform negatives, ties half a rank"
        return self.description.rule

    def files(self) -> dict[str, Path]:
        """Return the description and every file that it names."""
        about = self.description
        sources = {"rows": about.source} | {f"side {i}": j.source for i, j in enumerate(about.joins, 1)}
        if about.behaviors is not None and about.behaviors.source is not None:
            sources["events"] = about.behaviors.source
            sources |= {f"events side {i}": j.source for i, j in enumerate(about.behaviors.joins, 1)}
        found = {"description": about.path}
        for part, source in sources.items():
            paths = source.paths()
            found |= {part if len(paths) == 1 else f"{part} {i:05d}": path for i, path in enumerate(paths)}
        return found

    def encode(self, files: dict[str, Path], folder: Path) -> Tables:
        """Read and encode the table; raises ``AmeirError`` with file, line or row, and column for bad input."""
        with self.executor.at(folder):
            return self._encode(files, folder)

    def _encode(self, files: dict[str, Path], folder: Path) -> Tables:
        about = self.description
        reader = TableReader(about.source, about.joins, about.missing, self.on_bad_row)
        if about.task == "retrieval":
            return self._sequences(reader, folder)
        behaviors = about.behaviors
        for place, column in (("user", about.user), ("time", about.time)):
            if column and (behaviors is None or behaviors.source is None):
                reader.check(column, place)
        clock, outputs = self._outputs(reader)
        events, event_reader = None, None
        if behaviors is not None and behaviors.source is not None:
            event_reader = TableReader(behaviors.source, behaviors.joins, about.missing, self.on_bad_row)
            there = event_reader.clock(behaviors.time, "behaviors.time", behaviors.time_format)
            if clock is None:
                raise AmeirError(f"{about.path}: time: is missing: the column of the rows with the time, which "
                                 "histories end before.")
            names = f"{reader.path}, column '{about.time}',", f"{event_reader.path}, column '{behaviors.time}'"
            clock, there = clock.joint(there, *names), there.joint(clock, *names[::-1])
            events = self._events(event_reader, behaviors, there, folder)
        outputs += self._timed(reader, clock)
        if about.user:  # without events a row may be of nobody
            outputs.append(key_output(about.user, USER, "user", gaps=events is None))
        pause = 0 if clock is None or events is None else clock.pause(PAUSE)
        tables = encode_table(self._plan(files, pause), reader.parts(outputs), folder, reader.path, reader.bad.advice,
                              events, self.executor)
        reader.check_joins()
        if about.split_is_default:
            tables.notes["split"] = f"at random, because {about.path} has neither `split` nor `time`"
        if clock is not None and clock.daily and any(f.part == "hour" for f in about.fields):
            tables.notes["hour"] = f"0 in every row: '{about.time}' has no time of day"
        tables.notes.update(_coarse(clock, about.time))
        tables.notes.update(reader.notes)
        if event_reader is not None:
            strays = tables.notes.get("events of users without a row, left out", 0)
            rows = event_reader.tally.rows
            if rows == 0 or strays == rows:
                raise NoEvents(
                    f"{event_reader.path}, column '{behaviors.user if behaviors else ''}': none of its "
                    f"{rows} events is of a user of {reader.path} (column '{about.user}')"
                    f"{event_reader.beside(behaviors.user if behaviors else '', reader, about.user)}. Are these the "
                    f"right columns? They are `user` and `behaviors.user` in {about.path}.")
            event_reader.check_joins()
            tables.notes.update({f"events: {what}": n for what, n in event_reader.notes.items()})
        return tables

    def _outputs(self, reader: TableReader) -> tuple[Clock | None, list[Output]]:
        """The clock of the rows, and the outputs that need none of the events'."""
        about = self.description
        clock = reader.clock(about.time, "time", about.time_format) if about.time and self._needs_time() else None
        outputs = [label_output(about.label, about.label_rule, LABEL)]
        for f in about.fields:
            if f.part is None:
                outputs.append(field_output(f))
            elif f.columns[0] != about.time or clock is None:
                outputs.append(field_output(f, reader.clock(f.columns[0], f.place, self._format_of(f))))
        if isinstance(about.split, GivenSplit):
            outputs.append(split_output(about.split_column, SPLIT))
        if about.behaviors is not None and about.behaviors.source is None:
            outputs.append(behavior_lists(about.behaviors.fields, LISTED))
        return clock, outputs

    def _format_of(self, f: FieldSpec) -> str:
        """How the times of a part field's column are written."""
        about = self.description
        return f.time_format or (about.time_format if f.columns[0] == about.time else "")

    def _timed(self, reader: TableReader, clock: Clock | None) -> list[Output]:
        """The outputs that go by the rows' time."""
        about = self.description
        if clock is None:
            return []
        outputs = [time_output(about.time, clock, TIME, "time")]
        outputs += [field_output(f, clock) for f in about.fields if f.part and f.columns[0] == about.time]
        return outputs

    def _needs_time(self) -> bool:
        behaviors = self.description.behaviors
        return isinstance(self.description.split, TimeSplit) or (behaviors is not None and behaviors.source is not None)

    def _tie_advice(self) -> str:
        """What to do about equal times."""
        about = self.description
        return (f"Name a column as `time` in {about.path} that has finer times, or whole numbers that count in the "
                f"true order ('{about.time}' is taken now). Go on if the lines of one time are in the true order.")

    def _cut_advice(self) -> str:
        """What to do besides about equal times at a cut of the split."""
        split = self.description.split
        if not isinstance(split, TimeSplit):
            return ""
        return "The times are too few to cut where they change. " if split.together else \
            f"`ties: together` under `split` in {self.description.path} cuts where the time changes. Or: "

    def _plan(self, files: dict[str, Path], pause: int) -> Plan:
        about = self.description
        behaviors = about.behaviors or Behaviors(0)
        crossed = tuple(f for f in about.fields if f.kind != "dense")
        sparse = (*behaviors.fields, *crossed)
        events = [path for part, path in files.items() if part.startswith("events")]
        # Compressed files hold several times their bytes.
        size = sum(path.stat().st_size * (4 if path.suffix in (".gz", ".parquet") else 1) for path in events)
        return Plan(self.name, tuple(Field(f.name, f.vocabulary, f.group, 0 if f.kind == "multivalent" else 1)
                                     for f in crossed),
                    about.split, about.rule, tuple(Field(b.name, b.vocabulary) for b in behaviors.fields),
                    tuple(f.name for f in about.fields if f.kind == "dense"),
                    (self.max_len or behaviors.max_len) if behaviors.fields else 0,
                    {f.vocabulary: f.min_count for f in sparse}, {f.name: f.max_len for f in sparse if f.max_len},
                    frozenset(f.name for f in sparse if f.sequence), 1 + size // BUCKET, pause,
                    own_events=behaviors.source is not None and behaviors.source.paths() == about.source.paths(),
                    tie_advice=self._tie_advice(), cut_advice=self._cut_advice())

    def _events(self, reader: TableReader, behaviors: Behaviors, clock: Clock, folder: Path) -> Events:
        outputs = [key_output(behaviors.user, USER, "behaviors.user"),
                   time_output(behaviors.time, clock, TIME, "behaviors.time"),
                   *(_event_field(f, reader) for f in behaviors.fields)]
        return lambda users: reader.parts(outputs).stream(self.executor, folder / SCRATCH)

    def _sequences(self, reader: TableReader, folder: Path) -> Tables:
        """Encode interactions for next-item models."""
        about = self.description
        clock = reader.clock(about.time, "time", about.time_format)
        outputs = [key_output(about.user, "user", "user"), key_output(about.item, "item", "item"),
                   time_output(about.time, clock, "time", "time")]
        parts = list(reader.parts(outputs).stream(self.executor, folder / SCRATCH))
        table = pl.concat(parts).sort("user", "time", maintain_order=True).select("user", "item", "time")
        before = len(table)
        table = core(table, about.core)
        max_len = self.max_len or (about.behaviors.max_len if about.behaviors else 0)
        tables, _ = leave_one_out(
            self.name, table, max_len, reader.path, reader.bad.advice,
            f"Name a column as `time` in {about.path} that has finer times, or whole numbers that count in the true "
            f"order ('{about.time}' is taken now). Go on if the lines of one time are in the true order.")
        items, most = table["item"].n_unique(), most_items(table)
        if items and items - most < RANKED:
            lower = f", or lower `core` ({about.core})" if about.core > 1 else ""
            raise AmeirError(f"{reader.path}: each held-out item is ranked beside {RANKED} items that its user never "
                             f"touched, but there are {items} items in all, and one user has {most} of them. Take "
                             f"more data{lower}. {reader.bad.advice}")
        if about.core > 1:
            tables.notes[f"interactions outside the {about.core}-core, dropped"] = before - len(table)
        tables.notes.update(_coarse(clock, about.time))
        tables.notes.update(reader.notes)
        return tables


def _coarse(clock: Clock | None, column: str) -> dict[str, str]:
    """What is to be noted of times that are rounded."""
    return {"times": f"'{column}' holds numbers {COARSE}"} if clock is not None and clock.coarse else {}


def _event_field(f: FieldSpec, reader: TableReader) -> Output:
    return field_output(f, reader.clock(f.columns[0], f.place, f.time_format) if f.part else None)
