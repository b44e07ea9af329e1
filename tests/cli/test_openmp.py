"""OpenMP's waiting threads sleep unless the user has said otherwise, and it is said before OpenMP is loaded."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# A command's first import is of a module of the package ameir_pl.cli: its __init__ runs before anything else.
PROBE = """
import sys, {module}
assert "torch" not in sys.modules
import ctypes, glob, os
print(os.environ["OMP_WAIT_POLICY"])
for library in glob.glob({folder!r} + "/lib/libgomp*.so*"):  # the one that comes with torch, loaded as torch loads it
    ctypes.CDLL(library)
"""


@pytest.mark.parametrize(("given", "expected"), [(None, "passive"), ("active", "active")])
def test_the_policy_is_heard_by_openmp(given: str | None, expected: str) -> None:
    spec = find_spec("torch")
    assert spec is not None and spec.submodule_search_locations is not None
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_"))}
    environment |= {"OMP_DISPLAY_ENV": "verbose", **({"OMP_WAIT_POLICY": given} if given else {})}
    code = PROBE.format(module="ameir_pl.cli.main", folder=spec.submodule_search_locations[0])
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd=ROOT,
                          check=True)
    assert done.stdout.strip() == expected
    if "OPENMP DISPLAY ENVIRONMENT BEGIN" in done.stderr:
        assert f"OMP_WAIT_POLICY = '{expected.upper()}'" in done.stderr


@pytest.mark.parametrize("script", ["search.py", "train.py", "ameir_pl/__init__.py", "ameir_pl/cli/__init__.py"])
def test_no_start_of_a_command_loads_torch_first(script: str) -> None:
    """The scripts import a command and nothing else; what runs before it imports no other package's modules."""
    tree = ast.parse((ROOT / script).read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    ours = {name for name in names if name.startswith("ameir_pl")}
    assert {name.split(".")[0] for name in names - ours} <= sys.stdlib_module_names | {"__future__"}
    assert ours <= {"ameir_pl.cli.search", "ameir_pl.cli.train"}


def test_the_makefile_says_it_too() -> None:
    assert "\nexport OMP_WAIT_POLICY ?= passive\n" in (ROOT / "Makefile").read_text()
