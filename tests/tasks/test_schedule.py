"""The rate of finetuning inherited weights."""

from __future__ import annotations

import pytest
import torch

from ameir_pl.tasks.schedule import WarmupCosine
from tests.tasks.fitting import batches, fit_task, trainer
from tests.tasks.test_supernet import Rates


def test_it_rises_to_the_peak_and_decays_to_nothing() -> None:
    schedule = WarmupCosine(peak=0.3, warmup=0.1)
    shares = [schedule.share(update, 100) for update in range(100)]
    assert max(shares) == shares[9] == pytest.approx(0.3)
    assert shares[:10] == sorted(shares[:10]) and shares[0] == pytest.approx(0.03)
    assert shares[9:] == sorted(shares[9:], reverse=True)
    assert shares[10 + 45] == pytest.approx(0.15) and shares[-1] < 0.001


@pytest.mark.parametrize("warmup", [0.0, 1.0])
def test_all_or_no_warmup(warmup: float) -> None:
    shares = [WarmupCosine(1.0, warmup).share(update, 5) for update in range(5)]
    assert max(shares) == 1.0 and min(shares) > 0


def test_a_fit_has_it_at_every_update_and_without_one_the_rate_is_constant() -> None:
    for schedule in (WarmupCosine(peak=0.5, warmup=0.25), None):
        rates, task = Rates(), fit_task()
        task._schedule = schedule
        run = trainer([rates], epochs=2)
        run.fit(task, batches(4), batches(1))
        full = torch.optim.Adam(task.model.parameters(), lr=rates.rates[0]).defaults["lr"] if schedule is None else 0.01
        assert len(rates.rates) == 8
        if schedule is None:
            assert len(set(rates.rates)) == 1
        else:
            # The rate of update n is seen after it, when the next one is set.
            assert rates.rates[:-1] == pytest.approx([full * schedule.share(n, 8) for n in range(1, 8)])
