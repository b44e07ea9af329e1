"""ServingForm: a derived model in the form that inference engines run fastest; the same function to rounding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ameir_pl.batch import Batch, finite
from ameir_pl.models.ameir import Derived, Inputs
from ameir_pl.nn.activations import ACTIVATIONS
from ameir_pl.nn.attention import LocalActivationUnit
from ameir_pl.nn.embedding import known_ids, of_slots
from ameir_pl.nn.operations.recurrent import BiGru
from ameir_pl.nn.operations.target_attention import TargetAttention
from ameir_pl.nn.squeeze_excitation import SqueezeExcitation
from ameir_pl.schema import PAD

INPUTS = ("fields", "behaviors", "mask", "dense")
"""The tensors of a :class:`~ameir_pl.batch.Batch` that a model may read."""


def inputs_of(model: Derived) -> tuple[str, ...]:
    """Return the names of the tensors of a batch that ``model`` reads, in order."""
    has = {"fields": bool(model.schema.fields), "behaviors": model.reads_history, "mask": model.reads_history,
           "dense": bool(model.schema.dense)}
    return tuple(name for name in INPUTS if has[name])


def served(output: Tensor, task: str, temperature: float | None) -> Tensor:
    """Return what is served of a model's output: probabilities (B,) for CTR; for retrieval queries (B, K) whose product
    with the table of items is the score, which a ``temperature`` divides the cosine by."""
    if task == "ctr":
        return torch.sigmoid(output)
    return output if temperature is None else F.normalize(output, dim=-1) / temperature


class ServingForm(nn.Module):
    """What ``model`` computes in eval mode, from tensors to what is served.

    Not trainable: weights are folded, padding is dealt with once, and what engines do slowly (selections with
    broadcast masks, products with one column, gathers of single rows) is written as products of matrices. As in the
    model, ids outside their vocabulary are ``OOV`` and dense values finite; histories have at least one position.

    Args:
        model: it is read only; later changes to it are not seen.
        temperature: that the cosine of queries and items is divided by; None: they are compared by their product.

    Example:
        >>> form = ServingForm(model)
        >>> form(*(getattr(batch, name) for name in form.inputs))  # (B,) probabilities or (B, K) queries
    """

    def __init__(self, model: Derived, temperature: float | None = None) -> None:
        super().__init__()
        self.model, self.inputs, self.temperature = model.eval(), inputs_of(model), temperature
        self.embedding = _Lookup(model)
        self.shortcut = _Excitation(model.shortcut) if model.capacity.shortcut else None
        if model.reads_history:
            self.operations = nn.ModuleList(
                FORMS[type(operation)](operation) if type(operation) in FORMS else operation
                for module in model.blocks for operation in module.layers.values())  # type: ignore[operator, union-attr]
            unit = model.pooling.attention
            self.attention = None if unit is None else _Attention(unit)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return click probabilities (B,) for CTR, queries (B, K) for retrieval, from tensors named by ``inputs``."""
        model = self.model
        given: dict[str, Any] = dict(zip(self.inputs, inputs, strict=True))
        batch = Batch(**given)
        if "fields" not in self.inputs:
            batch.fields = inputs[0].new_zeros(inputs[0].shape[0], 0)
        fields = self.embedding.fields(batch.fields)  # (B, N, K)
        h_a = None
        if model.reads_history:
            history, mask = self.embedding.history(batch.behaviors, batch.mask)
            h_a = self._behavior(history, mask, model.history.target(fields))
        x = Inputs(fields, None, None, None, finite(batch.dense))
        p_b = model.interactions(fields)  # (B, M, K)
        h = model.mlp(model.h0(x, h_a, p_b), [(layer.units, layer.activation) for layer in model.architecture.mlp])
        shortcut = None if self.shortcut is None else self.shortcut(torch.cat([fields, p_b], 1))
        out = model.head(h, shortcut)
        return served(out, model.schema.task, self.temperature)

    def _behavior(self, h: Tensor, mask: Tensor, target: Tensor | None) -> Tensor:
        """Return h_a (B, 2D or 3D); ``h`` (B, T, D) is zero at padding."""
        valid = mask.to(h.dtype)  # (B, T)
        clean = True
        for block, module, operation in zip(self.model.architecture.blocks, self.model.blocks, self.operations,
                                            strict=True):
            if block.layer == "zero":
                continue
            x = h
            if block.norm != "none":
                x, clean = module.norms[block.norm](h), False  # type: ignore[operator, union-attr, index]
            x = x if clean else x * valid.unsqueeze(-1)
            h = ACTIVATIONS.get(block.activation)(operation(x, mask, target)) + h
            clean = False
        # Sum, last position and target attention are weighted sums over positions: one product of matrices.
        last = valid - F.pad(valid[:, 1:], (0, 1))  # valid here and not at the next position
        weights = [valid, last]
        if self.attention is not None and target is not None:
            weights.append(self.attention(h, target) * valid)
        return torch.bmm(torch.stack(weights, 1), h).flatten(1)


