"""Each baseline equals its formula, written out row by row and number by number in NumPy (float64)."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from torch import nn

from ameir_pl.baselines import BASELINES
from ameir_pl.batch import Batch
from ameir_pl.data.layouts import paper_schema
from ameir_pl.schema import PAD, Field, Schema
from tests.models.examples import ctr_schema, make_batch, no_target_schema, randomized

K, MLP = 4, [16, 8]


class Reference:
    """A model's weights as arrays, and what every formula needs of a row.

    Args:
        model: whose weights.
        schema: of its dataset.
        batch: the rows.
    """

    def __init__(self, model: nn.Module, schema: Schema, batch: Batch) -> None:
        self.weights = {name: tensor.double().numpy() for name, tensor in model.state_dict().items()}
        self.schema, self.batch = schema, batch

    def rows_before(self, vocabulary: str, table: str) -> int:
        """Ids 1, 2, ... of a vocabulary follow those of the vocabularies before it; row 0 is padding."""
        used = {f.vocabulary for f in self.schema.fields}
        names = [name for name in self.schema.vocabularies if table == "embedding" or name in used]
        return sum(self.schema.vocabularies[name] - 1 for name in names[:names.index(vocabulary)])

    def embed(self, fields: tuple[Field, ...], ids: np.ndarray, table: str = "embedding") -> list[np.ndarray]:
        """One vector a field: the sum over its ids."""
        weight, found, start = self.weights[f"{table}.weight"], [], 0
        for field in fields:
            vector = np.zeros(weight.shape[1])
            for i in ids[start:start + field.width]:
                if i != PAD:
                    vector = vector + weight[self.rows_before(field.vocabulary, table) + i]
            found.append(vector)
            start += field.width
        return found

    def fields(self, b: int, table: str = "embedding") -> list[np.ndarray]:
        return self.embed(self.schema.fields, self.batch.fields[b].numpy(), table)

    def history(self, b: int) -> list[np.ndarray]:
        """The row's behaviors, each its fields side by side."""
        return [np.concatenate(self.embed(self.schema.behaviors, self.batch.behaviors[b, t].numpy()))
                for t in range(int(self.batch.mask[b].sum()))]

    def dense(self, b: int) -> np.ndarray:
        return self.batch.dense[b].double().numpy()

    def linear(self, name: str, x: np.ndarray) -> np.ndarray:
        return self.weights[f"{name}.weight"] @ x + self.weights[f"{name}.bias"]

    def relu_mlp(self, x: np.ndarray) -> float:
        for i in range(len(MLP)):
            x = np.maximum(self.linear(f"mlp.linears.{i}", x), 0.0)
        return float(self.weights["head.weight_mlp"][0] @ x)


def dnn(r: Reference, b: int) -> float:
    history = sum(r.history(b), np.zeros(K * len(r.schema.behaviors)))
    return r.relu_mlp(np.concatenate([history, *r.fields(b), r.dense(b)]))


def deepfm(r: Reference, b: int) -> float:
    first_order = sum(float(w[0]) for w in r.fields(b, "first_order"))
    for i, value in enumerate(r.dense(b)):
        first_order += r.weights["dense.weight_mlp"][0, i] * value
    second_order = 0.0
    for e_i, e_j in combinations(r.fields(b), 2):
        for k in range(K):
            second_order += e_i[k] * e_j[k]
    return first_order + second_order + dnn(r, b)


def din(r: Reference, b: int) -> float:
    by_vocabulary = {f.vocabulary: e for f, e in zip(r.schema.fields, r.fields(b), strict=True) if f.group == "target"}
    missing = iter(r.weights.get("history.missing", ()))
    target = np.concatenate([by_vocabulary[f.vocabulary] if f.vocabulary in by_vocabulary else next(missing)
                             for f in r.schema.behaviors])
    interest = np.zeros_like(target)
    for h in r.history(b) or [r.weights["history.empty"]]:
        unit = r.linear("attention.hidden", np.concatenate([h, target, h - target, h * target]))
        unit = np.where(unit > 0, unit, r.weights["attention.activation.weight"] * unit)  # PReLU
        weight = r.linear("attention.output", unit)[0]
        interest = interest + weight * h
    x = np.concatenate([interest, *r.fields(b), r.dense(b)])
    for i in range(len(MLP)):
        x = r.linear(f"mlp.linears.{i}", x)
        alpha, mean, variance = (r.weights[f"mlp.dices.{i}.{name}"] for name in ("alpha", "mean", "variance"))
        p = 1.0 / (1.0 + np.exp(-(x - mean) / np.sqrt(variance + 1e-8)))
        x = p * x + (1.0 - p) * alpha * x  # Dice
    return float(r.weights["head.weight_mlp"][0] @ x)


FORMULAS = {"dnn": dnn, "deepfm": deepfm, "din": din}
CASES = [("dnn", ctr_schema()), ("dnn", no_target_schema()), ("dnn", paper_schema("criteo")),
         ("deepfm", ctr_schema()), ("deepfm", no_target_schema()), ("deepfm", paper_schema("criteo")),
         ("deepfm", paper_schema("avazu")), ("din", ctr_schema()), ("din", paper_schema("alimama"))]


@pytest.mark.parametrize(("name", "schema"), CASES, ids=lambda case: case if isinstance(case, str) else case.dataset)
@torch.no_grad()
def test_equals_its_formula(name: str, schema: Schema) -> None:
    model = randomized(BASELINES.get(name)(schema, embedding_size=K, mlp=MLP, dropout=0.3)).eval()
    batch = make_batch(schema) if schema.behaviors else make_batch(schema, (0,) * 16)
    reference = Reference(model, schema, batch)
    expected = [FORMULAS[name](reference, b) for b in range(len(batch))]
    assert np.std(expected) > 0.05
    np.testing.assert_allclose(model(batch).numpy(), expected, atol=2e-5, rtol=2e-5)
