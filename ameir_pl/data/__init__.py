"""Data: raw files → encoded columns → batches. One file a dataset; every module here is imported, so it registers."""

from __future__ import annotations

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

from ameir_pl.data.dataset import DATASETS, Dataset  # noqa: E402
from ameir_pl.data.encoded import Encoded  # noqa: E402
from ameir_pl.data.encoded_sequences import EncodedSequences  # noqa: E402
from ameir_pl.data.loader import AmeirDataModule  # noqa: E402

__all__ = ["DATASETS", "AmeirDataModule", "Dataset", "Encoded", "EncodedSequences"]
