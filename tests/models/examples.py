"""Small schemas, batches and supernets whose weights are all drawn anew, so that nothing is zero by chance."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TypeVar

import torch
from torch import Tensor, nn

from ameir_pl.batch import Batch
from ameir_pl.models.ameir import Ameir
from ameir_pl.models.capacity import Capacity, aggregation_width
from ameir_pl.nn.dice import Dice
from ameir_pl.nn.embedding import FieldEmbedding
from ameir_pl.nn.operations import names
from ameir_pl.schema import PAD, Field, Schema
from ameir_pl.space.architecture import Architecture, Block, Interaction, MlpLayer, canonical_interactions
from ameir_pl.space.space import BlockSpace, InteractionSpace, MlpSpace

K = 4
LENGTH = 6
LENGTHS = (0, 1, LENGTH, 3, LENGTH, 0, 2, 5, 1, 4, LENGTH, 1, 0, 3, 2, 6)
"""Histories of none, one, T and in between."""
PREDEFINED = (MlpLayer(7), MlpLayer(5))
M = TypeVar("M", bound=nn.Module)


def ctr_schema() -> Schema:
    """All kinds of input: dense, multivalent, targets that share embeddings, a behavior field without a target."""
    return Schema(
        dataset="example", task="ctr",
        fields=(Field("user", "user"), Field("hour", "hour", "context"), Field("item", "item", "target"),
                Field("genres", "genre", "target", width=3), Field("city", "city")),
        behaviors=(Field("h_item", "item"), Field("h_genres", "genre", width=3), Field("h_rating", "rating")),
        dense=("price", "age"), max_len=LENGTH, sessions=True,
        vocabularies={"user": 6, "hour": 4, "item": 9, "genre": 5, "rating": 7, "city": 5})


def no_target_schema() -> Schema:
    """The same, with nothing to compare a behavior with."""
    schema = ctr_schema()
    return replace(schema, fields=tuple(f for f in schema.fields if f.group != "target"))


def retrieval_schema() -> Schema:
    """Items only, as Beauty and Steam."""
    return Schema(dataset="items", task="retrieval", behaviors=(Field("item", "item"),), vocabularies={"item": 20},
                  max_len=LENGTH, item="item", users=30)


def two_fields_schema() -> Schema:
    """The same without numbered users, where a behavior has more than the item."""
    return replace(retrieval_schema(), users=0, behaviors=(Field("kinds", "kind", width=2), Field("item", "item")),
                   vocabularies={"kind": 6, "item": 20})


SCHEMAS = {"target": ctr_schema(), "no target": no_target_schema(), "retrieval": retrieval_schema()}


def make_batch(schema: Schema, lengths: tuple[int, ...] = LENGTHS, seed: int = 0) -> Batch:
    """Random rows as the loaders give them; slots of multivalent fields are partly empty."""
    rng = torch.Generator().manual_seed(seed)
    rows = len(lengths)

    def ids(fields: tuple[Field, ...], *shape: int) -> Tensor:
        columns = [torch.randint(1, schema.vocabularies[f.vocabulary], shape, generator=rng)
                   * ((torch.rand(shape, generator=rng) < 0.6) if slot else 1)
                   for f in fields for slot in range(f.width)]
        return torch.stack(columns, -1) if columns else torch.zeros(*shape, 0, dtype=torch.int64)

    longest = max(*lengths, 1)
    mask = torch.arange(longest) < torch.tensor(lengths)[:, None]
    batch = Batch(fields=ids(schema.fields, rows), behaviors=ids(schema.behaviors, rows, longest) * mask[..., None],
                  mask=mask, dense=torch.rand(rows, len(schema.dense), generator=rng) * 2 - 1,
                  label=(torch.rand(rows, generator=rng) < 0.5).float())
    if schema.task == "retrieval":
        batch.positives = torch.randint(2, 20, (rows, 5), generator=rng)
        batch.negatives = torch.randint(2, 20, (rows, 5), generator=rng)
        batch.users = torch.randint(0, 30, (rows,), generator=rng)
    if schema.sessions:
        batch.starts = mask & ((torch.rand(mask.shape, generator=rng) < 0.4) | (torch.arange(longest) == 0))
    return batch


def randomized(model: M, seed: int = 7) -> M:
    """Draw every weight and running statistic anew; outputs stay of the order of one."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            scale = parameter.shape[1] ** -0.5 if parameter.dim() > 1 else 0.4
            parameter.copy_(torch.randn(parameter.shape, generator=rng) * scale)
        for module in model.modules():
            if isinstance(module, FieldEmbedding):
                module.weight.mul_(2.0)
                module.weight[PAD] = 0.0
            if isinstance(module, Dice):
                module.mean.copy_(torch.randn(module.mean.shape, generator=rng) * 0.5)
                module.variance.copy_(torch.rand(module.variance.shape, generator=rng) + 0.2)
    return model


