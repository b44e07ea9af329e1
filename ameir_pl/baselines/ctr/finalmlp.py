"""FinalMLP (Mao et al., 2023): two MLPs read differently gated features, and their outputs are multiplied."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ameir_pl.baselines.base import BASELINES, Baseline
from ameir_pl.baselines.parts import PlainMlp, check_whole, deep_input, deep_width
from ameir_pl.batch import Batch
from ameir_pl.nn.elastic import ElasticLinear
from ameir_pl.nn.embedding import FieldEmbedding
from ameir_pl.nn.heads import CtrHead
from ameir_pl.nn.initialization import embedding_uniform, scaled_normal
from ameir_pl.schema import Group, Schema


class FeatureGate(nn.Module):
    """``2 sigmoid(gate(c)) * x`` (Mao et al. 2023, "stream-specific feature selection").

    The gate is an MLP of one hidden layer with ReLU.

    Args:
        schema: of the dataset.
        group: c are the embeddings of this group's fields; a learned K-vector where there are none.
        size: K.
        width: of x.
        units: of the hidden layer.
    """

    def __init__(self, schema: Schema, group: Group, size: int, width: int, units: int) -> None:
        super().__init__()
        self.of_fields = [i for i, f in enumerate(schema.fields) if f.group == group]
        self.context = None if self.of_fields else nn.Parameter(torch.empty(size))
        if self.context is not None:
            embedding_uniform(self.context)
        self.hidden = PlainMlp(max(1, len(self.of_fields)) * size, [units])
        self.output = ElasticLinear(units, width)

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        """Return (B, width) from ``x`` (B, width) and the fields' embeddings ``e`` (B, N, K)."""
        context = e[:, self.of_fields].flatten(1) if self.context is None else self.context.unsqueeze(0)
        return 2.0 * torch.sigmoid(self.output(self.hidden(context))) * x


class BilinearFusion(nn.Module):
    """``w_1·o_1 + w_2·o_2 + sum over heads of o_1h W_h o_2h`` (Mao et al. 2023, "stream-level fusion").

    Without a bias. A head has ceil(width / heads) columns, the last one what is left. Normal, with deviations of
    1/sqrt(inputs).

    Args:
        width: of both outputs.
        heads: at most.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.first, self.second = CtrHead(width), CtrHead(width)
        share = -(-width // heads)
        heads = -(-width // share)
        self.lacking = heads * share - width
        self.weight = nn.Parameter(torch.empty(heads, share, share))
        scaled_normal(self.weight, width)

    def forward(self, one: Tensor, two: Tensor) -> Tensor:
        """Return (B,) from two outputs (B, width)."""
        heads, share, _ = self.weight.shape
        a, b = (F.pad(o, (0, self.lacking)).unflatten(1, (heads, share)) for o in (one, two))  # (B, H, share)
        products = (a.transpose(0, 1) @ self.weight).transpose(0, 1) * b
        return self.first(one) + self.second(two) + products.sum((1, 2))


@BASELINES.register("finalmlp")
class FinalMlp(Baseline):
    """logit = fusion(MLP_1(gate_1(x)), MLP_2(gate_2(x))) with x = [history sum, e, dense] (Mao et al. 2023).

    The first gate reads the user's fields, the second those of the target.

    Args:
        schema: of a dataset of clicks.
        embedding_size: K.
        mlp: units of the hidden layers of both MLPs, all ReLU.
        dropout: after each hidden layer.
        heads: of the fusion.
        gate_units: of the gates' hidden layers.
    """

    needs = ("clicks",)

    def __init__(self, schema: Schema, *, embedding_size: int, mlp: Sequence[int], dropout: float = 0.0,
                 heads: int = 10, gate_units: int = 64) -> None:
        super().__init__()
        check_whole("finalmlp", "heads", heads)
        check_whole("finalmlp", "gate_units", gate_units)
        width = deep_width(schema, embedding_size)
        self.embedding = FieldEmbedding(schema, embedding_size)
        self.first_gate = FeatureGate(schema, "user", embedding_size, width, gate_units)
        self.second_gate = FeatureGate(schema, "target", embedding_size, width, gate_units)
        self.first = PlainMlp(width, mlp, dropout)
        self.second = PlainMlp(width, mlp, dropout)
        self.fusion = BilinearFusion(self.first.out_features, heads)

    def forward(self, batch: Batch) -> Tensor:
        """Return logits (B,)."""
        e = self.embedding.fields(batch.fields)  # (B, N, K)
        x = deep_input(self.embedding, batch, e)
        return self.fusion(self.first(self.first_gate(x, e)), self.second(self.second_gate(x, e)))
