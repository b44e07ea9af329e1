"""RunFolder: where a run's results are, which stages are finished, and whether they still fit together."""

from __future__ import annotations

import errno
import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ameir_pl.architecture_file import read_architecture
from ameir_pl.atomic import replacing_folder, sha256, unsealed, write_json
from ameir_pl.errors import AmeirError
from ameir_pl.models.capacity import Capacity
from ameir_pl.space.architecture import Architecture

SUPERNET = "supernet.ckpt"
WINNER = "winner.ckpt"


class RunFolder:
    """``runs/<dataset>/<run>/``.

    Args:
        path: the folder; made when first written to.
        schema: fingerprint of the schema that this run's results must have been made with.
        settings: fingerprint of the settings that they must have been made with.
        hint: how a command for this run is written, e.g. ``ameir search dataset=movielens run=x``.
    """

    def __init__(self, path: Path, schema: str, settings: str, hint: str) -> None:
        self.path, self.schema, self.settings, self.hint = path, schema, settings, hint

    def stage(self, number: int) -> Path:
        """Return the folder of a stage."""
        return self.path / f"stage{number}"

    def finished(self, number: int) -> bool:
        """Return whether a stage is finished; raises ``AmeirError`` when it was made from another schema, with other
        settings or from other results of an earlier stage."""
        if not (self.stage(number) / "summary.json").exists():
            return False
        summary = self.summary(number)
        if summary["schema"] != self.schema:
            raise AmeirError(f"{self.stage(number)} was made with another schema of the dataset (its fingerprint is "
                             f"{summary['schema']}, the data's is {self.schema}). Choose another run=…, or "
                             "start again with overwrite=true.")
        if summary["settings"] != self.settings:
            raise AmeirError(f"{self.stage(number)} was made with other settings than these. Make it again: "
                             f"{self.hint} stage={number} overwrite=true")
        for earlier, digest in summary["made_from"].items():
            now = self.digest(int(earlier)) if self.finished(int(earlier)) else "missing"
            if now != digest:
                raise AmeirError(f"{self.stage(number)} was made from another stage {earlier} than the one that is "
                                 f"there now. Make it again: {self.hint} stage={number} overwrite=true")
        return True

    def usable(self, number: int) -> bool:
        """Return whether a stage is finished and fits what is there now; never raises for one that does not."""
        try:
            return self.finished(number)
        except AmeirError:
            return False

    def require(self, number: int, wanted_by: str) -> None:
        """Raise ``AmeirError`` naming the command that makes a missing stage."""
        if not self.finished(number):
            raise AmeirError(f"{wanted_by} needs the result of stage {number}, and {self.stage(number)} has none. "
                             f"Make it with: {self.hint} stage={number}")

    def summary(self, number: int) -> dict[str, Any]:
        """Return a finished stage's summary."""
        path = self.stage(number) / "summary.json"
        summary = read_sealed(path, f" {self._again(number)}")
        missing = [key for key in ("schema", "settings", "made_from", "digest", "seconds", "files")
                   if key not in summary]
        if missing:
            raise AmeirError(f"{path} is damaged: it has no '{missing[0]}'. {self._again(number)}")
        return summary

    def file(self, number: int, name: str) -> Path:
        """Return the path of a finished stage's file; raises ``AmeirError`` when it is not what the stage wrote."""
        path = self.stage(number) / name
        if not path.is_file():
            raise AmeirError(f"{path} is missing. {self._again(number)}")
        if sha256(path) != self.summary(number)["files"].get(name):
            raise AmeirError(f"{path} is damaged: its checksum is not that of summary.json. {self._again(number)}")
        return path

    def check(self, number: int) -> None:
        """Read all files of a finished stage; raises ``AmeirError`` naming one that is not what the stage wrote."""
        for name in self.summary(number)["files"]:
            self.file(number, name)

    def _again(self, number: int) -> str:
        return f"Make it again: {self.hint} stage={number} overwrite=true"

    def digest(self, number: int) -> str:
        """Return what identifies a stage's result."""
        return self.summary(number)["digest"]

    def architecture(self, number: int) -> Architecture:
        """Return what a finished stage decided."""
        return read_architecture(self.file(number, "architecture.yaml"))

    def writing(self, number: int) -> AbstractContextManager[Path]:
        """Give an empty folder that becomes the stage's when the block ends well; a failed one leaves nothing."""
        return replacing_folder(self.stage(number))


def read_json(path: Path, advice: str = "") -> dict[str, Any]:
    """Read a JSON object; raises ``AmeirError`` naming a file that is missing or damaged, ending with ``advice``."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise AmeirError(f"{path} is missing.") from error
    except OSError as error:
        raise AmeirError(f"{path} cannot be read ({error.strerror or error}).{advice}") from error
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise AmeirError(f"{path} is damaged: {error}.{advice}") from error
    if not isinstance(value, dict):
        raise AmeirError(f"{path} is damaged: expected an object, found {type(value).__name__}.{advice}")
    return value


def read_sealed(path: Path, advice: str = "") -> dict[str, Any]:
    """Read what :func:`~ameir_pl.atomic.write_sealed` wrote; raises as :func:`read_json`, and for changed content."""
    try:
        return unsealed(read_json(path, advice))
    except ValueError as error:
        raise AmeirError(f"{path} is damaged: {error}.{advice}") from error


def save_weights(path: Path, state: dict[str, Tensor], capacity: Capacity) -> None:
    """Write a model's tensors and the capacity they belong to; raises ``OSError`` where the disk is full."""
    try:
        torch.save({"state": {k: v.detach().cpu() for k, v in state.items()}, "capacity": capacity.to_json()}, path)
    except RuntimeError as error:  # what torch makes of a failed write
        raise OSError(errno.EIO, str(error).splitlines()[0]) from error


def load_weights(path: Path) -> tuple[dict[str, Tensor], Capacity]:
    """Read what :func:`save_weights` wrote; tensors and strings only. Raises ``AmeirError`` on damage."""
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
        return content["state"], Capacity.from_json(content["capacity"])
    except FileNotFoundError as error:
        raise AmeirError(f"{path} is missing.") from error
    except Exception as error:  # torch raises many kinds for a damaged file; all of them mean the same here
        raise AmeirError(f"{path} cannot be read ({type(error).__name__}); it is damaged or from another version. "
                         "Make its stage again with overwrite=true.") from error


__all__ = ["SUPERNET", "WINNER", "RunFolder", "load_weights", "read_json", "read_sealed", "save_weights", "sha256",
           "write_json"]
