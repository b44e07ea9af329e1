"""GRDA: an optimizer whose weights become zero, for gates that are to choose (Chao and Cheng 2019)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import Tensor
from torch.optim import Optimizer

from ameir_pl.errors import AmeirError


class Grda(Optimizer):
    """Generalized regularized dual averaging.

    After n updates of rate γ, ``v_n = w_0 - γ Σ gradients`` and ``w_n = sign(v_n) max(|v_n| - g(n), 0)`` with
    ``g(n) = c γ^½ (n γ)^μ``: a weight whose gradients do not hold it up is exactly zero from some update on.

    Args:
        params: the weights.
        lr: γ.
        c: strength of the threshold.
        mu: how the threshold grows, above 0.5.

    Raises:
        AmeirError: a setting is out of range.
    """

    def __init__(self, params: Iterable[Tensor], lr: float, c: float, mu: float) -> None:
        if lr <= 0 or c < 0 or mu <= 0:
            raise AmeirError(f"GRDA needs lr above 0, c of at least 0 and mu above 0; found lr={lr}, c={c}, mu={mu}.")
        super().__init__(params, {"lr": lr, "c": c, "mu": mu})

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Update the weights that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            rate = group["lr"]
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["step"] = torch.zeros((), dtype=torch.float64)
                    state["sum"] = weight.detach().clone()
                state["step"] += 1
                state["sum"].add_(weight.grad, alpha=-rate)
                threshold = group["c"] * rate**0.5 * (float(state["step"]) * rate) ** group["mu"]
                weight.copy_(state["sum"].sign() * (state["sum"].abs() - threshold).clamp(min=0))
        return loss
