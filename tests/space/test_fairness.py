"""The audit accepts fair rounds and raises for every kind of unfair ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest

from ameir_pl.space.architecture import Architecture, Block, MlpLayer
from ameir_pl.space.fairness import Tally, UnfairError, tallies
from ameir_pl.space.sampling import BlockRounds, InteractionRounds, MlpRounds
from ameir_pl.space.space import BlockSpace, MlpSpace

BASE = Architecture(mlp=(MlpLayer(8),))
BLOCKS = BlockRounds(BlockSpace(2, ("conv1", "conv3", "bigru", "zero"), activations=("relu", "gelu")), BASE, 0)
INTERACTIONS = InteractionRounds(tuple((f"a{i}", f"b{i}") for i in range(7)), BASE, 0, 3)
MLP = MlpRounds(MlpSpace(2, 100, ("relu", "dice", "swish")), BASE, 0)
ROUNDS = {"blocks": BLOCKS, "interactions": INTERACTIONS, "mlp": MLP}
Updates = Sequence[Sequence[Architecture]]


def audit(rounds: BlockRounds | InteractionRounds | MlpRounds, updates: Updates, fair: bool = True) -> list[Tally]:
    found = tallies(rounds, fair)
    for paths in updates:
        for tally in found:
            tally.add(paths)
    return found


@pytest.mark.parametrize("kind", ROUNDS)
def test_fair_rounds_pass_and_are_counted(kind: str) -> None:
    rounds = ROUNDS[kind]
    updates = [rounds.fair(step) for step in range(42)]
    found = audit(rounds, updates)
    assert len(found) == {"blocks": 6, "interactions": 1, "mlp": 4}[kind]
    if kind == "blocks":
        assert [t.name for t in found[:3]] == ["block 1 layer", "block 1 norm", "block 1 activation"]
        assert found[0].totals == Counter(dict.fromkeys(BLOCKS.space.layers, 42))
        assert sum(found[1].totals.values()) == sum(found[2].totals.values()) == 3 * 42
        assert found[4].totals == Counter(p.blocks[1].norm for u in updates for p in u if p.blocks[1].layer != "zero")
    if kind == "interactions":
        assert found[0].totals == Counter(dict.fromkeys(INTERACTIONS.candidates, 18))
    if kind == "mlp":
        assert [t.rule for t in found] == ["once", "even", "free", "even"]
        assert found[0].totals == Counter({10 * t: 42 for t in range(1, 11)})


def changed(updates: Updates, step: int, path: int, **change: object) -> list[list[Architecture]]:
    """The updates with one path of one of them changed."""
    copy = [list(paths) for paths in updates]
    copy[step][path] = replace(copy[step][path], **change)
    return copy


def block_updates(number: int) -> list[list[Architecture]]:
    """Rounds of two blocks: conv1, conv3, bigru, zero, with norms and activations by hand over decks of two."""
    norms, activations = ("none", "layer_norm"), ("relu", "gelu")
    return [[replace(BASE, blocks=tuple(Block(layer, activations[(i + s) % 2], norms[(i + s + 1) % 2])
                                        for _ in range(2)))
             for i, layer in enumerate(BLOCKS.space.layers)] for s in range(number)]


def test_unfair_layers() -> None:
    audit(BLOCKS, block_updates(4))
    twice = changed(block_updates(4), 2, 1, blocks=(Block("conv1", "gelu"), Block("conv3", "gelu")))
    with pytest.raises(UnfairError, match="block 1 layer: update 3 .* not each choice once"):
        audit(BLOCKS, twice)
    with pytest.raises(UnfairError, match="block 1 layer: update 1"):
        audit(BLOCKS, [block_updates(1)[0][:3]])
    with pytest.raises(UnfairError, match="block 2 layer: {'conv9'} is not among the candidates"):
        audit(BLOCKS, changed(block_updates(1), 0, 0, blocks=(Block("conv1", "relu"), Block("conv9"))))


def test_unfair_within_an_update() -> None:
    one = [replace(BASE, blocks=(Block(layer, "relu", "none"),) * 2) for layer in BLOCKS.space.layers]
    with pytest.raises(UnfairError, match="block 1 norm: counts {'none': 3} of update 1 differ by over one"):
        audit(BLOCKS, [one])


def test_unfair_over_a_deck() -> None:
    # 2 : 1 within each update is fine, twice the same way is not: a deck has two updates here.
    with pytest.raises(UnfairError, match="norm: totals .* are uneven after 2 updates"):
        audit(BLOCKS, block_updates(1) * 2)


def test_unfair_interactions() -> None:
    paths = [replace(BASE, interactions=(c,)) for c in INTERACTIONS.candidates]
    audit(INTERACTIONS, [paths[:3], paths[3:6], [paths[6], paths[0], paths[1]], paths[2:5]])
    with pytest.raises(UnfairError, match=r"\('a0', 'b0'\) came again before every other candidate did \(update 2"):
        audit(INTERACTIONS, [paths[:3], [paths[3], paths[0], paths[4]]])
    with pytest.raises(UnfairError, match="came again"):
        audit(INTERACTIONS, [[paths[0], paths[0]]])
    with pytest.raises(UnfairError, match="not among the candidates"):
        audit(INTERACTIONS, [[replace(BASE, interactions=(("x", "y"),))]])


def test_unfair_mlp() -> None:
    updates = [MLP.fair(step) for step in range(6)]
    first = updates[2][0].mlp[0]
    other = MlpLayer(first.units % 100 + 10, first.activation)
    with pytest.raises(UnfairError, match="hidden layer 1 units: update 3"):
        audit(MLP, changed(updates, 2, 0, mlp=(other, updates[2][0].mlp[1])))
    same = [[replace(p, mlp=tuple(MlpLayer(h.units, "relu") for h in p.mlp)) for p in paths] for paths in updates]
    with pytest.raises(UnfairError, match="hidden layer 1 activation: counts {'relu': 10}"):
        audit(MLP, same)
    with pytest.raises(UnfairError, match="activation: totals .* after 3 updates"):
        audit(MLP, [updates[0]] * 3)


@pytest.mark.parametrize("kind", ROUNDS)
def test_uniform_sampling_only_counts(kind: str) -> None:
    rounds = ROUNDS[kind]
    found = audit(rounds, [rounds.single(step) for step in range(30)], fair=False)
    assert all(t.rule == "free" for t in found)
    assert sum(found[0].totals.values()) == 30
    with pytest.raises(UnfairError):
        audit(rounds, [rounds.single(0)] * 2, fair=True)
