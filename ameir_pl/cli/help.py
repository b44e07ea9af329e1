"""``--help``: a command's settings as conf/ has them, comments and all, and what there is to choose. It reads text
alone, so that it is there at once."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from ameir_pl.cli.conf_files import conf_folder

USAGE = """usage: {name} [key=value ...] [group=option ...] [-m | --multirun] [--cfg job] [--config-dir=FOLDER] [--help]

{doc}
"""
HIDDEN = ("dataset_budget", "dataset_model", "dataset_preset")
"""Groups that follow from the choice of others."""


def help_text(name: str, doc: str, config: str, overrides: Sequence[str] = ()) -> str:
    """Return what ``--help`` prints.

    Args:
        name: of the command, as it was given.
        doc: what it does.
        config: the command's file in conf/.
        overrides: choices of groups among them are shown in place of the defaults.
    """
    chosen = {key: value for key, _, value in (o.lstrip("+").partition("=") for o in overrides)}
    own, groups = _layers(config)
    lines = [USAGE.format(name=name, doc=re.sub(r"\n\s+", "\n", doc.strip()))]
    if groups:
        lines += ["Groups of settings (group=option), the option that is taken otherwise marked with *:", ""]
        for group, default in groups.items():
            lines += _choices(group, chosen.get(group, default))
        lines += ["", *_architectures(own)]
    lines += [f"Settings (key=value) with what they are otherwise, conf/{config}.yaml:", "", *own]
    for group, default in groups.items():
        lines += _contents(group, chosen.get(group, default), {**groups, **chosen})
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


def docstring(module: str, function: str) -> str:
    """Return what a function says of itself, without importing its module."""
    spec = find_spec(module)
    tree = ast.parse(Path(str(spec.origin)).read_text(encoding="utf-8")) if spec is not None else ast.Module([], [])
    return next((ast.get_docstring(node) or "" for node in tree.body
                 if isinstance(node, ast.FunctionDef) and node.name == function), "")


def _layers(config: str) -> tuple[list[str], dict[str, str]]:
    """Return the lines of a command's file and those that it is made on, and the groups with their defaults."""
    text = (conf_folder() / f"{config}.yaml").read_text(encoding="utf-8")
    own = [*_said(text), "", *_body(text)]
    groups: dict[str, str] = {}
    below: list[str] = []
    for entry in yaml.safe_load(text).get("defaults", []):
        if isinstance(entry, str) and entry != "_self_":
            below, groups = _layers(entry)
            below = list(itertools.dropwhile(lambda line: line.startswith("#"), below))
        elif isinstance(entry, dict):
            (key, value), = entry.items()
            group = key.removeprefix("optional ").removeprefix("override ")
            if "hydra" not in group and group not in HIDDEN:
                groups[group] = str(value)
    said = {_key(line) for line in own} - {None}
    return [*own, *_without(below, said)], groups


def _body(text: str) -> list[str]:
    """The lines of a file without its first comments, its defaults and Hydra's own keys."""
    lines = text.splitlines()
    while lines and (lines[0].startswith("#") or not lines[0].strip()):
        lines.pop(0)
    return _without(lines, {"defaults", "hydra", "_target_", "_partial_"})


def _without(lines: Sequence[str], keys: set[Any]) -> list[str]:
    """Leave out some keys of the first level with what is below them."""
    kept, skips = [], False
    for line in lines:
        if line[:1].strip() and not line.startswith("#"):
            skips = _key(line) in keys
        if not skips:
            kept.append(line)
    return kept


def _key(line: str) -> str | None:
    match = re.match(r"(\w+):", line)
    return match[1] if match else None


def _about(text: str) -> str:
    """The first line of what a file says of itself."""
    return next((line[2:] for line in _said(text)), "")


def _said(text: str) -> list[str]:
    """The comments that a file begins with."""
    lines = itertools.takewhile(lambda line: line.startswith("#"), text.splitlines())
    return [line for line in lines if not line.startswith("# @package")]


def _choices(group: str, chosen: str) -> list[str]:
    files = {file.stem: file.read_text(encoding="utf-8") for file in sorted((conf_folder() / group).glob("*.yaml"))}
    width = max((len(name) for name in files), default=0) + 2
    return [f"{group}=", *(f"  {'*' if name == chosen else ' '} {name:<{width}}{_about(text)}".rstrip()
                           for name, text in files.items())]


def _architectures(own: Sequence[str]) -> list[str]:
    if not any(_key(line) == "architecture" for line in own):
        return []
    root = conf_folder() / "architecture"
    names = sorted(file.relative_to(root).with_suffix("").as_posix() for file in root.rglob("*.yaml"))
    return ["architecture= (with model=ameir; or a path)", *(f"    {name}" for name in names), ""]


def _contents(group: str, option: str, chosen: dict[str, str]) -> list[str]:
    """The settings of an option, below its group's key."""
    path = conf_folder() / group / f"{option}.yaml"
    if not path.is_file() or group == "preset":
        return []
    text = path.read_text(encoding="utf-8")
    body = [*_said(text), *(line for line in _body(text) if line != "{}")]
    special = {"budget": f"dataset_budget/{chosen['dataset']}_{chosen['recipe']}_{option}.yaml",
               "model": f"dataset_model/{chosen['dataset']}_{option}.yaml"}.get(group, "")
    more = conf_folder() / special
    if special and more.is_file():
        inner = [f"{'  ' if group == 'model' else ''}{line}" for line in _body(more.read_text(encoding="utf-8"))]
        body += [f"# of dataset={chosen['dataset']}, in place of the above:", *inner]
    return ["", f"{group}:  # {group}={option}", *(f"  {line}".rstrip() for line in body)]
