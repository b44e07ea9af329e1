"""Our models' weights by DeepCTR-Torch's names: rows, columns and signs change places only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

Values = Mapping[str, Tensor]


def as_deepctr(name: str, model: Any, values: Values) -> dict[str, Tensor]:
    """Give our weights, or their gradients, DeepCTR-Torch's names and order.

    Args:
        name: of the model.
        model: ours, for its layout.
        values: by the names of its state.
    """
    carried: dict[str, Tensor] = {}
    for ours, theirs in (("embedding", "embedding_dict"), ("first_order.ids", "linear_model.embedding_dict")):
        if f"{ours}.weight" in values:
            table, layout = values[f"{ours}.weight"], model.get_submodule(ours)
            for vocabulary, start in layout.offsets.items():
                rows = table[start + 1:start + layout.sizes[vocabulary]].clone()
                carried[f"{theirs}.{vocabulary}.weight"] = torch.cat([torch.zeros_like(rows[:1]), rows])
    if "first_order.dense.weight_mlp" in values:
        carried["linear_model.weight"] = values["first_order.dense.weight_mlp"].T
    for key, value in values.items():
        if key.startswith("mlp.linears."):
            first = key == "mlp.linears.0.weight" and name in COLUMNS
            carried["dnn." + key.removeprefix("mlp.")] = COLUMNS[name](model, value) if first else value
    if "head.weight_mlp" in values:
        carried["dnn_linear.weight"] = values["head.weight_mlp"]
    return OWN[name](carried, values) if name in OWN else carried


def _din_columns(model: Any, weight: Tensor) -> Tensor:
    """Ours reads [interest, fields, dense], theirs [fields, interest, dense]."""
    interest, fields, size = len(model.history.target_of), len(model.embedding.field_widths), model.embedding.size
    parts = weight.split([interest * size, fields * size, weight.shape[1] - (interest + fields) * size], 1)
    return torch.cat([parts[1], parts[0], parts[2]], 1)


def _ipnn_columns(model: Any, weight: Tensor) -> Tensor:
    """Ours reads [fields, dense, products], theirs [fields, products, dense]."""
    fields, products = len(model.embedding.field_widths) * model.embedding.size, len(model.pairs)
    parts = weight.split([fields, weight.shape[1] - fields - products, products], 1)
    return torch.cat([parts[0], parts[2], parts[1]], 1)


COLUMNS: dict[str, Callable[[Any, Tensor], Tensor]] = {"din": _din_columns, "ipnn": _ipnn_columns}
"""Of models whose MLP reads its input in another order there."""


def _din(carried: dict[str, Tensor], values: Values) -> dict[str, Tensor]:
    for key, value in values.items():
        if key.startswith("mlp.dices."):
            layer, ours = key.removeprefix("mlp.dices.").split(".")
            theirs = {"alpha": "alpha", "mean": "bn.running_mean", "variance": "bn.running_var"}[ours]
            carried[f"dnn.activation_layers.{layer}.{theirs}"] = value
    behavior, target, difference, product = values["attention.hidden.weight"].chunk(4, 1)
    unit = "attention.local_att"
    return carried | {  # [h, t, h - t, h * t] is [t, h, t - h, t * h] there
        f"{unit}.dnn.linears.0.weight": torch.cat([target, behavior, -difference, product], 1),
        f"{unit}.dnn.linears.0.bias": values["attention.hidden.bias"],
        f"{unit}.dnn.activation_layers.0.weight": values["attention.activation.weight"],
        f"{unit}.dense.weight": values["attention.output.weight"],
        f"{unit}.dense.bias": values["attention.output.bias"]}


def _dcn(carried: dict[str, Tensor], values: Values) -> dict[str, Tensor]:
    matrix = "cross.0.up.weight" in values
    kernels = [value if matrix else value.T for key, value in values.items()
               if key.startswith("cross.") and key.endswith("weight")]
    biases = [value.unsqueeze(1) for key, value in values.items() if key.startswith("cross.") and key.endswith("bias")]
    return carried | {"crossnet.kernels": torch.stack(kernels), "crossnet.bias": torch.stack(biases)}


def _xdeepfm(carried: dict[str, Tensor], values: Values) -> dict[str, Tensor]:
    maps = {f"cin.conv1ds.{key.removeprefix('cin.weights.')}.weight": value.unsqueeze(2)
            for key, value in values.items() if key.startswith("cin.weights.")}
    return carried | maps | {"cin_linear.weight": values["cin_head.weight_mlp"]}


def _fibinet(carried: dict[str, Tensor], values: Values) -> dict[str, Tensor]:
    pairs = {f"Bilinear.bilinear.{i}.weight": matrix.T for i, matrix in enumerate(values["bilinear.weight"])}
    return carried | pairs | {"SE.excitation.0.weight": values["senet.reduce.weight"],
                              "SE.excitation.2.weight": values["senet.expand.weight"]}


def _afm(carried: dict[str, Tensor], values: Values) -> dict[str, Tensor]:
    carried["fm.projection_p"] = carried.pop("dnn_linear.weight").T
    return carried | {"fm.attention_W": values["attention.weight"].T, "fm.attention_b": values["attention.bias"],
                      "fm.projection_h": values["score"].unsqueeze(1)}


def _autoint(carried: dict[str, Tensor], values: Values) -> dict[str, Tensor]:
    for key, value in values.items():
        if key.startswith("interacting."):
            _, layer, part, _ = key.split(".")
            names = ("W_Res",) if part == "residual" else ("W_Query", "W_key", "W_Value")
            carried |= {f"int_layers.{layer}.{theirs}": own.T
                        for theirs, own in zip(names, value.chunk(len(names)), strict=True)}
    both = torch.cat([values["interacting_head.weight_mlp"], values["head.weight_mlp"]], 1)
    return carried | {"dnn_linear.weight": both}


OWN: dict[str, Callable[[dict[str, Tensor], Values], dict[str, Tensor]]] = {
    "din": _din, "dcn": _dcn, "dcnv2": _dcn, "xdeepfm": _xdeepfm, "fibinet": _fibinet, "afm": _afm, "autoint": _autoint}
"""Of models that have more than embeddings, a linear model and an MLP."""
