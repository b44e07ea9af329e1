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
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ameir_pl.atomic import content_sum, replacing, sha256, telling, unsealed, write_json, write_sealed
from ameir_pl.progress import console
from ameir_pl.ranks import agreed, world, writes

KEPT = 2
"""Checkpoints of a phase that are kept: the newest, and the one before it in case the newest is damaged."""
FOLDER = ".progress"


class Phase:
    """One phase of a command: ``stage1/supernet``, ``stage1/scoring``, ``finetune/AMEIR-C``.

    What rank 0 finds is what all ranks go by.

    Args:
        journal: which it belongs to.
        folder: of this phase; made when first written to.
        identity: what the phase's numbers depend on; what another one left is not used.
    """

    def __init__(self, journal: Journal, folder: Path, identity: str) -> None:
        self.journal, self.folder, self.identity = journal, folder, identity

    def done(self) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
        """Return the values and tensors of a phase that is done, None for one that is not."""
        path = self.folder / "done.safetensors"
        done = self._read("done.json") if writes() else None
        done = agreed(done if done is not None and self._sound(path, done["weights"]) else None)
        if done is None:
            return None
        self.journal.logged = done["logged"]
        return done["values"], load_file(path)

    def finish(self, values: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Keep the result of the phase; its checkpoints are not needed any more."""
        if not writes():
            return
        path = self.folder / "done.safetensors"
        with _saying(path):
            with replacing(path) as part:
                save_file({n: t.detach().cpu().contiguous().clone() for n, t in tensors.items()}, part)
                digest = sha256(part)
            self.journal.logged = self.journal.log_size()
            self._write("done.json", {"weights": digest, "values": values, "logged": self.journal.logged})
            for old in self.folder.glob("*.ckpt"):
                old.unlink()
            (self.folder / "checkpoints.json").unlink(missing_ok=True)
        self.journal.mark()

    def checkpoint(self) -> Path | None:
        """Return the newest checkpoint that is whole, None without one: the phase is about to be trained from there.

        One that is more than tensors and plain values is not used, whatever its checksum: it could run code. What was
        written to metrics.csv after it is taken back.
        """
        found: tuple[str, int] | None = None
        for name, entry in ((self._read("checkpoints.json") or {}) if writes() else {}).items():
            if self._sound(self.folder / name, entry["sha256"]) and self._plain(self.folder / name):
                found = name, entry["logged"]
                break
        found = agreed(found)
        if found is not None:
            self.journal.logged = found[1]
        self.journal.take_log_back()
        return None if found is None else self.folder / found[0]

    def save(self, write: Callable[[Path], None], step: int) -> None:
        """Keep a checkpoint that ``write`` writes to a path. Every rank calls ``write``, rank 0 keeps the file.

        Raises:
            AmeirError: the disk is full or may not be written; the checkpoints before are whole.
        """
        if not writes():
            write(self.folder / "other-rank.ckpt")
            return
        name = f"step-{step}.ckpt"
        with _saying(self.folder / name):
            with replacing(self.folder / name) as part:
                write(part)
                digest = sha256(part)
            before = {n: e for n, e in (self._read("checkpoints.json") or {}).items()
                      if n != name and self._sound(self.folder / n, e["sha256"])}
            new = {"sha256": digest, "logged": self.journal.log_size()}
            kept = dict(list({name: new, **before}.items())[:KEPT])
            self._write("checkpoints.json", kept)
            for old in self.folder.glob("*.ckpt"):
                if old.name not in kept:
                    old.unlink()
        self.journal.mark()

    def scores(self) -> list[float]:
        """Return the scores that were kept of a scoring under way."""
        return agreed(list(((self._read("scores.json") if writes() else None) or {"scores": []})["scores"]))

    def keep_scores(self, scores: Sequence[float]) -> None:
        """Keep the scores so far."""
        if writes():
            with _saying(self.folder / "scores.json"):
                self._write("scores.json", {"scores": list(scores)})
            self.journal.mark()

    def _write(self, name: str, content: dict[str, Any]) -> None:
        write_json(self.folder / name, {"identity": self.identity, "sha256": content_sum(content), "content": content})

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
        if not isinstance(content, dict) or content_sum(content) != value.get("sha256"):
            self._say(path, "its checksum is another")
            return None
        return content

    def _sound(self, path: Path, digest: object) -> bool:
        if path.is_file() and sha256(path) == digest:
            return True
        self._say(path, "its checksum is another" if path.is_file() else "the file is missing")
        return False

    def _plain(self, path: Path) -> bool:
        """Return whether a checkpoint holds tensors and plain values alone. Its tensors are not read for it."""
        try:
            torch.load(path, weights_only=True, map_location="cpu", mmap=True)
        except Exception as error:  # torch raises many kinds; all of them mean the same here
            self._say(path, f"it is no file of tensors and plain values: {type(error).__name__}")
            return False
        return True

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

    Attributes:
        logged: how long ``log`` was with the last thing that was kept.
    """

    def __init__(self, path: Path, identity: str, *, log: Path | None = None, overwrite: bool = False) -> None:
        self.path, self.identity, self._log = path, identity, log
        self._began, self._before = time.monotonic(), 0.0
        self._state: dict[str, Any] = {"identity": identity, "overwrite": overwrite, "remade": [], "spent": 0.0,
                                       "ranks": world()}
        self.logged = self._state["logged"] = self.log_size()

    def open(self) -> None:
        """Read what is there; drop what belongs to other settings. Called once the run folder is this command's."""
        state, why = self._left()
        if state is not None:
            self._state = {**self._state, **state}
            self._before, self.logged = float(state["spent"]), int(state["logged"])
            if unfinished(self.path):
                console().print(f"Going on with what was left unfinished: {self.path}", markup=False)
                if state["ranks"] != world():
                    console().print(f"It was begun on {state['ranks']} ranks and goes on on {world()}: sums are made "
                                    "in another order, and numbers can differ in their last digits.")
            self._state["ranks"] = world()
            return
        self.logged = self._state["logged"] = self.log_size()
        if writes():
            if unfinished(self.path):
                console().print(f"The unfinished work in {self.path} is dropped ({why}).", markup=False)
            shutil.rmtree(self.path, ignore_errors=True)
            self.mark()

    def overwriting(self) -> bool:
        """Return whether an interrupted command was making finished results again: what is there may be the old."""
        state, _ = self._left()
        return state is not None and bool(state["overwrite"])

    def _left(self) -> tuple[dict[str, Any] | None, str]:
        """Return the state that an interrupted command left, or None and why it cannot be gone on with."""
        file = self.path / "journal.json"
        try:
            state = unsealed(json.loads(file.read_text(encoding="utf-8")))
            if state["identity"] != self.identity:
                return None, "it was begun with other settings, data or versions"
            if self._state["overwrite"] and not state["overwrite"]:
                return None, "overwrite=true begins anew"
            float(state["spent"]), int(state["logged"]), list(state["remade"]), int(state["ranks"])
            return state, ""
        except FileNotFoundError:
            return None, "it has no journal"
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
            return None, f"{file} is damaged: {error}"

    def log_size(self) -> int:
        """Return how long metrics.csv is."""
        return self._log.stat().st_size if self._log is not None and self._log.exists() else 0

    def take_log_back(self) -> None:
        """Cut what was written to metrics.csv after the last thing that was kept."""
        if writes() and self._log is not None and self.log_size() > self.logged:
            os.truncate(self._log, self.logged)

    def phase(self, name: str, *identity: object) -> Phase:
        """Return a phase.

        Args:
            name: of the phase.
            identity: what its numbers depend on besides the journal's identity.
        """
        digest = hashlib.sha256("\n".join(map(str, (self.identity, name, *identity))).encode()).hexdigest()[:16]
        return Phase(self, self.path / name.replace("/", "."), digest)

    def forget(self, name: str) -> None:
        """Drop a phase whose weights nobody needs any more."""
        if writes():
            shutil.rmtree(self.path / name.replace("/", "."), ignore_errors=True)

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
        self.logged = self._state["logged"] = self.log_size()
        self.begin()
        self._state["remade"] = sorted({*self._state["remade"], stage})
        if writes() and self.path.exists():
            self.mark()
        self.drop()

    def drop(self) -> None:
        """Drop all phases: what they were for has its results in their place."""
        if writes():
            for folder in unfinished(self.path):
                shutil.rmtree(folder)

    def close(self) -> None:
        """End a command that ended well: where no phase is left, nothing is unfinished."""
        if writes() and not unfinished(self.path):
            shutil.rmtree(self.path, ignore_errors=True)

    def mark(self) -> None:
        """Write how far the command is."""
        with _saying(self.path / "journal.json"):
            write_sealed(self.path / "journal.json", {**self._state, "spent": round(self.spent, 3)})


def unfinished(path: Path) -> list[Path]:
    """Return the phases that the journal in ``path`` keeps."""
    try:
        return [folder for folder in path.iterdir() if folder.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _saying(path: Path) -> AbstractContextManager[None]:
    return telling(path, "What was saved before is whole: make room and give the same command, which goes on from "
                         "there.")


def signature(model: nn.Module) -> str:
    """Return what tells models apart whose weights do not fit each other: names and shapes, and the architecture."""
    shapes = [(name, tuple(tensor.shape)) for name, tensor in model.state_dict().items()]
    architecture = getattr(model, "architecture", None)
    return f"{shapes} {'' if architecture is None else architecture.to_json()}"


__all__ = ["FOLDER", "Journal", "Phase", "signature", "unfinished"]
