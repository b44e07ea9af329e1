"""The planted truth is true: stated scores, pure interactions, an order that counts, noise."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.feature_extraction import FeatureHasher
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

from ameir_pl.data.planted import click_model, draws
from ameir_pl.data.planted.behavior import Behavior, deal_groups, histories
from tests.data.planted import recompute

CTR = ["alimama", "avazu", "criteo", "movielens", "synthetic"]
Planted = Callable[..., tuple[Path, dict[str, Any]]]


@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("name", CTR)
def test_the_stated_scores_follow_from_files_and_truth(name: str, noise: float, planted: Planted) -> None:
    folder, truth = planted(name, noise=noise)
    pairs = getattr(recompute, name)(folder, truth)
    p, label = np.array([pair[0] for pair in pairs]), np.array([pair[1] for pair in pairs])
    assert truth["bayes"]["rows"] == len(pairs)
    assert truth["bayes"]["auc"] == pytest.approx(roc_auc_score(label, p), abs=1e-9)
    assert truth["bayes"]["logloss"] == pytest.approx(log_loss(label, p), abs=1e-9)
    # Labels are draws from these probabilities: as many clicks, and as large a loss, as probabilities expect.
    assert abs(label.mean() - p.mean()) < 4 * np.sqrt((p * (1 - p)).sum()) / len(p)
    expected = -(p * np.log(p) + (1 - p) * np.log(1 - p))
    spread = np.sqrt((p * (1 - p) * np.log(p / (1 - p))**2).sum()) / len(p)
    assert abs(truth["bayes"]["logloss"] - expected.mean()) < 4 * spread


@pytest.mark.parametrize("name", CTR)
def test_leaving_a_part_out_costs(name: str, planted: Planted) -> None:
    _, truth = planted(name, rows=30_000 if name == "alimama" else 20_000)
    best, ablations = truth["bayes"]["auc"], truth["ablations"]
    assert 0.76 < best < 0.86
    assert ablations["without_interactions"] < best - 0.03
    assert ablations["main_only"] > 0.55
    assert (truth["behavior"] is None) == (name in ("criteo", "avazu"))
    if truth["behavior"] is not None:
        assert ablations["without_behavior"] < best - 0.03
        assert ablations["main_only"] < min(ablations["without_behavior"], ablations["without_interactions"])


@pytest.mark.parametrize("name", CTR)
def test_noise_makes_the_best_worse(name: str, planted: Planted) -> None:
    clean, noisy = planted(name)[1]["bayes"], planted(name, noise=0.3)[1]["bayes"]
    assert noisy["auc"] < clean["auc"] - 0.02 and noisy["logloss"] > clean["logloss"] + 0.01


@pytest.mark.parametrize("name", ["beauty", "steam"])
def test_the_best_ranking_beats_popularity_and_noise_lowers_it(name: str, planted: Planted) -> None:
    clean, noisy = planted(name)[1], planted(name, noise=0.5)[1]
    for metric in ("hr@1", "hr@5", "ndcg@5"):
        assert clean["bayes"][metric] > 2 * clean["popularity"][metric]
        assert noisy["popularity"][metric] < noisy["bayes"][metric] < clean["bayes"][metric]


def test_sequences_follow_the_stated_model(planted: Planted) -> None:
    folder, truth = planted("beauty", rows=20_000)
    pairs = [tuple(map(int, line.split())) for line in (folder / "Beauty.txt").read_text().splitlines()]
    group, plan = truth["model"]["group"], truth["model"]["plan"]
    planned = last = total = turned = 0
    for (u, a), (v, b), (w, c) in zip(pairs, pairs[1:], pairs[2:], strict=False):
        if u == v == w:
            a, b, c = (group[i - 1] for i in (a, b, c))
            total += 1
            planned += c == plan[a][b]
            last += c == b
            turned += c == plan[b][a]
    # 0.7 by plan and 0.15 / 12 by popularity, and a little where plan and last group agree.
    assert 0.69 < planned / total < 0.76 and 0.15 < last / total < 0.3 and turned / total < 0.45


def test_no_subset_of_an_interaction_tells_of_it(planted: Planted) -> None:
    """The mean of a planted product, given the values of all but one of its fields, is zero but for chance."""
    folder, truth = planted("criteo", rows=20_000)
    table = pl.read_csv(folder / "train.txt", separator="\t", has_header=False, infer_schema=False).fill_null("")
    names = ["label", *(f"I{i}" for i in range(1, 14)), *(f"C{i}" for i in range(1, 27))]
    table = table.rename(dict(zip(table.columns, names, strict=True)))
    for crossing in truth["model"]["interactions"]:
        signs = [table[name].replace_strict(crossing["signs"][name]).to_numpy() for name in crossing["fields"]]
        assert all(set(np.unique(sign)) == {-1, 1} and abs(sign.mean()) < 0.03 for sign in signs)
        product = np.prod(signs, axis=0)
        for order in range(len(signs)):
            for some in combinations(signs, order):
                assert abs((product * np.prod(some, axis=0)).mean() if some else product.mean()) < 0.03


def _columns(name: str, folder: Path) -> tuple[list[dict[str, str]], np.ndarray]:
    if name == "synthetic":
        table = pl.read_parquet(folder / "clicks.parquet").sort("time").drop("tags", "price", "time")
        label = table["click"].to_numpy()
        return table.drop("click").cast(pl.String).to_dicts(), label
    names = ["label", *(f"I{i}" for i in range(1, 14)), *(f"C{i}" for i in range(1, 27))]
    table = pl.read_csv(folder / "train.txt", separator="\t", has_header=False, infer_schema=False).fill_null("")
    table = table.rename(dict(zip(table.columns, names, strict=True)))
    small = table.select("C5", "C6", "C8", "C9", "C14", "C17", "C20", "C22", "C23", "C25")
    return small.to_dicts(), table["label"].cast(pl.Int64).to_numpy()


@pytest.mark.parametrize("name", ["synthetic", "criteo"])
def test_a_linear_model_needs_the_planted_crosses(name: str, planted: Planted) -> None:
    folder, truth = planted(name, rows=20_000)
    rows, label = _columns(name, folder)
    fields = list(rows[0])
    wrong = [[fields[i] for i in range(len(crossing))] for crossing in truth["interactions"]]
    cut = 18_000
    scores = {}
    for kind, crossings in (("none", []), ("planted", truth["interactions"]), ("wrong", wrong)):
        words = [[f"{f}={row[f]}" for f in fields] + ["&".join([*c, *(row[f] for f in c)]) for c in crossings]
                 for row in rows]
        one_hot = FeatureHasher(1 << 16, input_type="string", alternate_sign=False).transform(words)
        fit = LogisticRegression(C=0.2, solver="liblinear", tol=0.05).fit(one_hot[:cut], label[:cut])
        scores[kind] = roc_auc_score(label[cut:], fit.decision_function(one_hot[cut:]))
    assert scores["none"] < truth["ablations"]["without_interactions"] + 0.02
    assert scores["planted"] > scores["none"] + 0.04
    assert scores["wrong"] < scores["none"] + 0.02


def _behavior(**weights: float) -> Behavior:
    return Behavior(**{"match": 0.0, "recent": 0.0, "order": 0.0, **weights}, max_len=5, category="c",
                    words=["a", "b", "c", "d"], groups=np.array([0, 1, 2, 0]))


def test_the_order_of_the_last_two_counts_and_nothing_else_of_them() -> None:
    behavior, target = _behavior(order=0.8), np.zeros(16, np.int64)
    last, before = (part.ravel() for part in np.indices((4, 4)))
    pad = np.full((16, 3), -1)
    effect = behavior.effect(np.column_stack([pad, before, last]), target)
    swapped = behavior.effect(np.column_stack([pad, last, before]), target)
    assert np.array_equal(effect, -swapped) and set(np.unique(effect)) == {-0.8, 0.0, 0.8}
    # Over a category of each group in place of the one before, the effect of the last alone is nothing.
    table = effect.reshape(4, 4)[:3, :3]
    assert np.allclose(table.sum(0), 0) and np.allclose(table.sum(1), 0)
    short = np.column_stack([pad, np.full(16, -1), last])
    assert not behavior.effect(short, target).any()


def test_matches_saturate_and_the_last_three_count_again() -> None:
    history = np.array([[-1, -1, -1, -1, -1], [2, -1, -1, -1, -1], [2, 2, 1, 1, 1], [1, 1, 2, 1, 1], [2, 2, 2, 2, 2]])
    target = np.full(5, 2)
    assert _behavior(match=3.0).effect(history, target) == pytest.approx([0, 1, 1.5, 1, 15 / 7])
    assert _behavior(recent=2.0).effect(history, target) == pytest.approx([0, 0, 0, 2, 2])


def test_the_order_effect_is_invisible_without_order(planted: Planted) -> None:
    """Given the unordered pair of the last two groups, as many rows have the one sign as the other."""
    folder, truth = planted("synthetic", rows=20_000)
    clicks, events = (pl.read_parquet(folder / f"{name}.parquet") for name in ("clicks", "events"))
    words = truth["behavior"]["groups"]
    codes = events["category"].replace_strict({word: i for i, word in enumerate(words)}).to_numpy()
    history = histories(events["user_id"].to_numpy(), events["time"].to_numpy() - 1_600_000_000, codes,
                        clicks["user_id"].to_numpy(), clicks["time"].to_numpy() - 1_600_000_000, 2)
    pair = np.array(list(words.values()))[history]
    turn = (pair[:, 1] - pair[:, 0]) % 3
    for low, high in ((0, 1), (1, 2), (0, 2)):
        rows = (history[:, 0] >= 0) & (pair.min(1) == low) & (pair.max(1) == high)
        assert abs((turn[rows] == 1).mean() - 0.5) < 0.03
    rate = {sign: clicks["click"].to_numpy()[(history[:, 0] >= 0) & (turn == sign)].mean() for sign in (0, 1, 2)}
    assert rate[2] + 0.05 < rate[0] < rate[1] - 0.05


def test_histories_are_those_of_a_loop() -> None:
    generator = np.random.default_rng(0)
    users, times, categories = (generator.integers(0, high, 400) for high in (7, 30, 5))
    row_users, row_times = generator.integers(0, 9, 200), generator.integers(0, 35, 200)
    found = histories(users, times, categories, row_users, row_times, 6)
    for history, user, time in zip(found.tolist(), row_users, row_times, strict=True):
        events = sorted((t, place) for place, (u, t) in enumerate(zip(users, times, strict=True))
                        if u == user and t < time)
        expected = [int(categories[place]) for _, place in events][-6:]
        assert history == [-1] * (6 - len(expected)) + expected
    empty = np.zeros(0, np.int64)
    assert (histories(empty, empty, empty, row_users, row_times, 6) == -1).all()


def test_scores_are_those_of_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    label = generator.integers(0, 2, 500)
    score = np.round(generator.random(500) + 0.3 * label, 1) / 1.5 + 0.05
    assert click_model.auc(score, label) == pytest.approx(roc_auc_score(label, score), abs=1e-12)
    assert click_model.log_loss(score, label) == pytest.approx(log_loss(label, score), abs=1e-12)
    with pytest.raises(ValueError, match="both classes"):
        click_model.auc(score, np.ones(500))


def test_groups_are_about_as_popular() -> None:
    groups = deal_groups(np.random.default_rng(0), 50)
    assert np.bincount(groups).tolist() in ([17, 17, 16], [17, 16, 17], [16, 17, 17])
    assert np.abs(np.bincount(groups, draws.zipf(50, 0.5)) - 1 / 3).max() < 0.08


def test_words_are_different_and_eight_digits() -> None:
    codes = draws.scramble(np.arange(100_000), 0xFFFFFFFF)
    assert len(np.unique(codes)) == 100_000 and codes.dtype == np.uint32
    gaps = np.arange(100_000) % 7 == 3
    words = draws.hexadecimal(codes, gaps)
    assert words.to_list()[:20] == [None if i % 7 == 3 else f"{codes[i]:08x}" for i in range(20)]
    assert words.null_count() == gaps.sum()
    ids = draws.scramble64(np.arange(100_000), 5)
    assert len(np.unique(ids)) == 100_000 and ids.max() > 2**63
