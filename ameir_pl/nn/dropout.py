"""Dropout that draws four masks from one random number on a CPU, where drawing is what dropout costs."""

from __future__ import annotations

from torch import Tensor, empty, int16, int64, nn

_STEPS = 1 << 16


class Dropout(nn.Dropout):
    """``torch.nn.Dropout``; on a CPU each number is dropped by 16 random bits of its own.

    PyTorch draws a random number for each mask there, one thread after the other, which is up to a seventh of an
    update. The share that is dropped is p to the nearest 1/65536, and what is kept is divided by its exact share.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Drop each number with probability p while training; the same shape."""
        dropped = round(self.p * _STEPS)
        if not self.training or input.device.type != "cpu" or not 0 < dropped < _STEPS:
            return super().forward(input)
        count = input.numel()
        bits = empty(-(-count // 4), dtype=int64).random_(-(1 << 63), None).view(int16)[:count].view(input.shape)
        kept = (bits >= dropped - _STEPS // 2).to(input.dtype)
        return input * kept.mul_(_STEPS / (_STEPS - dropped))