def block_space(schema: Schema, depth: int = 3) -> BlockSpace:
    return BlockSpace(depth, tuple(names(schema.has_target)))


def block_base(schema: Schema) -> Architecture:
    return Architecture(mlp=PREDEFINED if schema.task == "ctr" else ())


def block_supernet(schema: Schema, depth: int = 3) -> Ameir:
    """The supernet of step 1."""
    capacity = Capacity.of(block_base(schema)).with_blocks(block_space(schema, depth))
    return randomized(Ameir(schema, capacity, embedding_size=K))


def interaction_candidates(schema: Schema) -> tuple[Interaction, ...]:
    """All interactions of two fields, some of three and four."""
    space = InteractionSpace(schema.field_names)
    pairs = space.expand(())
    triples = [i for i in space.expand(pairs) if len(i) == 3]
    fours = [i for i in space.expand(triples) if len(i) == 4]
    return canonical_interactions([*pairs, *triples[:6], *fours[:3]])


def interaction_supernet(schema: Schema) -> Ameir:
    """The supernet of step 2, without the history."""
    capacity = Capacity.of(Architecture(mlp=PREDEFINED), behavior=False)
    return randomized(Ameir(schema, capacity.with_interactions(interaction_candidates(schema)), embedding_size=K))


MLP_BASE = Architecture((Block("conv3", "swish", "layer_norm"), Block("zero"), Block("target_attention", "relu")),
                        (("item", "user"), ("city", "genres", "hour")))


def mlp_space(schema: Schema, depth: int = 3) -> MlpSpace:
    return MlpSpace(depth, aggregation_width(schema, K, MLP_BASE.interactions))


def mlp_supernet(schema: Schema, depth: int = 3) -> Ameir:
    """The supernet of step 3, with the SE shortcut."""
    return randomized(Ameir(schema, Capacity.of(MLP_BASE).with_mlp(mlp_space(schema, depth)), embedding_size=K))


def draws(kind: str, number: int, seed: int = 0) -> tuple[Ameir, list[Architecture], Batch]:
    """A supernet (``target``, ``no target`` and ``retrieval`` blocks, ``interactions`` or ``mlp``), architectures
    drawn from its space, and rows."""
    rng = Random(f"{kind}/{seed}")
    schema = SCHEMAS.get(kind, ctr_schema())
    batch = make_batch(schema, seed=seed)
    if kind == "interactions":
        candidates = interaction_candidates(schema)
        chosen = [Architecture(interactions=tuple(rng.sample(candidates, rng.randint(1, 5))), mlp=PREDEFINED)
                  for _ in range(number)]
        return interaction_supernet(schema), chosen, batch
    if kind == "mlp":
        mlps = mlp_space(schema)
        return mlp_supernet(schema), [replace(MLP_BASE, mlp=mlps.sample(rng)) for _ in range(number)], batch
    blocks, base = block_space(schema), block_base(schema)
    return block_supernet(schema), [replace(base, blocks=blocks.sample(rng)) for _ in range(number)], batch


KINDS = (*SCHEMAS, "interactions", "mlp")
