"""xDeepFM (Lian et al., 2018): products of embeddings of bounded degree, a linear model and an MLP."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ameir_pl.baselines.base import BASELINES, Baseline
from ameir_pl.baselines.parts import FirstOrder, PlainMlp, check_sizes, deep_input, deep_width
from ameir_pl.batch import Batch
from ameir_pl.nn.embedding import FieldEmbedding
from ameir_pl.nn.heads import CtrHead
from ameir_pl.nn.initialization import scaled_normal
from ameir_pl.schema import Schema


class Cin(nn.Module):
    """Compressed interaction network (Lian et al. 2018, Eq. 6): each layer compresses products with the embeddings.

    ``x_h = sum over i, j of W_hij (x'_i * e_j)``, with x' the layer before, which is e for the first. No activation
    follows, as in the equation. Weights are normal with deviation 1/sqrt(inputs).

    Args:
        fields: N.
        units: feature maps of each layer, H_1, H_2, ...
    """

    def __init__(self, fields: int, units: Sequence[int]) -> None:
        super().__init__()
        self.weights = nn.ParameterList(nn.Parameter(torch.empty(after, before * fields))
                                        for before, after in zip([fields, *units], units, strict=False))
        for weight in self.weights:
            scaled_normal(weight, weight.shape[1])

    def forward(self, e: Tensor) -> Tensor:
        """Return the layers' maps, each summed over K, (B, H_1 + H_2 + ...) from ``e`` (B, N, K)."""
        e = e.mT  # (B, K, N): one product of matrices a layer
        x, pooled = e, []
        for weight in self.weights:
            products = (x.unsqueeze(3) * e.unsqueeze(2)).flatten(2)  # (B, K, H'·N)
            x = nn.functional.linear(products, weight)  # (B, K, H)
            pooled.append(x.sum(1))
        return torch.cat(pooled, 1)


@BASELINES.register("xdeepfm")
class XDeepFm(Baseline):
    """logit = <w, x> + w·CIN(e) + w·MLP([history sum, e, dense]) (Lian et al. 2018, Eq. 6, 7 and 9).

    Args:
        schema: of a dataset of clicks with two fields or more.
        embedding_size: K.
        mlp: units of the hidden layers, all ReLU.
        dropout: after each hidden layer.
        cin: feature maps of each layer of the CIN.
    """

    needs = ("clicks", "fields")

    def __init__(self, schema: Schema, *, embedding_size: int, mlp: Sequence[int], dropout: float = 0.0,
                 cin: Sequence[int] = (128, 128, 128)) -> None:
        super().__init__()
        check_sizes("xdeepfm", "cin", cin)
        self.embedding = FieldEmbedding(schema, embedding_size)
        self.first_order = FirstOrder(schema)
        self.cin = Cin(len(schema.fields), cin)
        self.cin_head = CtrHead(sum(cin))
        self.mlp = PlainMlp(deep_width(schema, embedding_size), mlp, dropout)
        self.head = CtrHead(self.mlp.out_features)

    def forward(self, batch: Batch) -> Tensor:
        """Return logits (B,)."""
        e = self.embedding.fields(batch.fields)  # (B, N, K)
        deep = self.head(self.mlp(deep_input(self.embedding, batch, e)))
        return self.first_order(batch) + self.cin_head(self.cin(e)) + deep
