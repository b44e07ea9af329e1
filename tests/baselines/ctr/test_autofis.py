"""AutoFIS: its formula, the pairs it keeps, and the model that is trained of them."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ameir_pl.baselines import build_baseline
from ameir_pl.data.layouts import paper_schema
from ameir_pl.errors import AmeirError
from ameir_pl.schema import Schema
from ameir_pl.tasks.fit import FitTask
from tests.baselines.finding import Scripted
from tests.baselines.reference import Reference, assert_equals
from tests.baselines.test_formulas import dnn
from tests.models.examples import ctr_schema, make_batch, no_target_schema

SIZES: dict[str, Any] = {"embedding_size": 4, "mlp": [16, 8], "dropout": 0.0}


def formula(r: Reference, b: int) -> float:
    logit = dnn(r, b) + sum(float(w[0]) for w in r.fields(b, "first_order.ids"))
    for i, value in enumerate(r.dense(b)):
        logit += r.weights["first_order.dense.weight_mlp"][0, i] * value
    for p, (e_i, e_j) in enumerate(combinations(r.fields(b), 2)):
        normal = (e_i @ e_j - r.weights["mean"][p]) / np.sqrt(r.weights["variance"][p] + 1e-3)
        logit += r.weights["gates"][p] * normal
    return float(logit)


@pytest.mark.parametrize("schema", [ctr_schema(), no_target_schema(), paper_schema("avazu")], ids=lambda s: s.dataset)
def test_equals_its_formula(schema: Schema) -> None:
    assert_equals("autofis", schema, formula)


def test_batch_normalization_is_torch_s() -> None:
    model = build_baseline("autofis", ctr_schema(), **SIZES)
    x = torch.randn(32, len(model.pairs), generator=torch.Generator().manual_seed(0)) * 3 + 1
    theirs = nn.BatchNorm1d(x.shape[1], eps=1e-3, momentum=0.1, affine=False)
    torch.testing.assert_close(model._normalized(x), theirs(x), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(model.mean, theirs.running_mean, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(model.variance * 32 / 31 - 0.9 / 31, theirs.running_var, atol=1e-5, rtol=1e-5)


def test_pairs_whose_gates_are_zero_are_dropped() -> None:
    model = build_baseline("autofis", ctr_schema(), **SIZES)
    def trained(candidate: nn.Module) -> None:
        assert candidate is model
        with torch.no_grad():
            model.gates.zero_()
            model.gates[[1, 4]] = torch.tensor([0.3, -0.2])

    finding = Scripted(trained)
    found, options = model.found(finding)
    assert finding.names == ["gates"] and found.pairs == [model.pairs[1], model.pairs[4]]
    torch.testing.assert_close(found.gates.detach(), torch.tensor([0.3, -0.2]))
    assert found.own_optimizers() == [] and found.found(finding) == (found, {}) and finding.names == ["gates"]
    assert len(found(make_batch(ctr_schema()))) == 16
    assert build_baseline("autofis", ctr_schema(), **SIZES, options=options).pairs == found.pairs
    with torch.no_grad():
        model.gates.zero_()
    none, options = model.found(Scripted())
    assert none.pairs == [] and none.gates is None and len(none(make_batch(ctr_schema()))) == 16
    assert build_baseline("autofis", ctr_schema(), **SIZES, options=options).pairs == []


def test_gates_have_an_optimizer_of_their_own() -> None:
    model = build_baseline("autofis", ctr_schema(), **SIZES, options={"c": 5.0})
    task = FitTask(model, None, lambda groups: torch.optim.SGD(groups, lr=0.1), weight_decay=0.0,  # type: ignore[arg-type]
                   phase="x")
    optimizer = task.configure_optimizers()
    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in model.parameters()), "each weight once"
    model(make_batch(ctr_schema())).square().sum().backward()
    before = model.head.weight_mlp.detach().clone()
    optimizer.step()
    assert not model.gates.any() and not torch.equal(model.head.weight_mlp, before)
    again = task.configure_optimizers()
    again.load_state_dict(optimizer.state_dict())
    assert float(again.state_dict()["parts"][1]["state"][0]["step"]) == 1


@pytest.mark.parametrize(("pairs", "said"), [
    ([["user", "usr"]], r"\['user', 'usr'\] is not a pair of fields of example"),
    ([["user", "user"]], r"\['user', 'user'\] is not a pair of fields"),
    ([["user", "ITEM"], ["ITEM", "user"]], "names a pair twice")])
def test_pairs_that_are_none(pairs: list[list[str]], said: str) -> None:
    other = next(name for name in ctr_schema().field_names if name != "user")
    with pytest.raises(AmeirError, match=said):
        build_baseline("autofis", ctr_schema(), **SIZES,
                       options={"pairs": [[other if name == "ITEM" else name for name in pair] for pair in pairs]})
