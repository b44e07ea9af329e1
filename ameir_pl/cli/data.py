"""``ameir data fetch`` and ``ameir data prepare``."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from ameir_pl.cli.command import command
from ameir_pl.cli.config import Config
from ameir_pl.cli.setup import make_dataset
from ameir_pl.data import DATASETS


@command("search")
def fetch(config: Config, composed: DictConfig) -> Path:
    """Get a dataset's raw files into data/raw/<dataset>: from dataset.source, else from where it is offered."""
    raw = Path(config.paths.data) / "raw" / config.dataset.name
    source = None if config.dataset.source is None else Path(config.dataset.source)
    served = DATASETS.get(config.dataset.name).fetch(raw, source)
    print(f"{config.dataset.name}: {served}; raw files in {raw}")
    return raw


@command("search")
def prepare(config: Config, composed: DictConfig) -> Path:
    """Encode a dataset's raw files, or find that they are encoded already."""
    encoded = make_dataset(config).prepare()
    print(encoded.folder)
    return encoded.folder
