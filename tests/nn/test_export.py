"""No layer branches on data or reads a value back: each is traced whole, for any number of rows, and runs the same."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ameir_pl.nn.block import BuildingBlock
from ameir_pl.nn.elastic import ElasticMlp
from ameir_pl.nn.embedding import FieldEmbedding
from ameir_pl.nn.hadamard import HadamardProducts
from ameir_pl.nn.heads import CtrHead
from ameir_pl.nn.history import HistoryInput
from ameir_pl.nn.operations import OPERATIONS
from ameir_pl.nn.pooling import HistoryPooling
from ameir_pl.nn.squeeze_excitation import SqueezeExcitation

from .examples import LENGTH, ctr_schema, mask_of, normal

K = 4
WIDTH = 3 * K


class Child(nn.Module):
    """All layers together, wired for one child with the given block layer."""

    def __init__(self, layer: str) -> None:
        super().__init__()
        schema = ctr_schema()
        self.layer = layer
        self.embedding = FieldEmbedding(schema, K)
        self.input = HistoryInput(schema, K)
        self.block = BuildingBlock(WIDTH, [layer], ["layer_norm"])
        self.pooling = HistoryPooling(WIDTH, True)
        self.products = HadamardProducts(schema.field_names, [("user", "item"), ("user", "hour", "genres")])
        width = self.pooling.width_out + 4 * K
        self.mlp = ElasticMlp(width, [20, 20], [["dice", "swish"]] * 2)
        self.excitation = SqueezeExcitation(6, K)
        self.head = CtrHead(20, K)

    def forward(self, ids: Tensor, behaviors: Tensor, mask: Tensor) -> Tensor:
        """Return logits (B,)."""
        fields = self.embedding.fields(ids)
        h, mask, target = self.input(self.embedding.behaviors(behaviors), mask, fields)
        h = self.block(h, mask, target, self.layer, "gelu", "layer_norm")
        h0 = torch.cat([self.pooling(h, mask, target), fields.flatten(1)], dim=1)
        h_c = self.mlp(h0, [(18, "dice"), (11, "swish")])
        return self.head(h_c, self.excitation(torch.cat([fields, self.products(fields)], dim=1)))


def inputs(rows: int) -> tuple[Tensor, Tensor, Tensor]:
    values = normal(rows, LENGTH, 5).abs()
    mask = mask_of(tuple((0, 3, LENGTH, 1, 2)[i % 5] for i in range(rows)))
    return (values[:, 0, :1].mul(9).long().clamp(max=3).expand(-1, 6).contiguous(),
            values.mul(2).long().clamp(max=4) * mask.unsqueeze(-1), mask)


def test_traced_child_equals_the_eager_one() -> None:
    child = Child("self_attention2").eval()
    rows: Any = torch.export.Dim("rows", min=2, max=512)
    traced = torch.export.export(child, inputs(5), dynamic_shapes=({0: rows}, {0: rows}, {0: rows})).module()
    for count in (5, 11):
        torch.testing.assert_close(traced(*inputs(count)), child(*inputs(count)))


@pytest.mark.parametrize("layer", OPERATIONS.names())
@pytest.mark.filterwarnings("ignore:The tensor attributes .*_flat_weights")
def test_traced_operation_equals_the_eager_one(layer: str) -> None:
    operation = OPERATIONS.get(layer)(WIDTH).eval()
    rows: Any = torch.export.Dim("rows", min=2, max=512)
    x, mask, target = normal(6, LENGTH, WIDTH).float(), mask_of((1, 3, LENGTH, 2, 5, 4)), normal(6, WIDTH).float()
    few = (x[:4], mask[:4], target[:4])
    traced = torch.export.export(operation, few, dynamic_shapes=({0: rows}, {0: rows}, {0: rows})).module()
    for inputs_ in (few, (x, mask, target)):
        valid = inputs_[1]  # what stands at padding is unspecified, and may differ
        torch.testing.assert_close(traced(*inputs_)[valid], operation(*inputs_)[valid])
