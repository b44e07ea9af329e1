"""Guessing the description of a table from its contents, with the reason for every line."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ameir_pl.data.column_facts import Facts, Sample, look
from ameir_pl.data.column_rules import FEW, ITEM, Guess, guess, is_past
from ameir_pl.data.description_writer import MAX_LEN, DescriptionWriter, plain
from ameir_pl.data.label_guess import guess_label
from ameir_pl.data.packed import SUFFIXES
from ameir_pl.data.sample_leaks import sample_leaks
from ameir_pl.data.separators import NAMES, separator_error
from ameir_pl.data.table_fields import reserved
from ameir_pl.data.table_label import LabelRule
from ameir_pl.data.table_sources import Source
from ameir_pl.data.time_columns import TimeChoice, choose_time, time_column
from ameir_pl.data.trial import Trial, try_description
from ameir_pl.data.user_columns import UserChoice, choose_user, user_column
from ameir_pl.errors import AmeirError, did_you_mean
from ameir_pl.pages import page

EVENT_WORDS = 10_000
"""A column of events with more distinct values is taken only where it shares its embeddings with a field."""
_SIDES = (".user", ".item")


NEW = 0.9
"""A column whose values in a larger share of the test rows no train row has tells a model nothing: it is left out."""
REMARK = 0.5
"""From this share on it is said of a column that stays."""
TRIALS = 4


@dataclass
class Guessed:
    """A guessed description.

    Args:
        text: the YAML.
        lines: what each column is taken for, to be shown.
        incomplete: what is missing in it.
        error: why it does not fit the table, which was tried.
        unread: the first row that cannot be read; with on_bad_row=skip such rows are left out.
        fields: columns that it uses.
    """

    text: str = ""
    lines: list[str] = field(default_factory=list)
    incomplete: str = ""
    error: str = ""
    unread: str = ""
    fields: frozenset[str] = frozenset()


def default_output(table: str) -> Path:
    """Return where the description of a table goes: beside it, with its name."""
    path = Path(table)
    if re.search(r"[*?\[]", path.name):
        path = path.with_name(re.split(r"[*?\[]", path.name)[0].rstrip("-_.") or path.parent.name or "table")
    name = path.stem if path.suffix in SUFFIXES and path.suffix != ".zip" else path.name
    return path.with_name((name.rpartition(".")[0] or name) + ".yaml")


def infer_description(table: str, label: str | None, output: Path, events: str | None = None,
                      time: str | None = None, time_format: str = "", *, user: str = "", item: str = "",
                      positive: Sequence[str] = (), separator: str = "", columns: Sequence[str] = ()) -> Guessed:
    """Guess the description of a table, and try it on the table's first rows.

    Args:
        table: a file, folder or glob, as named from the working folder.
        label: its column with the label.
        output: where the description will be; the paths in it are relative to its folder.
        events: a second table, with behaviors.
        time: its column with the time; ``none`` for none; None guesses it.
        time_format: how the times are written; empty where the values tell.
        user, item: its columns with the user and the item; empty guesses them.
        positive: the values of the label that are a click; none guesses them.
        separator: between columns of text; empty guesses it.
        columns: names of the columns of text without a header.

    Raises:
        AmeirError: a table cannot be read, has no such column, or nothing tells what a click is.
    """
    separator = NAMES.get(separator, separator)
    if wrong := separator_error(separator):
        raise AmeirError(f"separator={separator}: {wrong}")
    source = Source(_relative(table, output), output, "input", separator, tuple(columns))
    path = source.paths()[0]
    sample = look(source, label=label, times=(time or "",))
    rule, why = guess_label(sample, label, str(path), positive)
    for name, word in ((user, "user"), (item, "item")):
        if name and name not in sample.facts:
            raise AmeirError(f"{path}: {word}={name}: there is no such column.{did_you_mean(name, sample.facts)}")
        if name:  # whatever it is called
            sample.facts[name] = replace(sample.facts[name], words=sample.facts[name].words | {word})
    own = {name: f for name, f in sample.facts.items() if name != label}
    table_ = _Table(source, path, sample, str(label), rule, why, choose_user(own, str(path), user),
                    choose_time(own.values(), str(path), time, time_format), _sides(path, sample, output),
                    None if events is None else _relative(events, output))
    return _tried(table_)


@dataclass
class _Table:
    """What is known of a table: its sample, and what was chosen."""

    source: Source
    path: Path
    sample: Sample
    label: str
    rule: LabelRule
    why: str
    user: UserChoice
    time: TimeChoice
    sides: dict[str, tuple[str, Sample]]
    events: str | None
    looked: dict[str, Sample] = field(default_factory=dict)


def _tried(table: _Table) -> Guessed:
    """The description of a table, without the columns that a trial shows to be of no use."""
    left_out: dict[str, str] = {}
    remarks: dict[str, str] = {}
    for _ in range(TRIALS):
        guessed = _describe(table, left_out, remarks)
        trial = try_description(guessed.text, table.source.description)
        if not trial.whole and len(table.sample.labels) > 1 and "every train row" in trial.error:
            trial = Trial(whole=False)  # the first rows have one label; the rows behind are not tried
        column = re.search(r"column '([^']+)'", trial.error)
        new = {name: f"new in {100 * share:.0f} % of the test rows" for name, share in trial.new.items()
               if share >= REMARK}
        useless = {name: reason for name, reason in new.items() if trial.new[name] >= NEW and not _kept(table, name)}
        if len(trial.new) - len(useless) < 2:
            useless = {}
        if column and column[1] in guessed.fields and column[1] != table.user.column:
            useless = {column[1]: f"it cannot be read: {trial.error}"}
        fresh = {name: reason for name, reason in new.items() if name not in useless and name not in remarks}
        if not useless and not fresh:
            break
        left_out |= useless
        remarks |= fresh
    guessed.incomplete, guessed.error, guessed.unread = trial.incomplete, trial.error, trial.unread
    if trial.error or trial.incomplete:
        guessed.text = f"# Not ready: {' '.join((trial.error or trial.incomplete).split())}\n{guessed.text}"
    return guessed


def _kept(table: _Table, name: str) -> bool:
    """Whether a field stays though its values are new in the test rows: the user and the item, which histories need."""
    f = table.sample.facts.get(name)
    return f is not None and (name == table.user.column or bool(f.words & ITEM))


def _describe(table: _Table, left_out: Mapping[str, str], remarks: Mapping[str, str]) -> Guessed:
    """The description of a table.

    Args:
        table: the table.
        left_out: fields that are of no use → why.
        remarks: what is to be said of fields.
    """
    sample, sides, user, choice = table.sample, table.sides, table.user.column, table.time
    writer = DescriptionWriter(table.path, sample)
    own = {name: f for name, f in sample.facts.items() if name != table.label}
    writer.top(table.source, table.label, table.rule, table.why, table.user, choice)
    joined = {name: f for _, side in sides.values() for name, f in side.facts.items() if name not in sample.facts}
    if sides:
        writer.add("join:", "the tables beside it")
        for input_, (key, _) in sides.items():
            writer.entry({"input": input_, "on": key}, "")
    everything = own | joined
    past = [f for f in everything.values() if is_past(f)]
    targets = [f for f in everything.values() if f not in past and f.name != choice.column]
    guesses = {f.name: guess(f, sample.facts[user].words if user else frozenset()) for f in targets}
    if table.path.suffix == ".inter":
        guesses = {name: _in_recbole(g, name, sides) for name, g in guesses.items()}
    for name, leak in sample_leaks(sample, table.label, table.rule,
                                   [f for f in targets if guesses[f.name].used]).items():
        guesses[name] = replace(guesses[name], used=False, why=f"it {leak.reason}: is it known before the click?")
    for name, reason in left_out.items():
        if name in guesses and guesses[name].used:
            guesses[name] = replace(guesses[name], why=reason, used=False)
    writer.add("fields:", "")
    for f in targets:
        writer.guess(f, guesses[f.name], remarks.get(f.name, ""))
    if choice.column:
        writer.time_parts(sample, choice, set(everything), left_out)
    used = {f.name: f for f in targets if guesses[f.name].used and guesses[f.name].entry["type"] != "dense"}
    if past:
        writer.lists(past, used, everything, sample)
    elif table.events is not None or table.path.suffix == ".inter":
        _events(writer, table, used, guesses)
    elif user and choice.column:
        writer.note("no histories: events=TABLE describes what users did before; it may be this table itself")
    if sample.unread:
        writer.lines.append(f"{sample.unread:,} lines cannot be read, the first: {sample.bad[0]}")
    return Guessed("\n".join(writer.text) + "\n", writer.lines, fields=frozenset(
        name for name, g in guesses.items() if g.used))


def _relative(table: str, output: Path) -> str:
    return os.path.relpath(table, output.parent or Path())


def _sides(path: Path, sample: Sample, output: Path) -> dict[str, tuple[str, Sample]]:
    """RecBole's side tables beside a ``.inter`` file: input → (key, sample)."""
    found = {}
    for suffix in _SIDES if path.suffix == ".inter" else ():
        beside = path.with_suffix(suffix)
        if beside.is_file():
            side = look(Source(_relative(str(beside), output), output, "join"))
            key = next((name for name in side.facts if name in sample.facts), None)
            if key is not None:
                found[_relative(str(beside), output)] = (key, side)
    return found


