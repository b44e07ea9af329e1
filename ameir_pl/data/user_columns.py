"""Which column of a table names its user, by its name or as the user of this package says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ameir_pl.data.column_facts import Facts
from ameir_pl.data.column_rules import USER
from ameir_pl.errors import AmeirError, did_you_mean

INSTEAD = ("cookie", "device", "session", "visit", "browser", "ip")
"""Words for what stands for a user where none is known; with *id* beside them."""
_IDS = frozenset({"id", "code", "no", "nr", "num", "number", "key", "hash", "hashed", "uuid", "guid", "index", "idx",
                  "encoded", "anon", "anonymous", "pseudonym", "name"})


@dataclass
class UserChoice:
    """The column of the user.

    Args:
        column: its name; empty where there is none.
        why: it was taken.
        notes: other columns that could be it, and why one that is called so is not.
    """

    column: str = ""
    why: str = ""
    notes: list[str] = field(default_factory=list)


def user_column(facts: Iterable[Facts]) -> str:
    """Return the column that names the user, by its name; empty where none does."""
    return next((f.name for f in _ranked(facts) if not _wrong(f)), "")


def choose_user(facts: Mapping[str, Facts], where: str, column: str = "") -> UserChoice:
    """Return the column of the user.

    Args:
        facts: of the columns.
        where: the table, for messages.
        column: the user's choice; empty guesses it.

    Raises:
        AmeirError: there is no such column, or it holds no single values.
    """
    if column:
        if column not in facts:
            raise AmeirError(f"{where}: user={column}: there is no such column.{did_you_mean(column, facts)}")
        if facts[column].kind in ("nested", "bytes", "list", "empty"):
            raise AmeirError(f"{where}, column '{column}': {_wrong(facts[column])}, so it names no user.")
        return UserChoice(column, "as user= says")
    ranked = _ranked(facts.values())
    fitting = [f.name for f in ranked if not _wrong(f)]
    notes = [f"{f.name}: named like the user, but {_wrong(f)}" for f in ranked if _wrong(f)]
    if not fitting:
        return UserChoice(notes=[f"{note}; user={note.split(':')[0]} takes it all the same" for note in notes])
    others = [name for name in fitting[1:]]
    if others:
        notes.append(f"{fitting[0]} is taken for the user; {', '.join(others)} could be it too: user={others[0]}")
    return UserChoice(fitting[0], "the name says so", notes)


def _ranked(facts: Iterable[Facts]) -> list[Facts]:
    """Columns that are named like a user, the likeliest first."""
    words = (*USER, *INSTEAD)
    found = [(words.index(word), "id" not in f.words, i, f) for i, f in enumerate(facts) for word in f.words & {*words}
             if not f.words - _IDS - {word} and (word in USER or f.words & {"id", "uuid", "guid", "key", "hash"})]
    ranked: dict[str, Facts] = {f.name: f for *_, f in sorted(found, key=lambda entry: entry[:3])}
    return list(ranked.values())


def _wrong(f: Facts) -> str:
    """Why a column cannot name the user; empty where it can."""
    if f.missing:
        return f"{f.missing:,} of {f.rows:,} rows have none" if f.kind != "empty" else "it has no value"
    if f.splitter or f.kind == "list":
        return "it holds lists"
    if f.kind not in ("int", "text"):
        return {"float": "it holds numbers with a fraction", "date": "it holds dates"}.get(f.kind, "it holds no ids")
    return ""
