"""DSIN (Feng et al., 2019): a history as sessions, each alike within, that differ from one another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

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
from ameir_pl.nn.initialization import embedding_uniform, he_normal, orthogonal_gates
from ameir_pl.nn.sequence import reversal, take, zero_padding
from ameir_pl.schema import Schema


class Division(NamedTuple):
    """Where the behaviors of sessions lie in histories.

    Args:
        places: (B, S, L) positions in the history, 0 where there is no behavior.
        there: (B, S, L) bool; the True values are a prefix of every session, and sessions with any of every row.
    """

    places: Tensor
    there: Tensor


def divide(starts: Tensor, mask: Tensor, sessions: int, session_len: int) -> Division:
    """Return the last ``session_len`` behaviors of each of the last ``sessions`` sessions of each row.

    Args:
        starts: (B, T) bool, True where a session begins; the first behavior of a row always begins one.
        mask: (B, T) bool, True on a prefix of every row, of at least one position.
        sessions, session_len: the most of a row, and of a session. S and L are these, or T where that is less.
    """
    rows, length = mask.shape
    sessions, session_len = min(sessions, length), min(session_len, length)
    at = torch.arange(length, device=mask.device).expand(rows, -1)  # (B, T)
    begins = (starts | (at == 0)) & mask
    number = begins.cumsum(1)  # of the behavior's session, from 1
    total = number[:, -1:]  # (B, 1); at padding the number stays the last session's
    begin = torch.where(begins, at, 0).cummax(1).values  # of the behavior's session
    # The next session's first behavior, or the first padding: the least of what follows.
    ends = F.pad(torch.where(begins | ~mask, at, length)[:, 1:], (0, 1), value=length)
    end = ends.flip(1).cummin(1).values.flip(1)
    slot = number - 1 - (total - sessions).clamp(min=0)
    step = at - torch.maximum(begin, end - session_len)
    kept = mask & (slot >= 0) & (step >= 0)
    # What is not kept goes to one place more, behind all others.
    target = torch.where(kept, slot * session_len + step, sessions * session_len)
    size = sessions * session_len
    places = at.new_zeros(rows, size + 1).scatter(1, target, at)[:, :size]
    there = mask.new_zeros(rows, size + 1).scatter(1, target, kept)[:, :size]
    return Division(places.view(rows, sessions, session_len), there.view(rows, sessions, session_len))


class SessionInterest(nn.Module):
    """The interest of each session: bias encoding, self-attention among its behaviors, their mean (Sec. 3.4).

    ``Q_ktc + w_k + w_t + w_c`` (session k, position t, unit c); then heads ``softmax(q kᵀ / sqrt(D)) v``, side by side
    and projected, and a feed-forward network of 4D ReLU units, each with a residual and layer norm. All sessions share
    all weights. Attention and biases uniform ±0.05, the feed-forward network He normal.

    Args:
        width: D.
        sessions, session_len: the most there are.
        heads: a divisor of D.
    """

    def __init__(self, width: int, sessions: int, session_len: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.session, self.position, self.unit = (nn.Parameter(torch.empty(n)) for n in (sessions, session_len, width))
        self.query_key_value, self.output = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.inner, self.outer = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        for weight in (self.session, self.position, self.unit, self.query_key_value.weight, self.output.weight):
            embedding_uniform(weight)
        for linear in (self.inner, self.outer):
            he_normal(linear.weight)
        for linear in (self.query_key_value, self.output, self.inner, self.outer):
            nn.init.zeros_(linear.bias)

    def forward(self, x: Tensor, there: Tensor, number: Tensor) -> Tensor:
        """Return (n, D) from n sessions ``x`` (n, L, D) of ``number`` (n,) and ``there`` (n, L), none of them empty."""
        steps, width = x.shape[1:]
        q = x + self.session[number, None, None] + self.position[:steps, None] + self.unit  # (n, L, D)
        split = self.query_key_value(q).unflatten(-1, (3, self.heads, width // self.heads))
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)  # (n, H, L, D / H)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=there[:, None, None], scale=width**-0.5)
        q = self.norms[0](q + self.output(mixed.transpose(1, 2).flatten(-2)))
        q = self.norms[1](q + self.outer(F.relu(self.inner(q))))
        return zero_padding(q, there).sum(1) / there.sum(1, keepdim=True)


class Activation(nn.Module):
    """``sum over k of a_k x_k``, a = softmax over the sessions of ``x_k W target`` (Sec. 3.6); W He normal.

    Args:
        width: D.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Linear(width, width, bias=False)
        he_normal(self.weight.weight)

    def forward(self, x: Tensor, mask: Tensor, target: Tensor) -> Tensor:
        """Return (B, D) from ``x`` (B, S, D), ``mask`` (B, S) and ``target`` (B, D)."""
        scores = (x @ self.weight(target).unsqueeze(-1)).squeeze(-1)  # (B, S)
        weights = scores.masked_fill(~mask, -torch.inf).softmax(1)
        return (weights.unsqueeze(1) @ x).squeeze(1)


