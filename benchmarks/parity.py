"""The same weights give the same numbers: our DeepFM and DIN against DeepCTR-Torch's.

Weights drawn here are carried over to its models (``make benchmark-peers`` once), with its settings as published.
Compared are the logits of random rows in evaluation and in training, and the gradients of every weight.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.children import PEERS, ROOT
from benchmarks.peer_models import deepctr_inputs, deepctr_model

TOLERANCE = 1e-5
ROWS = 512
VOCABULARY = 200
ALLOWED = {
    "deepfm": ["a bias of the output, which the paper's Eq. 1 to 4 do not have; carried as 0"],
    "din": ["a bias of the output; carried as 0",
            "by default two layers of 64 and 16 units with Dice in the attention; set to the paper's one of 36, PReLU",
            "Dice cannot be asked for in its MLP (its DIN makes the one for sequences); put in by hand",
            "Dice's batch normalization learns a scale and a shift, which the paper's Eq. 3 does not have; 1 and 0",
            "Dice keeps a running variance with n - 1 in the denominator, ours with n, as the batch has",
            "rows without a history: ours learn one behavior for them, which is 0 here, as its sum over nothing is"],
}
"""Where the definitions differ, and what was done about it."""


def main() -> None:
    """Compare, print a table and a JSON line; exit code 1 where a difference is above 1e-5."""
    from benchmarks.sides import json_line, show

    results = {f"{model} ({shape})": compare(model, shape) for model, shape in (("deepfm", "criteo"),
                                                                               ("din", "alimama"))}
    show(f"Largest values and differences from DeepCTR-Torch, {ROWS} rows", ("model", "what", "value", "difference"),
         [(name, what, *pair) for name, found in results.items() for what, pair in found.items()])
    for model, lines in ALLOWED.items():
        print(f"\nWhat DeepCTR-Torch's {model} has otherwise:")
        print("\n".join(f"- {line}" for line in lines))
    json_line("parity", {"tolerance": TOLERANCE, "results": results})
    bad = [f"{name}, {what}" for name, found in results.items() for what, (_, difference) in found.items()
           if difference > TOLERANCE and what != "running variance"]
    if bad:
        sys.exit(f"Not equal: {'; '.join(bad)}")


def compare(name: str, shape: str) -> dict[str, tuple[float, float]]:
    """Return for each thing that is compared its largest value and the largest difference."""
    from ameir_pl.baselines import build_baseline
    from ameir_pl.batch import Batch
    from ameir_pl.cli.compose import load_config
    from ameir_pl.data.layouts import paper_schema

    sizes = load_config("train", [f"dataset={shape}"])[0].dataset.model
    schema = paper_schema(shape, VOCABULARY)
    model = build_baseline(name, schema, embedding_size=sizes.embedding_size, mlp=sizes.mlp, dropout=0.0)
    draw_weights(model)
    arrays = random_rows(schema)
    batch = Batch(fields=torch.from_numpy(arrays["fields"]).long(), dense=torch.from_numpy(arrays["dense"]),
                  label=torch.zeros(ROWS))
    if schema.behaviors:
        batch.behaviors = torch.from_numpy(arrays["behaviors"]).long()
        batch.mask = torch.arange(schema.max_len) < torch.from_numpy(arrays["lengths"])[:, None]
    settings = {"vocabularies": schema.vocabularies, "fields": [[f.name, f.vocabulary] for f in schema.fields],
                "dense": list(schema.dense), "behaviors": [[f.name, f.vocabulary] for f in schema.behaviors],
                "max_len": schema.max_len, "size": sizes.embedding_size, "mlp": list(sizes.mlp), "l2": 0.0}
    theirs = by_deepctr(name, settings, arrays, as_deepctr(model, model.state_dict()))
    ours = {f"output.{key}": value for key, value in outputs(model, batch).items()}
    ours |= {f"gradient.{key}": value for key, value in as_deepctr(model, {
        key: p.grad for key, p in model.named_parameters() if p.grad is not None}).items()}
    ours |= {f"after.{key}": value for key, value in as_deepctr(model, model.state_dict()).items() if "running" in key}
    found: dict[str, tuple[float, float]] = {}
    for key, value in ours.items():
        what = {"output.eval": "logits, evaluation", "output.train": "logits, training"}.get(
            key, "gradients" if key.startswith("gradient") else f"running {key.split('running_')[-1]}")
        what = what.replace("running var", "running variance")
        pair = float(value.abs().max()), float((value - theirs[key]).abs().max())
        found[what] = (max(found.get(what, pair)[0], pair[0]), max(found.get(what, pair)[1], pair[1]))
    return found


def draw_weights(model: Any) -> None:
    """Draw every weight and running statistic, so that none is 0 or 1 by its initialization."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            table = name in ("embedding.weight", "first_order.weight")
            scale = parameter.shape[1] ** -0.5 if parameter.dim() > 1 and not table else 0.3
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
            if table:
                parameter[0] = 0.0  # padding
            if name == "history.empty":
                parameter.zero_()
        for name, buffer in model.named_buffers():
            if name.endswith(("mean", "variance")):
                buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)


def random_rows(schema: Any) -> dict[str, np.ndarray]:
    """Return rows of random ids and numbers; histories of 0 to T behaviors."""
    rng = np.random.default_rng(1)
    lengths = rng.integers(0, schema.max_len + 1, ROWS).astype(np.int32)
    ids = rng.integers(1, VOCABULARY, (ROWS, schema.max_len, len(schema.behaviors))).astype(np.int32)
    ids[np.arange(schema.max_len) >= lengths[:, None]] = 0
    return {"fields": rng.integers(1, VOCABULARY, (ROWS, len(schema.fields))).astype(np.int32), "behaviors": ids,
            "dense": rng.uniform(-1, 1, (ROWS, len(schema.dense))).astype(np.float32), "lengths": lengths}


