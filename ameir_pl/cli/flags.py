"""The options of a command line that begin with a dash: Hydra's that have a part here, and those that have none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ameir_pl.cli.conf_files import searchpath
from ameir_pl.errors import AmeirError, did_you_mean

SAME = {"-h": "--help", "-m": "--multirun", "-c": "--cfg", "-p": "--package", "-cd": "--config-dir",
        "-cn": "--config-name", "-cp": "--config-path", "-i": "--info", "-sc": "--shell-completion", "-r": "--run"}
WITH_VALUE = ("--cfg", "--package", "--config-dir")
PLAIN = ("--help", "--multirun", "--version", "--resolve", "--run")
INSTEAD = {
    "--config-name": "each command has its own file in conf/; --config-dir=FOLDER adds files of yours",
    "--config-path": "each command has its own file in conf/; --config-dir=FOLDER adds files of yours",
    "--info": "--cfg job shows what would run, --help the settings and what there is to choose",
    "--hydra-help": "--help tells the settings of this command",
    "--shell-completion": "--help lists the settings and what there is to choose",
    "--experimental-rerun": "a run's settings are in its config.yaml: `ameir finetune run=FOLDER` takes them",
}
"""Hydra's options that have no part here."""


@dataclass
class Line:
    """A command line.

    Args:
        overrides: what is no option, with the user's folder of files before them.
        multirun: several jobs.
        help, version, cfg: what is to be shown instead of running.
        package: of ``--cfg``: the part of the configuration.
    """

    overrides: list[str] = field(default_factory=list)
    multirun: bool = False
    help: bool = False
    version: bool = False
    cfg: bool = False
    package: str | None = None


def read_line(arguments: Sequence[str]) -> Line:
    """Tell options from overrides; raises ``AmeirError`` naming an option that is unknown or has no part here."""
    line, given = Line(), list(arguments)
    while given:
        argument = given.pop(0)
        if not argument.startswith("-"):
            line.overrides.append(argument)
            continue
        name, equals, value = argument.partition("=")
        name = SAME.get(name, name)
        if name in INSTEAD:
            raise AmeirError(f"{argument} has no part here: {INSTEAD[name]}.")
        if name not in (*WITH_VALUE, *PLAIN) or equals and name in PLAIN:
            near = did_you_mean(name, (*WITH_VALUE, *PLAIN))
            raise AmeirError(f"Unknown option {argument}.{near if 'mean' in near else ''} There are --help, --cfg job, "
                             "--multirun, --config-dir=FOLDER and --version; settings are written key=value.")
        if name in WITH_VALUE and not equals:
            if not given or given[0].startswith("-"):
                raise AmeirError(f"{argument} needs a value: {argument} {'job' if name == '--cfg' else 'VALUE'}.")
            value = given.pop(0)
        _take(line, name, value)
    return line


def _take(line: Line, name: str, value: str) -> None:
    if name == "--cfg":
        if value != "job":
            raise AmeirError(f"--cfg {value} has no part here: nothing of a run is Hydra's own. --cfg job shows what "
                             "would run.")
        line.cfg = True
    elif name == "--package":
        line.package = value
    elif name == "--config-dir":
        line.overrides.insert(0, searchpath(value))
    else:
        line.help |= name == "--help"
        line.version |= name == "--version"
        line.multirun |= name == "--multirun"
