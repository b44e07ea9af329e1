"""A tiny generated MovieLens for real fits."""

from __future__ import annotations

import pytest

from ameir_pl.data import DATASETS, AmeirDataModule, Encoded
from tests.data.make import write_movielens


@pytest.fixture(scope="session")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> Encoded:
    raw = write_movielens(tmp_path_factory.mktemp("movielens"), users=40, movies=50, ratings=1500)
    return DATASETS.get("movielens")(raw=raw, encoded=tmp_path_factory.mktemp("encoded"), max_len=6).prepare()


@pytest.fixture
def data(encoded: Encoded) -> AmeirDataModule:
    return AmeirDataModule(encoded=encoded, batch_size=64, eval_batch_size=37, seed=1)
