"""The body of ``ameir data infer``: guess the description of a table, write it, and say what comes next."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from ameir_pl.atomic import write_text
from ameir_pl.cli.command_line import setting
from ameir_pl.data.infer import default_output, infer_description
from ameir_pl.data.table_description import read_description
from ameir_pl.errors import AmeirError


def infer(input: str, label: str | None, *, events: str | None = None, output: str | None = None,
          overwrite: bool = False, time: str | None = None, time_format: str | None = None, user: str | None = None,
          item: str | None = None, positive: Sequence[str] = (), separator: str | None = None,
          columns: Sequence[str] = ()) -> Path:
    """Write a description of a table, guessed from its contents and tried on it; print the guesses and the next
    commands.

    Args:
        input: a file, a folder or a glob.
        label: the column with the label.
        events: a second table, with behaviors.
        output: the description; None names it after the input, beside it.
        overwrite: replace a description that is there.
        time: the column with the time; ``none`` for none, so that rows are split at random.
        time_format: how its values are written.
        user, item: the columns with the user and the item.
        positive: the values of the label that are a click.
        separator: between columns of text.
        columns: names of the columns of text without a header.

    Returns:
        The path of the description.

    Raises:
        AmeirError: a table cannot be read, no such label, the description is there already, or what was written does
            not fit the table.
    """
    path = default_output(input) if output is None else Path(output)
    if path.exists() and not overwrite:
        raise AmeirError(f"{path} is there already. Read it, name another with output=FILE.yaml, or replace it with "
                         "overwrite=true.")
    guessed = infer_description(input, label, path, events, time, time_format or "", user=user or "", item=item or "",
                                positive=positive, separator=separator or "", columns=columns)
    write_text(path, guessed.text)
    for line in guessed.lines:
        print(f"  {line}")
    print(f"{path} is written. These are guesses: read it and correct what is wrong.")
    source = setting("dataset.source", path)
    if guessed.incomplete:
        print(f"It is not complete yet: {guessed.incomplete}")
        return path
    if guessed.error:
        raise AmeirError(f"{path} is not ready: tried on the table, it fails: {guessed.error} Then try it: ameir data "
                         f"prepare dataset=table {source}")
    if guessed.unread:
        print(f"Rows that cannot be read are left out and counted by dataset.on_bad_row=skip; the first: "
              f"{guessed.unread}")
        source += " dataset.on_bad_row=skip"
    print(f"Then:\n  ameir data prepare dataset=table {source}\n"
          f"  ameir search dataset=table {source} stage=all budget=demo run=mine\n"
          f"The search runs stage {', '.join(map(str, read_description(path).stages))}.")
    return path


def words(value: object) -> tuple[str, ...]:
    """Return the words of a setting that is one word or several: ``[a,b]``, or ``a,b`` in quotation marks."""
    if value is None:
        return ()
    if isinstance(value, list | tuple):
        return tuple("true" if v is True else "false" if v is False else str(v) for v in value)
    text = str(value).lower() if isinstance(value, bool) else str(value).strip()
    listed = text.startswith("[") and text.endswith("]")
    return tuple(word.strip() for word in next(csv.reader([text[1:-1] if listed else text], skipinitialspace=True)))
