"""SR-GNN (Wu et al., 2019): a gated graph network on the graph of the history's items."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ameir_pl.baselines.base import BASELINES
from ameir_pl.baselines.next_item import NextItem, at_least, last, linear
from ameir_pl.batch import Batch
from ameir_pl.nn.dropout import Dropout
from ameir_pl.nn.initialization import orthogonal_gates
from ameir_pl.nn.sequence import zero_padding
from ameir_pl.schema import Schema


def edges(ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return the normalized adjacency (B, T, T) of incoming and of outgoing edges, nodes taken at their positions.

    Each pair of neighbouring behaviors is an edge. Position t stands for the node of its behavior; a node's edges are
    those of all its positions. Entry (t, s) is how many edges lead from the behavior at s to the node of t (incoming),
    divided by how many lead to that node; outgoing likewise. Equal nodes have equal rows.

    Args:
        ids: (B, T, S_a); behaviors of equal ids are one node.
        mask: (B, T) bool.
    """
    same = (ids.unsqueeze(1) == ids.unsqueeze(2)).all(-1) & mask.unsqueeze(1) & mask.unsqueeze(2)  # (B, T, T)
    arrives, leaves = torch.zeros_like(same), torch.zeros_like(same)
    arrives[..., :-1] = same[..., 1:]  # the node of t is also at s + 1: an edge comes from s
    leaves[..., 1:] = same[..., :-1] & mask[:, None, 1:]  # and here it is also at s - 1
    return tuple((e / e.sum(2, keepdim=True).clamp(min=1)) for e in (arrives, leaves))  # type: ignore[return-value]


class GatedStep(nn.Module):
    """One step of the gated graph network (Wu et al. 2019, Eq. 1-5): a GRU cell that reads a node's neighbours.

    ``a = [A_in v H_in, A_out v H_out] + b``, ``z = sigmoid(W_z a + U_z v)``, ``r = sigmoid(W_r a + U_r v)``,
    ``n = tanh(W_o a + U_o (r * v))``, ``v' = (1 - z) * v + z * n``.

    Args:
        size: K.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.incoming, self.outgoing = linear(size, size, bias=False), linear(size, size, bias=False)
        self.bias = nn.Parameter(torch.zeros(2 * size))
        self.of_edges = nn.Linear(2 * size, 3 * size, bias=False)  # W_z, W_r, W_o
        self.of_gates, self.of_node = nn.Linear(size, 2 * size, bias=False), nn.Linear(size, size, bias=False)
        for layer, gates in ((self.of_edges, 3), (self.of_gates, 2), (self.of_node, 1)):
            orthogonal_gates(layer.weight.data, gates)

    def forward(self, v: Tensor, arrives: Tensor, leaves: Tensor) -> Tensor:
        """Return (B, T, K) from ``v`` (B, T, K) and the edges (B, T, T)."""
        a = torch.cat([arrives @ self.incoming(v), leaves @ self.outgoing(v)], -1) + self.bias
        of_z, of_r, of_n = self.of_edges(a).chunk(3, -1)
        from_z, from_r = self.of_gates(v).chunk(2, -1)
        z, r = torch.sigmoid(of_z + from_z), torch.sigmoid(of_r + from_r)
        return v + z * (torch.tanh(of_n + self.of_node(r * v)) - v)


@BASELINES.register("srgnn")
class SrGnn(NextItem):
    """query = W3 Dropout([s_l, s_g]) (Wu et al. 2019, Eq. 1-7): the last node and what all nodes mean to it.

    The nodes are the history's distinct behaviors, their vectors those of ``steps`` gated steps along its edges;
    ``s_l = v_n``, ``s_g = sum over i of a_i v_i`` with ``a_i = q·sigmoid(W1 v_n + W2 v_i + c)`` over the positions i.

    Args:
        schema: of a dataset of sequences.
        embedding_size: K.
        mlp: ignored.
        dropout: of [s_l, s_g]; the paper has none.
        steps: of the gated graph network.

    Raises:
        AmeirError: an option is out of range.
    """

    def __init__(self, schema: Schema, *, embedding_size: int, mlp: Sequence[int], dropout: float = 0.0,
                 steps: int = 1) -> None:
        super().__init__(schema, embedding_size)
        at_least("srgnn", "steps", steps)
        self.steps, self.step = steps, GatedStep(embedding_size)
        self.of_last, self.of_each = linear(embedding_size, embedding_size, bias=False), linear(embedding_size,
                                                                                               embedding_size)
        self.weight = linear(embedding_size, 1, bias=False)
        self.output = linear(2 * embedding_size, embedding_size, bias=False)
        self.dropout = Dropout(dropout)

    def forward(self, batch: Batch) -> Tensor:
        """Return query vectors (B, K)."""
        v, mask = self.history(batch)
        nodes = self.embedding.known(batch.behaviors, self.embedding.behavior_sizes)
        arrives, leaves = (e.to(v.dtype) for e in edges(nodes, mask))
        for _ in range(self.steps):
            v = self.step(v, arrives, leaves)
        final = last(v, mask)
        attention = self.weight(torch.sigmoid(self.of_last(final).unsqueeze(1) + self.of_each(v)))  # (B, T, 1)
        overall = zero_padding(attention * v, mask).sum(1)
        return self.output(self.dropout(torch.cat([final, overall], 1)))
