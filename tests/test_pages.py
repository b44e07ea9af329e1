"""What messages send a user to exists: pages of the documentation, and commands of an installed package."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ameir_pl.cli.main import COMMANDS, usage
from ameir_pl.pages import page

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [*sorted((ROOT / "ameir_pl").rglob("*.py")), *sorted((ROOT / "conf").rglob("*.yaml"))]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_a_page_is_found_from_anywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    assert page("your-own-data.md") == "docs/your-own-data.md"
    monkeypatch.chdir(tmp_path)
    assert Path(page("your-own-data.md")) == ROOT / "docs" / "your-own-data.md"


def test_pages_that_messages_name_exist() -> None:
    named = {name for path in SOURCES for name in re.findall(r"""\bpage\(['"]([\w.-]+)['"]\)""", path.read_text())}
    assert "your-own-data.md" in named
    assert all((ROOT / "docs" / name).is_file() for name in named)


def test_messages_name_what_an_installed_user_has() -> None:
    """The scripts search.py and train.py are in a checkout alone, as is docs/; docstrings may name them."""
    scripts = re.compile(r"python (search|train)\.py")
    for path in SOURCES:
        plain = re.sub(r'""".*?"""', "", path.read_text(), flags=re.DOTALL)
        assert path.name == "main.py" or not scripts.search(plain), path
        assert path.suffix != ".py" or path.name == "pages.py" or "docs/" not in plain, path
    for path in PAGES:
        assert not scripts.search(path.read_text()), path


def test_commands_that_are_named_exist() -> None:
    named = re.compile(r"(?:`|^\s*|\bsrun [^`\n]*?)ameir ([a-z]+(?: [a-z]+)?)", re.MULTILINE)
    for path in [*SOURCES, *PAGES]:
        for words in named.findall(path.read_text()):
            assert words in COMMANDS or words.split()[0] in COMMANDS or words == "data", f"{path}: ameir {words}"


def test_the_list_of_commands_says_where_the_scripts_are() -> None:
    assert "In a checkout, `python search.py`" in usage()
