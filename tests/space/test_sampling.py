"""Fair rounds, counted here by hand: nothing of the package's own audit is used."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from math import gcd

import pytest

from ameir_pl.errors import AmeirError
from ameir_pl.space.architecture import Architecture, Interaction, MlpLayer
from ameir_pl.space.sampling import FAIRNESS, BlockRounds, InteractionRounds, MlpRounds, Rounds, deal, draw
from ameir_pl.space.space import BlockSpace, MlpSpace

LAYERS = ("conv1", "conv3", "dconv3", "dconv5", "dconv7", "avg_pool3", "max_pool3", "bigru", "self_attention2",
          "self_attention4", "target_attention", "zero")
ACTIVATIONS = ("relu", "gelu", "swish", "identity")
SEEDS = range(12)
BASE = Architecture(mlp=(MlpLayer(8),))
FAIR = [scheme for scheme in FAIRNESS if scheme != "uniform"]


def block_rounds(layers: int, activations: int = 4, depth: int = 3, seed: int = 0) -> BlockRounds:
    return BlockRounds(BlockSpace(depth, LAYERS[-layers:], activations=ACTIVATIONS[:activations]), BASE, seed)


def candidates(number: int) -> tuple[Interaction, ...]:
    return tuple((f"a{i:03d}", f"b{i:03d}") for i in range(number))


def spread(counts: Counter, choices: Sequence[object]) -> int:
    found = [counts[c] for c in choices]
    assert sum(found) == sum(counts.values()), "nothing but the choices"
    return max(found) - min(found)


def assert_even(updates: list[list[str]], choices: Sequence[str]) -> None:
    """Counts within an update differ by at most one and are equal over each whole deck."""
    period = len(choices) // gcd(len(choices), len(updates[0]))
    total: Counter = Counter()
    for step, cards in enumerate(updates, 1):
        assert spread(Counter(cards), choices) <= 1
        total.update(cards)
        if step % period == 0:
            assert spread(total, choices) == 0


@pytest.mark.parametrize("scheme", FAIR)
@pytest.mark.parametrize("layers", [12, 11, 7, 3, 2])
def test_blocks(scheme: str, layers: int) -> None:
    for seed in SEEDS:
        rounds = block_rounds(layers, activations=2 + seed % 3, seed=seed)
        space = rounds.space
        updates = [draw(rounds, scheme, step) for step in range(24)]
        for paths in updates:
            assert len(paths) == layers and all(p.mlp == BASE.mlp and len(p.blocks) == 3 for p in paths)
        for b in range(3):
            for paths in updates:
                assert Counter(p.blocks[b].layer for p in paths) == Counter(space.layers), "each layer exactly once"
            others = [[p.blocks[b] for p in paths if p.blocks[b].layer != "zero"] for paths in updates]
            assert_even([[block.norm for block in blocks] for blocks in others], space.norms)
            assert_even([[block.activation for block in blocks] for blocks in others], space.activations)


def test_every_block_is_drawn_in_the_long_run() -> None:
    rounds = block_rounds(3, depth=1)
    seen = Counter(p.blocks[0] for step in range(400) for p in rounds.fair(step))
    assert set(seen) == set(rounds.space.choices())
    per = [n for block, n in seen.items() if block.layer != "zero"]
    assert min(per) > 25 and max(per) < 80, "layer, norm and activation are independent"


@pytest.mark.parametrize("scheme", FAIR)
@pytest.mark.parametrize(("number", "most"), [(1, 128), (7, 3), (10, 10), (10, 128), (37, 16), (200, 128), (129, 128)])
def test_interactions(scheme: str, number: int, most: int) -> None:
    for seed in SEEDS:
        rounds = InteractionRounds(candidates(number), BASE, seed, most)
        total: Counter = Counter()
        for step in range(3 * number if number < 50 else 12):
            paths = draw(rounds, scheme, step)
            assert len(paths) == min(number, most)
            for path in paths:
                (interaction,) = path.interactions
                total[interaction] += 1
                assert spread(total, rounds.candidates) <= 1, "none again before each came as often"
        if number <= most:
            assert spread(total, rounds.candidates) == 0


@pytest.mark.parametrize("scheme", FAIR)
@pytest.mark.parametrize("depth", [1, 2, 5])
def test_mlp(scheme: str, depth: int) -> None:
    for seed in SEEDS:
        space = MlpSpace(depth, 105)
        rounds = MlpRounds(space, BASE, seed)
        ratios = [105 * t // 10 for t in range(1, 11)]
        updates = [draw(rounds, scheme, step) for step in range(16)]
        for paths in updates:
            assert sorted(p.mlp[0].units for p in paths) == ratios, "each first ratio exactly once"
            for p in paths:
                units = [layer.units for layer in p.mlp]
                assert units == sorted(units, reverse=True) and set(units) <= set(ratios) and len(units) == depth
        for i in range(depth):
            assert_even([[p.mlp[i].activation for p in paths] for paths in updates], space.activations)


def widths(space: MlpSpace, updates: range, layer: int) -> Counter:
    """How often each width of a layer came, counted in a loop of its own."""
    rounds = MlpRounds(space, BASE, 3)
    return Counter(p.mlp[layer].units for step in updates for p in rounds.fair(step))


def scored(space: MlpSpace, layer: int) -> dict[int, float]:
    """The share of each width of a layer among all MLPs, which are what is scored."""
    counts = Counter(mlp[layer].units for mlp in space.enumerate())
    return {units: n / counts.total() for units, n in counts.items()}


@pytest.mark.parametrize("tenths", [tuple(range(1, 11)), (1, 3, 4, 9), (5,)])
def test_the_second_width_is_trained_as_it_is_scored(tenths: tuple[int, ...]) -> None:
    space = MlpSpace(2, 100, ("relu", "dice"), tenths)
    period = len(tenths) + 1
    expected = scored(space, 1)
    for decks in (1, 3):
        found = widths(space, range(decks * period), 1)
        assert {u: n / found.total() for u, n in found.items()} == pytest.approx(expected, abs=1e-12)
    for start, updates in ((0, 40), (5, 23), (7, 400)):  # cut anywhere: no more than a part of two decks is uneven
        found = widths(space, range(start, start + updates), 1)
        for units, share in expected.items():
            assert abs(found[units] - share * found.total()) <= 2 * period * len(tenths) * share


@pytest.mark.parametrize(("depth", "period"), [(3, 66), (5, 1001)])
def test_deeper_widths_come_as_near_as_an_even_first_layer_allows(depth: int, period: int) -> None:
    space = MlpSpace(depth, 100, ("relu",))
    expected, found = scored(space, 1), widths(space, range(period), 1)
    # A first layer of at most k tenths, which comes in k of ten paths, has no wider second one. Each stack once costs
    # a little more.
    forced = max(k / 10 - sum(expected[10 * t] for t in range(1, k + 1)) for k in range(1, 11))
    away = sum(abs(found[u] / found.total() - share) for u, share in expected.items()) / 2
    assert forced - 1e-9 <= away <= forced + 0.06, (forced, away)
    if depth == 3:
        seen = Counter(p.mlp for step in range(period) for p in MlpRounds(space, BASE, 0).fair(step))
        assert set(seen) == set(space.enumerate()), "each comes in a deck"


ROUNDS: list[Rounds] = [block_rounds(12), InteractionRounds(candidates(37), BASE, 0, 16), MlpRounds(MlpSpace(3, 105),
                                                                                                  BASE, 0)]


@pytest.mark.parametrize("scheme", FAIRNESS)
@pytest.mark.parametrize("rounds", ROUNDS, ids=["blocks", "interactions", "mlp"])
def test_draws_depend_on_seed_and_step_alone(rounds: Rounds, scheme: str) -> None:
    state = random.getstate()
    first = [draw(rounds, scheme, step) for step in range(9)]
    random.seed(5)
    assert [draw(rounds, scheme, step) for step in reversed(range(9))][::-1] == first
    assert draw(rounds, scheme, 10**7) == draw(rounds, scheme, 10**7)
    random.setstate(state)
    draw(rounds, scheme, 3)
    assert random.getstate() == state, "the global generator is left alone"
    assert [draw(replace(rounds, seed=1), scheme, step) for step in range(9)] != first  # type: ignore[type-var]
    assert len(set(first)) > 1
    assert all(len(paths) == 1 for paths in first) == (scheme == "uniform")


def test_split_and_full_draw_the_same() -> None:
    for rounds in ROUNDS:
        assert draw(rounds, "split", 4) == draw(rounds, "full", 4) == rounds.fair(4)


def test_blocks_differ_from_each_other_within_a_path() -> None:
    paths = [p for step in range(5) for p in block_rounds(12).fair(step)]
    assert len({tuple(b.layer for b in p.blocks) for p in paths}) > 50, "each block has its own permutation"


def test_dealing_is_random_access() -> None:
    for choices, paths in ((4, 11), (2, 11), (4, 4), (3, 7), (5, 2), (2, 1)):
        names = tuple("abcde"[:choices])
        forward = [deal("key", names, paths, step) for step in range(20)]
        assert [deal("key", names, paths, step) for step in reversed(range(20))][::-1] == forward
        assert_even([list(cards) for cards in forward], names)
        assert forward != [deal("other", names, paths, step) for step in range(20)]


def test_unknown_scheme() -> None:
    with pytest.raises(AmeirError, match="split, full, uniform, found 'fair'"):
        draw(ROUNDS[0], "fair", 0)
