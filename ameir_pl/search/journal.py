"""Journal: what an unfinished command has done so far, so that the same command goes on from there.

``.progress/`` of the run folder holds, until the command ends well, one folder a phase (a fit, a scoring): its result
once it is done, its newest checkpoints while it is under way. Everything is written to a temporary name, brought to
the disk, renamed, and known by its checksum: what was cut short or has rotted is noticed, said, and done again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ameir_pl.atomic import replacing, sha256, write_json
from ameir_pl.errors import AmeirError
from ameir_pl.progress import console

KEPT = 2
"""Checkpoints of a phase that are kept: the newest, and the one before it in case the newest is damaged."""
FOLDER = ".progress"


class Phase:
    """One phase of a command: ``stage1/supernet``, ``stage2/cycle1 scoring``, ``finetune/AMEIR-C``.

    Args:
        folder: of this phase; made when first written to.
        identity: what the phase's numbers depend on; what another one left is not used.
        writes: whether this process writes (rank 0 does).
        mark: told that something was written.
    """

    def __init__(self, folder: Path, identity: str, *, writes: bool, mark: Callable[[], None]) -> None:
        self.folder, self.identity, self._writes, self._mark = folder, identity, writes, mark

    def done(self) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
        """Return the values and tensors of a phase that is done, None for one that is not."""
        done = self._read("done.json")
        path = self.folder / "done.safetensors"
        if done is None or not self._sound(path, done["weights"]):
            return None
        return done["values"], load_file(path)

    def finish(self, values: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Keep the result of the phase; its checkpoints are not needed any more."""
        if not self._writes:
            return
        path = self.folder / "done.safetensors"
        with replacing(path) as part:
            save_file({n: t.detach().cpu().contiguous().clone() for n, t in tensors.items()}, part)
            digest = sha256(part)
        self._write("done.json", {"weights": digest, "values": values})
        for old in self.folder.glob("*.ckpt"):
            old.unlink()
        (self.folder / "checkpoints.json").unlink(missing_ok=True)
        self._mark()

    def checkpoint(self) -> Path | None:
        """Return the newest checkpoint that is whole, None without one."""
        for name, digest in (self._read("checkpoints.json") or {}).items():
            if self._sound(self.folder / name, digest):
                return self.folder / name
        return None

    def save(self, write: Callable[[Path], None], step: int) -> None:
        """Keep a checkpoint that ``write`` writes to a path. Every rank calls ``write``, rank 0 keeps the file.

        Raises:
            AmeirError: the disk is full or may not be written; the checkpoints before are whole.
        """
        if not self._writes:
            write(self.folder / "other-rank.ckpt")
            return
        name = f"step-{step}.ckpt"
        try:
            with replacing(self.folder / name) as part:
                write(part)
                digest = sha256(part)
            before = self._read("checkpoints.json") or {}
            kept = dict(list({name: digest, **{n: d for n, d in before.items() if n != name}}.items())[:KEPT])
            self._write("checkpoints.json", kept)
            for old in self.folder.glob("*.ckpt"):
                if old.name not in kept:
                    old.unlink()
        except OSError as error:
            raise AmeirError(f"The checkpoint {self.folder / name} cannot be written ({error.strerror}). What was "
                             "saved before is whole: make room and give the same command, which goes on from there.") \
                from error
        self._mark()

    def scores(self) -> list[float]:
        """Return the scores that were kept of a scoring under way."""
        return list((self._read("scores.json") or {"scores": []})["scores"])

    def keep_scores(self, scores: Sequence[float]) -> None:
        """Keep the scores so far."""
        if self._writes:
            self._write("scores.json", {"scores": list(scores)})
            self._mark()

    def _write(self, name: str, content: dict[str, Any]) -> None:
        write_json(self.folder / name, {"identity": self.identity, "sha256": _digest(content), "content": content})

    def _read(self, name: str) -> dict[str, Any] | None:
        path = self.folder / name
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            self._say(path, str(error))
            return None
        if not isinstance(value, dict) or value.get("identity") != self.identity:
            self._say(path, "it belongs to another model or other settings")
            return None
        content = value.get("content")
        if not isinstance(content, dict) or _digest(content) != value.get("sha256"):
            self._say(path, "its checksum is another")
            return None
        return content

    def _sound(self, path: Path, digest: object) -> bool:
        if path.is_file() and sha256(path) == digest:
            return True
        self._say(path, "its checksum is another" if path.is_file() else "the file is missing")
        return False

    @staticmethod
    def _say(path: Path, why: str) -> None:
        console().print(f"{path} cannot be used ({why}); going on from what was kept before it.", markup=False)


