"""Architecture: one canonical form, round trips, and one clear error for each malformed input."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
import yaml

from ameir_pl.errors import AmeirError
from ameir_pl.space.architecture import Architecture, Block, MlpLayer, canonical_interactions

# Names that YAML reads as a boolean, null, a number or a date, that break its flow syntax, or that are not ASCII.
AWKWARD = [
    "on", "On", "ON", "off", "yes", "No", "NO", "y", "Y", "n", "N", "true", "True", "TRUE", "false", "False", "null",
    "Null", "NULL", "~", "1", "1e3", "1_000", "0x1F", "0o17", "-3", ".5", ".inf", ".nan", "1:30", "2001-01-01", "=",
    "<<", "a b", " a", "a ", "a,b", "[a]", "{a}", "a: b", "a #b", "#a", "'a'", '"a"', "a\\b", "a\nb", "a\tb", "-",
    "- a", "&a", "*a", "!a", "%a", "@a", "`a", "|", ">", "?", ":", "жанр", "品牌", "😀", "a\u2028b", "a\x85b", "a\x7fb",
    "\ufeffa", "\x00", "None", "nan", "inf", "zero", "_1", "C1", "site-id",
]
LAYERS = ["zero", "conv3", "dconv7", "bigru", "self_attention4", "no", "Null"]


def random_architecture(seed: int) -> Architecture:
    """Draw an architecture with awkward names."""
    rng = random.Random(seed)
    blocks = tuple(Block(rng.choice(LAYERS), rng.choice(["relu", "gelu", "off"]), rng.choice(["none", "layer_norm"]))
                   for _ in range(rng.randrange(7)))
    interactions = tuple(tuple(rng.sample(AWKWARD, rng.randrange(2, 5))) for _ in range(rng.randrange(9)))
    mlp = tuple(MlpLayer(rng.randrange(1, 2000), rng.choice(["relu", "dice", "on"])) for _ in range(rng.randrange(5)))
    return Architecture(blocks, interactions, mlp)


@pytest.mark.parametrize("seed", range(200))
def test_round_trips(seed: int) -> None:
    a = random_architecture(seed)
    for back in (Architecture.from_dict(yaml.safe_load(a.to_yaml())), Architecture.from_json(a.to_json()),
                 Architecture.from_dict(a.to_dict())):
        assert back == a
        assert hash(back) == hash(a)
        assert back.digest() == a.digest()
        assert back.to_yaml() == a.to_yaml()
        assert a.diff(back) == []
    assert "\n" not in a.to_json()
    assert len(a.digest()) == 12 and int(a.digest(), 16) >= 0


@pytest.mark.parametrize("name", AWKWARD)
def test_every_awkward_field_name_survives_yaml(name: str) -> None:
    a = Architecture(interactions=((name, "plain"),))
    assert Architecture.from_dict(yaml.safe_load(a.to_yaml())).interactions == (tuple(sorted((name, "plain"))),)


def test_plain_names_are_not_quoted() -> None:
    a = Architecture((Block("dconv7", "swish"), Block("zero")), (("brand", "age_level"),), (MlpLayer(42),))
    assert a.to_yaml() == ("blocks:\n  - {layer: dconv7, activation: swish, norm: none}\n  - zero\n"
                           "interactions:\n  - [age_level, brand]\n"
                           "mlp:\n  - {units: 42, activation: relu}\n")
    assert Architecture().to_yaml() == "blocks: []\ninteractions: []\nmlp: []\n"


def test_zero_blocks_carry_nothing_else() -> None:
    assert Block("zero", "swish", "layer_norm") == Block("zero")
    a, b = Architecture((Block("zero", "relu"),)), Architecture((Block("zero", "gelu", "layer_norm"),))
    assert a == b and hash(a) == hash(b) and a.digest() == b.digest()
    assert Architecture.from_dict({"blocks": [{"layer": "zero", "activation": "gelu"}]}) == a
    assert a != Architecture()  # a zero block still counts as one of the L_a blocks


@pytest.mark.parametrize("seed", range(50))
def test_order_and_duplicates_of_interactions_mean_nothing(seed: int) -> None:
    a, rng = random_architecture(seed), random.Random(seed)
    shuffled = [tuple(rng.sample(i, len(i))) for i in (*a.interactions, *a.interactions[:2])]
    rng.shuffle(shuffled)
    b = Architecture(a.blocks, tuple(shuffled), a.mlp)
    assert b == a and hash(b) == hash(a) and b.digest() == a.digest() and b.to_json() == a.to_json()
    assert canonical_interactions(a.interactions) == a.interactions
    assert [len(i) for i in a.interactions] == sorted(len(i) for i in a.interactions)


def test_values_are_hashable_and_distinct() -> None:
    drawn = [random_architecture(seed) for seed in range(200)]
    assert len({a.digest() for a in drawn}) == len(set(drawn)) == len({a.to_json() for a in drawn})
    assert len(sorted(drawn)) == 200


def test_diff_names_each_place() -> None:
    a = Architecture((Block("conv3", "relu"), Block("zero")), (("a", "b"), ("a", "c")), (MlpLayer(10),))
    b = Architecture((Block("conv3", "gelu"), Block("zero"), Block("bigru")), (("a", "b"), ("On", "c")), ())
    assert a.diff(b) == [
        "blocks[0]: {layer: conv3, activation: relu, norm: none} -> {layer: conv3, activation: gelu, norm: none}",
        "blocks[2]: - -> {layer: bigru, activation: identity, norm: none}",
        "mlp[0]: {units: 10, activation: relu} -> -",
        "interactions: [a, c] -> -",
        'interactions: - -> ["On", c]',
    ]
    assert a.diff(a) == []


def test_missing_keys_are_empty_parts() -> None:
    assert Architecture.from_dict({}) == Architecture.from_dict({"blocks": None, "mlp": None}) == Architecture()
    assert Architecture.from_dict({"blocks": ["zero", "conv1"]}).blocks == (Block("zero"), Block("conv1"))


MALFORMED: list[tuple[Any, str]] = [
    (None, "a.yaml: expected a mapping .* NoneType"),
    ([], "expected a mapping .* list"),
    ("zero", "expected a mapping .* str"),
    ({"block": []}, "unknown key 'block'.* Did you mean 'blocks'?"),
    ({1: []}, "unknown key '1'"),
    ({"blocks": "zero"}, "'blocks' must be a list, found 'zero'"),
    ({"blocks": False}, "'blocks' must be a list, found False"),
    ({"mlp": 0}, "'mlp' must be a list, found 0"),
    ({"mlp": {}}, "'mlp' must be a list"),
    ({"interactions": {"a": "b"}}, "'interactions' must be a list"),
    ({"blocks": [3]}, r"blocks\[0\]: expected `zero` or"),
    ({"blocks": ["zero", None]}, r"blocks\[1\]: expected"),
    ({"blocks": [""]}, r"blocks\[0\]: layer must be a name, found ''"),
    ({"blocks": [{}]}, r"blocks\[0\]: 'layer' is missing"),
    ({"blocks": [{"activation": "relu"}]}, r"blocks\[0\]: 'layer' is missing"),
    ({"blocks": [{"layer": None}]}, r"blocks\[0\]: layer must be a name, found None"),
    ({"blocks": [{"layer": ["conv3"]}]}, r"blocks\[0\]: layer must be a name"),
    ({"blocks": [{"layer": "conv3", "norm": None}]}, r"blocks\[0\]: norm must be a name, found None"),
    ({"blocks": [{"layer": "conv3", "activation": True}]}, r"blocks\[0\]: activation must be a name, found True"),
    ({"blocks": [{"layer": "conv3", "activaton": "relu"}]}, "unknown key 'activaton'. Did you mean 'activation'?"),
    ({"interactions": ["ab"]}, r"interactions\[0\]: expected a list of field names, found 'ab'"),
    ({"interactions": [["a", "b"], ["a"]]}, r"interactions\[1\]: .* two or more distinct fields"),
    ({"interactions": [["a", "a"]]}, "distinct"),
    ({"interactions": [[]]}, "two or more"),
    ({"interactions": [["a", 1]]}, r"list of field names, found \['a', 1\]"),
    ({"interactions": [["a", True]]}, "list of field names"),
    ({"interactions": [["a", ""]]}, "list of field names"),
    ({"interactions": [None]}, "list of field names"),
    ({"mlp": [42]}, r"mlp\[0\]: expected {units, activation}, found 42"),
    ({"mlp": [{"activation": "relu"}]}, "'units' is missing"),
    ({"mlp": [{"units": 0}]}, "at least 1, found 0"),
    ({"mlp": [{"units": -4}]}, "found -4"),
    ({"mlp": [{"units": 4.0}]}, "whole number"),
    ({"mlp": [{"units": True}]}, "whole number"),
    ({"mlp": [{"units": "42"}]}, "whole number"),
    ({"mlp": [{"units": 4, "activation": None}]}, "activation must be a name"),
    ({"mlp": [{"unit": 4}]}, "unknown key 'unit'. Did you mean 'units'?"),
]


@pytest.mark.parametrize(("values", "message"), MALFORMED)
def test_malformed_input_is_one_clear_error(values: Any, message: str) -> None:
    with pytest.raises(AmeirError, match=message) as caught:
        Architecture.from_dict(values, "a.yaml")
    assert str(caught.value).startswith("a.yaml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "{'blocks': []}", "blocks: []", "[]", "null", "3", json.dumps("zero")])
def test_malformed_json(text: str) -> None:
    with pytest.raises(AmeirError, match="row 7"):
        Architecture.from_json(text, "row 7")
