"""The plot of quality against cost: a page of its own that runs nothing from names and fetches nothing."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pytest

from ameir_pl.errors import AmeirError
from ameir_pl.reports.comparison import compare
from ameir_pl.reports.quality_cost import write_quality_cost
from tests.reports.test_comparison import trained

EVIL = "</script><script>alert(1)</script>"


def test_the_page_has_every_model_and_fetches_nothing(tmp_path: Path) -> None:
    lines = compare([trained("dnn", 1, 0.7), trained("dnn", 2, 0.8), trained(EVIL, 1, 0.6)])
    write_quality_cost(tmp_path / "page.html", lines, f"a title {EVIL}")
    page = (tmp_path / "page.html").read_text()
    assert "dnn" in page and EVIL not in page and "alert(1)" in page
    assert 'src="http' not in page


def test_without_plotly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def refuse(name: str, *rest: Any) -> Any:
        if name.startswith("plotly"):
            raise ImportError("No module named 'plotly'")
        return imported(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(AmeirError, match=r"pip install 'ameir-pl\[report\]'.*plot=false"):
        write_quality_cost(tmp_path / "page.html", compare([trained("dnn", 1, 0.7)]), "x")
    assert not (tmp_path / "page.html").exists()