@BASELINES.register("dsin")
class Dsin(Baseline):
    """h = MLP([session interests, their states in a Bi-LSTM, field embeddings, dense]), all hidden layers ReLU.

    * division: sessions end at pauses of more than half an hour; of the last ``sessions`` the last ``session_len``
      behaviors each (:func:`divide`), numbered from the earliest that is kept.
    * interests I_k: :class:`SessionInterest`.
    * interaction H_k: the sum of the forward and the backward states of an LSTM over the I_k (Sec. 3.5).
    * activation: both summed with weights by the target (:class:`Activation`).

    The history and the target are laid out as for DIN; a row without history has one session of one learned behavior.

    Args:
        schema: of a dataset of clicks with behaviors that have times, and a target.
        embedding_size: K.
        mlp: units of the hidden layers.
        dropout: after each hidden layer.
        sessions: the most of a row.
        session_len: the most behaviors of a session (paper, Appendix C.1).
        heads: of the self-attention; they divide N_a·K.

    Raises:
        AmeirError: an option is below 1, or the heads do not divide the width.
    """

    needs = ("clicks", "history", "target", "sessions")

    def __init__(self, schema: Schema, *, embedding_size: int, mlp: Sequence[int], dropout: float = 0.0,
                 sessions: int = 5, session_len: int = 10, heads: int = 4) -> None:
        super().__init__()
        width = len(schema.behaviors) * embedding_size
        for name, value in (("sessions", sessions), ("session_len", session_len), ("heads", heads)):
            if value < 1:
                raise AmeirError(f"model=dsin: {name}={value}; it must be at least 1.")
        if width % heads:
            fitting = ", ".join(str(n) for n in range(1, width + 1) if width % n == 0)
            raise AmeirError(f"model=dsin: heads={heads} do not divide a behavior's width {width} (behavior fields x "
                             f"embedding size). Heads that do: model.options.heads={fitting}.")
        self.sessions, self.session_len = sessions, session_len
        self.embedding = FieldEmbedding(schema, embedding_size)
        self.history = HistoryInput(schema, embedding_size)
        self.interest = SessionInterest(width, sessions, session_len, heads)
        self.ahead, self.back = (nn.LSTM(width, width, batch_first=True) for _ in range(2))
        for lstm in (self.ahead, self.back):
            for name, parameter in lstm.named_parameters():
                orthogonal_gates(parameter.data, gates=4) if "weight" in name else nn.init.zeros_(parameter)
        self.of_interests, self.of_states = Activation(width), Activation(width)
        self.mlp = PlainMlp(2 * width + len(schema.fields) * embedding_size + len(schema.dense), mlp, dropout)
        self.head = CtrHead(self.mlp.out_features)

    def forward(self, batch: Batch) -> Tensor:
        """Return logits (B,)."""
        e = self.embedding.fields(batch.fields)  # (B, N, K)
        h, mask, target = self.history(self.embedding.behaviors(batch.behaviors), batch.mask, e)  # (B, T, D)
        places, there = divide(batch.starts, mask, self.sessions, self.session_len)  # (B, S, L)
        present = there[..., 0]  # (B, S)
        row, number = present.nonzero(as_tuple=True)  # of the n sessions there are: most rows have fewer than S
        interest = self.interest(h[row.unsqueeze(1), places[present]], there[present], number)  # (n, D)
        interests = interest.new_zeros(*present.shape, interest.shape[1]).index_put((row, number), interest)
        order = reversal(present)
        states = self.ahead(interests)[0] + take(self.back(take(interests, order))[0], order)  # (B, S, D)
        activated = [self.of_interests(interests, present, target), self.of_states(states, present, target)]
        return self.head(self.mlp(torch.cat([*activated, e.flatten(1), batch.dense], 1)))
