"""Candidates scored together: the scores and the ranking are those of one by one. Racing: safe, and it saves work."""

from __future__ import annotations

import weakref
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from ameir_pl.batch import Batch
from ameir_pl.models.sharing import predict_each
from ameir_pl.objectives import make_objective
from ameir_pl.search.evaluator import CandidateScorer, Predictions, by_length, evaluating
from ameir_pl.search.racing import Race
from ameir_pl.space.architecture import Architecture
from tests.models.examples import KINDS, PREDEFINED, ctr_schema, draws, interaction_candidates, make_batch

LENGTHS = tuple(int(n) for n in np.random.default_rng(0).integers(0, 7, 150))


def scorer(kind: str, rows: int = 40) -> tuple[CandidateScorer, list[Architecture]]:
    model, chosen, _ = draws(kind, 60)
    if kind == "interactions":
        chosen = [Architecture(interactions=(i,), mlp=PREDEFINED) for i in interaction_candidates(ctr_schema())]
    valid = [make_batch(model.schema, LENGTHS[:90], seed=1), make_batch(model.schema, LENGTHS[90:], seed=2)]
    objective = make_objective(model.schema, "logloss" if model.schema.task == "ctr" else "sampled_bce")
    return CandidateScorer(model, objective, valid, [make_batch(model.schema, seed=3)], rows=rows), sorted(set(chosen))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [7, 1000])
def test_scores_and_ranking_are_those_of_one_by_one(kind: str, rows: int) -> None:
    together, chosen = scorer(kind, rows)
    alone = {a: together.score(a) for a in chosen}
    ranking = together.rank(chosen, "scoring")
    assert {a for a, _, _ in ranking} == set(chosen)
    # Two rows whose logits are equal to rounding may change places: sums are made in another order, which processors
    # round as they like. Such a pair is all that an AUC may differ by.
    labels = torch.cat([batch.label for batch in together.batches])
    rounding = 1e-6 + (1 / float(labels.sum() * (1 - labels).sum()) if together.objective.fitness == "auc" else 0.0)
    for architecture, score, _ in ranking:
        assert score == pytest.approx(alone[architecture], abs=rounding)
    # Only candidates whose scores are equal to rounding may change places.
    order = [alone[a] for a, _, _ in ranking]
    assert all(before >= after - 2 * rounding for before, after in zip(order, order[1:], strict=False))
    assert len({round(s, 9) for s in order}) > 10


@pytest.mark.parametrize("kind", ["target", "retrieval"])
def test_scores_are_those_of_all_predictions_joined_to_the_last_bit(kind: str) -> None:
    together, chosen = scorer(kind, 16)
    joined: list[list[dict[str, torch.Tensor]]] = [[] for _ in chosen]
    with evaluating(together.model):
        for part in [p for batch in together.batches for p in by_length(batch, 16)]:
            for place, output in predict_each(together.model, together.model.embed(part), chosen, {}):
                joined[place].append(together.objective.predictions(together.model, output, part))
    assert together.scores(chosen) == [together.objective.score(predictions) for predictions in joined]


def test_no_result_of_a_part_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    together, chosen = scorer("retrieval", 16)
    made: list[weakref.ref[torch.Tensor]] = []
    most = 0
    predictions = together.objective.predictions

    def counted(*given: Any, **more: Any) -> dict[str, torch.Tensor]:
        nonlocal most
        most = max(most, sum(r() is not None for r in made))
        found = predictions(*given, **more)
        made.extend(weakref.ref(values) for values in found.values())
        return found

    monkeypatch.setattr(together.objective, "predictions", counted)
    together.scores(chosen)
    assert len(made) > 5 * len(chosen) and most <= 2  # those of the candidate before


def test_predictions_hold_what_rows_share_once() -> None:
    found = Predictions(2, 5)
    parts = [Batch(fields=torch.zeros(n, 1), label=torch.arange(float(n)) + n) for n in (3, 2)]
    for part in parts:
        for candidate in range(2):
            found.add(candidate, {"label": part.label, "logit": part.label * 10 + candidate}, part)
    assert found.of(1)["logit"].tolist() == [31.0, 41.0, 51.0, 21.0, 31.0]
    assert found.of(0, begin=3)["logit"].tolist() == [20.0, 30.0]
    assert found.of(0)["label"].data_ptr() == found.of(1)["label"].data_ptr()
    assert found.of(0)["label"].tolist() == [3.0, 4.0, 5.0, 2.0, 3.0]


def test_training_mode_is_put_back_and_dropout_is_off() -> None:
    together, chosen = scorer("mlp")
    together.model.train()
    together.model.mlp.dropout.p = 0.5
    first = together.scores(chosen[:5])
    assert first == together.scores(chosen[:5]) and together.model.training


def rows_of(batch: Batch) -> list[tuple]:
    return [(tuple(batch.fields[i].tolist()), tuple(batch.behaviors[i][batch.mask[i]].flatten().tolist()),
             batch.label[i].item()) for i in range(len(batch))]


