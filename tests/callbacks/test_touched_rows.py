"""Touched rows of embedding gradients: the average of all ranks, in fewer bytes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from ameir_pl import ranks
from ameir_pl.callbacks import touched_rows
from ameir_pl.callbacks.touched_rows import TouchedRows, average, dense_bytes, distinct, touched_bytes
from tests.tasks.fitting import batches, fit_task, same, trainer, weights
from tests.two_ranks import on_two_ranks

ROWS, SIZE = 50, 6
CASES = {"few": (range(3, 6), range(4, 9)), "none on one": ((), (1, 49)), "none": ((), ()), "the same": ((7,), (7,)),
         "most": (range(1, 45), range(2, 3)), "all": (range(1, 50), range(1, 50))}
"""Rows that rank 0 and rank 1 touch."""


def gradient(case: str, rank: int) -> Tensor:
    found = torch.zeros(ROWS, SIZE)
    rows = list(CASES[case][rank])
    found[rows] = torch.randn(len(rows), SIZE, generator=torch.Generator().manual_seed(rank))
    return found


def accumulated(least: int) -> dict[str, Any]:
    """Two batches an update, on ranks that see different batches."""
    touched_rows.LEAST_BYTES = least
    task, callback = fit_task(), TouchedRows()
    trainer([callback], limit_val_batches=0, strategy="ddp", devices=2, accumulate_grad_batches=2, epochs=1).fit(
        task, batches(6, first=10 * ranks.rank()))
    return {"weights": weights(task), "updates": callback.updates, "sent": callback.sent, "dense": callback.dense}


def on_both() -> dict[str, Any]:
    return averages() | {"touched": accumulated(0), "whole": accumulated(1 << 40)}


def averages() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for case in CASES:
        both = [gradient(case, ranks.rank()), gradient("few", ranks.rank())]
        rows = [torch.tensor(list(CASES[name][ranks.rank()]), dtype=torch.int64) for name in (case, "few")]
        found[case] = {"sent": average(both, rows), "first": both[0], "second": both[1]}
    nan = gradient("few", 0)
    if ranks.rank() == 1:
        nan[11, 2] = torch.nan
    average([nan], [torch.arange(12)])
    return found | {"nan": nan}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return on_two_ranks(tmp_path_factory.mktemp("rows"), on_both)


@pytest.mark.parametrize("case", CASES)
def test_the_average_is_that_of_whole_gradients(both: list[dict[str, Any]], case: str) -> None:
    few = (gradient("few", 0) + gradient("few", 1)) / 2
    for found in both:
        torch.testing.assert_close(found[case]["first"], (gradient(case, 0) + gradient(case, 1)) / 2)
        torch.testing.assert_close(found[case]["second"], few)
    assert torch.equal(both[0][case]["first"], both[1][case]["first"])


@pytest.mark.parametrize("case", CASES)
def test_what_is_sent_is_the_lesser(both: list[dict[str, Any]], case: str) -> None:
    # Of two ranks each sends the other its rows, or half of the sum twice.
    most = max(len(rows) for rows in CASES[case])
    of_case = min(most * (SIZE * 4 + 4), ROWS * SIZE * 4)
    assert both[0][case]["sent"] == both[1][case]["sent"] == of_case + 5 * (SIZE * 4 + 4)


def test_a_nan_reaches_all_ranks(both: list[dict[str, Any]]) -> None:
    for found in both:
        assert torch.isnan(found["nan"]).nonzero().tolist() == [[11, 2]]


@pytest.mark.parametrize("count", [50, 100_000])
def test_distinct_rows(count: int) -> None:
    assert distinct([torch.tensor([7, 3, 3]), torch.tensor([0, 49])], count).tolist() == [0, 3, 7, 49]
    assert distinct([], count).tolist() == []


def test_bytes_of_rings() -> None:
    # All-reduce: each of w ranks sends w - 1 parts of 1/w twice; all-gather: its own and what it passes on, w - 1.
    assert dense_bytes(1000, 16, 4) == 2 * 3 * (1000 * 16 * 4 / 4)
    assert touched_bytes(10, 16, 4) == 3 * 10 * (64 + 4)


def test_one_rank_trains_as_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(touched_rows, "LEAST_BYTES", 0)
    one, other = fit_task(), fit_task()
    callback = TouchedRows()
    trainer([callback], limit_val_batches=0).fit(one, batches())
    trainer(limit_val_batches=0).fit(other, batches())
    assert same(weights(one), weights(other)) and callback.updates == 0


def test_accumulated_batches_are_sent_once(both: list[dict[str, Any]]) -> None:
    for found in both:
        touched, whole = found["touched"], found["whole"]
        assert touched["updates"] == 3 and whole["updates"] == 0
        assert 0 < touched["sent"] <= touched["dense"]
        for name, tensor in touched["weights"].items():
            torch.testing.assert_close(tensor, whole["weights"][name], atol=1e-5, rtol=1e-5, msg=name)
    assert same(both[0]["touched"]["weights"], both[1]["touched"]["weights"])
