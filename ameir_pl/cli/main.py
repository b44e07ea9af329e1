"""``ameir <command>``: the commands by name. A command's module is imported when it is asked for."""

from __future__ import annotations

import importlib
import sys

from ameir_pl import __version__
from ameir_pl.cli.help import docstring, help_text
from ameir_pl.errors import did_you_mean
from ameir_pl.progress import ending_quietly

COMMANDS = {
    "search": ("search", "main", "run stage=1|2|3|all of the search"),
    "derive": ("derive", "main", "assemble the stages into a bundle with inherited weights"),
    "finetune": ("finetune", "main", "finetune the bundle and the plainer variants, write metrics.json"),
    "train": ("train", "main", "train model=NAME, or model=ameir architecture=NAME_OR_PATH, from scratch"),
    "compare": ("compare", "main", "train several models with several seeds and set them side by side"),
    "tune": ("tune", "main", "choose a model's learning rate, L2 and dropout on the validation rows"),
    "diagnose": ("diagnose", "main", "say how well a step's supernet ranks architectures trained alone"),
    "evaluate": ("evaluate", "main", "measure the bundle on all validation and test rows"),
    "export": ("export", "main", "write the bundle's model as format=onnx, for any runtime"),
    "data fetch": ("data", "fetch", "get a dataset's raw files"),
    "data prepare": ("data", "prepare", "encode a dataset"),
    "data infer": ("data", "infer", "write a description of a table of your own"),
    "data generate": ("data", "generate", "make raw files in a dataset's format, with a planted truth"),
}


def usage() -> str:
    """Return the list of commands."""
    lines = [f"  {name:<14}{what}" for name, (_, _, what) in COMMANDS.items()]
    return "\n".join([f"ameir {__version__}", "usage: ameir <command> [key=value ...]", "", *lines, "",
                      "Each takes --help. In a checkout, `python search.py` and `python train.py` are search and "
                      "train."])


CONFIG = {"data infer": "infer", "data generate": "generate", "data": "search", "derive": "search",
          "finetune": "search", "evaluate": "search"}
"""The file in conf/ of commands, or of modules, that have another than that of their name."""
HELP = ("--help", "-h")


def main() -> None:
    """Run the command that the first words of the command line name."""
    with ending_quietly():
        _main()


def _main() -> None:
    words = sys.argv[1:]
    if not words or words[0] in ("-h", "--help", "help") or words in (["data"], ["data", "-h"], ["data", "--help"]):
        print(usage())
        return
    if words[0] == "--version":
        print(__version__)
        return
    length = 2 if words[0] == "data" else 1
    name = " ".join(words[:length])
    if name not in COMMANDS:
        print(f"error: unknown command '{name}'.{did_you_mean(name, COMMANDS)}\n\n{usage()}", file=sys.stderr)
        sys.exit(2)
    module, function, _ = COMMANDS[name]
    if set(HELP) & set(words[length:]):  # without waiting for what trains
        config = CONFIG.get(name, CONFIG.get(module, module))
        print(help_text(f"ameir {name}", docstring(f"ameir_pl.cli.{module}", function), config, words[length:]))
        return
    sys.argv = [f"ameir {name}", *words[length:]]
    getattr(importlib.import_module(f"ameir_pl.cli.{module}"), function)()


if __name__ == "__main__":
    main()
