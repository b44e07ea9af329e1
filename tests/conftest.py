"""Tiny data sets and one finished pipeline, shared by the tests of commands, search and export."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ameir_pl.cli import search
from tests.data.make import write_movielens, write_sequences
from tests.tiny import Tiny


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """A tiny MovieLens, encoded once; its runs are shared, so a test that changes them copies."""
    root = tmp_path_factory.mktemp("tiny")
    raw = write_movielens(root / "raw", users=40, movies=60, ratings=1500)
    return Tiny("movielens", raw, root / "data", root / "runs")


@pytest.fixture(scope="session")
def finished(generated: Tiny) -> Tiny:
    """The same with a finished ``stage=all`` in its default run; not to be written to."""
    search.main(generated("stage=all"))
    return generated


@pytest.fixture
def tiny(generated: Tiny, tmp_path: Path) -> Tiny:
    """The tiny MovieLens with no runs yet."""
    return generated.at(tmp_path / "runs")


@pytest.fixture
def copied(finished: Tiny, tmp_path: Path) -> Tiny:
    """A copy of the finished run, to be changed."""
    shutil.copytree(finished.runs, tmp_path / "runs")
    return finished.at(tmp_path / "runs")


@pytest.fixture(scope="session")
def sequence_formats(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Tiny sequences in three formats."""
    return write_sequences(tmp_path_factory.mktemp("formats"), users=150, items=140)


@pytest.fixture
def beauty(sequence_formats: dict[str, Path], tmp_path: Path) -> Tiny:
    """A tiny Beauty with no runs yet."""
    return Tiny("beauty", sequence_formats["lines"], tmp_path / "data", tmp_path / "runs")
