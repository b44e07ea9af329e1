"""ONNX: a bundle's model as one file for any runtime, checked against the model it was made from."""

from __future__ import annotations

import copy
import importlib
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ameir_pl.atomic import replacing, telling
from ameir_pl.batch import Batch
from ameir_pl.errors import AmeirError
from ameir_pl.export.bundle import Bundle
from ameir_pl.export.seal import KEY, ZEROS, check_seal, seal
from ameir_pl.export.serving import ServingForm, served
from ameir_pl.models.ameir import Derived
from ameir_pl.schema import Field, Schema

TOLERANCE = 1e-5
"""The most that an output of the file may differ from the model's, absolute and relative."""
SHORTEST = 1e-12
"""Vectors are divided by their length, or by this where they are shorter, as in ``F.normalize``."""
LARGEST = 2 * 1024 ** 3 - 2 ** 20
"""Bytes of weights that one file holds; the format's own limit, 2 GiB, less what the graph takes."""
OPSET = 20
"""Version of the operators: what ONNX Runtime reads since 1.17."""
OUTPUTS = {"ctr": "probability", "retrieval": "query"}
"""Name of the output: the click probability (B,), or the vector (B, K) that is compared with the table ``items``."""
ITEMS = "items"
"""Second output for retrieval: embeddings of all items (V, K), so that ``query @ items.T`` are all scores."""


def export_onnx(bundle: Bundle, path: Path) -> None:
    """Write a bundle's model as an ONNX file in one step, after checking that it gives what the model gives.

    Inputs are named as the tensors of :class:`~ameir_pl.batch.Batch` that the model reads (``fields``, ``behaviors``,
    ``mask``, ``dense``), for any number of rows, none too, and histories of any length up to T, none too. An id outside
    its vocabulary (below 0, or not below its size) is ``OOV``, 1; a dense NaN is -1, which a missing value is encoded
    as, and infinity the nearest end of [-1, 1]. A history's behaviors come first and its padding behind them: ``mask``
    is True, then False, without gaps. Output for CTR is
    ``probability`` (B,), after the sigmoid; for retrieval ``query`` (B, K) and ``items`` (V, K), where row i is the
    item with id i (0 is padding, 1 an unknown item): item i scores ``query · items[i]``, also where the model compares
    by cosine, whose lengths and temperature are worked in. Metadata: ``schema``
    (fingerprint), ``architecture`` (digest), ``variant``, ``state``, ``max_len``, and
    ``sha256`` of the file itself (see :mod:`~ameir_pl.export.seal`).

    Raises:
        AmeirError: a package is missing, the model cannot be exported, or the file gives other numbers.
    """
    onnx = _package("onnx")
    _package("onnxscript"), _package("onnxruntime")
    model = bundle.model.cpu().eval()
    about = {"schema": model.schema.fingerprint(), "architecture": model.architecture.digest(),
             "variant": bundle.variant, "state": bundle.state, "max_len": str(model.schema.max_len), KEY: ZEROS}
    proto = traced(model, bundle.temperature)
    for key, value in about.items():
        proto.metadata_props.add(key=key, value=value)
    beside = path.with_name(f"{path.name}.data")
    beside.unlink(missing_ok=True)
    with telling(path, "Make room and give the same command."), replacing(path) as temporary:
        if sum(t.numel() * t.element_size() for t in model.state_dict().values()) > LARGEST:
            onnx.save_model(proto, str(temporary), save_as_external_data=True, location=beside.name)
        else:
            temporary.write_bytes(proto.SerializeToString())
        seal(temporary, beside)
        check(model, OnnxModel(temporary, weights=beside), bundle.temperature)


