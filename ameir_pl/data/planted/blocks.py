"""Rows in blocks: what is kept of a block once it is written."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ameir_pl.data.planted.click_model import ClickModel, Parts

BLOCK = 1 << 17
"""Rows drawn at a time. Fixed, as it decides which generator draws a row, and so the bytes of the file."""


def blocks(rows: int) -> Iterator[tuple[int, int]]:
    """Yield the number and the rows of every block."""
    for number, begin in enumerate(range(0, rows, BLOCK)):
        yield number, min(BLOCK, rows - begin)


class Blocks:
    """Labels and parts of logits, block after block.

    Args:
        model: the click model, calibrated.
    """

    def __init__(self, model: ClickModel) -> None:
        self.model = model
        self._labels: list[np.ndarray] = []
        self._parts: list[tuple[np.ndarray, np.ndarray]] = []

    def draw_labels(self, generator: np.random.Generator, parts: Parts) -> np.ndarray:
        """Draw, keep and return the labels (rows,) uint8 of the next rows."""
        label = (generator.random(len(parts.main)) < self.model.probability(parts)).astype(np.uint8)
        self._labels.append(label)
        self._parts.append((parts.main, parts.interactions))
        return label

    @property
    def labels(self) -> np.ndarray:
        """Labels (rows,) uint8 of all rows."""
        return np.concatenate(self._labels)

    def parts(self, rows: np.ndarray) -> Parts:
        """Return the parts of the logits of some rows, (all rows,) bool, of a model without behaviors."""
        ends = np.cumsum([len(main) for main, _ in self._parts])
        inside = np.split(rows, ends[:-1])
        main, crossed = (np.concatenate([part[i][some] for part, some in zip(self._parts, inside, strict=True)])
                         for i in range(2))
        return Parts(main, crossed, np.zeros(len(main)))
