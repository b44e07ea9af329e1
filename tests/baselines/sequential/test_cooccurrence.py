"""Co-occurrence scores items by how near the history they came in the training sequences, and by nothing else."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ameir_pl.baselines import build_baseline
from ameir_pl.baselines.base import CountsSequences
from ameir_pl.data.loader import AmeirDataModule
from ameir_pl.objectives import make_objective
from ameir_pl.schema import Schema
from tests.baselines.next_items import SCHEMAS, assert_refuses
from tests.data.sequence_helpers import prepare
from tests.models.examples import make_batch, retrieval_schema

SEQUENCES = [[2, 3, 4, 2, 5], [3, 4, 6], [7], [5, 5, 3, 8, 9, 2, 4]]
ITEMS = torch.tensor([item for sequence in SEQUENCES for item in sequence])
USERS = torch.tensor([user for user, sequence in enumerate(SEQUENCES) for _ in sequence])


def counted(schema: Schema, **options: object) -> nn.Module:
    model = build_baseline("cooccurrence", schema, embedding_size=4, mlp=[], dropout=0.0, options=options)
    assert isinstance(model, CountsSequences) and not list(model.parameters())
    model.set_sequences(ITEMS, USERS)
    return model


def by_hand(window: int, backward: float) -> dict[tuple[int, int], float]:
    found: dict[tuple[int, int], float] = defaultdict(float)
    for sequence in SEQUENCES:
        for i, one in enumerate(sequence):
            for d, other in enumerate(sequence[i + 1:i + 1 + window], 1):
                found[one, other] += 1 / d
                found[other, one] += backward / d
    return found


@SCHEMAS
@pytest.mark.parametrize(("window", "backward"), [(1, 0.5), (2, 0.0), (10, 0.5), (3, 1.0)])
def test_scores_are_those_of_loops(schema: Schema, window: int, backward: float) -> None:
    batch, pairs = make_batch(schema), by_hand(window, backward)
    model = counted(schema, window=window, backward=backward)
    slot = -1 if len(schema.behaviors) > 1 else 0  # the item is the last of the two fields
    scores = model(batch)
    assert scores.shape == (len(batch), schema.vocabularies[schema.item])
    popularity = torch.bincount(ITEMS, minlength=scores.shape[1])
    for row, ids, mask in zip(scores, batch.behaviors[..., slot], batch.mask, strict=True):
        history = ids[mask].tolist()[::-1]
        wanted = [sum(pairs[i, j] / k for k, i in enumerate(history, 1)) for j in range(len(row))]
        assert row.tolist() == pytest.approx(wanted, abs=0.51 * backward / window / schema.max_len or 0.2)
        near, far = (torch.tensor([(w > 0) is is_near for w in wanted]) for is_near in (True, False))
        if near.any() and far.any():  # what never came near is below all that did, in the order of popularity
            assert row[near].min() > row[far].max()
        order = row[far][:, None] > row[far][None]
        assert torch.equal(order, popularity[far][:, None] > popularity[far][None])


def test_ranks_are_those_of_the_scores() -> None:
    schema, batch = retrieval_schema(), make_batch(retrieval_schema())
    model = counted(schema)
    scores = model(batch)
    found = make_objective(schema, "sampled_bce").predictions(model, scores, batch, full=True)
    for row, own in enumerate(batch.positives[:, 0].tolist()):
        def place(others: list[int], row: int = row, own: int = own) -> float:
            others_ = [scores[row, j] for j in others]
            return 1 + sum(float(s > scores[row, own]) + float(s == scores[row, own]) / 2 for s in others_)
        assert found["rank"][row] == place(batch.negatives[row].tolist())
        left = set(range(2, scores.shape[1])) - set(batch.seen[row].tolist() if batch.seen.numel() else []) - {own}
        assert found["rank_full"][row] == place(sorted(left))


def test_a_history_of_nothing_known_is_ordered_by_popularity() -> None:
    schema = retrieval_schema()
    model, batch = counted(schema).eval(), make_batch(schema)
    batch.behaviors[:] = 10**6
    popularity = torch.bincount(ITEMS, minlength=20).double()
    assert all(torch.equal(row.argsort(stable=True), popularity.argsort(stable=True)) for row in model(batch))


def test_only_training_items_are_counted(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    lines = [f"{user} {item}" for user in range(8) for item in generator.choice(120, 6, replace=False)]
    (tmp_path / "Beauty.txt").write_text("\n".join([*lines, *(f"9 {item}" for item in range(120))]) + "\n")
    encoded = prepare(tmp_path / "Beauty.txt", tmp_path / "encoded", "beauty")
    data = AmeirDataModule(encoded=encoded, batch_size=4, eval_batch_size=4, seed=1)
    items, users = data.train_sequences()
    values, rows = encoded.columns["values"][:, 0], encoded.splits["train"]
    for user, row in enumerate(rows):
        begin, end = (int(encoded.columns[name][row]) for name in ("begin", "end"))
        assert items[users == user].tolist() == values[begin:end].tolist()
    held = sum(int(encoded.columns["stop"][row] - encoded.columns["end"][row]) for row in rows)
    assert held == 2 * len(rows) and len(items) + held == len(values)
    assert torch.equal(data.item_counts(), torch.bincount(items, minlength=122).double())


@pytest.mark.parametrize("sequences", [[], [4]])
def test_sequences_without_pairs_leave_popularity(sequences: list[int]) -> None:
    schema = retrieval_schema()
    model = build_baseline("cooccurrence", schema, embedding_size=4, mlp=[], dropout=0.0)
    model.set_sequences(torch.tensor(sequences, dtype=torch.int64), torch.arange(len(sequences)))  # type: ignore
    scores: Tensor = model(make_batch(schema))
    assert scores.isfinite().all() and (scores.argmax(1) == (4 if sequences else 0)).all()


def test_options_are_checked() -> None:
    for wrong in ({"window": 0}, {"backward": -0.1}, {"backward": 1.5}):
        assert_refuses("cooccurrence", **wrong)