def traced(model: Derived, temperature: float | None = None) -> Any:
    """Return the ONNX model (``onnx.ModelProto``) of ``model``, not yet checked."""
    form = ServingForm(model, temperature).eval()
    names, schema = form.inputs, model.schema
    rows, length = torch.export.Dim.DYNAMIC, torch.export.Dim.DYNAMIC
    dynamic = {"fields": {0: rows}, "dense": {0: rows}, "behaviors": {0: rows, 1: length}, "mask": {0: rows, 1: length}}
    # Neither one row nor one behavior: those sizes would be taken for constants.
    batch = random_batch(schema, 3, min(max(schema.max_len, 2), 5), seed=0)
    with _quiet():
        try:
            program = torch.onnx.export(form, tuple(getattr(batch, n) for n in names), dynamo=True, verbose=False,
                                        dynamic_shapes=(tuple(dynamic[n] for n in names),), input_names=list(names),
                                        output_names=[OUTPUTS[schema.task]], opset_version=OPSET)
        except torch.onnx.OnnxExporterError as error:
            raise AmeirError(f"This model cannot be exported to ONNX: {' '.join(str(error).split())[:300]}") from error
    proto = program.model_proto  # type: ignore[union-attr]
    if schema.task == "retrieval":
        _add_items(proto, *form.embedding.rows_of(schema.item), model.embedding_size, temperature is not None)
    _add_padding(proto, {name: len(dynamic[name]) for name in names}, OUTPUTS[schema.task])
    del proto.graph.value_info[:]
    for node in proto.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    return proto


def _add_items(proto: Any, start: int, end: int, size: int, unit: bool) -> None:
    """Add the output ``items``: rows of the embedding matrix, which stands in the file once; with ``unit`` brought to
    length one, but for those of zeros."""
    onnx = _package("onnx")
    bounds = [onnx.numpy_helper.from_array(np.array([row]), f"{ITEMS}_{which}")
              for which, row in (("start", start), ("end", end), ("axis", 0))]
    proto.graph.initializer.extend(bounds)
    node, rows = onnx.helper.make_node, f"{ITEMS}_rows" if unit else ITEMS
    proto.graph.node.append(node("Slice", ["embedding.weight", *(b.name for b in bounds)], [rows]))
    if unit:
        proto.graph.initializer.extend([onnx.numpy_helper.from_array(np.array([1]), f"{ITEMS}_last"),
                                        onnx.numpy_helper.from_array(np.float32(SHORTEST), f"{ITEMS}_least")])
        proto.graph.node.extend([node("ReduceL2", [rows, f"{ITEMS}_last"], [f"{ITEMS}_long"], keepdims=1),
                                 node("Max", [f"{ITEMS}_long", f"{ITEMS}_least"], [f"{ITEMS}_divisor"]),
                                 node("Div", [rows, f"{ITEMS}_divisor"], [ITEMS])])
    proto.graph.output.append(onnx.helper.make_tensor_value_info(ITEMS, onnx.TensorProto.FLOAT, (end - start, size)))


def _add_padding(proto: Any, dynamic: Mapping[str, int], output: str) -> None:
    """Have a batch of no rows, or of histories of no position (T = 0), run as one of padding: not every operator of an
    engine takes a dimension of zero.

    Args:
        proto: the model.
        dynamic: how many of the first dimensions may be zero, by the name of the input.
        output: (B, ...), which is cut to the rows of the first input.
    """
    onnx = _package("onnx")
    node, graph = onnx.helper.make_node, proto.graph
    constants = {name: onnx.numpy_helper.from_array(np.array(value, np.int64), name) for name, value in (
        ("padding_0", [0]), ("padding_1", [1]), ("padding_00", [0, 0]), ("padding_000", [0, 0, 0]))}
    nodes, end = [], f"{output}_of_padded"
    for name, count in dynamic.items():
        axes = len(next(i for i in graph.input if i.name == name).type.tensor_type.shape.dim)
        after = [f"padding_{'0' * (axes - count)}"] if axes > count else []
        # Of each axis what to put before it, then of each what to put behind it.
        nodes += [node("Shape", [name], [f"{name}_sizes"], start=0, end=count),
                  node("Sub", ["padding_1", f"{name}_sizes"], [f"{name}_short"]),
                  node("Max", [f"{name}_short", "padding_0"], [f"{name}_lacks"]),
                  node("Concat", [f"padding_{'0' * axes}", f"{name}_lacks", *after], [f"{name}_pads"], axis=0),
                  node("Pad", [name, f"{name}_pads"], [f"{name}_padded"])]
    for one in graph.node:
        one.input[:] = [f"{name}_padded" if name in dynamic else name for name in one.input]
        one.output[:] = [end if name == output else name for name in one.output]
        nodes.append(one)
    first = next(iter(dynamic))
    nodes += [node("Shape", [first], [f"{output}_rows"], start=0, end=1),
              node("Slice", [end, "padding_0", f"{output}_rows", "padding_0"], [output])]
    graph.initializer.extend(constants.values())
    copies = [copy.deepcopy(one) for one in nodes]
    del graph.node[:]
    graph.node.extend(copies)


