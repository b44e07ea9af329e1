"""``ameir data fetch``, ``prepare``, ``generate`` and ``infer``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from ameir_pl.cli.command import command
from ameir_pl.cli.config import Config, GenerateConfig, InferConfig
from ameir_pl.cli.infer import infer as infer_table
from ameir_pl.cli.infer import words
from ameir_pl.cli.setup import make_dataset
from ameir_pl.data import DATASETS
from ameir_pl.data.infer import default_output
from ameir_pl.data.planted import GENERATORS
from ameir_pl.errors import AmeirError


def raw_folder(config: Config) -> Path:
    """Return where a dataset's raw files are looked for."""
    return Path(config.paths.data) / "raw" / config.dataset.name


def made_folder(config: GenerateConfig) -> Path:
    """Return where raw files are made."""
    return raw_folder(config) if config.output is None else Path(config.output)


def written(config: InferConfig) -> Path | None:
    """Return the description that is written; None where no table is named."""
    if config.input is None:
        return None
    return default_output(config.input) if config.output is None else Path(config.output)


@command("search", writes_to=lambda config: None)
def fetch(config: Config, composed: DictConfig) -> Path:
    """Get a dataset's raw files into data/raw/<dataset>: from dataset.source, else from where it is offered."""
    raw = raw_folder(config)
    source = None if config.dataset.source is None else Path(config.dataset.source)
    served = DATASETS.get(config.dataset.name).fetch(raw, source)
    print(f"{config.dataset.name}: {served}; raw files in {raw}")
    return raw


@command("search", writes_to=lambda config: None)
def prepare(config: Config, composed: DictConfig) -> Path:
    """Encode a dataset's raw files, or find that they are encoded already, and read all of it to check it."""
    encoded = make_dataset(config).prepare()
    encoded.verify()
    print(encoded.folder)
    return encoded.folder


@command("generate", writes_to=made_folder)
def generate(config: GenerateConfig, composed: DictConfig) -> dict[str, Any]:
    """Make raw files of a dataset in its publisher's format, with a planted truth that truth.json tells."""
    name, preset = config.dataset.name, config.dataset.options.get("preset")
    if preset in DATASETS.get(name).splits:
        raise AmeirError(f"ameir data generate makes the files of the publisher of {name}, and preset={preset} reads a "
                         "public split of them. Leave the preset out.")
    folder = made_folder(config)
    truth = GENERATORS.get(name)(folder, config.rows, config.seed, config.noise)
    bayes = ", ".join(f"{key} {value:.4f}" for key, value in truth["bayes"].items() if isinstance(value, float))
    print(f"{name}: raw files in {folder}. The best any model can do on the test rows: {bayes}; planted: "
          f"{folder / 'truth.json'}")
    return truth


@command("infer", writes_to=written)
def infer(config: InferConfig, composed: DictConfig) -> Path:
    """Write a description of a table of your own, guessed from its contents, to be read and corrected."""
    if config.input is None:
        raise AmeirError("Name the table: `ameir data infer input=clicks.parquet label=click`.")
    return infer_table(config.input, config.label, events=config.events, output=config.output,
                       overwrite=config.overwrite, time=config.time, time_format=config.time_format, user=config.user,
                       item=config.item, positive=words(config.positive), separator=config.separator,
                       columns=words(config.columns))
