"""What the tests of next-item files share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ameir_pl.data import DATASETS, EncodedSequences


def prepare(source: Path, out: Path, name: str = "steam", **settings: Any) -> EncodedSequences:
    encoded = DATASETS.get(name)(raw=Path("none"), encoded=out, source=source, **settings).prepare()
    assert isinstance(encoded, EncodedSequences)
    return encoded


def python2(record: dict[str, Any]) -> str:
    """A record as Python 2 printed it."""
    return "{" + ", ".join(f"u{ascii(k)}: {'u' + ascii(v) if isinstance(v, str) else repr(v)}"
                           for k, v in record.items()) + "}"
