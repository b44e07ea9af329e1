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

    def target(self, b: int) -> np.ndarray:
        """The target as a behavior: fields of its vocabularies, learned vectors for what it lacks."""
        like = {f.vocabulary: e for f, e in zip(self.schema.fields, self.fields(b), strict=True) if f.group == "target"}
        missing = iter(self.weights.get("history.missing", ()))
        return np.concatenate([like[f.vocabulary] if f.vocabulary in like else next(missing)
                               for f in self.schema.behaviors])

    def dense(self, b: int) -> np.ndarray:
        return self.batch.dense[b].double().numpy()

    def linear(self, name: str, x: np.ndarray) -> np.ndarray:
        return self.weights[f"{name}.weight"] @ x + self.weights[f"{name}.bias"]

    def relu_mlp(self, x: np.ndarray) -> float:
        for i in range(len(MLP)):
            x = np.maximum(self.linear(f"mlp.linears.{i}", x), 0.0)
        return float(self.weights["head.weight_mlp"][0] @ x)

    def dice_mlp(self, x: np.ndarray) -> float:
        for i in range(len(MLP)):
            x = self.linear(f"mlp.linears.{i}", x)
            alpha, mean, variance = (self.weights[f"mlp.dices.{i}.{name}"] for name in ("alpha", "mean", "variance"))
            p = sigmoid((x - mean) / np.sqrt(variance + 1e-8))
            x = p * x + (1.0 - p) * alpha * x
        return float(self.weights["head.weight_mlp"][0] @ x)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-x))


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x - x.max()) / np.exp(x - x.max()).sum()


@torch.no_grad()
def assert_equals(name: str, schema: Schema, formula: Callable[[Reference, int], np.ndarray | float], **options: object
                  ) -> None:
    """Compare a randomized model in eval mode with ``formula(reference, row)`` on every row of a batch."""
    model = randomized(build_baseline(name, schema, embedding_size=K, mlp=MLP, dropout=0.3, options=options)).eval()
    batch = make_batch(schema) if schema.behaviors else make_batch(schema, (0,) * 16)
    reference = Reference(model, schema, batch)
    expected = np.array([formula(reference, b) for b in range(len(batch))])
    assert np.std(expected) > 0.05
    np.testing.assert_allclose(model(batch).numpy(), expected, atol=2e-5, rtol=2e-5)
