"""The same weights give the same numbers: our click models against DeepCTR-Torch's, next items against RecBole's.

Weights drawn here are carried over to its models (``make benchmark-peers`` once), with its settings as published.
Compared are the logits of random rows in evaluation and in training, and the gradients of every weight. The models of
next items are in :mod:`benchmarks.parity_recbole`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.children import PEERS
from benchmarks.deepctr_weights import as_deepctr
from benchmarks.exchange import answer, ask, asked, carry
from benchmarks.peer_models import deepctr_inputs, deepctr_model

TOLERANCE = 1e-5
RELATIVE = 1e-4
OVER = "gradients, each weight's over its largest"
ROWS = 512
VOCABULARY = 200
MODELS = {"deepfm": "criteo", "din": "alimama", "fm": "criteo", "wide_deep": "criteo", "ipnn": "criteo",
          "dcn": "criteo", "xdeepfm": "criteo", "fibinet": "criteo", "afm": "criteo", "nfm": "criteo",
          "dcnv2": "criteo", "autoint": "criteo"}
"""On which dataset's layout each is compared."""
ALLOWED = {
    "any": ["a bias of the output, which ours do not have; carried as 0"],
    "din": ["by default two layers of 64 and 16 units with Dice in the attention; set to the paper's one of 36, PReLU",
            "Dice cannot be asked for in its MLP (its DIN makes the one for sequences); put in by hand",
            "Dice's batch normalization learns a scale and a shift, which the paper's Eq. 3 does not have; 1 and 0",
            "Dice keeps a running variance with n - 1 in the denominator, ours with n, as the batch has",
            "rows without a history: ours learn one behavior for them, which is 0 here, as its sum over nothing is"],
    "dcn": ["a linear model is added; left out"],
    "xdeepfm": ["by default ReLU after the CIN's layers and half of their maps for the output only; set to the paper's "
                "Eq. 6", "biases of the CIN's layers; set to 0"],
    "afm": ["by default 8 rows in the attention; set to ours, the embedding size"],
    "dcnv2": ["a linear model is added; left out"],
    "autoint": ["a linear model is added; left out", "heads share the embedding size; ours set to one head of it"],
}
"""Where the definitions differ, and what was done about it."""


def main() -> None:
    """Compare, print a table and a JSON line; exit code 1 where a difference is above the tolerance."""
    from benchmarks import parity_recbole
    from benchmarks.sides import json_line, show

    results = {f"{model} ({shape})": compare(model, shape) for model, shape in MODELS.items()}
    show(f"Largest values and differences from DeepCTR-Torch, {ROWS} rows", ("model", "what", "value", "difference"),
         [(name, what, *pair) for name, found in results.items() for what, pair in found.items()])
    for model, lines in ALLOWED.items():
        print("\nWhat DeepCTR-Torch has otherwise, " + ("in all models:" if model == "any" else f"{model}:"))
        print("\n".join(f"- {line}" for line in lines))
    print()
    of_next_items = {model: parity_recbole.compare(model) for model in parity_recbole.OPTIONS}
    show(f"Largest values and differences from RecBole, {parity_recbole.ROWS} rows",
         ("model", "what", "value", "difference"),
         [(name, what, *pair) for name, found in of_next_items.items() for what, pair in found.items()])
    for model, lines in parity_recbole.ALLOWED.items():
        print(f"\nWhat RecBole's {model} has otherwise:")
        print("\n".join(f"- {line}" for line in lines))
    results |= of_next_items
    json_line("parity", {"tolerance": TOLERANCE, "results": results})
    bad = [f"{name}, {what}" for name, found in results.items() for what, (_, difference) in found.items()
           if not difference <= (RELATIVE if what == OVER else TOLERANCE) and what != "running variance"]
    if bad:
        sys.exit(f"Not equal: {'; '.join(bad)}")