def _in_recbole(g: Guess, name: str, sides: dict[str, tuple[str, Sample]]) -> Guess:
    """The group of a field that a side table has is the side table's."""
    for input_, (_, side) in sides.items():
        if name in side.facts and "group" in g.entry:
            g.entry["group"] = "user" if input_.endswith(".user") else "target"
    return g


def _events(writer: DescriptionWriter, table: _Table, used: dict[str, Facts], guesses: dict[str, Guess]) -> None:
    """Describe the histories that come from an event table."""
    events = table.source.input if table.events is None else table.events
    label, user, choice, sides = table.label, table.user.column, table.time, table.sides
    source = Source(events, table.source.description, "events")
    itself = source.paths() == [writer.path]
    sample = table.sample if itself else table.looked.get(events) or look(source, times=(choice.column,))
    table.looked[events] = sample
    facts = {f.name: f for f in sample.facts.values()}
    there = user if user in facts else user_column(facts.values())
    time = choice.column
    when = time if time in facts else time_column(facts.values())
    there_format = choice.time_format if itself else ""
    if when and not itself:
        there_format = choose_time(facts.values(), str(source.paths()[0]), when).time_format
    if not (user and time and there and when):
        lacking = [("user", "user", user, there), ("time", "time", time, when)]
        for word, key, here, yonder in lacking:
            if not (here and yonder):
                where = " and ".join([writer.path.name] * (not here) + [source.paths()[0].name] * (not yonder))
                says = f"{key}=COLUMN names it" if not here else f"call it '{here}', as in {writer.path.name}, or " \
                    f"write `behaviors` as {page('your-own-data.md')} shows"
                writer.note(f"no histories: no column of {where} was taken for the {word}; {says}")
        return
    lines: list[tuple[dict[str, Any], str]] = []
    joins: list[dict[str, str]] = []
    for f in facts.values():
        if f.name in (there, when):
            continue
        if f.name in used and guesses[f.name].entry.get("dtype") == "int" and f.kind != "int":
            lines.append(({"name": f"event_{f.name}", "from": f.name}, "not whole numbers here, so not shared"))
        elif f.name in used and (f.words & ITEM or not itself):
            lines.append((_shared(f.name, f.name, guesses[f.name].entry), "shared with the field"))
        elif itself and f.name != label or f.distinct < 2 or reserved(f.name) \
                or f.kind in ("date", "nested", "bytes", "empty", "list"):
            continue
        elif f.distinct <= (FEW if f.kind == "float" else EVENT_WORDS) and not f.splitter:
            dtype = {"int": "int", "float": "float"}.get(f.kind, "str")
            lines.append(({"name": f.name, "dtype": dtype}, f.seen))
    for input_, (key, side) in sides.items():
        extra = [f for f in side.facts.values() if f.name in used and f.name != key]
        if itself and input_.endswith(".item") and extra:
            joins.append({"input": input_, "on": key})
            lines += [(_shared(f.name, f.name, guesses[f.name].entry), "shared with the field") for f in extra]
    if not lines:
        writer.note(f"no histories: no column of {source.paths()[0].name} could be used")
        return
    writer.add("behaviors:", "what the user did strictly before a row")
    for text in (f"max_len: {MAX_LEN}", f"input: {plain(events)}", f"user: {plain(there)}", f"time: {plain(when)}",
                 *([f"time_format: {plain(there_format)}"] if there_format else [])):
        writer.add(f"  {text}", "")
    if joins:
        writer.add("  join:", "")
        for join in joins:
            writer.entry(join, "", 4)
    writer.add("  fields:", "")
    for entry, why in lines:
        writer.entry(entry, why, 4)
        writer.lines.append(f"behavior {entry['name']}: {why}")


def _shared(name: str, owner: str, entry: dict[str, Any]) -> dict[str, Any]:
    """The entry of a behavior field that shares the embeddings of a field."""
    kept: dict[str, Any] = {key: entry[key] for key in ("type", "splitter")
                            if key in entry and entry.get("type") == "multivalent"}
    return {"name": name, **kept, "share_embedding": owner}
