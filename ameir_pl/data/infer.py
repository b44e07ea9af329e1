"""Guessing the description of a table from its contents, with the reason for every line."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ameir_pl.data.column_facts import Facts, Sample, look
from ameir_pl.data.column_rules import (
    FEW,
    ITEM,
    Guess,
    guess,
    is_past,
    label_threshold,
    user_column,
)
from ameir_pl.data.description_writer import MAX_LEN, DescriptionWriter, plain
from ameir_pl.data.sample_leaks import sample_leaks
from ameir_pl.data.table_fields import reserved
from ameir_pl.data.table_sources import Source
from ameir_pl.data.time_columns import TimeChoice, choose_time, time_column
from ameir_pl.pages import page

EVENT_WORDS = 10_000
"""A column of events with more distinct values is taken only where it shares its embeddings with a field."""
_SIDES = (".user", ".item")


@dataclass
class Guessed:
    """A guessed description.

    Args:
        text: the YAML.
        lines: what each column is taken for, to be shown.
    """

    text: str = ""
    lines: list[str] = field(default_factory=list)


def default_output(table: str) -> Path:
    """Return where the description of a table goes: beside it, with its name."""
    path = Path(table)
    if re.search(r"[*?\[]", path.name):
        path = path.with_name(re.split(r"[*?\[]", path.name)[0].rstrip("-_.") or path.parent.name or "table")
    name = path.name.removesuffix(".gz")
    return path.with_name((name.rpartition(".")[0] or name) + ".yaml")


def infer_description(table: str, label: str | None, output: Path, events: str | None = None,
                      time: str | None = None, time_format: str = "") -> Guessed:
    """Guess the description of a table.

    Args:
        table: a file, folder or glob, as named from the working folder.
        label: its column with the label.
        output: where the description will be; the paths in it are relative to its folder.
        events: a second table, with behaviors.
        time: its column with the time; ``none`` for none; None guesses it.
        time_format: how the times are written; empty where the values tell.

    Raises:
        AmeirError: a table cannot be read, or has no such label.
    """
    source = Source(_relative(table, output), output, "input")
    path = source.paths()[0]
    sample = look(source)
    threshold = label_threshold(sample.facts, label, str(path))
    label = str(label)
    writer = DescriptionWriter(path, sample)
    sides = _sides(path, sample, output)
    own = {name: f for name, f in sample.facts.items() if name != label}
    user = user_column(own.values())
    choice = choose_time(own.values(), str(path), time, time_format)
    writer.top(source.input, label, threshold, user, choice)
    joined = {name: f for _, side in sides.values() for name, f in side.facts.items() if name not in sample.facts}
    if sides:
        writer.add("join:", "the tables beside it")
        for input_, (key, _) in sides.items():
            writer.entry({"input": input_, "on": key}, "")
    everything = own | joined
    past = [f for f in everything.values() if is_past(f)]
    targets = [f for f in everything.values() if f not in past and f.name != choice.column]
    guesses = {f.name: guess(f, sample.facts[user].words if user else frozenset()) for f in targets}
    if path.suffix == ".inter":
        guesses = {name: _in_recbole(g, name, sides) for name, g in guesses.items()}
    for name, leak in sample_leaks(sample, label, threshold, [f for f in targets if guesses[f.name].used]).items():
        guesses[name] = replace(guesses[name], used=False, why=f"it {leak.reason}: is it known before the click?")
    writer.add("fields:", "")
    for f in targets:
        writer.guess(f, guesses[f.name])
    if choice.column:
        writer.time_parts(sample, choice, set(everything))
    used = {f.name: f for f in targets if guesses[f.name].used and guesses[f.name].entry["type"] != "dense"}
    if past:
        writer.lists(past, used, everything, sample)
    elif events is not None or path.suffix == ".inter":
        _events(writer, sample, label, user, choice, used, source.input if events is None else
                _relative(events, output), output, sides, guesses)
    elif user and choice.column:
        writer.add("", "the histories of users are left out: `ameir data infer … events=TABLE` describes them too")
    return Guessed("\n".join(writer.text) + "\n", writer.lines)


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


def _events(writer: DescriptionWriter, rows: Sample, label: str, user: str, choice: TimeChoice, used: dict[str, Facts],
            events: str, output: Path, sides: dict[str, tuple[str, Sample]], guesses: dict[str, Guess]) -> None:
    """Describe the histories that come from an event table."""
    source = Source(events, output, "events")
    itself = source.paths() == [writer.path]
    sample = rows if itself else look(source)
    facts = {f.name: f for f in sample.facts.values()}
    there = user if user in facts else user_column(facts.values())
    time = choice.column
    when = time if time in facts else time_column(facts.values())
    there_format = choice.time_format if itself else ""
    if when and not itself:
        there_format = choose_time(facts.values(), str(source.paths()[0]), when).time_format
    if not (user and time and there and when):
        lacking = "a user" if not (user and there) else "a time"
        writer.add("", f"no histories: {lacking} was not found in both {writer.path.name} and "
                       f"{source.paths()[0].name}; see `behaviors` in {page('your-own-data.md')}")
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
        writer.add("", f"no histories: no column of {source.paths()[0].name} could be used")
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
