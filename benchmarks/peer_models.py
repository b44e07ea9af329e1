"""Training speed of published implementations on the same encoded rows as ours.

From outside, :func:`deepctr` and :func:`recbole` write the rows down as arrays and start this file again in the peer's
own environment (``make benchmark-peers``). There nothing of ameir_pl is imported, and a model is trained by its own
``fit``, as its users train it. The time of each optimizer step is noted: what is measured lies between two of them,
with the peer's loading of data, losses and regularization, without its set-up and its first :data:`WARM` batches.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.children import PEERS, PEERS_RECBOLE, ROOT

WARM = 5
"""Batches before the clock starts."""
ATTENTION = 36
"""Units of DIN's local activation unit (Zhou et al. 2018, Fig. 2)."""


# Here: in our environment.


def deepctr(shape: str, folder: Path, batches: int, others: bool = True) -> dict[str, Any]:
    """Train DeepCTR-Torch's DeepFM on the shape ``criteo``, or its DIN on ``alimama``.

    Args:
        shape: a name in :data:`benchmarks.shapes.SHAPES`.
        folder: where files are generated and encoded, and kept for the next time.
        batches: to measure.
        others: measure the other ways of training it too.

    Returns:
        ``peer``, ``samples_per_second``, ``seconds`` of ``batches`` batches of ``batch``, ``cpu_seconds`` (what the
        process itself used: with one thread on a busy machine the steadier figure); ``metrics``: the same three with
        the log loss that it computes at every step unless fit is silent; ``peak_mb``, ``threads`` and ``torch``.
    """
    model = {"criteo": "deepfm", "alimama": "din"}[shape]
    place = folder.resolve() / f"peer-{shape}"
    encoded, settings = _encoded(shape, folder)
    if _outdated(place, settings):
        import numpy as np

        batch = encoded.gather(np.arange(len(encoded.splits["train"])))
        arrays = {"fields": batch.fields.numpy().astype(np.int32), "dense": batch.dense.numpy(),
                  "label": batch.label.numpy()}
        if settings["behaviors"]:
            ids = np.zeros((len(batch), settings["max_len"], len(settings["behaviors"])), np.int32)
            ids[:, :batch.behaviors.shape[1]] = batch.behaviors.numpy()
            arrays |= {"behaviors": ids, "lengths": batch.mask.numpy().sum(1).astype(np.int32)}
        for name, array in arrays.items():
            np.save(place / f"{name}.npy", array, allow_pickle=False)
        _written(place, settings)
    plain = _child(PEERS, model, place, batches, "silent")
    return {**plain, "metrics": _speed(_child(PEERS, model, place, batches, "metrics"))} if others else plain


def recbole(folder: Path, batches: int, others: bool = True) -> dict[str, Any]:
    """Train RecBole's SASRec on the shape ``beauty``: a sample is a user's history before one item, and that item.

    Args:
        folder: where files are generated and encoded, and kept for the next time.
        batches: to measure.
        others: measure the other ways of training it too.

    Returns:
        As :func:`deepctr`, of BPR with one negative a sample. ``as_shipped`` is BPR with PyTorch's anomaly detection,
        which importing its models turns on for the whole process (a line of its SINE) and which is off in the others;
        ``ce`` is the softmax over all items.
    """
    place = folder.resolve() / "peer-beauty"
    encoded, settings = _encoded("beauty", folder)
    if _outdated(place, settings):
        columns, users = encoded.columns, encoded.splits["test"]  # one row a user, whose items are begin:stop
        with (place / "beauty.inter").open("w") as file:
            file.write("user_id:token\titem_id:token\ttimestamp:float\n")
            for user, (begin, stop) in enumerate(zip(columns["begin"][users.start:].tolist(),
                                                     columns["stop"][users.start:].tolist(), strict=True)):
                file.writelines(f"{user}\t{item}\t{at}\n" for at, item in
                                enumerate(columns["values"][begin:stop, 0].tolist()))
        _written(place, settings)
    def run(how: str) -> dict[str, Any]:
        return _child(PEERS_RECBOLE, "sasrec", place, batches, how)

    bpr = run("BPR")
    return {**bpr, "as_shipped": _speed(run("BPR-shipped")), "ce": _speed(run("CE"))} if others else bpr


