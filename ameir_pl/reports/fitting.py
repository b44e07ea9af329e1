"""Tables that fit a terminal: a wide one is printed as several, each with the first column again."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

_FRAME = 3
"""Characters beside the text of a column: a line and two blanks; a table has one line more."""


def print_fitting(out: Console, header: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "",
                  groups: Sequence[int] = (), sections: Sequence[int] = ()) -> None:
    """Print a table in as many parts as the console's width asks for; no cell is cut or wrapped, and a row is left out
    of a part where it has nothing.

    Args:
        out: the console.
        header: names of the columns; the first is that of the rows. A name may have several lines.
        rows: texts.
        title: above the first part.
        groups: how many of the columns behind the first belong together, one number a group; a group is divided only
            where it is wider than the console. None: each column by itself.
        sections: numbers of rows behind which a line is drawn.
    """
    widths = [max(len(line) for text in (header[i], *(row[i] for row in rows)) for line in text.split("\n"))
              for i in range(len(header))]
    parts = split_columns(widths, out.width, groups or [1] * (len(header) - 1))
    wide = max(1 + sum(widths[i] + _FRAME for i in (0, *part)) for part in parts)
    if title and len(title) > out.width:  # a table's title would be wrapped at the table's width
        out.print(title, markup=False)
        title = ""
    for number, part in enumerate(parts):
        table = Table(title=title if number == 0 and title else None, title_justify="left")
        for i in (0, *part):
            table.add_column(header[i], justify="left" if i == 0 else "right", no_wrap=True)
        shown = [place for place, row in enumerate(rows) if any(row[i] for i in part)]
        for place in shown:
            table.add_row(*(rows[place][i] for i in (0, *part)), end_section=place in sections and place != shown[-1])
        before, out.width = out.width, max(out.width, wide)
        out.print(table)
        out.width = before


def split_columns(widths: Sequence[int], width: int, groups: Sequence[int]) -> list[list[int]]:
    """Return which columns each part of a table has beside the first.

    Args:
        widths: of the columns' texts, the first column's first.
        width: that a part may have; where the first column and one other are wider, they are a part all the same.
        groups: how many columns belong together.
    """
    room = width - 1 - widths[0] - _FRAME
    parts: list[list[int]] = [[]]
    used, first = 0, 1
    for count in groups:
        members = list(range(first, first + count))
        first += count
        need = sum(widths[i] + _FRAME for i in members)
        if parts[-1] and used + need > room:
            parts.append([])
            used = 0
        for i in members:
            if parts[-1] and used + widths[i] + _FRAME > room:
                parts.append([])
                used = 0
            parts[-1].append(i)
            used += widths[i] + _FRAME
    return parts
