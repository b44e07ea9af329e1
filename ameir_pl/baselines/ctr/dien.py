"""DIEN (Zhou et al., 2019): interests extracted from behaviors, and how those that concern the target evolve."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ameir_pl.baselines.base import BASELINES, Baseline
from ameir_pl.baselines.parts import PlainMlp
from ameir_pl.batch import Batch
from ameir_pl.errors import AmeirError
from ameir_pl.nn.embedding import FieldEmbedding
from ameir_pl.nn.heads import CtrHead
from ameir_pl.nn.history import HistoryInput
from ameir_pl.nn.initialization import he_normal, orthogonal_gates
from ameir_pl.nn.row_noise import RowNoise
from ameir_pl.nn.sequence import zero_padding
from ameir_pl.schema import PAD, Schema


class AuGru(nn.Module):
    """A GRU whose update gate is scaled by attention (Zhou et al. 2019, Eq. 2 to 5 with Eq. 11 and 12).

    ``r, u = sigmoid(W x + U h + b)``, ``n = tanh(W_n x + b_n + r·(U_n h))``, ``h' = (1 - a·u)·h + a·u·n``: what does
    not concern the target (a = 0) leaves the state as it was. Orthogonal by gate, b zero.

    Args:
        width: D, of the input and of the state.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.input = nn.Linear(width, 3 * width)  # gates r, u, n
        self.state = nn.Linear(width, 3 * width, bias=False)
        for linear in (self.input, self.state):
            orthogonal_gates(linear.weight.data, gates=3)
        nn.init.zeros_(self.input.bias)

    def forward(self, x: Tensor, attention: Tensor) -> Tensor:
        """Return the last state (B, D) from ``x`` (B, T, D) and ``attention`` (B, T), zero at padding."""
        width = x.shape[2]
        of_gates, of_candidate = self.input(x.transpose(0, 1)).split([2 * width, width], dim=-1)  # (T, B, ...)
        h = x.new_zeros(x.shape[0], width)
        for gates, candidate, a in zip(of_gates, of_candidate, attention.T.unsqueeze(-1), strict=True):
            from_gates, from_candidate = self.state(h).split([2 * width, width], dim=-1)
            r, u = torch.sigmoid(gates + from_gates).chunk(2, dim=-1)
            n = torch.tanh(torch.addcmul(candidate, r, from_candidate))
            h = torch.lerp(h, n.to(h.dtype), (a * u).to(h.dtype))  # autocast gives the layers' results another type
        return h


