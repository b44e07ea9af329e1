"""AutoCross: its formula, its regressions against a loop, its halving, and planted crosses that it finds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ameir_pl.baselines import build_baseline
from ameir_pl.baselines.crosses import MINIBATCH, RATE, Columns, FieldwiseLr, Rows, best_by_halving, bucket, index_of
from ameir_pl.batch import Batch
from ameir_pl.errors import AmeirError
from ameir_pl.schema import Field, Schema
from tests.baselines.finding import Scripted
from tests.baselines.reference import Reference, assert_equals
from tests.baselines.test_formulas import dnn
from tests.models.examples import ctr_schema, make_batch

SIZES: dict[str, Any] = {"embedding_size": 4, "mlp": [16, 8], "dropout": 0.0}
WORD = 1 << 64


def signed(value: int) -> int:
    value %= WORD
    return value - WORD if value >= WORD // 2 else value


def hashed(ids: list[int], cross: tuple[int, ...], buckets: int) -> int:
    """The bucket of one cross of one row, with whole numbers that are cut to 64 bits."""
    code = 0
    for column in cross:
        code = signed((code ^ signed(ids[column] + signed((column + 1) * 0x3F58476D1CE4E5B9))) * 0x9E3779B97F4A7C15)
        code ^= code >> 29
    return code % buckets


def columns_of(batch: Batch, b: int) -> list[int]:
    """user, hour, item, city (genres are several a row), then price and age in ranges of 10 and of 100."""
    ids = [int(batch.fields[b, slot]) for slot in (0, 1, 2, 6)]
    for value in batch.dense[b].tolist():
        ids += [min(int((value + 1) / 2 * ranges), ranges - 1) for ranges in (10, 100)]
    return ids


def test_columns() -> None:
    columns, batch = Columns(ctr_schema(), [10, 100]), make_batch(ctr_schema())
    batch.dense[0], batch.dense[1] = -1.0, 1.0
    assert columns.names == ["user", "hour", "item", "city", "price@10", "price@100", "age@10", "age@100"]
    assert columns.granularities_of() == [[4, 5], [6, 7]]
    assert columns(batch).tolist() == [columns_of(batch, b) for b in range(len(batch))]


def test_equals_its_formula() -> None:
    crosses = [["user", "item"], ["hour", "price@10", "city"], ["age@100", "user"]]
    places = [(0, 2), (1, 3, 4), (0, 7)]

    def formula(r: Reference, b: int) -> float:
        logit = r.first_order(b) + dnn(r, b)
        for number, cross in enumerate(places):
            row = 1 + number * 50 + hashed(columns_of(r.batch, b), cross, 50)
            logit += r.weights["cross_weights.weight"][row, 0]
        return float(logit)

    assert_equals("autocross", ctr_schema(), formula, crosses=crosses, buckets=50)


def test_buckets_are_used_alike() -> None:
    ids = torch.cartesian_prod(torch.arange(1, 101), torch.arange(1, 101))
    counts = bucket(ids, index_of([(0, 1)]), 100).flatten().bincount(minlength=100)
    assert counts.min() > 50 and counts.max() < 150, "10,000 values in 100 buckets"
    assert not torch.equal(bucket(ids, index_of([(0,)]), 100), bucket(ids, index_of([(1,)]), 100))


def test_regressions_equal_a_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(1, 6, (MINIBATCH + 40, 3), generator=generator)
    base, labels = torch.randn(len(ids), generator=generator), (torch.rand(len(ids), generator=generator) < 0.4).float()
    crosses = [(0, 1), (1, 2), (0, 1, 2)]
    model = FieldwiseLr(crosses, 16)
    model.learn(ids, base, labels)
    for place, cross in enumerate(crosses):
        own, squares = np.zeros(16), np.full(16, 1e-6)
        for rows in (range(MINIBATCH), range(MINIBATCH, len(ids))):
            where = [hashed(ids[b].tolist(), cross, 16) for b in rows]
            errors = [1 / (1 + np.exp(-(float(base[b]) + own[w]))) - float(labels[b])
                      for b, w in zip(rows, where, strict=True)]
            for w, error in zip(where, errors, strict=True):
                squares[w] += error**2
            for w, error in zip(where, errors, strict=True):
                own[w] -= RATE * error / np.sqrt(squares[w])
        np.testing.assert_allclose(model.weights[place].numpy(), own, atol=2e-5)
        losses = []
        for b in range(len(ids)):
            p = 1 / (1 + np.exp(-(float(base[b]) + own[hashed(ids[b].tolist(), cross, 16)])))
            losses.append(-np.log(p if labels[b] else 1 - p))
        assert abs(float(model.losses(ids, base, labels)[place]) - np.mean(losses)) < 1e-5


def planted(rows: int, seed: int) -> tuple[Schema, Batch]:
    """Six columns of which (a, b) says much, and (a, b, c) more; each column alone says nothing."""
    names = ("a", "b", "c", "d", "e", "f")
    schema = Schema("planted", "ctr", tuple(Field(n, n) for n in names), vocabularies=dict.fromkeys(names, 12))
    generator = torch.Generator().manual_seed(seed)
    fields = torch.randint(2, 12, (rows, 6), generator=generator)
    pair = torch.randn(12, 12, generator=torch.Generator().manual_seed(7))[fields[:, 0], fields[:, 1]]
    three = torch.randn(12, 12, 12, generator=torch.Generator().manual_seed(8))
    logit = 2 * pair + 1.5 * three[fields[:, 0], fields[:, 1], fields[:, 2]]
    label = (torch.rand(rows, generator=generator) < logit.sigmoid()).float()
    return schema, Batch(fields=fields, dense=torch.zeros(rows, 0), label=label)


def test_finds_planted_crosses() -> None:
    schema, train = planted(60000, 0)
    finding = Scripted(splits={"train": train, "valid": planted(5000, 1)[1]})
    options = {"number": 2, "buckets": 4096, "first_rows": 1000, "rows": 60000}
    found, chosen = build_baseline("autocross", schema, **SIZES, options=options).found(finding)
    assert chosen == {"crosses": [["a", "b"], ["a", "b", "c"]]}
    assert found.found(finding) == (found, {})
    again = build_baseline("autocross", schema, **SIZES, options=chosen | {"buckets": 4096})
    assert again.crosses == found.crosses and again.state_dict().keys() == found.state_dict().keys()


def test_stops_where_no_cross_helps() -> None:
    schema, noise = planted(20000, 0)
    noise.label = (torch.rand(20000, generator=torch.Generator().manual_seed(2)) < 0.5).float()
    finding = Scripted(splits={"train": noise[slice(0, 15000)], "valid": noise[slice(15000, None)]})
    found, chosen = build_baseline("autocross", schema, **SIZES, options={"first_rows": 1000}).found(finding)
    assert chosen == {"crosses": []} and found.cross_weights is None and len(found(noise[slice(0, 9)])) == 9


def test_fields_of_several_ids_are_not_crossed() -> None:
    schema = Schema("lists", "ctr", (Field("a", "a", width=2), Field("b", "b", width=2)),
                    vocabularies={"a": 5, "b": 5})
    batch = make_batch(schema, (0,) * 16)
    finding = Scripted(splits={"train": batch, "valid": batch})
    found, chosen = build_baseline("autocross", schema, **SIZES).found(finding)
    assert chosen == {"crosses": []} and len(found(batch)) == 16


def test_halving_gives_each_half_that_stays_twice_as_many_new_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    schema, train = planted(4000, 0)
    rows = Rows.of([train], Columns(schema, []))
    seen: list[tuple[int, int]] = []

    def learn(self: FieldwiseLr, ids: Tensor, base: Tensor, labels: Tensor) -> None:
        seen.append((len(self.crosses), len(ids)))

    monkeypatch.setattr(FieldwiseLr, "learn", learn)
    crosses = [(i, j) for i in range(6) for j in range(i + 1, 6)]  # 15
    best_by_halving(crosses, rows, rows, buckets=8, first=100)
    assert seen == [(15, 100), (8, 200), (4, 400), (2, 800)]
    seen.clear()
    best_by_halving(crosses, rows, rows, buckets=8, first=2000)
    assert seen == [(15, 2000), (8, 2000)], "until the rows are used up"


@pytest.mark.parametrize(("options", "said"), [
    ({"crosses": [["user", "usr"]]}, r"\['user', 'usr'\] is not a list of different columns of example"),
    ({"crosses": [["user", "user"]]}, "is not a list of different columns"),
    ({"crosses": [["user"]]}, "is not a list of different columns"),
    ({"crosses": [["user", "genres"]]}, "Its columns are user, hour, item, city, price@10"),
    ({"number": 0}, "options.number must be a whole number of at least 1"),
    ({"granularities": [0]}, "options.granularities must be a list")])
def test_options_out_of_range(options: dict[str, Any], said: str) -> None:
    with pytest.raises(AmeirError, match=said):
        build_baseline("autocross", ctr_schema(), **SIZES, options=options)
