"""Bundle: ``model/`` of a run, everything needed to run the model on encoded rows; data only, never code."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ameir_pl.architecture_file import read_architecture, write_architecture
from ameir_pl.atomic import replacing_folder, sha256, telling, write_json
from ameir_pl.errors import AmeirError
from ameir_pl.models.ameir import Derived
from ameir_pl.ranks import barrier
from ameir_pl.schema import Schema
from ameir_pl.search.run_folder import read_json
from ameir_pl.space.architecture import Architecture

WEIGHTS, ARCHITECTURE, SCHEMA, VOCABULARY = ("weights.safetensors", "architecture.yaml", "schema.json",
                                             "vocabulary.parquet")


@dataclass
class Bundle:
    """A model read from its folder.

    Args:
        model: in eval mode.
        variant: name in the tables: AMEIR-A, AMEIR-B, AMEIR-C, or what another strategy or `ameir train` made it as.
        state: ``derived`` (inherited weights), ``finetuned``, or ``trained`` (alone, from scratch).
        made_from: digests of the stages it was derived from, or of the architecture that was trained.
        temperature: queries and items are compared by their cosine over this; None: by their product.
    """

    model: Derived
    variant: str
    state: str
    made_from: str
    temperature: float | None = None


def write_bundle(folder: Path, model: Derived, vocabulary: Path, *, variant: str, state: str, made_from: str,
                 temperature: float | None = None) -> None:
    """Write a bundle in one step: a killed run leaves the old one or the new one.

    Args:
        folder: ``model/`` of the run.
        model: what is written.
        vocabulary: the dataset's ``vocabulary.parquet``, which turns raw values into ids.
        variant: name in the tables.
        state: ``derived`` or ``finetuned``.
        made_from: digests of the stages it was derived from.
        temperature: that the model was trained with, see :class:`Bundle`.

    Raises:
        AmeirError: the disk is full or may not be written; the bundle that was there is whole.
    """
    words = sha256(vocabulary)
    barrier()  # the others have looked at what is there now
    then = "What was there before is whole: make room and give the same command."
    with telling(folder, then), replacing_folder(folder) as part:
        metadata = {"embedding_size": str(model.embedding_size), "block_dropout": repr(model.block_dropout),
                    "mlp_dropout": repr(model.mlp_dropout), "variant": variant, "state": state,
                    "made_from": made_from, "vocabulary": words}
        if model.embedding_dropout:
            metadata["embedding_dropout"] = repr(model.embedding_dropout)
        if temperature is not None:
            metadata["temperature"] = repr(temperature)
        tensors = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
        metadata["digest"] = _digest(tensors, metadata, model.architecture, model.schema)
        # One entry: safetensors writes several in an order of its own, and the same model should be the same file.
        save_file(tensors, part / WEIGHTS, {"bundle": json.dumps(metadata)})
        write_architecture(part / ARCHITECTURE, model.architecture)
        write_json(part / SCHEMA, model.schema.to_dict())
        shutil.copyfile(vocabulary, part / VOCABULARY)
    barrier()


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle; raises ``AmeirError`` naming the file that is missing, damaged or does not fit the others."""
    for name in (WEIGHTS, ARCHITECTURE, SCHEMA, VOCABULARY):
        if not (folder / name).is_file():
            raise AmeirError(f"{folder} is not a model: {name} is missing. Make it with `ameir derive` "
                             "after a search, or with `ameir train model=ameir architecture=NAME`; a baseline has "
                             "none, its numbers are in metrics.json.")
    again = "Make it again with `ameir derive overwrite=true`, or, if `ameir train` made it, train it again."
    try:
        schema = Schema.from_dict(read_json(folder / SCHEMA), str(folder / SCHEMA))
        architecture = read_architecture(folder / ARCHITECTURE)
    except AmeirError as error:
        raise AmeirError(f"{error} {again}") from error
    try:
        with safe_open(folder / WEIGHTS, framework="pt") as file:
            metadata = json.loads((file.metadata() or {})["bundle"])
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        model = Derived(schema, architecture, embedding_size=int(metadata["embedding_size"]),
                        block_dropout=float(metadata["block_dropout"]), mlp_dropout=float(metadata["mlp_dropout"]),
                        embedding_dropout=float(metadata.get("embedding_dropout", 0.0)))
        model.load_state_dict(state)
        digest = metadata.pop("digest")
        if digest != _digest(state, metadata, architecture, schema):
            raise ValueError("its checksum is another than when it was written")
    except (SafetensorError, KeyError, ValueError, RuntimeError, OSError, AmeirError) as error:
        raise AmeirError(f"{folder / WEIGHTS} is damaged or does not fit {ARCHITECTURE} and {SCHEMA} beside it: "
                         f"{str(error).splitlines()[0].rstrip(':.')}. {again}") from error
    if sha256(folder / VOCABULARY) != metadata["vocabulary"]:
        raise AmeirError(f"{folder / VOCABULARY} is damaged: its checksum is another than when it was written. "
                         f"{again}")
    temperature = float(metadata["temperature"]) if "temperature" in metadata else None
    return Bundle(model.eval(), metadata["variant"], metadata["state"], metadata["made_from"], temperature)


def _digest(tensors: dict[str, Tensor], metadata: dict[str, str], architecture: Architecture, schema: Schema) -> str:
    digest = hashlib.sha256(json.dumps([metadata, architecture.to_json(), schema.fingerprint()],
                                       sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()[:16]