def check(model: Derived, exported: OnnxModel, temperature: float | None = None) -> None:
    """Compare with the model on random rows: none, one and many, histories of every kind of length and of none, and
    with ids outside their vocabularies and dense values that are not finite.

    Raises:
        AmeirError: an output is off by more than ``TOLERANCE``.
    """
    longest = model.schema.max_len
    for rows, length in [(1, longest), (1, min(longest, 1)), (7, longest), (33, (longest + 1) // 2), (3, 0), (0, 1)]:
        batch = random_batch(model.schema, rows, length, seed=rows)
        if rows == 7:
            batch = _astray(batch)
        with torch.no_grad():
            expected = served(model(batch), model.schema.task, temperature).numpy()
        got = exported(batch)[OUTPUTS[model.schema.task]]
        if got.shape != expected.shape or not np.allclose(got, expected, rtol=TOLERANCE, atol=TOLERANCE):
            off = np.abs(got - expected).max() if got.shape == expected.shape else float("nan")
            raise AmeirError(f"The exported file does not give what the model gives: {rows} rows of {length} "
                             f"behaviors are off by {off:.2g}, more than {TOLERANCE:g}. Nothing was written; please "
                             "report it with the architecture.yaml of the model.")


def random_batch(schema: Schema, rows: int, length: int, seed: int) -> Batch:
    """Return random rows with histories padded to ``length``; the first is empty where there is more than one row."""
    rng = torch.Generator().manual_seed(seed)

    def ids(fields: Sequence[Field], *shape: int) -> Tensor:
        columns = [torch.randint(1, schema.vocabularies[f.vocabulary], shape, generator=rng)
                   * (torch.rand(shape, generator=rng) < (0.6 if slot else 1.0))
                   for f in fields for slot in range(f.width)]
        return torch.stack(columns, -1) if columns else torch.zeros(*shape, 0, dtype=torch.int64)

    lengths = torch.randint(0, length + 1, (rows,), generator=rng)
    lengths[-1:] = length
    if rows > 1:
        lengths[0] = 0
    mask = torch.arange(length) < lengths[:, None]
    return Batch(fields=ids(schema.fields, rows), behaviors=ids(schema.behaviors, rows, length) * mask[..., None],
                 mask=mask, dense=torch.rand(rows, len(schema.dense), generator=rng) * 2 - 1, label=torch.zeros(rows))


def _astray(batch: Batch) -> Batch:
    """Return the batch with some ids below 0 and above every vocabulary, and dense values that are not finite."""
    rng, far = torch.Generator().manual_seed(1), torch.iinfo(torch.int64)

    def some(values: Tensor, others: Sequence[float]) -> Tensor:
        drawn = torch.tensor(others, dtype=values.dtype)[torch.randint(len(others), values.shape, generator=rng)]
        return torch.where(torch.rand(values.shape, generator=rng) < 0.3, drawn, values)

    ids = (-1, far.min, 2 ** 31, far.max)
    return replace(batch, fields=some(batch.fields, ids), behaviors=some(batch.behaviors, ids),
                   dense=some(batch.dense, (torch.nan, torch.inf, -torch.inf)))


class OnnxModel:
    """An exported file, run by ONNX Runtime on the CPU.

    Args:
        path: ``model.onnx``.
        threads: for one batch; None: as many as ONNX Runtime takes (one for each core).
        weights: the file beside it that holds the weights of a model over 2 GiB; None: the one named after ``path``.

    Raises:
        AmeirError: the file is not what was exported, or the package is missing.

    Example:
        >>> OnnxModel(Path("model.onnx"), threads=1)(batch)["probability"]  # (B,) numpy
    """

    def __init__(self, path: Path | str, threads: int | None = None, *, weights: Path | None = None) -> None:
        runtime = _package("onnxruntime")
        path = Path(path)
        check_seal(path, path.with_name(f"{path.name}.data") if weights is None else weights)
        options = runtime.SessionOptions()
        options.log_severity_level = 3
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            self.session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors have no common type but this one
            raise AmeirError(f"{path} cannot be read as an ONNX model: {' '.join(str(error).split())[:300]}") from error
        self.inputs = tuple(i.name for i in self.session.get_inputs())
        self.outputs = tuple(o.name for o in self.session.get_outputs())
        self.metadata: dict[str, str] = dict(self.session.get_modelmeta().custom_metadata_map)

    def __call__(self, batch: Batch) -> dict[str, np.ndarray]:
        """Return ``probability`` (B,) for CTR, ``query`` (B, K) for retrieval.

        Raises:
            AmeirError: a history has padding before one of its behaviors, or the batch does not fit the model.
        """
        if "mask" in self.inputs and bool((batch.mask[:, 1:] & ~batch.mask[:, :-1]).any()):
            row = int((batch.mask[:, 1:] & ~batch.mask[:, :-1]).any(1).nonzero()[0])
            raise AmeirError(f"Row {row} of the batch has padding before one of its behaviors. A history's behaviors "
                             "come first, the latest last, and padding behind them.")
        wanted = [name for name in self.outputs if name != ITEMS]
        given = {name: getattr(batch, name).numpy() for name in self.inputs}
        try:
            return dict(zip(wanted, self.session.run(wanted, given), strict=True))
        except Exception as error:  # as above
            raise AmeirError(f"The exported model cannot run on this batch: {' '.join(str(error).split())[:500]}") \
                from error

    def items(self) -> np.ndarray:
        """Return the table (V, K) that queries are compared with; raises ``AmeirError`` for a CTR model."""
        if ITEMS not in self.outputs:
            raise AmeirError("A click-through model has no table of items.")
        return np.asarray(self.session.run([ITEMS], _nothing(self.session))[0])


def _nothing(session: Any) -> dict[str, np.ndarray]:
    """Return inputs of one row without a history: every input must be given, whatever output is wanted."""
    types = {"tensor(int64)": np.int64, "tensor(bool)": np.bool_, "tensor(float)": np.float32}
    return {i.name: np.zeros([d if isinstance(d, int) else 1 for d in i.shape], types[i.type])
            for i in session.get_inputs()}


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise AmeirError(f"ONNX needs the package {name}, which is not installed. Install it with "
                         "`pip install 'ameir-pl[onnx]'`.") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's notes to itself: what matters is checked afterwards."""
    names = ("torch.onnx", "onnxscript", "onnx_ir", "torch._dynamo", "torch.export", "torch.fx", "torch.__trace")
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            for name, level in before.items():
                logging.getLogger(name).setLevel(level)


__all__ = ["ITEMS", "LARGEST", "OUTPUTS", "TOLERANCE", "OnnxModel", "check", "export_onnx", "random_batch", "traced"]
