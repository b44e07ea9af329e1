"""Writing a guessed description: YAML with a reason behind every line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from ameir_pl.data.bad_rows import LINE, BadRows
from ameir_pl.data.column_facts import Facts, Sample
from ameir_pl.data.column_rules import Guess, meant
from ameir_pl.data.list_text import FORMS, parse
from ameir_pl.data.separators import named
from ameir_pl.data.table_label import LabelRule, label_words
from ameir_pl.data.table_sources import Source
from ameir_pl.data.table_times import Clock
from ameir_pl.data.table_types import raw
from ameir_pl.data.table_values import scalars
from ameir_pl.data.time_columns import TimeChoice
from ameir_pl.data.user_columns import UserChoice
from ameir_pl.pages import page

MAX_LEN = 50
"""Behaviors of a history, where nobody said how many."""


class DescriptionWriter:
    """Lines of a description, each with its reason."""

    def __init__(self, path: Path, sample: Sample) -> None:
        self.path, self.text, self.lines = path, [], []  # type: tuple[Path, list[str], list[str]]
        looked = next(iter(sample.facts.values())).rows
        of = "all" if sample.rows == looked else f"the first {looked:,} of"
        total = f" {sample.rows:,}" if sample.rows else " its"
        self.add("", f"A description of {path.name}, guessed from {of}{total} rows. Read it and correct it: guesses "
                     "can be wrong.")
        self.add("", f"{page('your-own-data.md')} says what each key means; a line that begins with # is left out.")
        self.sample = sample

    def add(self, text: str, why: str) -> None:
        """Add a line with its reason as a comment."""
        self.text.append(f"{text}{'  ' if text and why else ''}{'# ' + why if why else ''}")

    def entry(self, entry: dict[str, Any], why: str, indent: int = 2, used: bool = True) -> None:
        """Add an entry of a list, as a comment where it is not used."""
        self.add(f"{' ' * indent}{'' if used else '# '}- {plain(entry)}", why)

    def note(self, text: str) -> None:
        """Add a comment, and show it."""
        self.add("", text)
        self.lines.append(text)

    def guess(self, f: Facts, g: Guess, remark: str = "") -> None:
        """Add a column's line."""
        why = f"{g.why}; {f.seen}" if g.used else f"left out: {g.why}; {f.seen}"
        if remark:
            why += f"; {remark}"
        self.entry(g.entry, why, used=g.used)
        words = g.entry.get("type", "") + (f", {g.entry['group']}" if "group" in g.entry else "")
        remark = f"; {remark}" if remark else ""
        self.lines.append(f"{f.name}: {words if g.used else 'left out'} ({g.why}; {f.seen}{remark})")

    def top(self, source: Source, label: str, rule: LabelRule, why: str, user: UserChoice, time: TimeChoice) -> None:
        """Add what comes before the fields."""
        facts = self.sample.facts
        self.add(f"input: {plain(source.input)}", "")
        if source.separator:
            self.add(f"separator: {plain(named(source.separator))}", "as separator= says")
        if source.columns:
            self.add(f"columns: {plain(list(source.columns))}", "as columns= says")
        if self.sample.missing:
            self.add(f"missing: {plain(self.sample.missing)}", "words that stand for a missing value")
        self.add("task: ctr", "")
        self.add(f"label: {plain(label)}", facts[label].seen)
        self.lines.append(f"{label}: label ({facts[label].seen})")
        self._rule(label, rule, why)
        if user.column:
            self.add(f"user: {plain(user.column)}", user.why)
        for note in user.notes:
            self.note(note)
        if time.clock is not None:
            column = time.column
            self.add(f"time: {plain(column)}", f"{facts[column].seen}; {_unit(time.clock)}")
            self.lines.append(f"{column}: time ({_unit(time.clock)})")
            if time.time_format:
                self.add(f"time_format: {plain(time.time_format)}", "how its times are written")
            for note in time.notes:
                self.add("", note)
                self.lines.append(f"{column}: {note}")
            split = {"type": "time", "column": column, "valid": 0.1, "test": 0.1}
            ties = facts[column].distinct < facts[column].rows - facts[column].missing
            self.add(f"split: {plain(split | ({'ties': 'together'} if ties else {}))}",
                     "the last tenth of the rows tests, the tenth before it validates"
                     + ("; the cuts lie where the time changes" if ties else ""))
        else:
            self.add(f"split: {plain({'type': 'random', 'valid': 0.1, 'test': 0.1, 'seed': 1})}",
                     "time=none" if time.declined else "no column with a time was found")
            why = "as time=none says" if time.declined else \
                "because no column of time was found (time=COLUMN names one)"
            self.lines.append(f"split: at random, {why}: rows train that are later than those that test")
        for name, reason in time.others.items():
            self.add("", f"{name}: looks like a time and was not taken: {reason}")
            self.lines.append(f"{name}: looks like a time and was not taken: {reason}")

    def _rule(self, label: str, rule: LabelRule, why: str) -> None:
        """Add what of the label is a click."""
        given, reason = raw(self.sample.table, label), f"; {why}" if why else ""
        if rule.threshold is not None:
            share = float((scalars(given, "float") >= rule.threshold).mean() or 0)  # type: ignore[arg-type]
            number = int(rule.threshold) if rule.threshold == int(rule.threshold) else rule.threshold
            self.add(f"threshold: {number}", f"at least as much is a click: {100 * share:.1f} % of the rows{reason}")
            self.lines.append(f"{label}: a click from {number} on, {100 * share:.1f} % of the rows{reason}")
        elif rule.positive:
            clicks = label_words(pl.Series(rule.positive, dtype=pl.String)).to_list()
            share = float(label_words(given).is_in(clicks).mean() or 0)  # type: ignore[arg-type]
            self.add(f"positive: {plain([_typed(word) for word in rule.positive])}",
                     f"a click: {100 * share:.1f} % of the rows{reason}")
            if rule.negative:
                self.add(f"negative: {plain([_typed(word) for word in rule.negative])}", "none")
            shown = ", ".join(word or "an empty value" for word in rule.negative) or "every other value"
            self.lines.append(f"{label}: {', '.join(rule.positive)} is a click, {shown} is none, "
                              f"{100 * share:.1f} % of the rows{reason}")

    def time_parts(self, sample: Sample, choice: TimeChoice, names: set[str], left_out: Mapping[str, str]) -> None:
        """Add the hour and the weekday of the time, where it tells them and they vary.

        Args:
            sample, choice: of the table.
            names: of fields that there are.
            left_out: those that were tried in vain → why.
        """
        clock, time = choice.clock, choice.column
        if clock is None or not clock.since_1970:
            return
        table = pl.DataFrame({LINE: range(len(sample.table)), "time": raw(sample.table, time)})
        times = clock.read(table, "time", BadRows("skip", ""), self.path, "made")["made"]
        for part in ("weekday",) if clock.daily else ("hour", "weekday"):
            distinct = clock.part(times, part).n_unique()
            name = f"{time}_{part}" if part == time else part
            if distinct > 1 and name not in names:
                self.entry({"name": name, "from": time, "part": part, "group": "context"},
                           f"{left_out.get(name, f'of {time}, UTC')}; {distinct} distinct", used=name not in left_out)
                if name in left_out:
                    self.lines.append(f"{name}: left out ({left_out[name]})")

    def lists(self, past: list[Facts], used: dict[str, Facts], everything: dict[str, Facts], sample: Sample) -> None:
        """Add histories that lie in the rows as lists."""
        groups: dict[str, list[Facts]] = {}
        owners: dict[str, Facts] = {}
        for f in past:
            owner = meant(f, used.values())
            key = owner.name if owner else f.name
            groups.setdefault(key, []).append(f)
            if owner:
                owners[key] = owner
        entries: list[tuple[dict[str, Any], str, bool]] = []
        length: pl.Series | None = None
        for key, columns in groups.items():
            lists = [_as_lists(raw(sample.table, f.name), f) for f in columns if f.name in sample.table.columns]
            if len(lists) < len(columns):
                continue
            lengths = pl.DataFrame({f"{i}": values.list.len().fill_null(0) for i, values in enumerate(lists)}
                                   ).sum_horizontal()
            names = [f.name for f in columns]
            length = lengths if length is None else length
            entry: dict[str, Any] = {"name": key}
            if names != [key]:
                entry["from"] = names if len(names) > 1 else names[0]
            if columns[0].splitter or columns[0].typed:
                entry["splitter"] = columns[0].splitter or " "
            if key in owners:
                entry["share_embedding"] = owners[key].name
            if _padded(lists):
                entry["padding"] = "0"
            fits = bool((lengths == length).all())
            seen = f"{columns[0].seen}; {columns[0].note}".removesuffix("; ")
            why = seen + (f"; means the same as {key}" if key in owners else "") if fits else \
                f"left out: its lists are not as long as those of {entries[0][0]['name']}"
            entries.append((entry, why, fits))
            self.lines.append(f"{', '.join(names)}: {f'behavior {key}' if fits else 'left out'} ({why})")
        self.add("behaviors:", "lists that the names of columns call histories, latest last")
        self.add(f"  max_len: {MAX_LEN}", "")
        self.add("  fields:", "")
        for entry, why, fits in entries:
            self.entry(entry, why, 4, fits)


