"""Which column of a table is its time, and why others that look like one are not taken."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ameir_pl.data.column_facts import Facts
from ameir_pl.data.column_rules import ITEM, USER
from ameir_pl.data.table_times import COARSE, COUNT, TIME_FORMATS, Clock, wrong_pattern
from ameir_pl.data.time_facts import GAPS
from ameir_pl.data.time_names import LIKE_TIME, TIME, is_named_like_time
from ameir_pl.data.time_profile import TimeProfile
from ameir_pl.errors import AmeirError, did_you_mean

NO_TIME = "none"
"""``time=none``: no column is the time, and rows are split at random."""
_STATIC = frozenset({"birth", "birthday", "birthdate", "dob", "born", "release", "released", "publish", "published",
                     "publication", "signup", "register", "registered", "registration", "joined", "expiry", "expires",
                     "expiration"})


@dataclass
class TimeChoice:
    """The time of a table.

    Args:
        column: its name; empty where there is none.
        clock: how it is written.
        time_format: what the description has to say of that; empty where all values tell.
        notes: what is worth knowing of it.
        others: columns that look like a time and were not taken → why.
        declined: the user wants none.
    """

    column: str = ""
    clock: Clock | None = None
    time_format: str = ""
    notes: list[str] = field(default_factory=list)
    others: dict[str, str] = field(default_factory=dict)
    declined: bool = False


def time_column(facts: Iterable[Facts]) -> str:
    """Return the column with the time: dates, or numbers that can be one under a name that says so; else nothing."""
    fitting = [(_rank(f, i), f.name) for i, f in enumerate(facts) if _looks_like_time(f) and not _reason(f)]
    return min(fitting)[1] if fitting else ""


def choose_time(facts: Iterable[Facts], where: str, column: str | None = None, time_format: str = "") -> TimeChoice:
    """Return the time of a table, and why other columns are not.

    Args:
        facts: of its columns.
        where: the table, for messages.
        column: the user's choice; :data:`NO_TIME` for none.
        time_format: the user's word for how the times are written.

    Raises:
        AmeirError: the user's choice is no time, or how the only candidate is written cannot be told.
    """
    known = {f.name: f for f in facts}
    if column is not None and column != NO_TIME and column not in known:
        raise AmeirError(f"{where}: time={column}: there is no such column.{did_you_mean(column, known)}")
    if time_format and "%" not in time_format and time_format not in TIME_FORMATS:
        raise AmeirError(f"time_format={time_format} is unknown.{did_you_mean(time_format, TIME_FORMATS)} It is one of "
                         f"{', '.join(TIME_FORMATS)}, or a pattern such as '%d.%m.%y'.")
    if "%" in time_format and (wrong := wrong_pattern(time_format)):
        raise AmeirError(f"time_format={time_format} is no pattern that reads dates ({wrong}).")
    named = column if column in known else None
    choice, failed = TimeChoice(), ""
    alike = [f for f in known.values() if _looks_like_time(f) or f.name == named]
    reasons = {f.name: _reason(f, told=f.name == named or bool(time_format)) for f in alike}
    if named and (wrong := reasons[named]):
        raise AmeirError(f"{where}, column '{named}': it cannot be the time: {wrong}")
    ranked = sorted((_rank(f, i), f.name) for i, f in enumerate(alike) if not reasons[f.name])
    for name in [named] if named else [] if column == NO_TIME else [name for _, name in ranked]:
        try:
            clock = Clock.decide(_profile(known[name]), time_format, f"{where}, column '{name}'")
        except AmeirError as error:
            reasons[name] = str(error)
            failed = failed or str(error)
            continue
        count, first = clock.misfits(_profile(known[name]))
        if count <= GAPS * known[name].rows:
            choice.column, choice.clock = name, clock
            break
        reasons[name] = f"{count:,} rows have no time that can be used, the first: {first}."
        failed = f"{where}, column '{name}': {reasons[name]}" if named else failed
    if failed and not choice.column:
        raise AmeirError(f"{failed} With `ameir data infer`, time_format=… says it, time=COLUMN takes another column, "
                         f"and time={NO_TIME} none: rows are split at random then.")
    choice.declined = column == NO_TIME
    taken = f"'{choice.column}' was taken" if choice.column else f"time={NO_TIME}"
    choice.others = {f.name: reasons[f.name] or taken for f in alike if f.name != choice.column}
    if choice.column and choice.clock is not None:
        choice.time_format = time_format or choice.clock.order
        choice.notes = _notes(known[choice.column], choice.clock, time_format)
    return choice


def _looks_like_time(f: Facts) -> bool:
    return f.kind == "date" or is_named_like_time(f.name, f.words)


def _profile(f: Facts) -> TimeProfile:
    return f.times if f.times is not None else TimeProfile()


def _rank(f: Facts, position: int) -> tuple[bool, bool, bool, bool, int]:
    """The smaller, the likelier a column is the time of its rows."""
    profile = _profile(f)
    fine = bool(profile["timed"] or profile.units())
    whose = bool(f.words & (ITEM | set(USER) | {"updated", "update", "modified", "last"}))
    return whose, not f.words & LIKE_TIME, bool(f.missing), not fine, position


def _reason(f: Facts, told: bool = False) -> str:
    """Why a column cannot be the time; empty where it can. ``told``: the user says that it is one."""
    profile, rows = _profile(f), max(f.rows, 1)
    if f.kind in ("nested", "bytes", "list"):
        return "it does not hold single values."
    if f.kind == "empty":
        return "it has no value."
    if f.distinct < 2:
        return "it has the same value in every row."
    if not told and f.words & _STATIC:
        return "by its name it says when a user or an item came to be, not when a row was. time=COLUMN takes it."
    if profile["time of day"] > GAPS * rows:
        return (f"it holds times of day or durations, such as {profile.first['time of day']}, which have no order. Put "
                "date and time into one column.")
    if profile["missing"] > GAPS * rows:
        return f"{100 * profile['missing'] / rows:.2g} % of the rows have none."
    if told:
        return ""
    if profile["unreadable"] > GAPS * rows:
        return (f"values such as {profile.first['unreadable']} are in no form of date or time that is read. "
                "time_format=PATTERN names one, as '%d.%m.%y %H:%M'.")
    if profile["number"] >= max(profile["date"], 1) and f.kind != "date":
        return _no_number(f, profile)
    if f.kind != "date" and not profile["date"]:
        return "its values are no dates."
    return ""


def _no_number(f: Facts, profile: TimeProfile) -> str:
    """Why numbers are no time."""
    counted = max((profile[kind] for kind in profile.counts if kind.startswith("digits")), default=0)
    if counted >= (1 - GAPS) * profile["number"] or sum(profile[u] for u in profile.units()) >= (1 - GAPS) * \
            profile["number"]:
        return ""
    of_day = 0 <= f.low <= f.high <= 24 and f.distinct <= 25 and f.rows >= 4 * f.distinct
    if f.words and f.words <= TIME and not of_day:
        return ""
    return (f"numbers from {f.low:,.12g} to {f.high:,.12g} are no time since 1970. If they grow with time, "
            f"time={f.name} time_format={COUNT} takes them.")


def _notes(f: Facts, clock: Clock, time_format: str) -> list[str]:
    """What is worth knowing of the column that is the time."""
    profile = _profile(f)
    notes = []
    if clock.order and not time_format and profile["loose"]:
        notes.append(f"{clock.order.replace('_', ' ')}: all {profile['loose']:,} dates that need an order fit it"
                     + (f"; {profile['only ' + clock.order]:,} fit no other, the first "
                        f"{profile.first['only ' + clock.order]}" if profile[f"only {clock.order}"] else ""))
    if profile["short"] and not clock.pattern:
        notes.append("years of two digits are taken for 1969 to 2068")
    if 0 < profile["zoned"] < profile["date"]:
        notes.append(f"{profile['date'] - profile['zoned']:,} of {profile['date']:,} say no zone and are taken for UTC")
    if clock.coarse:
        notes.append(f"numbers {COARSE}")
    if clock.daily:
        notes.append("days without a time of day: the order of the rows of a day is not known")
    if not clock.since_1970 and not clock.digits and clock.form != "date":
        notes.append("the numbers only order the rows: they have no hour and no weekday")
    count, first = clock.misfits(profile)
    if count:
        notes.append(f"{count:,} of {profile['rows']:,} rows have no time that can be used, the first: {first}. "
                     "`ameir data prepare` stops there; dataset.on_bad_row=skip leaves such rows out")
    return notes
