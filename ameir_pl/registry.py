"""Registry: a named table that operations, models and datasets enter with a decorator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from ameir_pl.errors import AmeirError, did_you_mean

T = TypeVar("T")


class Registry(Generic[T]):
    """Names to things. Duplicates and unknown names raise; an unknown name is answered with the nearest one.

    Example:
        >>> layers = Registry("layer")
        >>> @layers.register("double")
        ... def double(x): return 2 * x
        >>> layers.get("double")(4)
        8
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._items: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that enters its argument under ``name``; raises ``ValueError`` if it is taken."""

        def enter(item: T) -> T:
            if name in self._items:
                raise ValueError(f"{self.kind} '{name}' is registered twice")
            self._items[name] = item
            return item

        return enter

    def get(self, name: str) -> T:
        """Return what was registered under ``name``; raises ``AmeirError`` naming the nearest match."""
        if name not in self._items:
            raise AmeirError(f"Unknown {self.kind} '{name}'.{did_you_mean(name, self._items)}")
        return self._items[name]

    def names(self) -> list[str]:
        """Return the registered names in the order of their registration."""
        return list(self._items)
