"""What the tests of the data layer share."""

from __future__ import annotations

from pathlib import Path

import pytest

from ameir_pl.data import DATASETS, Encoded, EncodedSequences
from tests.data.make import write_movielens, write_sequences

REAL = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(scope="session")
def raw_movielens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generated MovieLens files in RecBole's format."""
    return write_movielens(tmp_path_factory.mktemp("movielens"))


@pytest.fixture(scope="session")
def movielens(raw_movielens: Path, tmp_path_factory: pytest.TempPathFactory) -> Encoded:
    """The same, encoded with T = 10."""
    dataset = DATASETS.get("movielens")(raw=raw_movielens, encoded=tmp_path_factory.mktemp("encoded"), max_len=10)
    return dataset.prepare()


@pytest.fixture(scope="session")
def sequence_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Generated sequences in three formats."""
    return write_sequences(tmp_path_factory.mktemp("sequences"))


@pytest.fixture(scope="session")
def sequences(sequence_files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> EncodedSequences:
    """The same, encoded with T = 8."""
    encoded = DATASETS.get("beauty")(raw=Path("none"), encoded=tmp_path_factory.mktemp("encoded"),
                                     source=sequence_files["lines"], max_len=8).prepare()
    assert isinstance(encoded, EncodedSequences)
    return encoded


@pytest.fixture
def real() -> Path:
    """The folder with real data samples, beside the repository."""
    if not REAL.is_dir():
        pytest.skip(f"real data are not in {REAL}")
    return REAL
