"""Schema: round trips, what it derives from its fields, and its errors."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import pytest

from ameir_pl.errors import AmeirError
from ameir_pl.schema import OOV, PAD, Field, Schema

SCHEMA = Schema(
    dataset="shop", task="ctr",
    fields=(Field("user", "user"), Field("hour", "hour", "context"), Field("item", "item", "target"),
            Field("tags", "tag", "target", width=3)),
    behaviors=(Field("item", "item"), Field("tags", "tag", width=2), Field("rating", "rating")),
    dense=("price", "age"), vocabularies={"user": 5, "hour": 26, "item": 9, "tag": 4, "rating": 7}, max_len=8)


def random_schema(seed: int) -> Schema:
    """Draw a schema of up to six fields, some shared with the behaviors."""
    rng = random.Random(seed)
    groups = ("user", "context", "target")
    fields = tuple(Field(f"f{i}", f"v{rng.randrange(4)}", rng.choice(groups), rng.randrange(1, 4))  # type: ignore[arg-type]
                   for i in range(rng.randrange(7)))
    behaviors = tuple(Field(f"b{i}", f"v{rng.randrange(4)}", width=rng.randrange(1, 3))
                      for i in range(rng.randrange(4)))
    retrieval = rng.random() < 0.5
    return Schema("drawn", "retrieval" if retrieval else "ctr", fields, behaviors,
                  tuple(f"d{i}" for i in range(rng.randrange(3))), {f"v{i}": rng.randrange(2, 99) for i in range(4)},
                  rng.randrange(1, 50) if behaviors else 0, "v0" if retrieval else "",
                  sessions=bool(behaviors) and seed % 2 == 0)


@pytest.mark.parametrize("seed", range(100))
def test_json_round_trip(seed: int) -> None:
    schema = random_schema(seed)
    back = Schema.from_dict(json.loads(json.dumps(schema.to_dict())))
    assert back == schema
    assert back.fingerprint() == schema.fingerprint()
    assert schema.slots == sum(f.width for f in schema.fields)
    assert schema.has_target == bool({f.vocabulary for f in schema.fields if f.group == "target"}
                                     & {f.vocabulary for f in schema.behaviors})


def test_what_the_fields_say() -> None:
    assert (PAD, OOV) == (0, 1)
    assert SCHEMA.field_names == ("user", "hour", "item", "tags")
    assert SCHEMA.target_of == (2, 3, None)
    assert SCHEMA.has_target
    assert SCHEMA.slots == 6
    assert SCHEMA.behavior_slots == 4
    assert not replace(SCHEMA, behaviors=(Field("rating", "rating"),)).has_target
    # A field of the same vocabulary that is not the target's is no target.
    assert replace(SCHEMA, fields=(Field("last_item", "item"),)).target_of == (None, None, None)


def test_fingerprint_changes_with_every_part() -> None:
    others = [
        replace(SCHEMA, dataset="other"), replace(SCHEMA, task="retrieval", item="item"),
        replace(SCHEMA, fields=SCHEMA.fields[::-1]), replace(SCHEMA, fields=SCHEMA.fields[:-1]),
        replace(SCHEMA, behaviors=SCHEMA.behaviors[:1]), replace(SCHEMA, dense=("age", "price")),
        replace(SCHEMA, vocabularies={**SCHEMA.vocabularies, "tag": 5}), replace(SCHEMA, max_len=9),
        replace(SCHEMA, sessions=True),
        replace(SCHEMA, fields=(replace(SCHEMA.fields[0], width=2), *SCHEMA.fields[1:])),
    ]
    prints = {s.fingerprint() for s in (SCHEMA, *others)}
    assert len(prints) == len(others) + 1
    assert all(len(p) == 16 and int(p, 16) >= 0 for p in prints)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"fields": (Field("user", "user"), Field("user", "item"))}, "occurs twice"),
    ({"behaviors": (Field("item", "item"), Field("item", "tag"))}, "occurs twice"),
    ({"dense": ("price", "price")}, "occurs twice"),
    ({"fields": (Field("user", "usr"),)}, "'user' uses the vocabulary 'usr', which has no size"),
    ({"behaviors": (Field("shop", "shop"),)}, "'shop', which has no size"),
    ({"fields": (Field("user", "user", width=0),)}, "width 0"),
    ({"fields": (Field("user", "user", "usr"),)}, "unknown group 'usr'. Did you mean 'user'?"),  # type: ignore[arg-type]
    ({"max_len": 0}, "3 behavior fields but max_len=0"),
    ({"behaviors": ()}, "0 behavior fields but max_len=8"),
    ({"task": "retrieval"}, "needs `item`"),
    ({"task": "retrieval", "item": "shop"}, "found 'shop'"),
    ({"task": "retreival"}, "unknown task 'retreival'. Did you mean 'retrieval'?"),
    ({"vocabularies": {**SCHEMA.vocabularies, "tag": 1}}, "'tag' must have a whole size of at least 2"),
    ({"vocabularies": {**SCHEMA.vocabularies, "tag": "9"}}, "found '9'"),
    ({"sessions": 1}, "`sessions` must be true or false"),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_a_schema_that_does_not_fit_together(change: dict[str, Any], message: str) -> None:
    with pytest.raises(AmeirError, match=message) as caught:
        replace(SCHEMA, **change)
    assert "shop" in str(caught.value)


MALFORMED: list[Any] = [
    None, [], "ab", 3, {}, {"dataset": "a"}, {**SCHEMA.to_dict(), "colour": 1}, {**SCHEMA.to_dict(), "fields": None},
    {**SCHEMA.to_dict(), "fields": ["user"]}, {**SCHEMA.to_dict(), "fields": [{"name": "user"}]},
    {**SCHEMA.to_dict(), "fields": [{"name": "a", "vocabulary": "user", "size": 3}]},
    {**SCHEMA.to_dict(), "fields": [{"name": "a", "vocabulary": "user", "width": "wide"}]},
    {**SCHEMA.to_dict(), "dense": "price"}, {**SCHEMA.to_dict(), "dense": None},
    {**SCHEMA.to_dict(), "vocabularies": ["user"]}, {**SCHEMA.to_dict(), "vocabularies": None},
    {**SCHEMA.to_dict(), "max_len": "8"},
]


@pytest.mark.parametrize("values", MALFORMED)
def test_malformed_json_is_one_clear_error(values: Any) -> None:
    with pytest.raises(AmeirError, match="schema.json is not a schema"):
        Schema.from_dict(values, "schema.json")


def test_reading_leaves_the_values_as_they_were() -> None:
    values = SCHEMA.to_dict()
    before = json.dumps(values)
    Schema.from_dict(values)
    assert json.dumps(values) == before
