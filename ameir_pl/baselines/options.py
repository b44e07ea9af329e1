"""A model's own options: what its constructor takes, and whether values are of the kinds it names."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Union, get_args, get_origin, get_type_hints

from ameir_pl.errors import AmeirError, did_you_mean

COMMON = ("schema", "embedding_size", "mlp", "dropout")
"""What every model takes."""
KINDS: dict[Any, tuple[str, str]] = {float: ("a number", "numbers"), int: ("a whole number", "whole numbers"),
                                     str: ("a text", "texts"), bool: ("true or false", "true or false"),
                                     type(None): ("null", "null"), Any: ("anything", "values")}


def defaults(build: Callable[..., Any]) -> dict[str, Any]:
    """Return the options of a model with their defaults."""
    return {p.name: p.default for p in inspect.signature(build).parameters.values()
            if p.name not in COMMON and p.kind is p.KEYWORD_ONLY}


def check_options(name: str, build: type, options: Mapping[str, Any]) -> None:
    """Raise ``AmeirError`` where a model has no such option, or where a value is of another kind than its own."""
    known = defaults(build)
    hints = get_type_hints(build.__init__)  # type: ignore[misc]
    for option, value in options.items():
        if option not in known:
            raise AmeirError(f"model={name} has no option '{option}'."
                             + (did_you_mean(option, known) if known else " It has none."))
        if not fits(value, hints[option]):
            raise AmeirError(f"model={name}: model.options.{option} must be {described(hints[option])}, found "
                             f"{value!r}.")


def fits(value: object, hint: Any) -> bool:
    """Return whether a plain value is of the kind that an annotation names; a whole number is a number too."""
    if hint is Any:
        return True
    if get_origin(hint) in (Union, types.UnionType):
        return any(fits(value, one) for one in get_args(hint))
    if get_origin(hint) is Sequence:
        return isinstance(value, Sequence) and not isinstance(value, str) \
            and all(fits(one, get_args(hint)[0]) for one in value)
    return type(value) is hint or (hint is float and type(value) is int)


def described(hint: Any, *, several: bool = False) -> str:
    """Return the words for an annotation."""
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(described(one) for one in get_args(hint))
    if get_origin(hint) is Sequence:
        return f"{'lists' if several else 'a list'} of {described(get_args(hint)[0], several=True)}"
    return KINDS[hint][several]