@pytest.mark.parametrize("rows", [1, 7, 64, 1000])
def test_parts_hold_every_row_once_by_length(rows: int) -> None:
    batch = make_batch(ctr_schema(), LENGTHS)
    parts = list(by_length(batch, rows))
    assert max(len(p) for p in parts) <= rows
    assert sorted(r for p in parts for r in rows_of(p)) == sorted(rows_of(batch))
    longest = [p.mask.shape[1] for p in parts]
    assert longest == sorted(longest) and longest[0] >= 1
    assert all(p.mask.shape[1] == max(int(p.mask.sum(1).max()), 1) for p in parts)


def test_rows_without_histories_keep_their_order() -> None:
    batch = Batch(fields=torch.arange(10)[:, None], label=torch.arange(10.0))
    parts = list(by_length(batch, 4))
    assert [p.label.tolist() for p in parts] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_a_race_that_drops_nobody_gives_the_same_scores() -> None:
    together, chosen = scorer("target", 1000)
    race = Race(len(chosen), 5, groups=3, deviations=1e9)
    assert together.scores(chosen, race=race) == pytest.approx(together.scores(chosen), abs=1e-6)
    assert race.dropped == set() and race.work == 1.0


def test_a_race_ranks_the_dropped_behind_all_others() -> None:
    together, chosen = scorer("target", 1000)
    race = Race(len(chosen), 3, groups=6, deviations=0.5)
    ranking = together.rank(chosen, "race", race)
    assert 0 < len(race.dropped) <= len(chosen) - 3 and race.work < 1.0
    places = {a: i for i, a in enumerate(chosen)}
    flags = [places[a] in race.dropped for a, _, _ in ranking]
    assert flags == sorted(flags)
    whole = dict(zip(chosen, together.scores(chosen), strict=True))
    for (architecture, score, _), dropped in zip(ranking, flags, strict=True):
        assert dropped or score == pytest.approx(whole[architecture], abs=1e-6)


def noisy(quality: np.ndarray, groups: int, seed: int) -> list[np.ndarray]:
    """Scores of groups: what all share, and a little of a candidate's own."""
    rng = np.random.default_rng(seed)
    return [quality + rng.normal(0, 0.02) + rng.normal(0, 0.004, len(quality)) for _ in range(groups)]


@pytest.mark.parametrize("seed", range(5))
def test_a_race_keeps_the_top_and_saves_work(seed: int) -> None:
    quality = np.random.default_rng(100 + seed).normal(0.7, 0.02, 300)
    groups = noisy(quality, 8, seed)
    race, alive = Race(300, 5), np.arange(300)
    for scores in groups:
        alive = alive[race.survivors(scores[alive])]
    best = np.argsort(-np.mean(groups, axis=0))[:5]
    assert set(best) <= set(alive) and set(alive).isdisjoint(race.dropped)
    assert race.work < 0.6


def test_a_race_ignores_what_cannot_be_compared() -> None:
    race = Race(4, 1, groups=4)
    nothing = [float("nan")] * 4
    assert race.survivors(nothing) == race.survivors([0.9, 0.1, 0.5, 0.2]) == [0, 1, 2, 3]


@pytest.mark.parametrize("groups", [40, 200])
def test_groups_of_one_class_or_without_rows_do_not_stop_a_race(groups: int) -> None:
    together, chosen = scorer("target", 1000)
    for batch in together.batches:
        batch.label = (torch.arange(len(batch)) % 30 == 0).float()  # most groups have no click
    assert len(together.rank(chosen[:8], "race", Race(8, 3, groups=groups))) == 8


def test_equal_scores_go_to_the_smaller_model() -> None:
    together, chosen = scorer("mlp")
    together.model.head.weight_mlp.data.zero_()
    together.model.head.weight_shortcut.data.zero_()
    ranking = together.rank([replace(a) for a in chosen], "scoring")
    sizes = [params for _, _, params in ranking]
    assert {s for _, s, _ in ranking} == {0.5} and sizes == sorted(sizes)


@pytest.mark.parametrize(("scores", "words"), [
    ([0.5] * 30, "all 30 candidates have the same score, 0.5000: the one-shot model tells none from another. Train it"),
    ([1.0] * 30, "A field gives the label away (`ameir data prepare` says which): training longer changes nothing"),
    ([0.6, 0.7] * 15, "the 30 candidates have 2 distinct scores; of equal ones the smaller is taken. The 150 rows"),
    ([0.999, 1.0] * 15, "have 2 distinct scores; of equal ones the smaller is taken. A field gives the label away"),
    ([i / 30 for i in range(30)], ""), ([0.5], "")])
def test_ties_are_said_with_their_cause(scores: list[float], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    scorer("mlp")[0]._say_ties(scores, "scoring")
    said = capsys.readouterr().err
    assert (words in said and ("Train it longer" not in said or scores[0] == 0.5)) if words else said == ""
