"""Plan: what the columns of a table become, and the names of the columns that encoding takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ameir_pl.data.splits import Split, TimeSplit
from ameir_pl.schema import Field

LABEL, SPLIT = "@label", "@split"
"""Reserved names of columns: 0 or 1 (UInt8); where a row belongs (UInt8, see :mod:`ameir_pl.data.splits`)."""
LISTED = "@behavior/"
"""What the name of a list column of behaviors begins with; the field's name follows."""


@dataclass(frozen=True)
class Plan:
    """What the columns of a table become.

    Args:
        dataset: name of the schema.
        fields: the N fields. One of width 0 is multivalent: as wide as its longest list, at most ``widest``.
        behaviors: the N_a fields of one behavior element.
        dense: the D dense fields.
        max_len: T; 0 without behaviors.
        split: which rows train, validate and test.
        rule: the split in words, for messages.
        min_count: how often a vocabulary's value must come among train rows to have an id of its own; 1 where none
            is given.
        widest: the most ids of a multivalent field, by field.
        latest: the fields of which a list that is longer than ``widest`` keeps its last ids; others keep the first.
        buckets: ranges of users that events are sorted in.
        pause: how long, in the unit of times, two events of a session lie apart at most; 0 where that is not known.
        least_session: behaviors that a session needs to be part of a history; 1 takes all. Needs ``pause``.
        gaps: whether a missing category is a value of its own; else it is ``OOV``.
        own_events: the table of the rows is that of the events, so that each row is an event itself.
        tie_advice: what to do about equal times; empty: they are counted, and there is no warning.
        cut_advice: what comes before that for equal times at a cut of the split.
        hexadecimal: values are UInt32 that stand for eight hexadecimal digits each.
    """

    dataset: str
    fields: tuple[Field, ...]
    split: Split
    rule: str
    behaviors: tuple[Field, ...] = ()
    dense: tuple[str, ...] = ()
    max_len: int = 0
    min_count: Mapping[str, int] = field(default_factory=dict)
    widest: Mapping[str, int] = field(default_factory=dict)
    latest: frozenset[str] = frozenset()
    buckets: int = 1
    pause: int = 0
    own_events: bool = False
    tie_advice: str = ""
    cut_advice: str = ""
    least_session: int = 1
    gaps: bool = True
    hexadecimal: bool = False

    @property
    def vocabularies(self) -> tuple[str, ...]:
        """Names of the vocabularies, in the order of the fields that use them."""
        return tuple(dict.fromkeys(f.vocabulary for f in (*self.fields, *self.behaviors)))

    @property
    def timed(self) -> bool:
        """Whether rows are split by their time."""
        return isinstance(self.split, TimeSplit)