def _encoded(shape: str, folder: Path) -> tuple[Any, dict[str, Any]]:
    """Return a shape's encoded rows, and what a peer's model must know of them and of conf/dataset."""
    from ameir_pl.cli.compose import load_config
    from ameir_pl.cli.setup import make_dataset
    from benchmarks.prepare import generated
    from benchmarks.shapes import SHAPES

    folder.mkdir(parents=True, exist_ok=True)
    name = SHAPES[shape].dataset
    source = generated(folder, name, SHAPES[shape].rows)
    config, _ = load_config("train", [f"dataset={name}", f"dataset.source={source}", f"paths.data={folder}",
                                      "logger=csv", "recipe=paper"])
    encoded = make_dataset(config).prepare()
    schema, model, train = encoded.schema, config.dataset.model, config.dataset.train
    return encoded, {
        "fingerprint": encoded.fingerprint, "vocabularies": schema.vocabularies,
        "fields": [[f.name, f.vocabulary] for f in schema.fields], "dense": list(schema.dense),
        "behaviors": [[f.name, f.vocabulary] for f in schema.behaviors], "max_len": schema.max_len,
        "size": model.embedding_size, "mlp": list(model.mlp), "dropout": model.block_dropout,
        "batch": train.batch_size, "learning_rate": train.learning_rate, "l2": train.weight_decay}


def _speed(measured: dict[str, Any]) -> dict[str, Any]:
    return {key: measured[key] for key in ("samples_per_second", "seconds", "cpu_seconds")}


def _outdated(place: Path, settings: dict[str, Any]) -> bool:
    place.mkdir(parents=True, exist_ok=True)
    file = place / "settings.json"
    return not file.exists() or json.loads(file.read_text()) != json.loads(json.dumps(settings))


def _written(place: Path, settings: dict[str, Any]) -> None:
    (place / "settings.json").write_text(json.dumps(settings))  # last: without it the arrays are written again


def _child(python: Path, model: str, place: Path, batches: int, how: str) -> dict[str, Any]:
    """Run this file in a peer's environment; what the peer writes (logs, checkpoints) is thrown away."""
    import torch

    if not python.exists():
        raise SystemExit(f"{python} is missing: run `make benchmark-peers` once.")
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run([str(python), "-m", "benchmarks.peer_models", model, str(place), str(batches), how,
                               str(torch.get_num_threads())], capture_output=True, text=True, cwd=scratch, check=False,
                              env={**os.environ, "PYTHONPATH": str(ROOT)})
    if done.returncode:
        raise SystemExit(f"{model} failed in {python}:\n{done.stderr[-3000:]}")
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


# There: in the peer's environment, without ameir_pl.


class Enough(Exception):
    """All batches were measured; it leaves the peer's training loop."""


class Clock:
    """Notes when each step of an optimizer ends.

    Args:
        optimizer: the peer's.
        batches: to measure, after :data:`WARM`.
    """

    def __init__(self, optimizer: Any, batches: int) -> None:
        self.batches = batches
        self.ends: list[tuple[float, float]] = []
        optimizer.register_step_post_hook(self.step)

    def step(self, *_: Any) -> None:
        self.ends.append((time.perf_counter(), time.process_time()))
        if len(self.ends) == WARM + self.batches:
            raise Enough

    def measured(self, train: Callable[[], Any]) -> tuple[float, float]:
        """Return the seconds, and the processor's, of the measured batches of ``train()``."""
        try:
            train()
        except Enough:
            last, first = self.ends[-1], self.ends[WARM - 1]
            return last[0] - first[0], last[1] - first[1]
        raise SystemExit(f"training ended after {len(self.ends)} batches, before {WARM + self.batches}")


