"""The body of ``ameir data infer``: guess the description of a table, write it, and say what comes next."""

from __future__ import annotations

from pathlib import Path

from ameir_pl.atomic import write_text
from ameir_pl.cli.command_line import setting
from ameir_pl.data.infer import default_output, infer_description
from ameir_pl.data.table_description import read_description
from ameir_pl.errors import AmeirError


def infer(input: str, label: str | None, *, events: str | None = None, output: str | None = None,
          overwrite: bool = False, time: str | None = None, time_format: str | None = None) -> Path:
    """Write a description of a table, guessed from its contents; print the guesses and the next commands.

    Args:
        input: a file, a folder or a glob.
        label: the column with the label.
        events: a second table, with behaviors.
        output: the description; None names it after the input, beside it.
        overwrite: replace a description that is there.
        time: the column with the time; ``none`` for none, so that rows are split at random.
        time_format: how its values are written.

    Returns:
        The path of the description.

    Raises:
        AmeirError: a table cannot be read, no such label, or the description is there already.
    """
    path = default_output(input) if output is None else Path(output)
    if path.exists() and not overwrite:
        raise AmeirError(f"{path} is there already. Read it, name another with output=FILE.yaml, or replace it with "
                         "overwrite=true.")
    guessed = infer_description(input, label, path, events, time, time_format or "")
    write_text(path, guessed.text)
    for line in guessed.lines:
        print(f"  {line}")
    print(f"{path} is written. These are guesses: read it and correct what is wrong.")
    try:
        description = read_description(path)
    except AmeirError as error:
        print(f"It is not complete yet: {error}")
        return path
    source = setting("dataset.source", path)
    print(f"Then:\n  ameir data prepare dataset=table {source}\n"
          f"  ameir search dataset=table {source} stage=all budget=demo run=mine\n"
          f"The search runs stage {', '.join(map(str, description.stages))}.")
    return path
