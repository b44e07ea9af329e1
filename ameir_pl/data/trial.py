"""Trying a description on the first rows of its table: the real reading and encoding, in a folder that goes away."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from ameir_pl.data.bad_rows import BadRows, Policy
from ameir_pl.data.encoded import Encoded
from ameir_pl.data.store import store
from ameir_pl.data.table import NoEvents, Table
from ameir_pl.data.table_description import Behaviors, Description, Join, read_description
from ameir_pl.data.table_sources import NAME_ANOTHER, Source
from ameir_pl.data.text import BLOCK
from ameir_pl.errors import AmeirError
from ameir_pl.schema import OOV

ROWS = 100_000
"""Rows that are tried, and events."""
SMALL = 2**25
"""Bytes of a table that is tried whole."""
LEAST_TEST = 20
"""Test rows from which on a column whose values are all new there is told."""


@dataclass(frozen=True)
class Head(Source):
    """The first rows of a table.

    Args:
        limit: how many.
    """

    limit: int = ROWS

    def paths(self) -> list[Path]:
        """Return the first file."""
        return super().paths()[:1]

    def part(self, path: Path, needed: Sequence[str], bad: BadRows, size: int = BLOCK) -> Iterator[pl.DataFrame]:
        """Yield the first rows of the file."""
        left = self.limit
        for table in super().part(path, needed, bad, size):
            yield table.head(left)
            left -= len(table)
            if left <= 0:
                return


@dataclass
class Trial:
    """What trying a description shows.

    Args:
        incomplete: what is missing in it; empty where nothing is.
        error: why the table cannot be encoded; empty where it can be.
        unread: the first row that cannot be read; without such rows the table can be encoded.
        new: field → share of the test rows whose value no train row has.
        whole: whether all rows were tried.
    """

    incomplete: str = ""
    error: str = ""
    unread: str = ""
    new: Mapping[str, float] = field(default_factory=dict)
    whole: bool = True


def try_description(text: str, output: Path) -> Trial:
    """Encode the first rows of a described table.

    Args:
        text: the YAML.
        output: where the description will be, which the paths in it are relative to.
    """
    with tempfile.TemporaryDirectory(prefix="ameir-infer-") as temporary:
        folder = Path(temporary)
        path = folder / output.name
        path.write_text(text, encoding="utf-8")
        try:
            about = read_description(path)
        except AmeirError as error:
            return Trial(incomplete=str(error).replace(str(path), str(output)))
        about, whole = _headed(about, output)
        trial = _encoded(path, about, "fail", output, whole)
        if "on_bad_row=skip" in trial.error:
            without = _encoded(path, about, "skip", output, whole)
            if not without.error:
                return replace(without, unread=trial.error)
        return trial


def _encoded(path: Path, about: Description, on_bad_row: Policy, output: Path, whole: bool) -> Trial:
    folder = path.parent / f"encoded {on_bad_row}"
    table = Table(raw=folder, encoded=folder, source=path, on_bad_row=on_bad_row)
    table.description = about
    try:
        store(folder, lambda unfinished: table.encode(table.files(), unfinished), {"fingerprint": "trial"})
    except AmeirError as error:
        # The description will be there when this is read.
        said = str(error).replace(str(path), str(output)).replace(
            NAME_ANOTHER, f"Correct it, or the description {output}.")
        return Trial(error="" if isinstance(error, NoEvents) and not whole else said, whole=whole)
    return Trial(new=_new(Encoded(folder)), whole=whole)


def _headed(about: Description, output: Path) -> tuple[Description, bool]:
    """The description of the first rows of its tables; small ones, and side tables, are taken whole."""
    whole = True

    def first(source: Source) -> Source:
        nonlocal whole
        named = replace(source, description=output)
        if sum(path.stat().st_size for path in named.paths()) <= SMALL:
            return named
        whole = False
        return Head(named.input, output, named.place, named.separator, named.columns, named.quotes, named.format,
                    ROWS)

    def beside(joins: Sequence[Join]) -> tuple[Join, ...]:
        return tuple(replace(join, source=replace(join.source, description=output)) for join in joins)

    behaviors: Behaviors | None = about.behaviors
    if behaviors is not None:
        behaviors = replace(behaviors, source=None if behaviors.source is None else first(behaviors.source),
                            joins=beside(behaviors.joins))
    about = replace(about, path=output, source=first(about.source), joins=beside(about.joins), behaviors=behaviors)
    return about, whole


def _new(encoded: Encoded) -> dict[str, float]:
    """For each field of one id a row, the share of test rows whose value no train row has."""
    test = encoded.splits["test"]
    if len(test) < LEAST_TEST:
        return {}
    found, at = {}, 0
    for f in encoded.schema.fields:
        if f.width == 1:
            ids = encoded.columns["fields"][test.start:test.stop, at]
            found[f.name] = float((ids == OOV).mean())
        at += f.width
    return found
