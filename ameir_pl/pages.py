"""Pages of the documentation: where the one that a message names can be read."""

from __future__ import annotations

from pathlib import Path


def page(name: str) -> str:
    """Return where the page ``docs/NAME`` is: inside the installed package, or beside it in a checkout.

    Args:
        name: of the file, e.g. ``your-own-data.md``.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "docs", package.parent / "docs"):
        if (folder / name).is_file():
            path = folder / name
            return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
    return f"docs/{name}"
