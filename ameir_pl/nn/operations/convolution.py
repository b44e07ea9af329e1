"""Convolutions over time: conv1, conv3 and the dilated dconv3, dconv5, dconv7."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ameir_pl.nn.initialization import he_normal
from ameir_pl.nn.operations.base import OPERATIONS, Operation
from ameir_pl.nn.sequence import windows


class Convolution(Operation):
    """``y_t = b + sum over j of W_j x_{t + (j - k // 2)·dilation}``, zero padding (paper, Sec. 2.2).

    One matrix product over k shifted copies: on CPU faster than a 1-d convolution on transposed tensors.
    He normal with fan_in = k·D, bias zero.
    """

    kernel = 1
    dilation = 1

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.weight = nn.Parameter(torch.empty(width, self.kernel * width))  # (D, k·D)
        self.bias = nn.Parameter(torch.zeros(width))
        he_normal(self.weight)

    def forward(self, x: Tensor, mask: Tensor, target: Tensor | None) -> Tensor:
        """See :class:`Operation`."""
        return F.linear(windows(x, self.kernel, self.dilation), self.weight, self.bias)  # from (B, T, k·D)


@OPERATIONS.register("conv1")
class Conv1(Convolution):
    """Kernel 1: a position-wise linear layer."""


@OPERATIONS.register("conv3")
class Conv3(Convolution):
    """Kernel 3."""

    kernel = 3


@OPERATIONS.register("dconv3")
class DilatedConv3(Convolution):
    """Kernel 3, dilation 2."""

    kernel = 3
    dilation = 2


@OPERATIONS.register("dconv5")
class DilatedConv5(Convolution):
    """Kernel 5, dilation 2."""

    kernel = 5
    dilation = 2


@OPERATIONS.register("dconv7")
class DilatedConv7(Convolution):
    """Kernel 7, dilation 2."""

    kernel = 7
    dilation = 2
