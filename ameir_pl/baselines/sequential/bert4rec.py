"""BERT4Rec (Sun et al., 2019): a bidirectional transformer, trained to tell masked items from what is around them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ameir_pl.baselines.base import BASELINES
from ameir_pl.baselines.next_item import NextItem, Positions, SelfAttention, at_least, lengths, linear
from ameir_pl.batch import Batch
from ameir_pl.errors import AmeirError
from ameir_pl.nn.dropout import Dropout
from ameir_pl.nn.initialization import embedding_uniform
from ameir_pl.nn.row_noise import RowNoise
from ameir_pl.nn.sequence import packed, take
from ameir_pl.schema import OOV, PAD, Schema


class Layer(nn.Module):
    """a = LayerNorm(x + Dropout(MH(x))), then LayerNorm(a + Dropout(W2 GELU(W1 a + b1) + b2)) (Eq. 1-6)."""

    def __init__(self, size: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention, self.mixed = SelfAttention("bert4rec", size, heads), linear(size, size)
        self.ffn = nn.Sequential(linear(size, 4 * size), nn.GELU(), linear(4 * size, size))
        self.attention_norm, self.ffn_norm = nn.LayerNorm(size), nn.LayerNorm(size)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return (P, K) from ``x`` (P, K), the behaviors that ``mask`` (B, T) says are there."""
        x = self.attention_norm(x + self.dropout(self.mixed(self.attention(x, mask))))
        return self.ffn_norm(x + self.dropout(self.ffn(x)))


