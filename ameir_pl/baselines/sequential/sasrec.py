"""SASRec (Kang and McAuley, 2018): causal self-attention over the history."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from ameir_pl.baselines.base import BASELINES
from ameir_pl.baselines.next_item import NextItem, Positions, SelfAttention, at_least, lengths, linear
from ameir_pl.batch import Batch
from ameir_pl.nn.dropout import Dropout
from ameir_pl.nn.sequence import packed
from ameir_pl.schema import Schema


class Block(nn.Module):
    """s = x + Dropout(SA(LayerNorm(x))), then s + Dropout(FFN(LayerNorm(s))) (Eq. 3-5 and "stacking" of Sec. 3.3)."""

    def __init__(self, size: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm, self.ffn_norm = nn.LayerNorm(size), nn.LayerNorm(size)
        self.attention = SelfAttention("sasrec", size, heads)
        self.ffn = nn.Sequential(linear(size, size), nn.ReLU(), linear(size, size))
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return (P, K) from ``x`` (P, K), the behaviors that ``mask`` (B, T) says are there."""
        x = x + self.dropout(self.attention(self.attention_norm(x), mask, causal=True))
        return x + self.dropout(self.ffn(self.ffn_norm(x)))


@BASELINES.register("sasrec")
class SasRec(NextItem):
    """query = the latest position of F = blocks(Dropout(e + p)) (Kang and McAuley 2018, Eq. 1-6).

    A block is causal self-attention and a point-wise network of two layers of K units, ReLU between them; both are
    normalized before and added to what they read. Positions p are learned and counted from the end of the history, as
    the authors' padding in front does.

    Args:
        schema: of a dataset of sequences.
        embedding_size: K.
        mlp: ignored.
        dropout: of the embeddings and after each sublayer.
        layers: blocks.
        heads: of the attention.

    Raises:
        AmeirError: an option is out of range, or K is not a multiple of ``heads``.
    """

    def __init__(self, schema: Schema, *, embedding_size: int, mlp: Sequence[int], dropout: float = 0.0,
                 layers: int = 2, heads: int = 1) -> None:
        super().__init__(schema, embedding_size)
        at_least("sasrec", "layers", layers)
        self.positions = Positions(schema.max_len, embedding_size)
        self.dropout = Dropout(dropout)
        self.blocks = nn.ModuleList(Block(embedding_size, heads, dropout) for _ in range(layers))

    def forward(self, batch: Batch) -> Tensor:
        """Return query vectors (B, K)."""
        h, mask = self.history(batch)
        h = self.dropout(packed(h + self.positions(mask), mask))  # (P, K)
        for block in self.blocks:
            h = block(h, mask)
        return h[lengths(mask).flatten().cumsum(0) - 1]  # each row's last
