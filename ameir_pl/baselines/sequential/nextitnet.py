"""NextItNet (Yuan et al., 2019): residual layers of causal dilated convolutions over the history."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ameir_pl.baselines.base import BASELINES
from ameir_pl.baselines.next_item import NextItem, at_least, last, linear
from ameir_pl.batch import Batch
from ameir_pl.errors import AmeirError
from ameir_pl.nn.dropout import Dropout
from ameir_pl.schema import Schema

DILATIONS = (1, 2, 1, 2, 2)


class Layer(nn.Module):
    """x + Dropout(ReLU(LayerNorm(conv(x)))); output t of ``conv`` sees x_t, x_{t-d}, ..., x_{t-(k-1)d}.

    The convolution is one matrix product over k shifted copies, as in the blocks of AMEIR.
    """

    def __init__(self, size: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.kernel, self.dilation = kernel, dilation
        self.conv = linear(kernel * size, size)
        self.norm = nn.LayerNorm(size)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, T, K) from ``x`` (B, T, K)."""
        padded = F.pad(x, (0, 0, (self.kernel - 1) * self.dilation, 0))
        copies = [padded[:, j * self.dilation:j * self.dilation + x.shape[1]] for j in range(self.kernel)]
        return x + self.dropout(torch.relu(self.norm(self.conv(torch.cat(copies, -1)))))


@BASELINES.register("nextitnet")
class NextItNet(NextItem):
    """query = the latest position after the residual layers (Yuan et al. 2019).

    Five layers of one convolution each, kernel 3, dilation 1, 2, 1, 2, 2 (AMEIR paper, Appendix C.2), in the order of
    the paper's residual block (b): convolution, layer normalization, ReLU, and what was read is added.

    Args:
        schema: of a dataset of sequences.
        embedding_size: K.
        mlp: ignored.
        dropout: after each layer's ReLU.
        kernel: positions that a convolution sees.
        dilations: of each layer, the distance of those positions.

    Raises:
        AmeirError: an option is out of range.
    """

    def __init__(self, schema: Schema, *, embedding_size: int, mlp: Sequence[int], dropout: float = 0.0,
                 kernel: int = 3, dilations: Sequence[int] = DILATIONS) -> None:
        super().__init__(schema, embedding_size)
        at_least("nextitnet", "kernel", kernel)
        if not dilations or min(dilations) < 1:
            raise AmeirError("model=nextitnet takes `dilations`, one of at least 1 for each layer; found "
                             f"model.options.dilations={list(dilations)}.")
        self.layers = nn.ModuleList(Layer(embedding_size, kernel, d, dropout) for d in dilations)

    def forward(self, batch: Batch) -> Tensor:
        """Return query vectors (B, K)."""
        h, mask = self.history(batch)
        for layer in self.layers:
            h = layer(h)
        return last(h, mask)
