"""What the models' formulas are written out with: weights as float64 arrays, embeddings looked up one by one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from ameir_pl.baselines import build_baseline
from ameir_pl.batch import Batch
from ameir_pl.schema import PAD, Field, Schema
from tests.models.examples import make_batch, randomized

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
        sizes = self.schema.vocabularies
        used = {f.vocabulary for f in self.schema.fields}
        whole = len(self.weights[f"{table}.weight"]) == 1 + sum(size - 1 for size in sizes.values())
        names = [name for name in sizes if whole or name in used]
        return sum(sizes[name] - 1 for name in names[:names.index(vocabulary)])

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

    def history(self, b: int, table: str = "embedding") -> list[np.ndarray]:
        """The row's behaviors, each its fields side by side."""
        return [np.concatenate(self.embed(self.schema.behaviors, self.batch.behaviors[b, t].numpy(), table))
                for t in range(int(self.batch.mask[b].sum()))]

    def target(self, b: int) -> np.ndarray:
        """The target as a behavior: fields of its vocabularies, learned vectors for what it lacks."""
        like = {f.vocabulary: e for f, e in zip(self.schema.fields, self.fields(b), strict=True) if f.group == "target"}
        missing = iter(self.weights.get("history.missing", ()))
        return np.concatenate([like[f.vocabulary] if f.vocabulary in like else next(missing)
                               for f in self.schema.behaviors])

    def history_sum(self, b: int, table: str = "embedding") -> np.ndarray:
        """The sum of the row's behaviors, zeros where there are none."""
        size = self.weights[f"{table}.weight"].shape[1]
        return sum(self.history(b, table), np.zeros(size * len(self.schema.behaviors)))

    def field_vectors(self, b: int) -> list[np.ndarray]:
        """The vectors of the row's fields, then one for each behavior field's sum."""
        return [*self.fields(b), *self.history_sum(b).reshape(len(self.schema.behaviors), K)]

    def deep_input(self, b: int) -> np.ndarray:
        return np.concatenate([self.history_sum(b), *self.fields(b), self.dense(b)])

    def first_order(self, b: int, history: bool = False) -> float:
        """<w, x>: the weights of the row's ids, and each dense value times its own."""
        logit = sum(float(w[0]) for w in self.fields(b, "first_order.ids"))
        if history:
            logit += float(self.history_sum(b, "first_order.ids").sum())
        for i, value in enumerate(self.dense(b)):
            logit += self.weights["first_order.dense.weight_mlp"][0, i] * value
        return logit

    def dense(self, b: int) -> np.ndarray:
        return self.batch.dense[b].double().numpy()

    def linear(self, name: str, x: np.ndarray) -> np.ndarray:
        return self.weights[f"{name}.weight"] @ x + self.weights.get(f"{name}.bias", 0.0)

    def vectors(self, b: int) -> list[np.ndarray]:
        """What next-item models read of a row: at least one vector of size K."""
        found = self.history(b)
        if "project.weight" in self.weights:
            found = [self.linear("project", h) for h in found]
        return found or [self.weights["empty"]]

    def item(self, i: int) -> np.ndarray:
        """The vector that item ``i`` is scored with."""
        return self.embed((Field("", self.schema.item),), np.array([i]))[0]

    def gru(self, name: str, inputs: list[np.ndarray]) -> list[np.ndarray]:
        """The states; gates in the order r, z, n."""
        w_x, w_h = self.weights[f"{name}.weight_ih_l0"], self.weights[f"{name}.weight_hh_l0"]
        b_x, b_h = self.weights[f"{name}.bias_ih_l0"], self.weights[f"{name}.bias_hh_l0"]
        states, h = [], np.zeros(w_h.shape[1])
        for x in inputs:
            (x_r, x_z, x_n), (h_r, h_z, h_n) = np.split(w_x @ x + b_x, 3), np.split(w_h @ h + b_h, 3)
            r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
            h = (1.0 - z) * np.tanh(x_n + r * h_n) + z * h
            states.append(h)
        return states

    def attention(self, name: str, inputs: list[np.ndarray], heads: int, causal: bool) -> list[np.ndarray]:
        """Self-attention, the heads side by side."""
        queries, keys, values = zip(*(np.split(self.weights[f"{name}.query_key_value.weight"] @ x, 3)
                                      for x in inputs), strict=True)
        found = []
        for t in range(len(inputs)):
            seen, parts = range(t + 1) if causal else range(len(inputs)), []
            for head in range(heads):
                own = slice(head * K // heads, (head + 1) * K // heads)
                scores = np.array([queries[t][own] @ keys[s][own] / np.sqrt(K / heads) for s in seen])
                weights = np.exp(scores) / np.exp(scores).sum()
                parts.append(sum(w * values[s][own] for w, s in zip(weights, seen, strict=True)))
            found.append(np.concatenate(parts))
        return found

    def layer_norm(self, name: str, x: np.ndarray) -> np.ndarray:
        normal = (x - x.mean()) / np.sqrt(x.var() + 1e-5)
        return normal * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def hidden(self, x: np.ndarray, name: str = "mlp") -> np.ndarray:
        """The output of an MLP with ReLU after each layer."""
        i = 0
        while f"{name}.linears.{i}.weight" in self.weights:
            x = np.maximum(self.linear(f"{name}.linears.{i}", x), 0.0)
            i += 1
        return x

    def head(self, x: np.ndarray, name: str = "head") -> float:
        return float(self.weights[f"{name}.weight_mlp"][0] @ x)

    def relu_mlp(self, x: np.ndarray) -> float:
        return self.head(self.hidden(x))

    def dice_mlp(self, x: np.ndarray) -> float:
        for i in range(len(MLP)):
            x = self.linear(f"mlp.linears.{i}", x)
            alpha, mean, variance = (self.weights[f"mlp.dices.{i}.{name}"] for name in ("alpha", "mean", "variance"))
            p = sigmoid((x - mean) / np.sqrt(variance + 1e-8))
            x = p * x + (1.0 - p) * alpha * x
        return float(self.weights["head.weight_mlp"][0] @ x)


def softmax(x: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def layer_norm(x: np.ndarray, gain: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Over all numbers of a vector, with PyTorch's epsilon."""
    return (x - x.mean()) / np.sqrt(x.var() + 1e-5) * gain + shift


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-x))


@torch.no_grad()
def assert_equals(name: str, schema: Schema, formula: Callable[[Reference, int], np.ndarray | float],
                  batch: Batch | None = None, **options: object) -> None:
    """Compare a randomized model in eval mode with ``formula(reference, row)`` on every row of a batch."""
    model = randomized(build_baseline(name, schema, embedding_size=K, mlp=MLP, dropout=0.3, options=options)).eval()
    if batch is None:
        batch = make_batch(schema) if schema.behaviors else make_batch(schema, (0,) * 16)
    reference = Reference(model, schema, batch)
    expected = np.array([formula(reference, b) for b in range(len(batch))])
    assert np.std(expected) > 0.05
    np.testing.assert_allclose(model(batch).numpy(), expected, atol=2e-5, rtol=2e-5)