def _as_lists(values: pl.Series, f: Facts) -> pl.Series:
    if isinstance(values.dtype, pl.List):
        return values.cast(pl.List(pl.String)).list.drop_nulls()
    if f.splitter in FORMS:
        return parse(values, f.splitter)[0].list.drop_nulls().fill_null([])  # type: ignore[arg-type]
    text = values.str.strip_chars()
    return text.str.replace_all(r"\s+", " ").str.split(f.splitter or " ").zip_with(
        text.fill_null("") != "", pl.Series([[]], dtype=pl.List(pl.String)))


def _padded(lists: list[pl.Series]) -> bool:
    """Whether zeros fill the ends of lists: they end some, and nothing else follows one."""
    joined = pl.concat([values.alias("list").to_frame() for values in lists])["list"]
    ends = joined.list.last() == "0"
    runs = joined.list.join(" ").str.contains(r"(?:^| )0 (?:0 )*[^0 ]")
    return bool(ends.any()) and float(runs.mean() or 0) < 0.01  # type: ignore[arg-type]


def _typed(word: str) -> str | int:
    """A value of the label as YAML writes it."""
    return int(word) if word.lstrip("-").isdecimal() and str(int(word)) == word else word


def _unit(clock: Clock) -> str:
    if clock.form == "date":
        return "dates and times, UTC where they say no zone"
    return f"numbers, taken for {clock.unit}" if clock.since_1970 or clock.digits else "numbers of any unit"


def plain(value: Any) -> str:
    """Return a value as YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10**9, allow_unicode=True)
    return str(text).removesuffix("...\n").strip().replace("'on':", "on:")  # a word to us, not YAML 1.1's true
