"""Columns that share embeddings: how many of the values of one are values of the other."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from ameir_pl.data.vocabulary import Counter

_SHOWN = 3


@dataclass(frozen=True)
class Shared:
    """A column that shares the embeddings of another, both as train rows show them.

    Args:
        name, owner: the columns.
        behavior: the first is a behavior.
        known, total: of its values, those that the owner has too, and all; a value counts as often as it comes.
        here, there: some values of each.
        why: what they may differ in, where they have none in common.
    """

    name: str
    behavior: bool
    owner: str
    known: int
    total: int
    here: tuple[str, ...] = ()
    there: tuple[str, ...] = ()
    why: str = ""

    @classmethod
    def of(cls, name: str, behavior: bool, owner: str, values: Counter, owned: Counter) -> Shared:
        """Return what two columns have in common."""
        mine, theirs = values.values(), owned.values()
        total = int(mine["count"].sum())
        known = int(mine.join(theirs, on="value", how="semi")["count"].sum())
        if known or not total:
            return cls(name, behavior, owner, known, total)
        here, there = (tuple(t.sort("count", "value", descending=[True, False])["value"].head(_SHOWN)) for t in
                       (mine, theirs))
        return cls(name, behavior, owner, 0, total, here, there, difference(mine["value"], theirs["value"]))

    @property
    def apart(self) -> bool:
        """Whether none is on both sides, though there are several on each: of a single one that may be chance."""
        return not self.known and min(len(self.here), len(self.there)) > 1

    @property
    def kind(self) -> str:
        """The column in words."""
        return f"{'behavior' if self.behavior else 'field'} '{self.name}'"

    @property
    def note(self) -> tuple[str, str]:
        """What is said while encoding: of what, how much."""
        return (f"values of {self.kind} that '{self.owner}' has too",
                f"{100 * self.known / max(self.total, 1):.3g} % of {self.total}")

    def message(self) -> str:
        """What to say where they have nothing in common."""
        here, there = (", ".join(f"'{v}'" for v in values) for values in (self.here, self.there))
        return (f"none of the {self.total} values of the {self.kind} ({here}, \u2026) is one of the field "
                f"'{self.owner}' ({there}, \u2026), whose embeddings it shares{self.why}. Write both the same way; if "
                f"they are not the same things, give '{self.name}' embeddings of its own: another `name`, with `from`, "
                "and no `share_embedding`.")


def difference(here: pl.Series, there: pl.Series) -> str:
    """What values differ in that would be the same without; empty where that is not so simple."""
    for what, change in ((": they differ in capitals", lambda s: s.str.to_lowercase()),
                         (": they differ in leading zeros, which `dtype: int` does not mind",
                          lambda s: s.str.replace(r"^0+(\d)", "$1"))):
        if change(here).is_in(change(there).implode()).any():
            return what
    return ""
