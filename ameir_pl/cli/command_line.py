"""Settings as a command line takes them: written so that a shell and Hydra read what was meant, and read as written."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException

from ameir_pl.cli.config import Config

VERBATIM = ("dataset.source", "paths.data", "paths.runs", "input", "events", "output", "label", "user", "item", "time",
            "separator", "columns", "positive")
"""Keys whose value is a path or a name: what the shell hands over is taken as it is where Hydra's grammar cannot."""

LISTED = ("columns", "positive")
"""Of those, the ones that may be lists."""


def setting(key: str, value: object) -> str:
    """Return ``key=value`` quoted for a shell and for Hydra, to be copied from a message into a terminal."""
    return shlex.quote(_override(key, str(value)))


def named_run(config: Config) -> str:
    """Return the settings that name a run to any command: dataset, its source, places other than the usual, run."""
    found = [setting("dataset", config.dataset.name)]
    if config.dataset.source is not None:
        found.append(setting("dataset.source", config.dataset.source))
    found += [setting(f"paths.{key}", path) for key, path in (("runs", config.paths.runs), ("data", config.paths.data))
              if path != key]
    return " ".join([*found, setting("run", config.run)])


def as_written(overrides: Sequence[str], many: bool = False) -> list[str]:
    """Return overrides in which paths and names that Hydra's grammar cannot read are put in quotation marks.

    ``dataset.source=my clicks (1).yaml``, quoted for the shell alone, means that file. A value in quotation marks of
    its own, and one that reads as plain text, stay as they are.

    Args:
        overrides: as the shell handed them over.
        many: of a multirun, where commas separate values.
    """
    return [_repaired(override, many) for override in overrides]


def _repaired(override: str, many: bool) -> str:
    key, equals, value = override.partition("=")
    if not equals or key.lstrip("+") not in VERBATIM or value[:1] in ("'", '"'):
        return override
    try:
        parsed = OverridesParser.create().parse_override(override)
    except HydraException:
        return _override(key, value)
    if parsed.is_sweep_override():
        return override if many else _override(key, value)
    if isinstance(parsed.value(), list | dict) and key not in LISTED:
        return _override(key, value)
    return override


def _override(key: str, value: str) -> str:
    try:
        parsed = OverridesParser.create().parse_override(f"{key}={value}")
        if not parsed.is_sweep_override() and type(parsed.value()) is str and parsed.value() == value \
                and "$" not in value and "\\" not in value:
            return f"{key}={value}"
    except HydraException:
        pass
    # The shell's own are single: others within them are read more easily.
    quote = Quote.single if '"' in value else Quote.double
    return f"{key}={QuotedString(text=value, quote=quote).with_quotes()}"
