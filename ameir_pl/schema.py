"""Schema: the fields of a dataset, their groups, vocabularies and shared embeddings; JSON beside the data.

Symbols used throughout the package: B batch, T sequence length, N non-sequential fields, N_a fields of one
behavior element, K embedding size, S slots (columns of ids), D dense fields.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from ameir_pl.errors import AmeirError, did_you_mean

PAD = 0
"""Id of padding in every vocabulary; its embedding is zero."""
OOV = 1
"""Id of every value that the training rows never showed."""

MISSING = -1.0
"""What a missing dense value becomes. Present values lie in [-0.98, 1]."""

Group = Literal["user", "context", "target"]
Task = Literal["ctr", "retrieval"]


@dataclass(frozen=True)
class Field:
    """One categorical field.

    Args:
        name: what it is called in architectures and files.
        vocabulary: fields with the same vocabulary share ids and embeddings.
        group: ``user``, ``context`` or ``target``; a behavior field has no group of its own.
        width: slots in the encoded columns. 1 is univalent; above 1 the field is multivalent, its embedding
            is the sum over its ids, and unused slots hold ``PAD``.
    """

    name: str
    vocabulary: str
    group: Group = "user"
    width: int = 1


@dataclass(frozen=True)
class Schema:
    """Everything a model must know of a dataset.

    Args:
        dataset: its registered name.
        task: ``ctr`` (a label a row) or ``retrieval`` (a next item a row).
        fields: the N non-sequential fields, in column order.
        behaviors: the N_a fields of one behavior element, in column order (``group`` is not used).
        dense: names of the D dense fields.
        vocabularies: size of each vocabulary, ``PAD`` and ``OOV`` included.
        max_len: T, the most behaviors kept; 0 where there are none.
        item: the vocabulary that is ranked, for retrieval.
        users: how many users a dataset of sequences has, numbered from 0; 0 where they are not numbered.
        percentiles: of each dense field that is given raw and put to [-1, 1] by them: 101 numbers from the minimum
            to the maximum of train rows.
        sessions: whether it is known which behaviors begin a session: whether behaviors have times.
    """

    dataset: str
    task: Task
    fields: tuple[Field, ...] = ()
    behaviors: tuple[Field, ...] = ()
    dense: tuple[str, ...] = ()
    vocabularies: dict[str, int] = field(default_factory=dict)
    max_len: int = 0
    item: str = ""
    users: int = 0
    percentiles: dict[str, list[float]] = field(default_factory=dict)
    sessions: bool = False

    def __post_init__(self) -> None:
        if self.task not in get_args(Task):
            raise AmeirError(f"Schema of {self.dataset}: unknown task '{self.task}'."
                             f"{did_you_mean(str(self.task), get_args(Task))}")
        for names in ([f.name for f in self.fields], [f.name for f in self.behaviors], list(self.dense)):
            if len(set(names)) != len(names):
                raise AmeirError(f"Schema of {self.dataset}: a field name occurs twice in {names}.")
        for name, knots in self.percentiles.items():
            if name not in self.dense or any(b < a for a, b in zip(knots, knots[1:], strict=False)):
                raise AmeirError(f"Schema of {self.dataset}: the percentiles of '{name}' must be rising numbers of a "
                                 "dense field.")
        for name, size in self.vocabularies.items():
            if type(size) is not int or size <= OOV:
                raise AmeirError(f"Schema of {self.dataset}: the vocabulary '{name}' must have a whole size of at "
                                 f"least {OOV + 1} (padding and unknown values count), found {size!r}.")
        for f in (*self.fields, *self.behaviors):
            if f.vocabulary not in self.vocabularies:
                raise AmeirError(f"Schema of {self.dataset}: field '{f.name}' uses the vocabulary "
                                 f"'{f.vocabulary}', which has no size.")
            if f.group not in get_args(Group):
                raise AmeirError(f"Schema of {self.dataset}: field '{f.name}' has the unknown group '{f.group}'."
                                 f"{did_you_mean(str(f.group), get_args(Group))}")
            if f.width < 1:
                raise AmeirError(f"Schema of {self.dataset}: field '{f.name}' has width {f.width}, below 1.")
        if bool(self.behaviors) != (self.max_len > 0):
            raise AmeirError(f"Schema of {self.dataset}: {len(self.behaviors)} behavior fields but "
                             f"max_len={self.max_len}.")
        if type(self.users) is not int or self.users < 0:
            raise AmeirError(f"Schema of {self.dataset}: `users` must be a whole number, found {self.users!r}.")
        if type(self.sessions) is not bool:
            raise AmeirError(f"Schema of {self.dataset}: `sessions` must be true or false, found {self.sessions!r}.")
        if self.task == "retrieval" and self.item not in self.vocabularies:
            raise AmeirError(f"Schema of {self.dataset}: retrieval needs `item`, the vocabulary to rank; "
                             f"found '{self.item}'.")

    @property
    def field_names(self) -> tuple[str, ...]:
        """Names of the N non-sequential fields."""
        return tuple(f.name for f in self.fields)

    @property
    def target_of(self) -> tuple[int | None, ...]:
        """For each behavior field, the index of the target field that means the same thing, else None."""
        by_vocabulary = {f.vocabulary: i for i, f in enumerate(self.fields) if f.group == "target"}
        return tuple(by_vocabulary.get(f.vocabulary) for f in self.behaviors)

    @property
    def has_target(self) -> bool:
        """Whether a behavior can be compared with the target, so that target attention means something."""
        return any(i is not None for i in self.target_of)

    @property
    def item_place(self) -> int | None:
        """Which behavior field is the item that is ranked; None where histories do not have it."""
        return next((i for i, f in enumerate(self.behaviors) if f.vocabulary == self.item), None)

    @property
    def slots(self) -> int:
        """Columns of ids of the non-sequential fields: the sum of their widths."""
        return sum(f.width for f in self.fields)

    @property
    def behavior_slots(self) -> int:
        """Columns of ids of one behavior element: the sum of its fields' widths."""
        return sum(f.width for f in self.behaviors)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as written to ``schema.json``; ``users`` and ``sessions`` only where there are any."""
        values = asdict(self)
        for name in ("users", "sessions"):
            if not values[name]:
                del values[name]
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any], source: str = "schema") -> Schema:
        """Read what :meth:`to_dict` gave; raises ``AmeirError`` naming ``source`` when it does not fit."""
        try:
            plain = dict(values)
            for key in ("fields", "behaviors"):
                plain[key] = tuple(Field(**f) for f in plain.get(key, ()))
            if isinstance(plain.get("dense"), str):
                raise TypeError(f"dense must be a list of names, found {plain['dense']!r}")
            plain["dense"] = tuple(plain.get("dense", ()))
            return cls(**plain)
        except (TypeError, ValueError, AttributeError) as error:
            raise AmeirError(f"{source} is not a schema: {error}.") from error
        except AmeirError as error:
            raise AmeirError(f"{source}: {error}") from error

    def fingerprint(self) -> str:
        """Return 16 hex digits that change with any part of the schema."""
        text = json.dumps(self.to_dict(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
