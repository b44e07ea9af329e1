"""Trials: what is drawn, when they end, which are kept."""

from __future__ import annotations

from collections import Counter
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from ameir_pl.cli import search
from ameir_pl.cli.engine import LightningEngine
from ameir_pl.errors import AmeirError, NotFinite
from ameir_pl.search.strategies import STRATEGIES, Trial
from ameir_pl.search.trials import Limit, best_trials
from ameir_pl.search.whole_space import WholeSpace, whole_space
from ameir_pl.space.architecture import Architecture, MlpLayer
from ameir_pl.space.space import BlockSpace, InteractionSpace, MlpSpace
from tests.tiny import Tiny

FIELDS = ("user", "item", "hour")
MLP = (MlpLayer(8, "relu"),)
SMALL = WholeSpace(BlockSpace(1, ("conv1",), activations=("relu",)), InteractionSpace(FIELDS), 2, 2,
                   lambda _: MlpSpace(1, 10, ("relu",)), MLP)


def trial(number: int, fitness: float, params: int = 10, seconds: float = 4.0, failed: str = "") -> Trial:
    return Trial(number, Architecture(), params, fitness, {}, 1, 1, seconds, failed)


def test_the_size_of_the_whole_space() -> None:
    assert SMALL.size() == SMALL.blocks.size() * 3 * 10  # type: ignore[union-attr]
    drawn = {SMALL.sample(Random(seed)) for seed in range(3000)}
    assert len(drawn) == SMALL.size()
    plain = WholeSpace(None, InteractionSpace(FIELDS), 0, 3, None, MLP)
    assert plain.size() == 1 and plain.sample(Random(1)) == Architecture(mlp=MLP)


def test_sets_of_interactions_are_drawn_evenly() -> None:
    space, rng = InteractionSpace(("a", "b", "c", "d")), Random(5)
    assert space.size(3) == 6 + 4 and space.size(9) == 6 + 4 + 1 and space.sets(2, 3) == 45
    seen = Counter(space.sample(2, 3, rng) for _ in range(9000))
    assert len(seen) == 45 and all(len(one) == 2 == len(set(one)) for one in seen)
    assert all(140 < times < 265 for times in seen.values()), "200 expected, deviation 14"


def test_a_strategy_draws_each_architecture_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ameir_pl.search.strategies.random.whole_space", lambda _: SMALL)

    def drawn(seed: int) -> list[Any]:
        strategy: Any = STRATEGIES.get("random")(SimpleNamespace(seed=seed))  # type: ignore[arg-type]
        return [strategy.propose([]) for _ in range(SMALL.size() + 1)]

    first = drawn(1)
    assert first[-1] is None and len(set(first[:-1])) == SMALL.size()
    assert drawn(1) == first and drawn(2) != first


def test_the_space_is_that_of_the_datasets_steps() -> None:
    problem: Any = SimpleNamespace(
        schema=SimpleNamespace(field_names=FIELDS), stages=[2], model=SimpleNamespace(interactions=2),
        budget=SimpleNamespace(cycles=1), narrowing=None, predefined=MLP)
    space = whole_space(problem)
    assert (space.blocks, space.mlp, space.count, space.highest_order) == (None, None, 2, 2)
    problem.narrowing = SimpleNamespace(highest_order=3)
    assert whole_space(problem).highest_order == 3
    problem.model.interactions = 5
    with pytest.raises(AmeirError, match="3 fields give 4 interactions, fewer than dataset.model.interactions=5"):
        whole_space(problem)


def test_limits() -> None:
    two = [trial(1, 0.5), trial(2, 0.6)]
    assert not Limit(trainings=3).reached(two) and Limit(trainings=2).reached(two)
    assert not Limit(seconds=8.1).reached(two) and Limit(seconds=8.0).reached(two)
    assert not Limit(seconds=0.1).reached([]), "one is trained at least"


def test_the_best_of_equals_is_the_smaller_and_failed_ones_are_none() -> None:
    several = [trial(1, 0.5), trial(2, float("-inf"), failed="nan"), trial(3, 0.7, 30), trial(4, 0.7, 20),
               trial(5, 0.7, 20)]
    assert [one.number for one in best_trials(several, 3)] == [4, 5, 3]
    assert [one.number for one in best_trials(several, 9)] == [4, 5, 3, 1]


def test_a_trial_is_read_as_it_was_written() -> None:
    for one in (trial(1, 0.5), trial(2, float("-inf"), failed="nan")):
        assert Trial.from_dict(one.to_dict()) == one


def test_a_training_that_fails_is_told_and_the_others_go_on(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    fit = LightningEngine.fit

    def first_fails(self: LightningEngine, *rest: Any, **named: Any) -> Any:
        if named["phase"] == "random/1":
            raise NotFinite("the loss is not finite")
        return fit(self, *rest, **named)

    monkeypatch.setattr(LightningEngine, "fit", first_fails)
    asked = tiny("strategy=random", "budget.finetune_epochs=1", "reference=null")
    found = search.main([*asked, "trainings=2"])["search"]
    assert (found["trainings"], found["failed"]) == (2, 1)
    with pytest.raises(AmeirError, match="None of the 1 trainings ended with finite numbers: the loss is not finite"):
        search.main([*asked, "trainings=1", "run=other"])
