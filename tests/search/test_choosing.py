"""The best on validation rows is chosen, or a smaller model that the rows do not tell from it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ameir_pl.objectives.ctr import Ctr
from ameir_pl.objectives.retrieval import Retrieval
from ameir_pl.search.choosing import Choice, Entrant, choose, joined

ROWS = 4000
GENERATOR = torch.Generator().manual_seed(3)
LABEL = (torch.rand(ROWS, generator=GENERATOR) < 0.3).float()
SIGNAL = LABEL + torch.randn(ROWS, generator=GENERATOR)


def entrant(name: str, params: int, noise: float) -> Entrant:
    """A model that sees the signal with some noise: the less, the better it is."""
    own = torch.randn(ROWS, generator=torch.Generator().manual_seed(len(name) + params))
    return Entrant(name, params, {"logit": SIGNAL + noise * own, "label": LABEL})


def chosen(*entrants: Entrant) -> tuple[str, Choice]:
    choice = choose(entrants, Ctr())
    return entrants[choice.place].name, choice


def test_the_best_is_chosen_where_the_rows_tell() -> None:
    small, large = entrant("small", 10, 1.0), entrant("large", 1000, 0.1)
    name, choice = chosen(small, large)
    assert name == choice.best == "large"
    told = choice.scores["small"]
    assert told["below_best"] > 3 * told["error"] > 0 and set(choice.scores["large"]) == {"score", "params"}
    assert told["below_best"] == pytest.approx(choice.scores["large"]["score"] - told["score"])
    assert "large has the best validation AUC" in choice.why and "small is below by" in choice.why


def test_the_smaller_is_chosen_where_they_do_not() -> None:
    small, large = entrant("small", 10, 0.14), entrant("large", 1000, 0.1)
    assert Ctr().score([small.predictions]) < Ctr().score([large.predictions])
    for order in ((small, large), (large, small)):
        name, choice = chosen(*order)
        told = choice.scores["small"]
        assert name == "small" and choice.best == "large" and 0 < told["below_best"] < told["error"]
        assert f"{told['below_best']:.4f}, less than the standard error" in choice.why and "1,000" in choice.why
        assert choice.to_dict() == {"by": "validation", "metric": "auc", "best": "large", "models": choice.scores,
                                    "why": choice.why}


def test_a_larger_model_is_never_taken_for_its_size() -> None:
    assert chosen(entrant("small", 10, 0.1), entrant("large", 1000, 0.103))[0] == "small"


def test_of_several_that_are_alike_the_smallest_is_chosen_and_worse_ones_are_not() -> None:
    three = entrant("best", 500, 0.1), entrant("like", 50, 0.103), entrant("worse", 5, 2.0)
    assert chosen(*three)[0] == "like"


def test_equals_go_by_size_then_by_order() -> None:
    def same(*params: int) -> list[Entrant]:
        return [Entrant(str(i), n, {"logit": SIGNAL, "label": LABEL}) for i, n in enumerate(params)]

    assert chosen(*same(7, 5, 5))[0] == "1" and chosen(*same(5, 5, 7))[0] == "0"
    assert chosen(*same(7, 7, 5))[0] == "2"
    assert chosen(*same(7))[1].why.startswith("0 has the best")


def test_a_score_that_is_no_number_is_never_the_best() -> None:
    broken = Entrant("broken", 1, {"logit": torch.full((ROWS,), float("nan")), "label": LABEL})
    assert chosen(broken, entrant("sound", 10, 5.0))[0] == "sound"


def test_next_items_go_by_each_rows_gain() -> None:
    def ranked(name: str, params: int, rank: Tensor) -> Entrant:
        return Entrant(name, params, {"rank": rank})

    rank = torch.randint(1, 20, (500,), generator=GENERATOR).float()
    some = torch.arange(500)  # a few rows better, more worse that were good rarely: not told
    better = torch.where(some < 3, torch.ones(500), torch.where(some < 13, torch.full((500,), 20.0), rank))
    clearly = torch.where(torch.arange(500) < 100, torch.ones(500), rank)
    objective = Retrieval(item="item")
    assert choose([ranked("a", 1, rank), ranked("b", 2, better)], objective).place == 0
    assert choose([ranked("a", 1, rank), ranked("b", 2, clearly)], objective).place == 1


def test_batches_are_joined_in_their_order() -> None:
    parts = [{"rank": torch.tensor([1.0, 2.0])}, {"rank": torch.tensor([3.0])}]
    assert joined(parts)["rank"].tolist() == [1, 2, 3]
