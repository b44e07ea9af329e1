"""The rules of the package's source: who may import whom, what is never used, and that what is public is described."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "ameir_pl"
# A layer imports itself and the layers before it. Siblings of one layer do not import each other.
LAYERS: list[set[str]] = [
    {"errors", "registry", "schema", "batch", "atomic", "progress", "ranks", "stopping",
     "ray_cluster", "pages"},
    {"space"},
    {"architecture_file"},
    {"data", "nn"},
    {"models", "baselines", "objectives"},
    {"tasks"},
    {"search"},
    {"callbacks", "reports", "export"},
    {"cli"},
]
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
LOWEST = LAYERS[0] | {""}  # "" is ameir_pl itself, which holds the version
# Where each outside package may be imported: a part of the package, or one module of it.
CONFINED = {
    "pytorch_lightning": {"tasks", "callbacks", "cli", "data.loader"},
    "lightning": {"tasks", "callbacks", "cli", "data.loader"},
    "hydra": {"cli"},
    "omegaconf": {"cli"},
    "ray": {"ray_cluster", "data.ray_parts", "cli.ray_jobs"},
    "wandb": {"callbacks", "reports", "cli"},
    "pickle": set(), "_pickle": set(), "cloudpickle": set(), "dill": set(), "joblib": set(), "shelve": set(),
    "marshal": set(), "code": set(), "pty": set(), "commands": set(),
}
LONGEST = 350
SHELLS = ("os.system", "os.popen", "os.exec", "os.spawn", "subprocess.getoutput", "subprocess.getstatusoutput",
          "asyncio.create_subprocess_shell")
"""Calls that hand a text to a shell, or begin so."""
SAFE = {"weights_only": True, "allow_pickle": False, "shell": False}
"""Keywords and the only value that they may have."""
MUST_SAY = {("torch.load",): "weights_only", ("np.load", "numpy.load", "np.save", "numpy.save"): "allow_pickle"}
"""Calls that must name one of those keywords."""


def imports_of(tree: ast.AST, module: str) -> Iterator[tuple[int, str]]:
    """Yield line and dotted name of everything a module imports, inside functions too."""
    package = module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*package[:len(package) - node.level + 1], *base.split(".")]).rstrip(".")
            yield node.lineno, base
            # `from ameir_pl import nn` imports a layer by its name.
            if base == PACKAGE:
                yield from ((node.lineno, f"{PACKAGE}.{alias.name}") for alias in node.names if alias.name in RANK)
        elif (isinstance(node, ast.Call) and _name_of(node.func).split(".")[-1] in ("import_module", "__import__")
              and node.args and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str)):
            yield node.lineno, node.args[0].value


def _name_of(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_name_of(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _layer(module: str) -> str:
    """Return the part of the package that holds ``module``: ``nn`` for ``ameir_pl.nn.dice``."""
    parts = [p for p in module.split(".")[1:] if p != "__init__"]
    return parts[0] if parts else ""


def import_faults(tree: ast.AST, module: str) -> Iterator[str]:
    """Yield what a module imports and may not."""
    here = _layer(module)
    inside = module.removeprefix(f"{PACKAGE}.")
    for line, name in imports_of(tree, module):
        top = name.split(".")[0]
        if top == PACKAGE:
            there = _layer(name)
            if there not in RANK and there != "":
                yield f"{line}: imports {name}, which is in no layer"
            elif there not in LOWEST and there != here and RANK[there] >= RANK.get(here, 0):
                yield f"{line}: {here or PACKAGE} imports {there}, which is not below it"
        elif top in CONFINED and here not in CONFINED[top] and inside not in CONFINED[top]:
            yield f"{line}: imports {name} outside of {sorted(CONFINED[top]) or 'nowhere'}"
        if here == "space" and not (top in sys.stdlib_module_names or name == f"{PACKAGE}.errors"
                                    or name.startswith(f"{PACKAGE}.space")):
            yield f"{line}: space imports {name}; it is the standard library only"


def usage_faults(tree: ast.AST) -> Iterator[str]:
    """Yield what is never used: code from strings, unsafe loading, bare excepts, asserts."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            yield f"{node.lineno}: assert vanishes under -O; raise an error"
        elif isinstance(node, ast.ExceptHandler) and node.type is None:
            yield f"{node.lineno}: bare except"
        elif isinstance(node, ast.Call):
            name = _name_of(node.func)
            last = name.split(".")[-1]
            if name in ("eval", "exec", "builtins.eval", "builtins.exec") or name.startswith(SHELLS):
                yield f"{node.lineno}: {name}()"
            if name in ("yaml.load", "yaml.unsafe_load", "yaml.full_load", "yaml.load_all"):
                yield f"{node.lineno}: {name}(); use yaml.safe_load"
            if last in ("unsafe_load", "full_load", "read_pickle", "to_pickle", "UnsafeLoader", "FullLoader"):
                yield f"{node.lineno}: {name}() runs what it reads"
            for keyword in node.keywords:
                if keyword.arg in SAFE and not (isinstance(keyword.value, ast.Constant)
                                                and keyword.value.value is SAFE[keyword.arg]):
                    yield f"{node.lineno}: {keyword.arg} must be {SAFE[keyword.arg]}"
            stated = {keyword.arg for keyword in node.keywords}
            for loader, word in MUST_SAY.items():
                if name in loader and word not in stated:
                    yield f"{node.lineno}: {name}() must say {word}={SAFE[word]}"
        elif isinstance(node, ast.Attribute) and _name_of(node).split(".")[-1] in ("UnsafeLoader", "FullLoader"):
            yield f"{node.lineno}: {node.attr}; use yaml.SafeLoader"