@BASELINES.register("dien")
class Dien(Baseline):
    """h = MLP([AUGRU's last state, field embeddings, dense]), all hidden layers Dice.

    * interests: the states h_t (B, T, D) of a GRU over the behaviors, D = N_a·K.
    * auxiliary loss (Eq. 6): ``-log sigmoid(h_t · e_{t+1}) - log(1 - sigmoid(h_t · ê_{t+1}))``, so that an interest
      tells the behavior that follows from one drawn at random: in each field uniformly one of the other ids. It is the
      mean over a row's pairs, 0 for a row without any, then the mean over all rows.
    * attention: ``a_t`` = softmax over the row's behaviors of ``h_t W e_a``, e_a being the target (Eq. 8).
    * evolution: :class:`AuGru` over the h_t with these a_t.

    The history and the target are laid out as for DIN; a row without history has one learned behavior.

    Args:
        schema: of a dataset of clicks with behaviors and a target.
        embedding_size: K.
        mlp: units of the hidden layers.
        dropout: after each hidden layer.
        auxiliary: the auxiliary loss's weight (Eq. 7); 0 leaves it out.

    Raises:
        AmeirError: ``auxiliary`` is negative.
    """

    needs = ("clicks", "history", "target")
    sizes: Tensor

    def __init__(self, schema: Schema, *, embedding_size: int, mlp: Sequence[int], dropout: float = 0.0,
                 auxiliary: float = 1.0) -> None:
        super().__init__()
        if not 0 <= auxiliary < float("inf"):
            raise AmeirError(f"model=dien: auxiliary={auxiliary}; it is the weight of a loss, 0 or above.")
        self.auxiliary = float(auxiliary)
        self.own_loss = f"log loss + {self.auxiliary:g} x auxiliary loss of the next behavior (Zhou et al. 2019, Eq. 6)"
        self.embedding = FieldEmbedding(schema, embedding_size)
        self.history = HistoryInput(schema, embedding_size)
        width = len(schema.behaviors) * embedding_size
        self.extractor = nn.GRU(width, width, batch_first=True)
        for name, parameter in self.extractor.named_parameters():
            orthogonal_gates(parameter.data, gates=3) if "weight" in name else nn.init.zeros_(parameter)
        self.attention = nn.Linear(width, width, bias=False)
        he_normal(self.attention.weight)
        self.evolution = AuGru(width)
        self.mlp = PlainMlp(width + len(schema.fields) * embedding_size + len(schema.dense), mlp, dropout, "dice")
        self.head = CtrHead(self.mlp.out_features)
        self.noise = RowNoise()
        sizes = [schema.vocabularies[f.vocabulary] for f in schema.behaviors for _ in range(f.width)]
        self.register_buffer("sizes", torch.tensor(sizes), persistent=False)

    def forward(self, batch: Batch) -> Tensor:
        """Return logits (B,)."""
        return self._run(batch, self.embedding.behaviors(batch.behaviors))[0]

    def training_loss(self, batch: Batch, own: Callable[[Tensor], Tensor]) -> Tensor:
        """Return ``own`` of the logits + auxiliary weight · auxiliary loss, a scalar."""
        if self.auxiliary == 0:
            return own(self(batch))
        length = batch.mask.shape[1]
        # One lookup, and so one gradient of the size of the embedding matrix.
        ids = torch.cat([batch.behaviors, self._others(batch)], 1)
        behaviors, others = self.embedding.behaviors(ids).split([length, length - 1], 1)
        logits, interests = self._run(batch, behaviors)
        now, there = interests[:, :-1], batch.mask[:, 1:]  # (B, T - 1, D), (B, T - 1)
        right = (now * zero_padding(behaviors[:, 1:], there)).sum(-1).float()  # (B, T - 1)
        wrong = (now * others).sum(-1).float()
        losses = torch.where(there, F.softplus(-right) + F.softplus(wrong), 0.0).sum(1)  # (B,)
        return own(logits) + self.auxiliary * (losses / there.sum(1).clamp(min=1)).mean()

    def _run(self, batch: Batch, behaviors: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B,) and interests (B, T, D) from the embedded behaviors (B, T, D)."""
        e = self.embedding.fields(batch.fields)  # (B, N, K)
        h, mask, target = self.history(behaviors, batch.mask, e)
        interests, _ = self.extractor(h)  # those before a row's end do not see the padding behind it
        scores = (interests @ self.attention(target).unsqueeze(-1)).squeeze(-1)  # (B, T)
        weights = scores.masked_fill(~mask, -torch.inf).softmax(1)
        evolved = self.evolution(interests, weights)  # (B, D)
        return self.head(self.mlp(torch.cat([evolved, e.flatten(1), batch.dense], 1))), interests

    def _others(self, batch: Batch) -> Tensor:
        """Return for each behavior but the first another one (B, T - 1, S_a): each id is another of its vocabulary."""
        true = batch.behaviors[:, 1:] * batch.mask[:, 1:, None]
        self.noise.step()
        row = torch.cat([batch.fields, (batch.behaviors * batch.mask[..., None]).flatten(1)], 1)
        drawn = self.noise(row, true[0].numel() if len(true) else 0).view(true.shape)  # in [0, 1)
        other = 1 + (drawn * (self.sizes - 2)).long()  # 1 to V - 2, and the true id and those above it moved by one
        other = torch.minimum(other + (other >= true), self.sizes - 1)  # a vocabulary of one id has no other
        return torch.where(true == PAD, PAD, other)
