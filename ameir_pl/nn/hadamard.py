"""HadamardProducts: explicit interactions of two or more fields."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ameir_pl.errors import AmeirError, did_you_mean


class HadamardProducts(nn.Module):
    """``p_m = e_{i1} * e_{i2} * ... * e_{ir}`` for each interaction m (paper, Sec. 2.1 stage 2). No parameters.

    Interactions of different order are computed together: shorter ones are filled with a row of ones.

    Args:
        field_names: names of the N fields, in the order of their embeddings.
        interactions: M tuples of distinct field names. One name alone gives that field.

    Raises:
        AmeirError: an unknown field, a field twice in an interaction, or an interaction without fields.
    """

    index: Tensor

    def __init__(self, field_names: Sequence[str], interactions: Sequence[tuple[str, ...]]) -> None:
        super().__init__()
        positions = {name: i for i, name in enumerate(field_names)}
        for interaction in interactions:
            shown = " x ".join(interaction)
            if not interaction or len(set(interaction)) != len(interaction):
                raise AmeirError(f"An interaction needs distinct fields; found ({shown}).")
            for name in interaction:
                if name not in positions:
                    raise AmeirError(f"Interaction ({shown}) names the unknown field '{name}'."
                                     f"{did_you_mean(name, positions)}")
        self.order = max((len(i) for i in interactions), default=0)
        self.mixed = any(len(i) < self.order for i in interactions)
        ones = len(positions)  # row of the ones, behind the N fields
        rows = [[positions[n] for n in i] + [ones] * (self.order - len(i)) for i in interactions]
        index = torch.tensor(rows, dtype=torch.int64).reshape(len(interactions), self.order)  # (M, r)
        self.register_buffer("index", index, persistent=False)

    def __len__(self) -> int:
        return self.index.shape[0]

    def forward(self, fields: Tensor, which: Tensor | None = None) -> Tensor:
        """Return the products (B, M, K), or (B, M', K) of the M' interactions ``which`` (M',) names by index.

        Args:
            fields: e_b (B, N, K).
            which: int64 indices into the interactions, in any order.
        """
        if self.order == 0:
            return fields[:, :0]
        if self.mixed:
            fields = torch.cat([fields, fields.new_ones(fields.shape[0], 1, fields.shape[2])], dim=1)  # (B, N + 1, K)
        index = self.index if which is None else self.index.index_select(0, which)
        product = fields.index_select(1, index[:, 0])  # (B, M, K)
        # Not torch.prod: its gradient divides by the factors and handles zeros slowly.
        for column in range(1, self.order):
            product = product * fields.index_select(1, index[:, column])
        return product

    def one_each(self, fields: Tensor, own: Tensor) -> Tensor:
        """Return one product a row (B, K): that of the interaction ``own`` (B,) of the row, by index.

        Args:
            fields: e_b (B, N, K).
            own: int64 indices into the interactions.
        """
        fields = torch.cat([fields, fields.new_ones(fields.shape[0], 1, fields.shape[2])], dim=1)  # (B, N + 1, K)
        rows = torch.arange(fields.shape[0], device=fields.device)
        index = self.index[own]  # (B, r)
        product = fields[rows, index[:, 0]]
        for column in range(1, self.order):
            product = product * fields[rows, index[:, column]]
        return product