class Journal:
    """The unfinished work of a run.

    Args:
        path: ``.progress`` of the run folder; made when first written to.
        identity: of the settings, the data and the versions; work of another one is dropped, and said.
        log: metrics.csv; what was written to it after the last thing that was kept is taken back.
        overwrite: whether this command makes finished results again; it goes on with one that did, too.
        writes: whether this process writes (rank 0 does).
    """

    def __init__(self, path: Path, identity: str, *, log: Path | None = None, overwrite: bool = False,
                 writes: bool = True) -> None:
        self.path, self.identity, self._log, self._writes = path, identity, log, writes
        self._began = time.monotonic()
        self._state: dict[str, Any] = {"identity": identity, "overwrite": overwrite, "remade": [], "spent": 0.0}
        self._before = 0.0

    def open(self) -> None:
        """Read what is there; drop what belongs to other settings. Called once the run folder is this command's."""
        file = self.path / "journal.json"
        try:
            state = json.loads(file.read_text(encoding="utf-8"))
            if state["identity"] != self.identity:
                why = "it was begun with other settings, data or versions"
            elif self._state["overwrite"] and not state["overwrite"]:
                why = "overwrite=true begins anew"
            else:
                self._state = {**self._state, **state}
                self._before = float(state["spent"])
                if self._writes and self._log is not None and self._log.exists():
                    os.truncate(self._log, min(int(state["logged"]), self._log.stat().st_size))
                if self._phases():
                    console().print(f"Going on with what was left unfinished: {self.path}", markup=False)
                return
        except FileNotFoundError:
            why = "it has no journal"
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
            why = f"{file} is damaged: {error}"
        if not self._writes:
            return
        if self._phases():
            console().print(f"The unfinished work in {self.path} is dropped ({why}).", markup=False)
        shutil.rmtree(self.path, ignore_errors=True)
        self._mark()

    def phase(self, name: str, *identity: object) -> Phase:
        """Return a phase.

        Args:
            name: of the phase.
            identity: what its numbers depend on besides the journal's identity.
        """
        digest = hashlib.sha256("\n".join(map(str, (self.identity, name, *identity))).encode()).hexdigest()[:16]
        return Phase(self.path / name.replace("/", "."), digest, writes=self._writes, mark=self._mark)

    @property
    def spent(self) -> float:
        """Seconds of the stage under way, those of interrupted commands among them."""
        return self._before + time.monotonic() - self._began

    def begin(self) -> None:
        """Start the clock of a stage."""
        self._began = time.monotonic()

    def remade(self, stage: int) -> bool:
        """Return whether this command, or the interrupted one that it goes on with, has made a stage again."""
        return stage in self._state["remade"]

    def stage_done(self, stage: int) -> None:
        """Drop the phases of a stage whose results are in their place."""
        self._before = 0.0
        self.begin()
        self._state["remade"] = sorted({*self._state["remade"], stage})
        if self._writes and self.path.exists():
            self._mark()
        self.drop()

    def drop(self) -> None:
        """Drop all phases: what they were for has its results in their place."""
        if self._writes:
            for folder in self._phases():
                shutil.rmtree(folder)

    def close(self) -> None:
        """End a command that ended well: where no phase is left, nothing is unfinished."""
        if self._writes and not self._phases():
            shutil.rmtree(self.path, ignore_errors=True)

    def _phases(self) -> list[Path]:
        return unfinished(self.path)

    def _mark(self) -> None:
        logged = self._log.stat().st_size if self._log is not None and self._log.exists() else 0
        write_json(self.path / "journal.json", {**self._state, "spent": round(self.spent, 3), "logged": logged})


def unfinished(path: Path) -> list[Path]:
    """Return the phases that the journal in ``path`` keeps."""
    return [folder for folder in path.iterdir() if folder.is_dir()] if path.exists() else []


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def signature(model: nn.Module) -> str:
    """Return what tells models apart whose weights do not fit each other: names and shapes, and the architecture."""
    shapes = [(name, tuple(tensor.shape)) for name, tensor in model.state_dict().items()]
    architecture = getattr(model, "architecture", None)
    return f"{shapes} {'' if architecture is None else architecture.to_json()}"


__all__ = ["FOLDER", "Journal", "Phase", "signature", "unfinished"]
