"""The shapes that are measured: Criteo, Alimama and Beauty with the paper's settings, on generated files.

A shape is the real application: conf/dataset/NAME.yaml on raw files in the true format, encoded by its dataset.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ameir_pl.architecture_file import find_architecture, read_architecture
from ameir_pl.cli.compose import conf_folder, load_config
from ameir_pl.cli.setup import Session, open_session
from ameir_pl.space.architecture import Architecture, Block
from benchmarks.prepare import generated

FOLDER = Path("data/raw/benchmarks")


@dataclass(frozen=True)
class Shape:
    """One of the paper's datasets at its own settings.

    Args:
        dataset: name under conf/dataset.
        rows: generated, by default: impressions, rows or interactions.
        architecture: one that the paper found, or a stack of its own.
    """

    dataset: str
    rows: int
    architecture: Architecture


def paper(name: str) -> Architecture:
    """Return an architecture of the paper's Tables 9 to 11."""
    return read_architecture(find_architecture(f"paper/{name}", conf_folder()))


_ATTENTION, _FEED = Block("self_attention2", "identity", "layer_norm"), Block("conv1", "relu", "layer_norm")
SASREC_LIKE = Architecture(blocks=(_ATTENTION, _FEED, Block("conv1", "identity", "none")) * 2)
"""Two layers of self-attention and a feed-forward part of two products, with residual connections and norms."""

SHAPES = {
    "criteo": Shape("criteo", 200_000, paper("criteo_1")),
    "alimama": Shape("alimama", 265_000, paper("alimama_1")),
    "beauty": Shape("beauty", 200_000, SASREC_LIKE),
}


@contextmanager
def application(shape: str, folder: Path, *overrides: str, rows: int | None = None) -> Iterator[Session]:
    """Open the application on a shape as ``python train.py`` does; its run folder is thrown away.

    Args:
        shape: a name in :data:`SHAPES`.
        folder: where files are generated and encoded, and kept for the next time.
        overrides: further settings, as on the command line.
        rows: of the generated files; None for the shape's own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    source = generated(folder, SHAPES[shape].dataset, rows or SHAPES[shape].rows)
    runs = folder / f"runs-{os.getpid()}"
    # As peers train: one clip of a user an epoch.
    config, composed = load_config("train", [f"dataset={SHAPES[shape].dataset}", f"dataset.source={source}",
                                             f"paths.data={folder}", f"paths.runs={runs}", "logger=csv", "recipe=paper",
                                             *overrides])
    try:
        with open_session(config, composed, "train") as session:
            yield session
    finally:
        shutil.rmtree(runs, ignore_errors=True)