@BASELINES.register("bert4rec")
class Bert4Rec(NextItem):
    """query = GELU(W h + b), h the state of a mask token behind the history (Sun et al. 2019, Eq. 1-7, Sec. 3.6).

    Of Eq. 7 the bias of each item is left out: as with every model here, item i scores <e_i, query>. Positions are
    learned and counted from the end. Loss (Eq. 8): of the history and the positives, which follow it, the latest
    max_len + 1 items are taken; each is masked with probability ``mask`` and the last one always, which is what
    prediction asks for; a row's loss is the mean over its masked items of the cross entropy among all items. Items that
    the training rows do not show are never masked.

    Args:
        schema: of a dataset of sequences.
        embedding_size: K.
        mlp: ignored.
        dropout: of the embeddings and after each sublayer.
        layers: of the transformer.
        heads: of the attention.
        mask: how likely an item is masked.
        sublayer_dropout: after each sublayer, where it is not ``dropout``.

    Raises:
        AmeirError: an option is out of range, K is not a multiple of ``heads``, or no behavior field holds the items.
    """

    own_loss = "cloze, cross entropy of masked items among all items"

    def __init__(self, schema: Schema, *, embedding_size: int, mlp: Sequence[int], dropout: float = 0.0,
                 layers: int = 2, heads: int = 4, mask: float = 0.2, sublayer_dropout: float | None = None) -> None:
        super().__init__(schema, embedding_size, empty=False)
        at_least("bert4rec", "layers", layers)
        if not 0 <= mask <= 1:
            raise AmeirError(f"model=bert4rec takes `mask` in [0, 1]; found model.options.mask={mask}.")
        inner = dropout if sublayer_dropout is None else sublayer_dropout
        if not 0 <= inner < 1:
            raise AmeirError("model=bert4rec takes `sublayer_dropout` from 0 to below 1, or null; found "
                             f"model.options.sublayer_dropout={sublayer_dropout}.")
        self.item, self.probability, self.longest = schema.item, mask, schema.max_len + 1
        slots = [f.vocabulary for f in schema.behaviors for _ in range(f.width)]
        if schema.item not in slots:
            raise AmeirError(f"model=bert4rec masks items, and no behavior of {schema.dataset} has the vocabulary "
                             f"'{schema.item}'. Add one, or choose another model.")
        self.column = slots.index(schema.item)
        self.masked = nn.Parameter(torch.empty(embedding_size))
        embedding_uniform(self.masked)
        self.positions = Positions(self.longest, embedding_size)
        self.dropout = Dropout(dropout)
        self.layers = nn.ModuleList(Layer(embedding_size, heads, inner) for _ in range(layers))
        self.output = linear(embedding_size, embedding_size)
        self.noise = RowNoise()

    def forward(self, batch: Batch) -> Tensor:
        """Return query vectors (B, K)."""
        behaviors, mask = F.pad(batch.behaviors, (0, 0, 0, 1)), F.pad(batch.mask, (0, 1))  # (B, T + 1, S_a)
        asked = torch.arange(mask.shape[1], device=mask.device) == lengths(mask)  # (B, T + 1), the place behind
        return self.output_of(self.encode(behaviors, mask | asked, asked))

    def encode(self, behaviors: Tensor, mask: Tensor, masked: Tensor) -> Tensor:
        """Return the states (M, K) of behaviors (B, T, S_a) where ``masked`` (B, T) has the mask token read instead.

        ``mask`` (B, T) is True on a prefix of every row, ``masked`` only within it.
        """
        h, hidden = packed(self.vectors(behaviors), mask), masked[mask]  # (P, K), (P,)
        h = torch.where(hidden.unsqueeze(1), self.masked.to(h.dtype), h)
        h = self.dropout(h + packed(self.positions(mask), mask))
        for layer in self.layers:
            h = layer(h, mask)
        return h[hidden]

    def output_of(self, h: Tensor) -> Tensor:
        """Return query vectors (..., K) of states (..., K)."""
        return F.gelu(self.output(h))

    def training_loss(self, batch: Batch, own: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the mean over rows; see the class and :class:`~ameir_pl.baselines.base.OwnLoss`."""
        behaviors, mask = self.clips(batch)
        masked = self.draw(batch, behaviors[..., self.column], mask)
        query = self.output_of(self.encode(behaviors, mask, masked))  # (M, K)
        scores = query @ self.embedding.table(self.item)[OOV + 1:].T  # (M, V - 2)
        losses = F.cross_entropy(scores.float(), behaviors[..., self.column][masked] - OOV - 1, reduction="none")
        of_row = masked.sum(1, keepdim=True).expand_as(masked)[masked]  # (M,) how many its row has
        return (losses / of_row).sum() / len(batch)

    def clips(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the latest behaviors (B, S, S_a) of history and positives, and their mask (B, S)."""
        found = batch.positives.new_zeros(*batch.positives.shape, batch.behaviors.shape[2])
        found[..., self.column] = batch.positives  # what else the behaviors have is not known of them
        both, before = torch.cat([batch.behaviors, found], 1), batch.behaviors.shape[1]
        past, ahead = lengths(batch.mask), lengths(batch.positives != PAD)  # (B, 1) each
        count = min(both.shape[1], self.longest)
        places = (past + ahead - count).clamp(min=0) + torch.arange(count, device=past.device)  # (B, S) in the clip
        mask = places < past + ahead
        # Positives stand behind the padding of the history.
        source = torch.where(places < past, places, places - past + before).clamp(max=both.shape[1] - 1)
        return torch.where(mask.unsqueeze(-1), take(both, source), PAD), mask

    def draw(self, batch: Batch, items: Tensor, mask: Tensor) -> Tensor:
        """Return which of ``items`` (B, S) are masked, (B, S)."""
        self.noise.step()
        # The history is last, so that its padding moves nothing.
        history = torch.where(batch.mask.unsqueeze(-1), batch.behaviors, PAD).flatten(1)
        drawn = [batch.negatives] if len(batch.negatives) else []
        numbers = self.noise(torch.cat([batch.positives, *drawn, history], 1), items.shape[1])
        final = torch.arange(items.shape[1], device=items.device) == lengths(mask) - 1
        return ((numbers < self.probability) & (items > OOV) & mask) | final
