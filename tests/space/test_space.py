"""The three subspaces: sizes, enumeration, draws, and one clear error for each architecture that does not fit."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from math import comb
from random import Random

import pytest

from ameir_pl.errors import AmeirError
from ameir_pl.nn.operations import names
from ameir_pl.space.architecture import Architecture, Block, MlpLayer
from ameir_pl.space.space import BlockSpace, InteractionSpace, MlpSpace, check_architecture, sample_distinct

FIELDS = ("user", "item", "hour", "city", "brand")


def test_sizes_of_the_papers_spaces() -> None:
    assert BlockSpace(1, tuple(names(True))).size() == 11 * 4 * 2 + 1 == 89
    assert BlockSpace(3, tuple(names(True))).size() == 89 ** 3
    assert BlockSpace(6, tuple(names(False))).size() == 81 ** 6
    assert MlpSpace(2, 105).size() == 880
    for depth in (1, 2, 3, 5):
        assert MlpSpace(depth, 100).size() == comb(10 + depth - 1, depth) * 4 ** depth
    assert MlpSpace(0, 0).size() == 1 and BlockSpace(0, ()).size() == 1


def test_units_are_floors_of_exact_ratios() -> None:
    for width in range(10, 400):
        space = MlpSpace(1, width)
        units = [space.units(t) for t in space.tenths]
        assert units == [(width * t) // 10 for t in range(1, 11)] and len(set(units)) == 10
    with pytest.raises(AmeirError, match="9 numbers.*Raise the embedding size"):
        MlpSpace(2, 9)


@pytest.mark.parametrize("space", [
    BlockSpace(2, ("conv1", "zero", "bigru"), activations=("relu", "identity")), BlockSpace(1, tuple(names(True))),
    BlockSpace(2, ("zero",)), MlpSpace(2, 105), MlpSpace(3, 20, ("relu",)), MlpSpace(1, 10), BlockSpace(0, ()),
])
def test_enumeration_is_the_whole_space_once(space: BlockSpace | MlpSpace) -> None:
    members = list(space.enumerate())
    assert len(members) == len(set(members)) == space.size()
    assert len({Architecture(blocks=m) if isinstance(space, BlockSpace) else Architecture(mlp=m)
                for m in members}) == space.size()
    if isinstance(space, MlpSpace):
        assert all(a.units >= b.units for m in members for a, b in zip(m, m[1:], strict=False))
    drawn = {space.sample(Random(seed)) for seed in range(50)}
    assert drawn <= set(members)


@pytest.mark.parametrize("space", [BlockSpace(2, tuple(names(True))), MlpSpace(2, 105)])
def test_distinct_samples(space: BlockSpace | MlpSpace) -> None:
    for number in (1, 50, 700):
        drawn, whole = sample_distinct(space, number, Random(3))
        assert len(drawn) == len(set(drawn)) == number and not whole
        assert drawn == sample_distinct(space, number, Random(3))[0] != sample_distinct(space, number, Random(4))[0]
    small = MlpSpace(2, 105)
    for number in (880, 2000):
        drawn, whole = sample_distinct(small, number, Random(3))
        assert whole and drawn == list(small.enumerate())
    drawn, whole = sample_distinct(BlockSpace(1, tuple(names(True))), 88, Random(0))
    assert len(set(drawn)) == 88 and not whole


def test_block_samples_are_uniform_over_operations() -> None:
    space = BlockSpace(1, ("conv1", "bigru", "zero"))
    rng = Random(0)
    counts = Counter(space.sample(rng)[0].layer for _ in range(9000))
    assert all(abs(counts[layer] - 3000) < 200 for layer in space.layers)


def test_mlp_samples_are_uniform_over_stacks() -> None:
    space = MlpSpace(2, 100, ("relu",))
    rng = Random(0)
    counts = Counter(space.sample(rng) for _ in range(55 * 300))
    assert len(counts) == 55 and all(220 < n < 380 for n in counts.values())


@pytest.mark.parametrize("wrong", [
    {"layers": ("conv1", "conv1")}, {"layers": ()}, {"layers": ("conv1",), "norms": ()},
    {"layers": ("conv1",), "activations": ("relu", "gelu", "relu")},
])
def test_operation_sets_with_duplicates_or_nothing(wrong: dict) -> None:
    with pytest.raises(AmeirError, match="one or more, each once"):
        BlockSpace(2, **wrong)
    with pytest.raises(AmeirError, match="activations of a search space"):
        MlpSpace(2, 100, ("relu", "relu"))


def test_expanding_interactions() -> None:
    space = InteractionSpace(FIELDS)
    pairs = space.expand(())
    assert set(pairs) == {tuple(sorted(p)) for p in combinations(FIELDS, 2)} and len(pairs) == 10
    kept = pairs[:4]
    for order in (3, 4, 5, 5):
        grown = space.expand(kept)
        assert len(grown) == len(set(grown)) and set(kept) <= set(grown), "kept ones stay, none comes twice"
        assert all(len(set(i)) == len(i) and list(i) == sorted(i) for i in grown)
        assert max(map(len, grown)) == order
        children = {tuple(sorted({*p, f})) for p in kept for f in FIELDS if f not in p}
        assert set(grown) == set(kept) | children
        kept = grown
    assert len(space.expand(kept)) == len(kept), "interactions of all fields have no children"
    assert space.expand([("item", "user"), ("user", "item")]) == space.expand([("item", "user")])
    assert InteractionSpace(("one",)).expand(()) == ()


GOOD = Architecture((Block("conv1"), Block("zero")), (("item", "user"),), (MlpLayer(42), MlpLayer(42), MlpLayer(10)))
PREDEFINED = (MlpLayer(200), MlpLayer(300))
RULES = {"layers": ("conv1", "bigru", "zero"), "fields": FIELDS, "depth": 3, "has_behaviors": True, "width": 105,
         "predefined": PREDEFINED, "source": "a.yaml"}


def test_fitting_architectures() -> None:
    for good in (GOOD, Architecture(), Architecture(mlp=PREDEFINED), Architecture(mlp=(MlpLayer(105, "dice"),)),
                 Architecture(mlp=(MlpLayer(200, "swish"), MlpLayer(300)))):
        check_architecture(good, **RULES)  # type: ignore[arg-type]
    check_architecture(Architecture(interactions=(("a", "b"),)), layers=(), fields=("a", "b"), depth=0,
                       has_behaviors=False, width=10)


@pytest.mark.parametrize(("bad", "rules", "message"), [
    (Architecture(interactions=(("item", "usr"),)), {}, r"a.yaml: interaction \['item', 'usr'\].*'usr'.*mean 'user'"),
    (Architecture((Block("conv2"),)), {}, r"a.yaml, blocks\[0\]: unknown layer 'conv2'. Did you mean 'conv1'"),
    (Architecture((Block("conv1", "rellu"),)), {}, r"blocks\[0\]: unknown activation 'rellu'. Did you mean 'relu'"),
    (Architecture((Block("conv1", "dice"),)), {}, r"unknown activation 'dice'"),
    (Architecture((Block("zero"), Block("conv1", "relu", "batch_norm"))), {}, "unknown norm 'batch_norm'"),
    (Architecture((Block("target_attention"),)), {}, "target_attention needs a target.*this dataset has none"),
    (Architecture((Block("conv1"),)), {"has_behaviors": False, "depth": 0}, "1 blocks, but the dataset has no beh"),
    (Architecture((Block("zero"),) * 4), {}, "it has 4 blocks, the dataset's models have 3"),
    (Architecture(mlp=(MlpLayer(106),)), {}, r"mlp\[0\]: 106 units, more than K0 = 105"),
    (Architecture(mlp=(MlpLayer(42), MlpLayer(43))), {}, r"mlp\[1\]: 43 units after 42; widths must not increase"),
    (Architecture(mlp=(MlpLayer(42, "gelu"),)), {}, r"mlp\[0\]: unknown activation 'gelu'"),
    (Architecture(mlp=PREDEFINED), {"predefined": ()}, "200 units, more than K0"),
    (Architecture(mlp=(MlpLayer(200), MlpLayer(150))), {}, "200 units, more than K0"),
])
def test_architectures_that_do_not_fit(bad: Architecture, rules: dict, message: str) -> None:
    with pytest.raises(AmeirError, match=message):
        check_architecture(bad, **(RULES | rules))  # type: ignore[arg-type]