class _Lookup(nn.Module):
    """The embeddings, with a ``PAD`` row for every vocabulary and rows for the empty history: one addition finds a row.

    Rows stand in the order of the vocabularies, each with its own zero row first; then one row for each behavior
    field's part of the empty token.
    """

    field_offsets: Tensor
    behavior_offsets: Tensor
    field_sizes: Tensor
    behavior_sizes: Tensor
    empty_rows: Tensor
    weight: Tensor

    def __init__(self, model: Derived) -> None:
        super().__init__()
        schema, source = model.schema, model.embedding
        self.size, self.widths = source.size, (source.field_widths, source.behavior_widths)
        starts: dict[str, int] = {}
        self.sizes = schema.vocabularies
        parts: list[Tensor] = []
        rows = 0
        for name, count in schema.vocabularies.items():
            starts[name], rows = rows, rows + count
            parts.append(source.table(name).detach())
        self.starts = starts
        for name, fields in (("field", schema.fields), ("behavior", schema.behaviors)):
            self.register_buffer(f"{name}_offsets", of_slots(fields, starts))
            self.register_buffer(f"{name}_sizes", of_slots(fields, self.sizes))
        if model.reads_history:
            parts.append(model.history.empty.detach().view(-1, source.size))
            # A multivalent field's token stands in its first slot, the others are empty.
            own = [rows + i if slot == 0 else starts[f.vocabulary] + PAD
                   for i, f in enumerate(schema.behaviors) for slot in range(f.width)]
            self.register_buffer("empty_rows", torch.tensor(own, dtype=torch.int64))
        self.register_buffer("weight", torch.cat(parts))

    def rows_of(self, vocabulary: str) -> tuple[int, int]:
        """Return the first row of a vocabulary and the one behind its last."""
        return self.starts[vocabulary], self.starts[vocabulary] + self.sizes[vocabulary]

    def fields(self, ids: Tensor) -> Tensor:
        """Return (B, N, K) from ids (B, S)."""
        rows = known_ids(ids, self.field_sizes) + self.field_offsets
        return _fields_of(F.embedding(rows, self.weight), self.widths[0])

    def history(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return (B, T, D) and the mask with the empty token in it, from ids (B, T, S_a) and mask (B, T)."""
        first = torch.arange(mask.shape[1], device=mask.device) == 0  # (T,)
        placed = first & ~mask[:, :1]  # (B, T): a history without its first behavior has none
        rows = known_ids(ids, self.behavior_sizes) * mask.unsqueeze(-1) + self.behavior_offsets
        rows = torch.where(placed.unsqueeze(-1), self.empty_rows, rows)
        return _fields_of(F.embedding(rows, self.weight), self.widths[1]).flatten(-2), mask | placed


def _fields_of(slots: Tensor, widths: list[int]) -> Tensor:
    if all(width == 1 for width in widths):
        return slots
    return torch.cat([p.sum(-2, keepdim=True) for p in slots.split(widths, dim=-2)], dim=-2)


class _Attention(nn.Module):
    """DIN's local activation unit, with a matrix of its own for each row in place of pairs at each position."""

    of_behavior: Tensor
    of_product: Tensor
    of_target: Tensor
    bias: Tensor
    out: Tensor
    out_bias: Tensor

    def __init__(self, unit: LocalActivationUnit) -> None:
        super().__init__()
        w_h, w_t, w_d, w_p = (w.detach().t().contiguous() for w in unit.hidden.weight.chunk(4, dim=1))  # (D, hidden)
        self.register_buffer("of_behavior", w_h + w_d)
        self.register_buffer("of_product", w_p)
        self.register_buffer("of_target", w_t - w_d)
        self.register_buffer("bias", unit.hidden.bias.detach())
        self.register_buffer("out", unit.output.weight.detach().t().contiguous())  # (hidden, 1)
        self.register_buffer("out_bias", unit.output.bias.detach())
        self.slope = unit.activation.weight.item()

    def forward(self, h: Tensor, target: Tensor) -> Tensor:
        """Return weights (B, T) of every position, padding too."""
        # h·W + (h * t)·W_p = h·(W + t * W_p): a sum for each row is cheaper than one for each position.
        own = self.of_behavior + target.unsqueeze(2) * self.of_product  # (B, D, hidden)
        shift = torch.addmm(self.bias, target, self.of_target).unsqueeze(1)  # (B, 1, hidden)
        hidden = F.leaky_relu(torch.bmm(h, own) + shift, self.slope)  # (B, T, hidden)
        return (hidden @ self.out).squeeze(-1) + self.out_bias


class _TargetAttention(nn.Module):
    """The layer ``target_attention`` with :class:`_Attention`."""

    def __init__(self, operation: TargetAttention) -> None:
        super().__init__()
        self.attention = _Attention(operation.attention)

    def forward(self, x: Tensor, mask: Tensor, target: Tensor) -> Tensor:
        return self.attention(x, target).unsqueeze(-1) * x


class _BiGru(nn.Module):
    """The layer ``bigru`` as ONNX's own recurrences: traced step by step it would fit one length alone."""

    def __init__(self, operation: BiGru) -> None:
        super().__init__()
        self.operation = operation
        for name, gru in (("forward", operation.forward_gru), ("reverse", operation.backward_gru)):
            w, r, b_w, b_r = (_update_first(p.detach()) for p in gru.all_weights[0])
            self.register_buffer(f"{name}_w", w.unsqueeze(0))  # (1, 3H, D)
            self.register_buffer(f"{name}_r", r.unsqueeze(0))  # (1, 3H, H)
            self.register_buffer(f"{name}_b", torch.cat([b_w, b_r]).unsqueeze(0))  # (1, 6H)

    def forward(self, x: Tensor, mask: Tensor, target: Tensor | None) -> Tensor:
        if not torch.onnx.is_in_onnx_export():
            return self.operation(x, mask, target)
        sequence, lengths = x.transpose(0, 1), mask.sum(1).to(torch.int32)  # (T, B, D), (B,)
        parts = []
        for name in ("forward", "reverse"):
            w, r, b = (getattr(self, f"{name}_{part}") for part in "wrb")
            units = r.shape[2]
            out = torch.onnx.ops.symbolic(
                "GRU", (sequence, w, r, b, lengths), version=20, dtype=x.dtype,
                attrs={"direction": name, "hidden_size": units, "linear_before_reset": 1},
                shape=(x.shape[1], 1, x.shape[0], units))  # each row is reversed within its own length
            parts.append(out.squeeze(1))
        return torch.cat(parts, -1).transpose(0, 1)


def _update_first(p: Tensor) -> Tensor:
    """Put the gates, which torch has as reset, update, new, in ONNX's order: update, reset, new."""
    reset, update, new = p.chunk(3)
    return torch.cat([update, reset, new])


FORMS: dict[type, Callable[[Any], nn.Module]] = {TargetAttention: _TargetAttention, BiGru: _BiGru}
"""Operations that have a form of their own here; all others run as they are."""


class _Excitation(nn.Module):
    """The SE shortcut; squeezing and the first layer are one product."""

    reduce: Tensor
    reduce_bias: Tensor | None

    def __init__(self, source: SqueezeExcitation) -> None:
        super().__init__()
        reduce = source.reduce.weight.detach()  # (R', R)
        self.register_buffer("reduce", (reduce.unsqueeze(-1) * source.squeeze.detach()).flatten(1))  # (R', R·K)
        self.register_buffer("reduce_bias", None if source.reduce.bias is None else source.reduce.bias.detach())
        self.expand = source.expand

    def forward(self, q: Tensor) -> Tensor:
        weights = torch.sigmoid(self.expand(torch.relu(F.linear(q.flatten(1), self.reduce, self.reduce_bias))))
        return torch.bmm(weights.unsqueeze(1), q).squeeze(1)


__all__ = ["INPUTS", "ServingForm", "inputs_of", "served"]
