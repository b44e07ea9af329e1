"""Secrets: passwords and keys come from the environment alone, never from a setting, which would be written down."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any

from ameir_pl.errors import AmeirError

_WORDS = r"api_?key|access_?key|private_?key|secret|token|passwd|password|credential|authorization|bearer"
_NAME = re.compile(rf"(?:^|_)(?:{_WORDS})s?(?:$|_(?:id|key|value|text)$)", re.IGNORECASE)
# A name and what comes before its value, in `key=value`, `{key: value}` and `--key=value`.
_GIVEN = re.compile(r"(?:^[-+~]*|[{,]\s*)['\"]?([\w.\-]+)['\"]?\s*[=:]")
LEAST = 16
"""Characters from which on a value of the environment is looked for among settings: shorter ones are met by chance."""


def is_secret(name: str) -> bool:
    """Return whether a setting of this name would hold a secret: ``api_key``, ``wandb_token``, ``password``."""
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).replace("-", "_")
    return _NAME.search(plain) is not None


def refuse_secrets(arguments: Iterable[str]) -> None:
    """Raise ``AmeirError`` for a command line that holds a secret, before any of it is read, said or written.

    Args:
        arguments: as they were given. What they say after the name of a secret is not repeated.
    """
    for argument in arguments:
        for match in _GIVEN.finditer(argument):
            path = match[1].lstrip("-")
            empty = argument[match.end():].strip() in ("", "null")
            if any(map(is_secret, path.split("."))) and not empty:
                raise _refusal(f"'{path}'")
        if _known(argument):
            raise _refusal(f"A setting holds the value of ${_known(argument)}, which")


def refuse_secret_settings(config: Any, path: str = "") -> None:
    """Raise ``AmeirError`` for a composed configuration, as plain values, that holds a secret: it would be written to
    config.yaml."""
    if isinstance(config, dict):
        for key, value in config.items():
            inner = f"{path}.{key}" if path else str(key)
            if is_secret(str(key)) and value not in (None, ""):
                raise _refusal(f"'{inner}'")
            refuse_secret_settings(value, inner)
    elif isinstance(config, list | tuple):
        for value in config:
            refuse_secret_settings(value, path)
    elif isinstance(config, str) and _known(config):
        raise _refusal(f"'{path}' holds the value of ${_known(config)}, which")


def _known(text: str) -> str:
    """Return the variable of the environment that names a secret and whose value is in ``text``, or nothing."""
    return next((name for name, value in os.environ.items()
                 if len(value) >= LEAST and is_secret(name) and value in text), "")


def _refusal(what: str) -> AmeirError:
    return AmeirError(f"Configuration: {what} is a secret and cannot be a setting: settings are written to config.yaml "
                      "and logged. Put it into the environment (W&B reads WANDB_API_KEY), or run `wandb login`, and "
                      "leave it out of the command and of conf/.")
