"""Registry and near matches."""

from __future__ import annotations

import pytest

from ameir_pl.errors import AmeirError, did_you_mean
from ameir_pl.registry import Registry


def filled() -> Registry[int]:
    registry = Registry[int]("operation")
    for i, name in enumerate(("dconv5", "conv1", "bigru")):
        assert registry.register(name)(i) == i  # the decorator gives its argument back
    return registry


def test_what_was_registered_is_found_in_order() -> None:
    registry = filled()
    assert registry.names() == ["dconv5", "conv1", "bigru"]
    assert [registry.get(name) for name in registry.names()] == [0, 1, 2]
    registry.names().clear()
    assert len(registry.names()) == 3


def test_a_duplicate_raises_and_changes_nothing() -> None:
    registry = filled()
    with pytest.raises(ValueError, match="operation 'conv1' is registered twice"):
        registry.register("conv1")(9)
    assert registry.get("conv1") == 1


def test_registries_are_separate() -> None:
    filled()
    assert Registry[int]("operation").names() == []


@pytest.mark.parametrize(("name", "message"), [
    ("dconv55", "Unknown operation 'dconv55'. Did you mean 'dconv5'?"),
    ("bi_gru", "Unknown operation 'bi_gru'. Did you mean 'bigru'?"),
    ("x", "Unknown operation 'x'. Known: bigru, conv1, dconv5."),
    ("", "Unknown operation ''. Known: bigru, conv1, dconv5."),
])
def test_an_unknown_name_is_answered_with_the_nearest(name: str, message: str) -> None:
    with pytest.raises(AmeirError) as caught:
        filled().get(name)
    assert str(caught.value) == message


def test_did_you_mean() -> None:
    assert did_you_mean("a", []) == ""
    assert did_you_mean("movilens", iter(["criteo", "movielens"])) == " Did you mean 'movielens'?"
