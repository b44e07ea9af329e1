"""The same weights give the same numbers: our next-item models against RecBole's.

Weights drawn here are carried over to its models (``make benchmark-peers`` once). Compared are the query vectors of
random histories and the gradients of every weight. What RecBole has otherwise is in :data:`ALLOWED`; where a part of
its network is not in the paper, it is set to do nothing, or taken out by hand.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.children import PEERS_RECBOLE
from benchmarks.exchange import answer, ask, asked, carry

ROWS, VOCABULARY, SIZE, LONGEST, USERS = 256, 200, 16, 15, 50
EPSILON = 1e-5
"""Of our layer normalizations."""
WHOLE = ("nextitnet", "caser", "sasrec", "bert4rec")
"""RecBole's pads behind the history and reads the last place, or counts positions from the front: rows of full length
only."""
OPTIONS: dict[str, dict[str, Any]] = {
    "gru4rec_plus": {}, "narm": {"local": LONGEST}, "stamp": {}, "nextitnet": {}, "caser": {"length": 5}, "srgnn": {},
    "sasrec": {"heads": 2}, "bert4rec": {}}
BIAS = "biases that the paper's equations do not have; carried as 0"
PLACES = "positions counted from the front, ours from the end; the table turned over, rows of full length"
ALLOWED = {
    "gru4rec_plus": ["no biases in the GRU; ours are 0", "other losses; compared is the network"],
    "narm": ["one GRU for the global and the local encoder, which reads all items; ours carry the same weights and "
             "`local` is the whole length, the gradients of the two are added", "no biases in the GRU; ours are 0"],
    "stamp": ["the mean added to m_a, which the paper's sum has not; taken off by hand"],
    "nextitnet": ["residual blocks of two convolutions; the second taken out by hand (AMEIR paper, Appendix C.2: five "
                  "dilated layers)", "a linear layer behind the blocks; carried as 1 and 0"],
    "caser": ["a linear layer and a ReLU on [z, P_u], where ours adds the two; carried as [1, 1] with P_u above 0",
              f"{BIAS} in the vertical filters"],
    "srgnn": ["tanh(W a + r * (U v)), where the paper's Eq. 4 has U (r * v); carried as a diagonal U, where the two "
              "are one, and only the diagonal's gradient compared",
              "an edge counts once, however often it comes; rows with such edges are left out", BIAS],
    "sasrec": ["normalization after each sum and of the input, the paper's (and ours) before each sublayer; compared "
               "with all of them taken out", "a linear layer behind the heads; carried as 1", PLACES, BIAS],
    "bert4rec": ["normalization of the input and of the output, which the paper does not have; taken out by hand",
                 PLACES, f"{BIAS} of queries, keys and values"]}
"""Where the definitions differ, and what was done about it."""


def compare(name: str) -> dict[str, tuple[float, float]]:
    """Return for queries and gradients their largest value and the largest difference."""
    from ameir_pl.baselines import build_baseline
    from ameir_pl.baselines.base import options_of
    from ameir_pl.batch import Batch
    from ameir_pl.schema import Field, Schema
    from benchmarks.parity import draw_weights

    longest = OPTIONS[name].get("length", LONGEST)
    schema = Schema(dataset="beauty", task="retrieval", behaviors=(Field("item", "item"),), item="item",
                    vocabularies={"item": VOCABULARY}, max_len=longest, users=USERS)
    model = build_baseline(name, schema, embedding_size=SIZE, mlp=[], dropout=0.0, options=OPTIONS[name])
    draw_weights(model)
    prepare(name, model)
    arrays = random_rows(name, longest)
    ids, lengths = torch.from_numpy(arrays["ids"]), torch.from_numpy(arrays["lengths"])
    batch = Batch(behaviors=ids.unsqueeze(-1), mask=torch.arange(longest) < lengths[:, None],
                  users=torch.from_numpy(arrays["users"]), label=torch.zeros(len(ids)))
    query = model(batch)
    query.square().mean().backward()
    gradients = {key: p.grad for key, p in model.named_parameters() if p.grad is not None}
    ours = carried(name, gradients, added=True)
    settings = {"units": SIZE, "vertical": 0, "horizontal": 0, "dilations": [], **options_of(name), "longest": longest}
    theirs = ask(PEERS_RECBOLE, __name__, name, settings, arrays, carried(name, model.state_dict()) | constants(name))
    if name == "srgnn":
        for side in (ours, theirs):
            side["gnn.w_hh"][2 * SIZE:] *= torch.eye(SIZE)
    return {"queries": _pair([(query.detach(), theirs["query"])]),
            "gradients": _pair([(ours[key], theirs[key]) for key in ours])}


def _pair(values: list[tuple[Tensor, Tensor]]) -> tuple[float, float]:
    return (max(float(a.abs().max()) for a, _ in values), max(float((a - b).abs().max()) for a, b in values))


def prepare(name: str, model: Any) -> None:
    """Bring drawn weights to where both definitions are one; see :data:`ALLOWED`."""
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if "gru." in key and "bias" in key:
                parameter.zero_()
        if name == "narm":
            model.local_gru.load_state_dict(model.global_gru.state_dict())
        if name == "caser":
            model.users.abs_()
        if name == "srgnn":
            model.step.of_node.weight.mul_(torch.eye(SIZE))
    if name == "sasrec":
        for block in model.blocks:
            block.attention_norm, block.ffn_norm = nn.Identity(), nn.Identity()


def random_rows(name: str, longest: int) -> dict[str, np.ndarray]:
    """Return random histories, their lengths and users; no edge comes twice in a history."""
    rng = np.random.default_rng(1)
    ids = rng.integers(1, VOCABULARY, (ROWS, longest))
    if name == "srgnn":  # few items, that come again
        ids = np.stack([rng.permutation(longest) // 2 for _ in range(ROWS)]) + 5 * rng.integers(1, 30, (ROWS, 1))
    lengths = np.full(ROWS, longest) if name in WHOLE else rng.integers(1, longest + 1, ROWS)
    ids[np.arange(longest) >= lengths[:, None]] = 0
    edges = [list(zip(row[:n], row[1:n], strict=False)) for row, n in zip(ids.tolist(), lengths, strict=True)]
    kept = np.array([len(set(pairs)) == len(pairs) for pairs in edges])
    return {"ids": ids[kept], "lengths": lengths[kept], "users": rng.integers(0, USERS, ROWS)[kept]}


def carried(name: str, values: Mapping[str, Tensor], added: bool = False) -> dict[str, Tensor]:
    """Give our weights, or their gradients, RecBole's names and order; ``added`` for gradients of tied weights."""
    found = {"item_embedding.weight": values["embedding.weight"]}

    def move(**names: str) -> None:
        for theirs, ours in names.items():
            for kind in ("weight", "bias"):
                if f"{ours}.{kind}" in values:
                    found[f"{theirs.replace('__', '.')}.{kind}"] = values[f"{ours}.{kind}"]

    def halves(key: str, first: int) -> Tensor:
        return torch.cat([values[key][:, first:], values[key][:, :first]], 1)

    def attention(ours: str, theirs: str) -> None:
        for part, weight in zip(("query", "key", "value"), values[f"{ours}.query_key_value.weight"].chunk(3),
                                strict=True):
            found[f"{theirs}.{part}.weight"] = weight

    if name == "gru4rec_plus":
        found |= {f"gru_layers.{key}": values[f"gru.{key}"] for key in ("weight_ih_l0", "weight_hh_l0")}
        move(dense="output")
    if name == "narm":
        for key in ("weight_ih_l0", "weight_hh_l0"):
            found[f"gru.{key}"] = values[f"global_gru.{key}"] + (values[f"local_gru.{key}"] if added else 0)
        move(a_1="of_each", a_2="of_last", v_t="weight")
        found["b.weight"] = halves("decoder.weight", values["decoder.weight"].shape[1] // 2)
    if name == "stamp":
        move(w1="of_each", w2="of_last", w3="of_mean", w0="weight", mlp_a="general", mlp_b="current")
        found["b_a"] = found.pop("w1.bias")
    if name == "nextitnet":
        for i in range(5):
            move(**{f"residual_blocks__{i}__conv1": f"layers.{i}.conv", f"residual_blocks__{i}__ln1":
                    f"layers.{i}.norm"})
            key = f"residual_blocks.{i}.conv1.weight"
            found[key] = found[key].unflatten(1, (3, SIZE)).transpose(1, 2).unsqueeze(2)
    if name == "caser":
        found["conv_v.weight"] = values["vertical.weight"][:, None, :, None]
        for i in range(5):
            move(**{f"conv_h__{i}": f"horizontal.{i}"})
            found[f"conv_h.{i}.weight"] = found[f"conv_h.{i}.weight"].unflatten(1, (i + 1, SIZE)).unsqueeze(1)
        found["fc1.weight"], found["fc1.bias"] = halves("output.weight", 2 * 5), values["output.bias"]
        found["user_embedding.weight"] = torch.cat([torch.zeros(1, SIZE), values["users"]])
    if name == "srgnn":
        move(gnn__linear_edge_in="step.incoming", gnn__linear_edge_out="step.outgoing", linear_one="of_last",
             linear_two="of_each", linear_three="weight")
        found["gnn.b_iah"], found["gnn.b_ioh"] = values["step.bias"].chunk(2)
        (z, r, n), (u_z, u_r) = values["step.of_edges.weight"].chunk(3), values["step.of_gates.weight"].chunk(2)
        found["gnn.w_ih"] = torch.cat([r, z, n])
        found["gnn.w_hh"] = torch.cat([u_r, u_z, values["step.of_node.weight"]])
        found["linear_transform.weight"] = halves("output.weight", SIZE)
    if name in ("sasrec", "bert4rec"):
        found["position_embedding.weight"] = values["positions.weight"].flip(0)
        for i in range(2):
            ours, theirs = f"{'blocks' if name == 'sasrec' else 'layers'}.{i}", f"trm_encoder.layer.{i}"
            attention(f"{ours}.attention", f"{theirs}.multi_head_attention")
            of_attention, of_ffn = (f"trm_encoder__layer__{i}__{part}" for part in ("multi_head_attention",
                                                                                     "feed_forward"))
            move(**{f"{of_attention}__dense": f"{ours}.mixed", f"{of_attention}__LayerNorm": f"{ours}.attention_norm",
                    f"{of_ffn}__dense_1": f"{ours}.ffn.0", f"{of_ffn}__dense_2": f"{ours}.ffn.2",
                    f"{of_ffn}__LayerNorm": f"{ours}.ffn_norm"})
    if name == "bert4rec":
        found["item_embedding.weight"] = torch.cat([values["embedding.weight"], values["masked"][None]])
        move(output_ffn="output")
    return found


def constants(name: str) -> dict[str, Tensor]:
    """Return what RecBole's model has and ours has not; biases are 0 there."""
    one = torch.eye(SIZE)
    return {"nextitnet": {"final_layer.weight": one}, "caser": {"fc2.weight": torch.cat([one, one], 1)},
            "sasrec": {f"trm_encoder.layer.{i}.multi_head_attention.dense.weight": one for i in range(2)}
            }.get(name, {})


# There: in RecBole's environment, without ameir_pl.


class Settings(dict):  # type: ignore[type-arg]
    """A configuration, None where nothing is said."""

    def __missing__(self, key: str) -> None:
        return None


class Counts:
    """What a model asks a dataset for."""

    user_num = USERS + 1

    def num(self, field: str) -> int:
        return VOCABULARY


class OneConvolution(nn.Module):
    """NextItNet's residual block (b) up to its first convolution."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.conv1, self.ln1, self.pad, self.dilation = block.conv1, block.ln1, block.conv_pad, block.dilation
        self.ln1.eps = EPSILON

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.ln1(self.conv1(self.pad(x, self.dilation)).squeeze(2).permute(0, 2, 1))) + x


def recbole_model(name: str, settings: dict[str, Any]) -> Any:
    """Return RecBole's model with our sizes, without dropout; what :data:`ALLOWED` says is taken out."""
    import recbole.model.sequential_recommender as models

    torch.autograd.set_detect_anomaly(False)  # importing the models turned it on
    made = getattr(models, {"gru4rec_plus": "GRU4Rec", "narm": "NARM", "stamp": "STAMP", "nextitnet": "NextItNet",
                            "caser": "Caser", "srgnn": "SRGNN", "sasrec": "SASRec", "bert4rec": "BERT4Rec"}[name])(
        Settings(USER_ID_FIELD="user", ITEM_ID_FIELD="item", LIST_SUFFIX="_list", ITEM_LIST_LENGTH_FIELD="length",
                 NEG_PREFIX="neg_", MAX_ITEM_LIST_LENGTH=settings["longest"] + (name == "bert4rec"), device="cpu",
                 embedding_size=SIZE, hidden_size=settings["units"],
                 inner_size=SIZE if name == "sasrec" else 4 * SIZE, n_layers=1 if name == "narm" else 2, num_layers=1,
                 n_heads=2 if name == "sasrec" else 4, hidden_dropout_prob=0.0, attn_dropout_prob=0.0,
                 dropout_prob=0.0, dropout_probs=[0.0, 0.0], layer_norm_eps=EPSILON, initializer_range=0.02,
                 hidden_act="relu" if name == "sasrec" else "gelu", loss_type="CE", mask_ratio=0.2, step=1,
                 block_num=1, dilations=settings["dilations"], kernel_size=3, reg_weight=0.0,
                 nv=settings["vertical"], nh=settings["horizontal"]), Counts())
    if name == "stamp":
        with_mean = made.count_alpha
        made.count_alpha = lambda memory, latest, mean: with_mean(memory, latest, mean) - 1 / made.lengths
    if name == "nextitnet":
        made.residual_blocks = nn.Sequential(*map(OneConvolution, made.residual_blocks))
    if name in ("sasrec", "bert4rec"):
        made.LayerNorm = made.output_ln = nn.Identity()
    if name == "sasrec":
        for layer in made.trm_encoder.layer:
            layer.multi_head_attention.LayerNorm = layer.feed_forward.LayerNorm = nn.Identity()
    return made


def there(name: str, folder: Path) -> None:
    """In RecBole's environment: put the weights in, and write queries and gradients down."""
    settings, rows, weights = asked(folder)
    ids, lengths, users = rows["ids"], rows["lengths"], rows["users"]
    made = recbole_model(name, settings)
    missing = carry(made, weights, ("bias", "b_ih", "b_hh"))
    with torch.no_grad():
        for key in missing:
            made.get_parameter(key).zero_()
    if name == "stamp":
        made.lengths = lengths[:, None].float()
    if name == "bert4rec":
        query = made(torch.cat([ids, torch.full((len(ids), 1), VOCABULARY)], 1))[:, -1]
    elif name == "caser":
        query = made(users + 1, ids)
    else:
        query = made(ids) if name == "nextitnet" else made(ids, lengths)
    query.square().mean().backward()
    found = {key: p.grad for key, p in made.named_parameters() if p.grad is not None} | {"query": query.detach()}
    answer(folder, found)


if __name__ == "__main__":
    there(sys.argv[1], Path(sys.argv[2]))