def deepctr_columns(settings: dict[str, Any]) -> list[Any]:
    """Return DeepCTR-Torch's description of the fields, those it calls hist_NAME for the behaviors."""
    from deepctr_torch.inputs import DenseFeat, SparseFeat, VarLenSparseFeat

    size = settings["size"]
    sparse = [SparseFeat(name, settings["vocabularies"][vocabulary], embedding_dim=size, embedding_name=vocabulary)
              for name, vocabulary in settings["fields"]]
    history = [VarLenSparseFeat(SparseFeat(f"hist_{name}", settings["vocabularies"][vocabulary], embedding_dim=size,
                                           embedding_name=vocabulary), settings["max_len"], length_name="length")
               for name, vocabulary in settings["behaviors"]]
    return [*sparse, *history, *(DenseFeat(name) for name in settings["dense"])]


def deepctr_inputs(settings: dict[str, Any], arrays: dict[str, Any]) -> dict[str, Any]:
    """Return the arrays by the names of :func:`deepctr_columns`."""
    x = {name: arrays["fields"][:, i] for i, (name, _) in enumerate(settings["fields"])}
    x |= {f"hist_{name}": arrays["behaviors"][:, :, i] for i, (name, _) in enumerate(settings["behaviors"])}
    if settings["behaviors"]:
        x["length"] = arrays["lengths"]
    return x | {name: arrays["dense"][:, i] for i, name in enumerate(settings["dense"])}


def deepctr_model(model: str, settings: dict[str, Any], task: str = "binary") -> Any:
    """Return DeepCTR-Torch's model of our name, as published and with ``options`` of ours where ``settings`` has any.

    Its DIN has 36 units and PReLU, no softmax, Dice in the MLP; its CIN no activation and all maps in every layer.
    """
    from deepctr_torch import models
    from deepctr_torch.inputs import DenseFeat
    from deepctr_torch.layers.activation import Dice
    from torch import nn

    columns, mlp, l2, options = deepctr_columns(settings), settings["mlp"], settings["l2"], settings.get("options", {})
    given = {"l2_reg_embedding": l2, "task": task}
    both = {"linear_feature_columns": columns, "dnn_feature_columns": columns, "l2_reg_linear": l2, **given}
    bare = {"linear_feature_columns": [], "dnn_feature_columns": columns, **given}  # the papers have no linear model
    deep = {"dnn_hidden_units": mlp, "l2_reg_dnn": l2}
    if model == "din":
        made = models.DIN(columns, [name for name, _ in settings["behaviors"]], att_hidden_size=(ATTENTION,),
                          att_activation="prelu", **deep, **given)
        # Its DIN cannot be asked for Dice here: it would make the one for sequences, which refuses (B, units).
        made.dnn.activation_layers = nn.ModuleList([Dice(units, dim=2) for units in mlp])
        return made
    if model == "xdeepfm":
        made = models.xDeepFM(**both, **deep, cin_layer_size=options["cin"], cin_split_half=False,
                              cin_activation="linear", l2_reg_cin=l2)
        for layer in made.cin.conv1ds:
            nn.init.zeros_(layer.bias)
        return made
    if model == "afm":
        fields = [column for column in columns if not isinstance(column, DenseFeat)]  # it takes no dense ones here
        return models.AFM(**{**both, "dnn_feature_columns": fields}, attention_factor=settings["size"], l2_reg_att=l2)
    makes: dict[str, Callable[[], Any]] = {
        "deepfm": lambda: models.DeepFM(**both, **deep),
        "fm": lambda: models.DeepFM(**both, dnn_hidden_units=()),
        "wide_deep": lambda: models.WDL(**both, **deep),
        "ipnn": lambda: models.PNN(columns, **deep, **given),
        "dcn": lambda: models.DCN(**bare, **deep, cross_num=options["layers"], l2_reg_linear=l2, l2_reg_cross=l2),
        "dcnv2": lambda: models.DCN(**bare, **deep, cross_num=options["layers"], l2_reg_linear=l2, l2_reg_cross=l2,
                                    cross_parameterization="matrix"),
        "fibinet": lambda: models.FiBiNET(**both, **deep, bilinear_type=options["bilinear"],
                                          reduction_ratio=options["reduction"]),
        "nfm": lambda: models.NFM(**both, **deep),
        "autoint": lambda: models.AutoInt(**bare, **deep, att_layer_num=options["layers"],
                                          att_head_num=options["heads"]),
    }
    return makes[model]()