def docstring_faults(tree: ast.Module) -> Iterator[str]:
    """Yield public modules, classes, functions and methods without a docstring."""
    if not ast.get_docstring(tree):
        yield "1: the module has no docstring"
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    pending: list[ast.AST] = [tree]
    while pending:
        for node in ast.iter_child_nodes(pending.pop()):
            if isinstance(node, kinds) and not node.name.startswith("_"):
                overload = any(_name_of(d).endswith(("overload", "override", ".setter")) for d in node.decorator_list)
                if not ast.get_docstring(node) and not overload:
                    yield f"{node.lineno}: {node.name} has no docstring"
                if isinstance(node, ast.ClassDef):
                    pending.append(node)


def faults(source: str, module: str) -> list[str]:
    """Return everything that is wrong with one module, as ``line: what``."""
    tree = ast.parse(source)
    found = [*import_faults(tree, module), *usage_faults(tree), *docstring_faults(tree)]
    here = _layer(module)
    if here not in RANK and here != "":
        found.append(f"1: {module} is in no layer")
    if module.split(".")[-1] in ("utils", "util", "helpers", "misc", "common"):
        found.append("1: a module's name says what is in it")
    if len(source.splitlines()) > LONGEST:
        found.append(f"{LONGEST}: more than {LONGEST} lines")
    return found


