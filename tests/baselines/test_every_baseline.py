"""Every registered baseline on every kind of dataset: it either refuses it, or shapes, gradients to every parameter,
padding, a batch learned by heart and the same weights from the same seed all hold."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from ameir_pl.baselines import BASELINES, build_baseline, check_baseline
from ameir_pl.baselines.base import options_of
from ameir_pl.batch import Batch
from ameir_pl.cli.compose import conf_folder
from ameir_pl.data.layouts import LAYOUTS, paper_schema
from ameir_pl.errors import AmeirError
from ameir_pl.objectives import make_objective
from ameir_pl.schema import Schema
from ameir_pl.tasks.fit import FitTask
from tests.models import examples
from tests.models.examples import LENGTHS, make_batch, randomized
from tests.models.test_padding import assert_ignores_padding, padded

NAMES = BASELINES.names()
SCHEMAS = {**examples.SCHEMAS, "two fields": examples.two_fields_schema()}
DATASETS = {**SCHEMAS, **{name: paper_schema(name) for name in LAYOUTS}}
HAS = {"clicks": lambda s: s.task == "ctr", "next item": lambda s: s.task == "retrieval",
       "users": lambda s: s.users > 0, "fields": lambda s: len(s.fields) >= 2,
       "history": lambda s: len(s.behaviors) > 0,
       "target": lambda s: bool({f.vocabulary for f in s.fields if f.group == "target"}
                                & {f.vocabulary for f in s.behaviors}),
       "sessions": lambda s: s.sessions}


def refused(name: str, schema: Schema) -> bool:
    return not all(HAS[need](schema) for need in BASELINES.get(name).needs)


TAKEN = [(name, kind) for name in NAMES for kind in SCHEMAS if not refused(name, SCHEMAS[kind])]
REFUSALS = [(name, kind) for name in NAMES for kind in DATASETS if refused(name, DATASETS[kind])]
WITHOUT: dict[str, tuple[str, ...]] = {"bpr": ("dropout",), "lr": ("dropout",), "fm": ("dropout",)}
"""What a model does not have."""
BY_HEART = {"dien": 0.1, "bert4rec": 2.2}
"""The loss that is reached where it is not 0.05: DIEN's auxiliary one has other negatives at every update, and a cloze
is new at each, which four numbers a word cannot tell apart."""
COUNTING = [name for name in NAMES if name in ("pop", "cooccurrence")]
"""They have nothing to train."""
WIDTHS = {"pop": lambda _: 1, "cooccurrence": lambda schema: schema.vocabularies[schema.item]}
"""Of what a model gives for a row of next items, where that is not a vector of size K."""
TRAINED = [(name, kind) for name, kind in TAKEN if name not in COUNTING]


def build(name: str, schema: Schema, dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(0)
    return build_baseline(name, schema, embedding_size=4, mlp=[16, 8], dropout=dropout)


def loss_of(model: nn.Module, schema: Schema, batch: Batch) -> torch.Tensor:
    objective = make_objective(schema, "logloss" if schema.task == "ctr" else "sampled_bce")
    task = FitTask(model, objective, torch.optim.Adam, weight_decay=0.0, phase="test")
    return task.training_step(batch, 0)


def learn(model: nn.Module, schema: Schema, batch: Batch, below: float, steps: int = 300) -> float:
    """The loss after fitting one batch until it is low enough, or for so many updates."""
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = loss_of(model, schema, batch)
        loss.backward()
        optimizer.step()
        if loss < below:
            break
    return loss.item()


def separable(schema: Schema) -> Batch:
    """Rows that a model can tell apart: every row its own user (or history), labels at random."""
    batch = make_batch(schema, (1, 6, 3, 2, 5, 4, 6, 2) * 2, seed=3)
    if schema.task == "retrieval":
        batch.negatives = torch.full_like(batch.negatives, 19)
        batch.positives = batch.positives.clamp(max=18)
    return batch


@pytest.mark.parametrize(("name", "kind"), TRAINED)
def test_shapes_and_gradients(name: str, kind: str) -> None:
    schema = SCHEMAS[kind]
    model, batch = randomized(build(name, schema)), make_batch(schema)
    out = model(batch)
    assert out.shape == ((len(batch),) if schema.task == "ctr" else (len(batch), 4)) and out.dtype == torch.float32
    loss_of(model, schema, batch).backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.abs().max() > 1e-9, parameter_name


@pytest.mark.parametrize(("name", "kind"), {case[0]: case for case in reversed(TRAINED)}.values())
def test_learns_a_batch_by_heart(name: str, kind: str) -> None:
    schema = SCHEMAS[kind]
    model, low = build(name, schema), BY_HEART.get(name, 0.05)
    assert learn(model, schema, separable(schema), low) < low


@pytest.mark.parametrize(("name", "kind"), REFUSALS)
def test_refuses_by_name(name: str, kind: str) -> None:
    fitting = [n for n in NAMES if not refused(n, DATASETS[kind])]
    for refuse in (build, check_baseline):
        with pytest.raises(AmeirError, match=f"model={name} .*, and {DATASETS[kind].dataset} is a dataset of .* Models "
                                             f"for it: {', '.join(fitting)}"):
            refuse(name, DATASETS[kind])  # type: ignore[operator]


@pytest.mark.parametrize(("name", "kind"), TRAINED)
@torch.no_grad()
def test_padding_never_matters(name: str, kind: str) -> None:
    assert_ignores_padding(randomized(build(name, SCHEMAS[kind])).eval(), make_batch(SCHEMAS[kind]), SCHEMAS[kind])


@pytest.mark.parametrize(("name", "kind"), TRAINED)
def test_padding_gets_no_gradient(name: str, kind: str) -> None:
    schema = SCHEMAS[kind]
    gradients = []
    for by in (0, 4):
        model, batch = randomized(build(name, schema)), make_batch(schema)
        loss_of(model, schema, padded(batch, schema, by)).backward()
        gradients.append({n: p.grad for n, p in model.named_parameters()})
    for parameter_name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][parameter_name], atol=2e-6, rtol=2e-5, msg=parameter_name)


@pytest.mark.parametrize(("name", "kind"), TRAINED)
def test_rows_without_history(name: str, kind: str) -> None:
    schema = SCHEMAS[kind]
    model, batch = randomized(build(name, schema)), make_batch(schema)
    nobody = make_batch(schema, (0, 0, 0))
    loss = loss_of(model, schema, nobody)
    loss.backward()
    assert loss.isfinite() and all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    model.eval()
    alone = torch.tensor([i for i, length in enumerate(LENGTHS) if length == 0])
    torch.testing.assert_close(model(batch[alone]), model(batch)[alone], atol=2e-6, rtol=2e-5)


@pytest.mark.parametrize(("name", "kind"), TRAINED)
def test_the_same_seed_gives_the_same_weights(name: str, kind: str) -> None:
    one, two = (build(name, SCHEMAS[kind]).state_dict() for _ in range(2))
    torch.manual_seed(1)
    other = build_baseline(name, SCHEMAS[kind], embedding_size=4, mlp=[16, 8], dropout=0.0).state_dict()
    assert one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize(("name", "kind"), TAKEN)
def test_checking_costs_no_random_number(name: str, kind: str) -> None:
    before = torch.get_rng_state()
    check_baseline(name, SCHEMAS[kind])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", NAMES)
def test_datasets_of_the_paper(name: str) -> None:
    for dataset in (d for d in sorted(LAYOUTS) if not refused(name, DATASETS[d])):
        schema = DATASETS[dataset]
        model, batch = build(name, schema), make_batch(schema, (0, 2, 1) if schema.behaviors else (0, 0, 0))
        assert model(batch).shape == ((3,) if schema.task == "ctr" else (3, WIDTHS.get(name, lambda _: 4)(schema)))


@pytest.mark.parametrize("mlp", [[], [7]])
@pytest.mark.parametrize(("name", "kind"), TAKEN)
def test_any_depth(name: str, kind: str, mlp: list[int]) -> None:
    schema = SCHEMAS[kind]
    batch = make_batch(schema)
    assert len(build_baseline(name, schema, embedding_size=4, mlp=mlp, dropout=0.0)(batch)) == len(batch)


@pytest.mark.parametrize(("name", "kind"), TRAINED)
def test_dropout_is_for_training_only(name: str, kind: str) -> None:
    schema = SCHEMAS[kind]
    model, batch = randomized(build(name, schema, dropout=0.5)), make_batch(schema)
    if "dropout" not in WITHOUT.get(name, ()):
        assert not torch.equal(model(batch), model(batch))
    model.eval()
    assert torch.equal(model(batch), model(batch))


@pytest.mark.parametrize("name", NAMES)
def test_options(name: str) -> None:
    schema = next(s for s in DATASETS.values() if not refused(name, s))
    assert OmegaConf.load(conf_folder() / "model" / f"{name}.yaml") == {"name": name, "options": options_of(name)}
    sizes: dict[str, Any] = {"embedding_size": 4, "mlp": [16, 8], "dropout": 0.0}
    build_baseline(name, schema, **sizes, options=options_of(name))
    with pytest.raises(AmeirError, match=f"model={name} has no option 'colour'"):
        build_baseline(name, schema, **sizes, options={"colour": 1})


OPTIONS = [(name, option) for name in NAMES for option in options_of(name)]


@pytest.mark.parametrize(("name", "option"), OPTIONS)
@pytest.mark.parametrize("value", ["word", {}, [[["word"]]], [{}]], ids=str)
def test_options_of_another_kind(name: str, option: str, value: object) -> None:
    schema = next(s for s in DATASETS.values() if not refused(name, s))
    with pytest.raises(AmeirError, match=rf"model={name}: model\.options\.{option}\b.*"):
        build_baseline(name, schema, embedding_size=4, mlp=[], dropout=0.0, options={option: value})


def test_unknown_baseline() -> None:
    with pytest.raises(AmeirError, match="'dnnn'.*Did you mean 'dnn'"):
        BASELINES.get("dnnn")


READING = [name for name, kind in TRAINED if kind == "retrieval" and name != "bpr"]
"""They embed a history."""


@pytest.mark.parametrize("name", READING)
def test_the_embedded_history_of_every_next_item_model_is_dropped_in_training(name: str) -> None:
    schema = SCHEMAS["retrieval"]
    torch.manual_seed(0)
    model = build_baseline(name, schema, embedding_size=8, mlp=[], dropout=0.0, embedding_dropout=0.5)
    batch = make_batch(schema)
    outputs = [model.train(training)(batch) for training in (True, True, False, False)]
    assert not torch.equal(outputs[0], outputs[1]) and torch.equal(outputs[2], outputs[3])