def compare(name: str, shape: str) -> dict[str, tuple[float, float]]:
    """Return for each thing that is compared its largest value and the largest difference."""
    from ameir_pl.baselines import build_baseline
    from ameir_pl.baselines.base import options_of
    from ameir_pl.batch import Batch
    from ameir_pl.cli.compose import load_config
    from ameir_pl.data.layouts import paper_schema

    sizes = load_config("train", [f"dataset={shape}"])[0].dataset.model
    schema = paper_schema(shape, VOCABULARY)
    options = options_of(name)
    if name == "autoint":
        options |= {"heads": 1, "attention_size": sizes.embedding_size}
    model = build_baseline(name, schema, embedding_size=sizes.embedding_size, mlp=sizes.mlp, dropout=0.0,
                           options=options)
    draw_weights(model)
    arrays = random_rows(schema)
    batch = Batch(fields=torch.from_numpy(arrays["fields"]).long(), dense=torch.from_numpy(arrays["dense"]),
                  label=torch.zeros(ROWS))
    if schema.behaviors:
        batch.behaviors = torch.from_numpy(arrays["behaviors"]).long()
        batch.mask = torch.arange(schema.max_len) < torch.from_numpy(arrays["lengths"])[:, None]
    settings = {"vocabularies": schema.vocabularies, "fields": [[f.name, f.vocabulary] for f in schema.fields],
                "dense": list(schema.dense), "behaviors": [[f.name, f.vocabulary] for f in schema.behaviors],
                "max_len": schema.max_len, "size": sizes.embedding_size, "mlp": list(sizes.mlp), "l2": 0.0,
                "options": options}
    theirs = ask(PEERS, __name__, name, settings, arrays, as_deepctr(name, model, model.state_dict()))
    ours = {f"output.{key}": value for key, value in outputs(model, batch).items()}
    ours |= {f"gradient.{key}": value for key, value in as_deepctr(name, model, {
        key: p.grad for key, p in model.named_parameters() if p.grad is not None}).items()}
    after = as_deepctr(name, model, model.state_dict())
    ours |= {f"after.{key}": value for key, value in after.items() if "running" in key}
    found: dict[str, tuple[float, float]] = {}
    for key, value in ours.items():
        what = {"output.eval": "logits, evaluation", "output.train": "logits, training"}.get(
            key, "gradients" if key.startswith("gradient") else f"running {key.split('running_')[-1]}")
        what = what.replace("running var", "running variance")
        pair = float(value.abs().max()), float((value - theirs[key]).abs().max())
        found[what] = (max(found.get(what, pair)[0], pair[0]), max(found.get(what, pair)[1], pair[1]))
        if what == "gradients":  # a weight's may all be small: its difference over its own largest
            small, share = found.get(OVER, (pair[0], 0.0))
            found[OVER] = (min(small, pair[0]), max(share, pair[1] / pair[0]))
    return found


def draw_weights(model: Any) -> None:
    """Draw every weight and running statistic, so that none is 0 or 1 by its initialization."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            table = name in ("embedding.weight", "first_order.ids.weight")
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


def there(name: str, folder: Path) -> None:
    """In the peers' environment: put the weights in, and write outputs, gradients and running statistics down."""
    settings, rows, weights = asked(folder)
    columns = deepctr_inputs(settings, {key: value.numpy() for key, value in rows.items()})
    model = deepctr_model(name, settings, task="regression")  # logits, no sigmoid
    carry(model, weights, ("out.bias", "bn.weight", "bn.bias", "num_batches_tracked", *(  # as the formula has them
        key for key in model.state_dict() if key.startswith("cin.conv1ds"))))
    x = np.concatenate([columns[key].reshape(ROWS, -1) for key in model.feature_index], 1)
    found = {f"output.{key}": value for key, value in outputs(model, torch.from_numpy(x).float()).items()}
    found |= {f"gradient.{key}": p.grad for key, p in model.named_parameters() if p.grad is not None}
    found |= {f"after.{key}": value for key, value in model.state_dict().items() if "running" in key}
    answer(folder, found)


if __name__ == "__main__":
    there(sys.argv[1], Path(sys.argv[2]))