def train_deepctr(model: str, place: Path, batches: int, how: str) -> tuple[tuple[float, float], str]:
    """Return what the clock measured of ``model.fit``, and whose it is; ``how`` is ``silent`` or ``metrics``."""
    from importlib.metadata import version

    import numpy as np

    settings = json.loads((place / "settings.json").read_text())
    arrays = {f.stem: np.load(f, allow_pickle=False) for f in place.glob("*.npy")}
    made = deepctr_model(model, settings)
    made.compile("adam", "binary_crossentropy", metrics=["binary_crossentropy"])  # "adam": 1e-3
    if made.optim.defaults["lr"] != settings["learning_rate"]:
        raise SystemExit(f"its Adam has the rate {made.optim.defaults['lr']}, ours {settings['learning_rate']}")
    epochs = 1 + (WARM + batches) * settings["batch"] // len(arrays["label"])
    seconds = Clock(made.optim, batches).measured(lambda: made.fit(
        deepctr_inputs(settings, arrays), arrays["label"], batch_size=settings["batch"], epochs=epochs + 1,
        verbose=2 if how == "metrics" else 0))
    name = {"deepfm": "DeepFM", "din": "DIN"}[model]
    return seconds, f"DeepCTR-Torch {version('deepctr-torch')} {name}"


def train_recbole(model: str, place: Path, batches: int, how: str) -> tuple[tuple[float, float], str]:
    """Return what the clock measured of ``Trainer.fit``, and whose it is; ``how`` is BPR, BPR-shipped or CE."""
    from importlib.metadata import version

    import torch
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_model, get_trainer, init_seed

    settings = json.loads((place / "settings.json").read_text())
    loss = how.removesuffix("-shipped")
    # RecBole looks for DATA_PATH/NAME/NAME.inter.
    (Path.cwd() / "beauty").symlink_to(place)
    config = Config(model="SASRec", dataset="beauty", config_dict={
        "data_path": str(Path.cwd()), "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
        "MAX_ITEM_LIST_LENGTH": settings["max_len"], "hidden_size": settings["size"], "inner_size": settings["size"],
        "n_layers": 2, "n_heads": 2, "hidden_dropout_prob": settings["dropout"],
        "attn_dropout_prob": settings["dropout"], "loss_type": loss, "train_batch_size": settings["batch"],
        "learning_rate": settings["learning_rate"], "weight_decay": settings["l2"], "epochs": 1000,
        "train_neg_sample_args": {"distribution": "uniform", "sample_num": 1} if loss == "BPR" else None,
        "use_gpu": False, "show_progress": False})
    init_seed(config["seed"], config["reproducibility"])
    train, _, _ = data_preparation(config, create_dataset(config))
    made = get_model("SASRec")(config, train.dataset)
    torch.autograd.set_detect_anomaly(how != loss)  # importing the models turned it on
    trainer = get_trainer(config["MODEL_TYPE"], "SASRec")(config, made)
    seconds = Clock(trainer.optimizer, batches).measured(lambda: trainer.fit(train, saved=False))
    return seconds, f"RecBole {version('recbole')} SASRec"


def main() -> None:
    """Train one model of this environment and print what was measured as a line of JSON."""
    import torch

    model, place, batches, how, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    train = train_recbole if model == "sasrec" else train_deepctr
    (seconds, processor), peer = train(model, Path(place), int(batches), how)
    batch = json.loads((Path(place) / "settings.json").read_text())["batch"]
    print("\n" + json.dumps({"peer": peer, "how": how, "samples_per_second": int(batches) * batch / seconds,
                             "seconds": seconds, "cpu_seconds": processor, "batch": batch, "batches": int(batches),
                             "threads": int(threads), "torch": torch.__version__,
                             "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000}))


if __name__ == "__main__":
    main()
