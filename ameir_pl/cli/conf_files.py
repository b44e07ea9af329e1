"""The YAML files that configurations are composed of: those of the package, and folders of the user's."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from ameir_pl.errors import AmeirError

SEARCHPATH = "hydra.searchpath"
"""The override that names folders of the user's; ``--config-dir`` is written so."""


def conf_folder() -> Path:
    """Return the folder of the YAML files: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "search.yaml").is_file():
            return folder
    raise AmeirError(f"The configuration folder conf/ is neither in {package} nor beside it; reinstall ameir-pl.")


def searchpath(folder: str) -> str:
    """Return the override for ``--config-dir FOLDER``; raises ``AmeirError`` where there is no such folder."""
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise AmeirError(f"--config-dir={folder}: there is no such folder. It holds files as conf/ does, such as "
                         "dataset/mine.yaml, which dataset=mine then takes.")
    text = str(path.resolve()).replace("\\", "\\\\").replace("'", "\\'")
    return f"{SEARCHPATH}=['file://{text}']"


def groups() -> set[str]:
    """Return the names of the groups of files that are chosen from; architectures are named or given as a path."""
    return {folder.name for folder in conf_folder().iterdir() if folder.is_dir()} - {"architecture"}


def options(group: str, more: Iterable[Path] = ()) -> list[str]:
    """Return the names of a group's files, those in the folders ``more`` too."""
    found = {str(file.relative_to(folder / group).with_suffix("")).replace(os.sep, "/")
             for folder in (conf_folder(), *more) for file in (folder / group).rglob("*.yaml")} if group else set()
    return sorted(found)


def named_file(group: str, name: str, more: Sequence[Path]) -> Path | None:
    """Return the file of an option that a folder of the user's has and the package has not."""
    if (conf_folder() / group / f"{name}.yaml").is_file():
        return None
    return next((folder / group / f"{name}.yaml" for folder in more if (folder / group / f"{name}.yaml").is_file()),
                None)
