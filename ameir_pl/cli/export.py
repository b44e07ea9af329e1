"""``ameir export``: the run's model as a file for other runtimes."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from ameir_pl.cli.command import command
from ameir_pl.cli.command_line import named_run
from ameir_pl.cli.config import ExportConfig
from ameir_pl.cli.setup import run_path
from ameir_pl.errors import AmeirError, did_you_mean
from ameir_pl.export.bundle import read_bundle
from ameir_pl.export.onnx import OUTPUTS, export_onnx
from ameir_pl.export.serving import inputs_of
from ameir_pl.progress import console

FORMATS = {"onnx": "model.onnx"}
"""Formats by name, and the file in the run folder."""


@command("export", continues=True)
def main(config: ExportConfig, composed: DictConfig) -> Path:
    """Write the run's model as ``model.onnx`` in the run folder, after checking that it gives what the model gives.

    It replaces an earlier file; the data are not needed.
    """
    if config.format not in FORMATS:
        raise AmeirError(f"There is no format={config.format}.{did_you_mean(config.format, FORMATS)}")
    run = run_path(config)
    if not (run / "model").is_dir():
        named = named_run(config)
        raise AmeirError(f"{run} has no model to export. After a search `ameir derive {named}` makes it; "
                         f"`ameir train {named} model=ameir architecture=NAME` trains one.")
    bundle = read_bundle(run / "model")
    path = run / FORMATS[config.format]
    export_onnx(bundle, path)
    console().print(f"Exported {bundle.variant} ({bundle.state}): {path}, {path.stat().st_size / 1e6:.1f} MB, from "
                    f"{', '.join(inputs_of(bundle.model))} to {OUTPUTS[bundle.model.schema.task]}.", markup=False)
    return path