def outputs(model: Any, *inputs: Any) -> dict[str, Tensor]:
    """Return the logits of a model, ours or theirs, in both modes; gradients of their mean square stay in it."""
    with torch.no_grad():
        evaluated = model.eval()(*inputs).flatten()
    trained = model.train()(*inputs).flatten()
    trained.square().mean().backward()
    return {"eval": evaluated, "train": trained.detach()}


def as_deepctr(model: Any, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give our weights, or their gradients, DeepCTR-Torch's names and order: rows and signs change places only.

    Args:
        model: ours, for its layout.
        values: by the names of its state; what is missing is left out.
    """
    carried: dict[str, Tensor] = {}
    for ours, theirs in (("embedding", "embedding_dict"), ("first_order", "linear_model.embedding_dict")):
        if f"{ours}.weight" in values:
            table, layout = values[f"{ours}.weight"], getattr(model, ours)
            for name, start in layout.offsets.items():
                rows = table[start + 1:start + layout.sizes[name]].clone()
                carried[f"{theirs}.{name}.weight"] = torch.cat([torch.zeros_like(rows[:1]), rows])
    for i in range(len(model.layers)):
        weight = values[f"mlp.linears.{i}.weight"]
        if i == 0 and hasattr(model, "attention"):
            # Ours reads [interest, fields, dense], theirs [fields, interest, dense].
            interest, fields = len(model.history.target_of), len(model.embedding.field_widths)
            size = model.embedding.size
            parts = weight.split([interest * size, fields * size, weight.shape[1] - (interest + fields) * size], 1)
            weight = torch.cat([parts[1], parts[0], parts[2]], 1)
        carried |= {f"dnn.linears.{i}.weight": weight, f"dnn.linears.{i}.bias": values[f"mlp.linears.{i}.bias"]}
        for ours, theirs in (("alpha", "alpha"), ("mean", "bn.running_mean"), ("variance", "bn.running_var")):
            if f"mlp.dices.{i}.{ours}" in values:
                carried[f"dnn.activation_layers.{i}.{theirs}"] = values[f"mlp.dices.{i}.{ours}"]
    carried["dnn_linear.weight"] = values["head.weight_mlp"]
    if "dense.weight_mlp" in values:
        carried["linear_model.weight"] = values["dense.weight_mlp"].T
    if "attention.hidden.weight" in values:
        behavior, target, difference, product = values["attention.hidden.weight"].chunk(4, 1)
        unit = "attention.local_att"
        carried |= {  # [h, t, h - t, h * t] is [t, h, t - h, t * h] there
            f"{unit}.dnn.linears.0.weight": torch.cat([target, behavior, -difference, product], 1),
            f"{unit}.dnn.linears.0.bias": values["attention.hidden.bias"],
            f"{unit}.dnn.activation_layers.0.weight": values["attention.activation.weight"],
            f"{unit}.dense.weight": values["attention.output.weight"],
            f"{unit}.dense.bias": values["attention.output.bias"]}
    return carried


def by_deepctr(name: str, settings: dict[str, Any], arrays: dict[str, np.ndarray],
               weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return what :func:`there` finds in the peers' environment; arrays travel as ``.npz``."""
    if not PEERS.exists():
        raise SystemExit(f"{PEERS} is missing: run `make benchmark-peers` once.")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "settings.json").write_text(json.dumps(settings))
        np.savez(Path(folder) / "rows.npz", **arrays)
        np.savez(Path(folder) / "weights.npz", **{key: value.numpy() for key, value in weights.items()})
        done = subprocess.run([str(PEERS), "-m", "benchmarks.parity", name, folder], cwd=ROOT, capture_output=True,
                              text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{name} failed in {PEERS}:\n{done.stderr[-3000:]}")
        with np.load(Path(folder) / "found.npz", allow_pickle=False) as found:
            return {key: torch.from_numpy(found[key]) for key in found.files}


def there(name: str, folder: Path) -> None:
    """In the peers' environment: put the weights in, and write outputs, gradients and running statistics down."""
    settings = json.loads((folder / "settings.json").read_text())
    with np.load(folder / "weights.npz", allow_pickle=False) as file:
        weights = {key: torch.from_numpy(file[key]) for key in file.files}
    with np.load(folder / "rows.npz", allow_pickle=False) as file:
        columns = deepctr_inputs(settings, {key: file[key] for key in file.files})
    model = deepctr_model(name, settings, task="regression")  # logits, no sigmoid
    missing, unexpected = model.load_state_dict(weights, strict=False)
    left = [key for key in missing if not key.endswith(("out.bias", "bn.weight", "bn.bias", "num_batches_tracked"))]
    if unexpected or left:  # those few start as the published formula has them: 0, 1, 0 and unused
        raise SystemExit(f"weights without a place: {unexpected}; places without a weight: {left}")
    x = np.concatenate([columns[key].reshape(ROWS, -1) for key in model.feature_index], 1)
    found = {f"output.{key}": value for key, value in outputs(model, torch.from_numpy(x).float()).items()}
    found |= {f"gradient.{key}": p.grad for key, p in model.named_parameters() if p.grad is not None}
    found |= {f"after.{key}": value for key, value in model.state_dict().items() if "running" in key}
    np.savez(folder / "found.npz", **{key: value.numpy() for key, value in found.items()})


if __name__ == "__main__":
    there(sys.argv[1], Path(sys.argv[2]))
