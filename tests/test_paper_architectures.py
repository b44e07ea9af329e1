"""The shipped architecture files are those of Tables 9 to 11 of the paper."""

from __future__ import annotations

from pathlib import Path

import pytest

from ameir_pl.architecture_file import read_architecture
from ameir_pl.data.layouts import LAYOUTS
from ameir_pl.space.architecture import ZERO
from paper_tables import TABLES, parse_paper

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "conf" / "architecture" / "paper"
PAPER = ROOT.parent / "shared" / "paper" / "ameir_arxiv_with_appendix.txt"
BLOCKS = {"alimama": 3, "beauty": 6, "steam": 6, "criteo": 0, "avazu": 0}
INTERACTIONS = {"alimama": 5, "beauty": 0, "steam": 0, "criteo": 15, "avazu": 15}
LAYERS = {"alimama": 2, "beauty": 0, "steam": 0, "criteo": 3, "avazu": 5}
WIDTH = {"alimama": 105, "criteo": 218, "avazu": 1560}
"""K0, the width of the aggregation MLP's input."""


def test_there_is_one_file_for_each_run() -> None:
    names = sorted(p.stem for p in FOLDER.glob("*.yaml"))
    assert names == sorted(TABLES) == sorted(f"{d}_{run}" for d in LAYOUTS for run in (1, 2, 3, 4))


@pytest.mark.parametrize("name", TABLES)
def test_file_equals_the_transcribed_table(name: str) -> None:
    path = FOLDER / f"{name}.yaml"
    assert read_architecture(path).diff(TABLES[name].architecture()) == []
    assert read_architecture(path) == TABLES[name].architecture()


@pytest.mark.parametrize("name", TABLES)
def test_file_is_canonical_and_its_header_gives_table_run_and_numbers(name: str) -> None:
    dataset, run = name.split("_")
    lines = (FOLDER / f"{name}.yaml").read_text().splitlines()
    header = " ".join(line for line in lines if line.startswith("#"))
    table = 9 if dataset == "alimama" else 10 if dataset in ("beauty", "steam") else 11
    assert f"Table {table} of the paper, {dataset.capitalize()}, run {run}:" in header
    labels = {9: ("AMEIR-A {}", "AMEIR-B {}", "AMEIR-C {}"), 10: ("HR@1 {}", "HR@5 {}", "NDCG@5 {}"),
              11: ("AMEIR-B {} / {}", "AMEIR-C {} / {}")}[table]
    numbers = iter(TABLES[name].numbers)
    for label in labels:
        assert label.format(*(next(numbers) for _ in range(label.count("{}")))) in header
    assert list(numbers) == []
    body = "\n".join(line for line in lines if not line.startswith("#")) + "\n"
    assert body == TABLES[name].architecture().to_yaml()


@pytest.mark.parametrize("name", TABLES)
def test_file_fits_its_dataset(name: str) -> None:
    dataset = name.split("_")[0]
    architecture, layout = read_architecture(FOLDER / f"{name}.yaml"), LAYOUTS[dataset]
    assert len(architecture.blocks) == BLOCKS[dataset]
    assert len(architecture.interactions) == INTERACTIONS[dataset]
    assert len(architecture.mlp) == LAYERS[dataset]
    assert {f for i in architecture.interactions for f in i} <= {f.name for f in layout.fields}
    assert {b.activation for b in architecture.blocks if b.layer != ZERO} <= {"relu", "gelu", "swish", "identity"}
    assert {h.activation for h in architecture.mlp} <= {"relu", "swish", "identity", "dice"}
    if architecture.mlp:
        # floor(ratio * K0), in tenths so that no rounding of 0.7 * 1560 can move it.
        sizes = {tenths * WIDTH[dataset] // 10 for tenths in range(1, 11)}
        units = [h.units for h in architecture.mlp]
        assert set(units) <= sizes
        assert units == sorted(units, reverse=True)


def test_paper_text_gives_the_same_entries() -> None:
    if not PAPER.is_file():
        pytest.skip(f"the paper's text is not at {PAPER}")
    parsed = parse_paper(PAPER)
    assert sorted(parsed) == sorted(TABLES)
    for name, entry in parsed.items():
        assert entry == TABLES[name], name
        assert read_architecture(FOLDER / f"{name}.yaml") == entry.architecture(), name