def module_of(path: Path) -> str:
    """Return the dotted name of a file below the root; a package's is ``….__init__``."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


FILES = sorted((ROOT / PACKAGE).rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_module_keeps_the_rules(path: Path) -> None:
    assert faults(path.read_text(encoding="utf-8"), module_of(path)) == []


def test_the_package_is_found() -> None:
    assert {"ameir_pl.errors", "ameir_pl.space.architecture", "ameir_pl.__init__"} <= {module_of(p) for p in FILES}


GOOD = [
    ("data.movielens", "import polars\nfrom ameir_pl.schema import Schema\nfrom ameir_pl.data.table import Table"),
    ("data.loader", "import pytorch_lightning as pl"),
    ("architecture_file", "from ameir_pl.space.architecture import Architecture"),
    ("nn.operations.__init__", "from . import conv\nfrom .conv import Conv\nfrom ..dice import Dice"),
    ("models.ameir", "from ameir_pl import __version__, nn\nfrom ameir_pl.nn import Embedding\nself.eval()"),
    ("models.ameir", "from ..nn import Embedding\nfrom .. import __version__"),
    ("cli.search", "import hydra, omegaconf, wandb\nfrom ameir_pl.reports.html import write"),
    ("space.space", "import random\nfrom ameir_pl.errors import AmeirError\nfrom .architecture import Block"),
    ("export.bundle", "import torch\ntorch.load('x', weights_only=True)"),
    ("tasks.fit", "class Fit:\n    'Doc.'\n    def _private(self): ...\n    def __len__(self): ..."),
]
BAD = [
    ("data.movielens", "from ameir_pl.nn import dice", "data imports nn"),
    ("nn.dice", "from ameir_pl.data.table import Table", "nn imports data"),
    ("nn.dice", "from ..data.table import Table", "nn imports data"),
    ("nn.dice", "from .. import tasks", "nn imports tasks"),
    ("nn.operations.conv", "from ...models.ameir import Ameir", "nn imports models"),
    ("nn.operations.__init__", "from ...models.ameir import Ameir", "nn imports models"),
    ("nn.dice", "def f():\n    'Doc.'\n    import ameir_pl.cli.search", "nn imports cli"),
    ("nn.dice", "import importlib\nimportlib.import_module('ameir_pl.cli.search')", "nn imports cli"),
    ("schema", "from ameir_pl.space.architecture import Block", "schema imports space"),
    ("__init__", "from ameir_pl.nn import dice", "ameir_pl imports nn"),
    ("baselines.ctr.din", "from ameir_pl.objectives.ctr import loss", "baselines imports objectives"),
    ("models.ameir", "from ameir_pl.baselines import ctr", "models imports baselines"),
    ("search.problem", "from ameir_pl.reports import html", "search imports reports"),
    ("reports.html", "from ameir_pl.export import bundle", "reports imports export"),
    ("data.table", "from ameir_pl.extras import x", "which is in no layer"),
    ("extras.x", "", "is in no layer"),
    ("data.movielens", "import pytorch_lightning", "imports pytorch_lightning outside"),
    ("search.pipeline", "from lightning.pytorch import Trainer", "outside"),
    ("tasks.fit", "from omegaconf import DictConfig", "outside"),
    ("search.pipeline", "import hydra.utils", "outside"),
    ("export.bundle", "import wandb", "outside"),
    ("space.space", "import torch", "space imports torch"),
    ("space.space", "import numpy.random", "space imports numpy.random"),
    ("space.space", "from ameir_pl.schema import Schema", "space imports ameir_pl.schema"),
    ("data.table", "import pickle", "imports pickle"),
    ("cli.data", "from pickle import load", "imports pickle"),
    ("cli.data", "x = eval('1')", "eval()"),
    ("cli.data", "exec('1')", "exec()"),
    ("export.bundle", "import torch\ntorch.load('x', weights_only=False)", "weights_only must be True"),
    ("export.bundle", "import numpy\nnumpy.load('x', allow_pickle=True)", "allow_pickle must be False"),
    ("export.bundle", "import torch\ntorch.load('x')", "must say weights_only"),
    ("export.bundle", "import numpy as np\nnp.load('x')", "must say allow_pickle"),
    ("export.bundle", "import yaml\nyaml.load('x', yaml.Loader)", "use yaml.safe_load"),
    ("export.bundle", "import yaml\nx = yaml.FullLoader", "use yaml.SafeLoader"),
    ("export.bundle", "import pandas\npandas.read_pickle('x')", "runs what it reads"),
    ("data.fetch", "import os\nos.system('x')", "os.system()"),
    ("data.fetch", "import os\nos.execv('x', [])", "os.execv()"),
    ("data.fetch", "import subprocess\nsubprocess.run('x', shell=True)", "shell must be False"),
    ("data.fetch", "import marshal", "imports marshal"),
    ("data.table", "try:\n    1\nexcept:\n    pass", "bare except"),
    ("data.table", "assert 1", "assert vanishes"),
    ("data.utils", "", "a module's name"),
    ("data.table", "x = 1\n" * LONGEST, "more than 350 lines"),
    ("data.table", "def f(): ...", "f has no docstring"),
    ("data.table", "class A: ...", "A has no docstring"),
    ("data.table", "class A:\n    'Doc.'\n    def f(self): ...", "f has no docstring"),
]


@pytest.mark.parametrize(("module", "source"), GOOD)
def test_the_checker_passes_what_keeps_the_rules(module: str, source: str) -> None:
    assert faults(f'"""Doc."""\n{source}\n', f"{PACKAGE}.{module}") == []


@pytest.mark.parametrize(("module", "source", "message"), BAD)
def test_the_checker_catches_a_violation(module: str, source: str, message: str) -> None:
    found = faults(f'"""Doc."""\n{source}\n', f"{PACKAGE}.{module}")
    assert len(found) == 1, found
    assert message in found[0]


def test_the_checker_wants_a_module_docstring() -> None:
    assert faults("x = 1\n", f"{PACKAGE}.schema") == ["1: the module has no docstring"]
