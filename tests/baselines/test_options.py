"""Kinds of options: what fits an annotation, and what is said of one that does not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from ameir_pl.baselines.options import described, fits


@pytest.mark.parametrize(("hint", "good", "bad", "words"), [
    (float, [1, 0.5, -2], [True, "1", None, [1]], "a number"),
    (int, [1, -2], [1.0, True, "1"], "a whole number"),
    (bool, [True], [1, "true"], "true or false"),
    (float | None, [None, 1, 0.5], ["null", []], "a number or null"),
    (Sequence[int], [[], [1], (1, 2)], ["12", [1.5], 3, [True], {}], "a list of whole numbers"),
    (Sequence[Sequence[str]] | None, [None, [["a"]], []], ["ab", [3], [["a", 1]]], "a list of lists of texts or null"),
    (Sequence[Sequence[Any]], [[[1, "a", [2]]]], [[1], ["ab"]], "a list of lists of values")], ids=str)
def test_kinds(hint: Any, good: list[Any], bad: list[Any], words: str) -> None:
    assert all(fits(value, hint) for value in good)
    assert not any(fits(value, hint) for value in bad)
    assert described(hint) == words
