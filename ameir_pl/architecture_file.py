"""Architecture files: reading, writing and finding ``architecture.yaml``."""

from __future__ import annotations

from pathlib import Path

import yaml

from ameir_pl.atomic import write_text
from ameir_pl.errors import AmeirError, did_you_mean
from ameir_pl.space.architecture import Architecture

SUFFIXES = (".yaml", ".yml")
MOST_BYTES = 2**20
"""An architecture has a few hundred bytes."""


def read_architecture(path: Path | str) -> Architecture:
    """Read the architecture in a YAML file.

    Raises:
        AmeirError: there is no such file, it is not YAML, it is empty, or its entries are not an architecture.
    """
    path = Path(path)
    if path.is_dir():
        raise AmeirError(f"{path} is a folder, not an architecture file.{_near_file(path / 'architecture.yaml')}")
    if not path.is_file():
        raise AmeirError(f"There is no architecture file {path}.{_near_file(path)}")
    if path.stat().st_size > MOST_BYTES:
        raise AmeirError(f"{path} has {path.stat().st_size:,} bytes, too many for an architecture file.")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AmeirError(f"{path} cannot be read as UTF-8 text: {error}.") from error
    try:
        _refuse_repeated_keys(text, path)
        values = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise AmeirError(f"{path}{line} is not YAML: {error.problem or error.context}.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # A character that YAML forbids, a date that does not exist, brackets without end.
        raise AmeirError(f"{path} is not YAML: {' '.join(str(error).split())}.") from error
    if values is None:
        raise AmeirError(f"{path} is empty: expected a mapping with blocks, interactions and mlp.")
    return Architecture.from_dict(values, str(path))


def write_architecture(path: Path | str, architecture: Architecture) -> None:
    """Write ``architecture`` to ``path`` in one step, so that no half-written file is ever seen."""
    write_text(path, architecture.to_yaml())


def find_architecture(name_or_path: str, conf: Path) -> Path:
    """Return the file of an architecture: a name such as ``paper/alimama_1`` under ``conf/architecture``, or a path.

    Raises:
        AmeirError: it is neither; the message gives the nearest name or file.
    """
    root = Path(conf) / "architecture"
    named = {p.relative_to(root).with_suffix("").as_posix(): p for p in sorted(root.rglob("*")) if p.suffix in SUFFIXES}
    name = name_or_path
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    if name in named:
        return named[name]
    path = Path(name_or_path).expanduser()
    if path.is_file():
        return path
    if path.suffix in SUFFIXES or (name_or_path and path.is_dir()):
        near = _near_file(path / "architecture.yaml" if path.is_dir() else path)
        if near:
            raise AmeirError(f"There is no architecture file {path}.{near}")
    raise AmeirError(f"Unknown architecture '{name_or_path}': neither a name under {root} nor a file."
                     f"{did_you_mean(name, named)}")


def _near_file(path: Path) -> str:
    """Name the architecture file beside ``path`` that is nearest to it, or the folder that does not exist."""
    if not path.parent.is_dir():
        return f" There is no folder {path.parent} either."
    beside = [p.name for p in path.parent.iterdir() if p.suffix in SUFFIXES and p.is_file()]
    return did_you_mean(path.name, beside)


def _refuse_repeated_keys(text: str, path: Path) -> None:
    """Raise when a key stands twice at the top: YAML would silently keep the last."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    seen: dict[str, int] = {}
    for key, _ in root.value if isinstance(root, yaml.MappingNode) else ():
        line, name = key.start_mark.line + 1, str(key.value)
        if name in seen:
            raise AmeirError(f"{path}, line {line}: '{name}' stands twice, first on line {seen[name]}.")
        seen[name] = line
