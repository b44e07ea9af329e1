"""A derived model gives what its supernet gives; weights land where they belong; parameters are counted right."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ameir_pl.errors import AmeirError
from ameir_pl.models.ameir import Ameir, Derived
from ameir_pl.models.capacity import Capacity
from ameir_pl.models.cost import network_parameters, trainable_parameters
from ameir_pl.models.derive import derive, inherit, inherit_interactions
from ameir_pl.space.architecture import Architecture, Block, MlpLayer

from .examples import (
    KINDS,
    MLP_BASE,
    PREDEFINED,
    K,
    block_supernet,
    ctr_schema,
    draws,
    interaction_supernet,
    make_batch,
    mlp_space,
    mlp_supernet,
    randomized,
)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_supernet_equals_derived_model(kind: str) -> None:
    supernet, architectures, batch = draws(kind, 50)
    supernet.eval()
    outputs = []
    for architecture in architectures:
        child = derive(supernet, architecture)
        assert not child.training and child.architecture == architecture
        outputs.append(supernet(batch, architecture))
        torch.testing.assert_close(child(batch), outputs[-1], atol=1e-6, rtol=1e-6)
        torch.testing.assert_close(child(batch), supernet.predict(supernet.embed(batch), architecture), atol=1e-6,
                                   rtol=1e-6)
    assert all(o.isfinite().all() and o.std() > 1e-2 for o in outputs)
    distinct = torch.unique(torch.stack(outputs).flatten(1), dim=0)
    assert len(distinct) == len(set(architectures)) > 40, "each architecture computes something else"


def test_the_draws_cover_their_choices() -> None:
    for kind in ("target", "no target", "retrieval"):
        supernet, architectures, _ = draws(kind, 50)
        for held, blocks in zip(supernet.capacity.blocks, zip(*(a.blocks for a in architectures), strict=True),
                                strict=True):
            assert {b.layer for b in blocks} == set(held)
    _, architectures, _ = draws("interactions", 50)
    assert {len(a.interactions) for a in architectures} == {1, 2, 3, 4, 5}
    assert {len(i) for a in architectures for i in a.interactions} == {2, 3, 4}
    _, architectures, _ = draws("mlp", 50)
    assert {h.activation for a in architectures for h in a.mlp} == {"relu", "swish", "identity", "dice"}
    assert len({h.units for a in architectures for h in a.mlp}) == 10


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_are_those_of_the_derived_model(kind: str) -> None:
    supernet, architectures, _ = draws(kind, 50, seed=1)
    for architecture in architectures:
        network, embedding = trainable_parameters(derive(supernet, architecture))
        assert network_parameters(supernet, architecture) == network
        assert embedding == supernet.embedding.weight.numel()


def columns(model: Ameir) -> dict[str, range]:
    """Where each part of h0 = [h_a, e_b, p_b, dense] is, counted by hand for the example schema."""
    places, start = {}, 0
    parts = [("history", 3 * 3 * K)] if model.capacity.behavior else []
    parts += [(f, K) for f in ("user", "hour", "item", "genres", "city")]
    parts += [(" x ".join(i), K) for i in model.capacity.interactions]
    for name, width in [*parts, ("dense", 2)]:
        places[name] = range(start, start + width)
        start += width
    return places


def test_first_layer_columns_follow_what_they_read() -> None:
    source, into = interaction_supernet(ctr_schema()), randomized(Derived(
        ctr_schema(), Architecture((Block("conv1"),), (("genres", "item"), ("city", "hour", "user")), PREDEFINED),
        embedding_size=K), seed=8)
    before = into.mlp.first.weight.detach().clone()
    fresh = inherit(into, source)
    here, there = columns(into), columns(source)
    assert "genres x item" in there and "city x hour x user" in there
    for name, place in here.items():
        if name == "history":
            assert torch.equal(into.mlp.first.weight[:, place], before[:, place])
        else:
            assert torch.equal(into.mlp.first.weight[:, place], source.mlp.first.weight[:, there[name]]), name
    expected = {n for n in into.state_dict() if n.startswith(("history.", "blocks.", "pooling.", "shortcut."))}
    assert set(fresh) == expected | {"head.weight_shortcut"}
    assert torch.equal(into.embedding.weight, source.embedding.weight)
    assert torch.equal(into.head.weight_mlp, source.head.weight_mlp)


def test_inherit_interactions_copies_only_their_columns() -> None:
    source = interaction_supernet(ctr_schema())
    into = randomized(Derived(ctr_schema(), Architecture((Block("bigru"),), (("genres", "item"), ("hour", "user")),
                                                         PREDEFINED), embedding_size=K), seed=8)
    before = {n: t.clone() for n, t in into.state_dict().items()}
    inherit_interactions(into, source)
    here, there = columns(into), columns(source)
    for name, tensor in into.state_dict().items():
        if name != "mlp.linears.0.weight":
            assert torch.equal(tensor, before[name]), name
    weight = into.mlp.first.weight
    for name, place in here.items():
        given = source.mlp.first.weight[:, there[name]] if " x " in name else before["mlp.linears.0.weight"][:, place]
        assert torch.equal(weight[:, place], given), name


def test_elastic_slices_are_the_leading_part() -> None:
    schema = ctr_schema()
    supernet = mlp_supernet(schema)
    width = mlp_space(schema).width
    units = (width * 7 // 10, width * 5 // 10, width * 2 // 10)
    child = derive(supernet, replace(MLP_BASE, mlp=tuple(MlpLayer(u, a) for u, a in
                                                         zip(units, ("dice", "relu", "dice"), strict=True))))
    big, small = supernet.state_dict(), child.state_dict()
    inputs = (width, *units[:-1])
    for i, (u, n) in enumerate(zip(units, inputs, strict=True)):
        assert torch.equal(small[f"mlp.linears.{i}.weight"], big[f"mlp.linears.{i}.weight"][:u, :n])
        assert torch.equal(small[f"mlp.linears.{i}.bias"], big[f"mlp.linears.{i}.bias"][:u])
    for i in (0, 2):
        for name in ("alpha", "mean", "variance"):
            assert torch.equal(small[f"mlp.dices.{i}.{name}"], big[f"mlp.dices.{i}.{name}"][:units[i]])
    assert not any(n.startswith("mlp.dices.1") for n in small)
    assert torch.equal(small["head.weight_mlp"], big["head.weight_mlp"][:, :units[2]])
    assert all(torch.equal(small[n], big[n]) for n in small if n.startswith(("shortcut", "blocks", "pooling")))


def test_a_smaller_model_is_copied_into_the_leading_part_of_a_larger() -> None:
    schema = ctr_schema()
    source = randomized(Derived(schema, replace(MLP_BASE, mlp=PREDEFINED), embedding_size=K), seed=3)
    into = randomized(Ameir(schema, Capacity.of(MLP_BASE).with_mlp(mlp_space(schema, 2)), embedding_size=K), seed=4)
    before = into.state_dict()["mlp.linears.1.weight"].clone()
    fresh = inherit(into, source)
    assert torch.equal(into.mlp.first.weight[:7], source.mlp.first.weight)
    second = into.state_dict()["mlp.linears.1.weight"]
    assert torch.equal(second[:5, :7], source.state_dict()["mlp.linears.1.weight"])
    assert torch.equal(second[5:], before[5:]) and torch.equal(second[:, 7:], before[:, 7:])
    assert sorted(fresh) == sorted(f"mlp.dices.{i}.{n}" for i in (0, 1) for n in ("alpha", "mean", "variance"))
    assert torch.equal(into.shortcut.reduce.weight, source.shortcut.reduce.weight), "same fields and interactions"


def test_shortcut_is_not_copied_between_different_interactions() -> None:
    architecture = replace(MLP_BASE, mlp=PREDEFINED)
    other = replace(architecture, interactions=(("hour", "user"), ("city", "genres", "hour")))
    source = randomized(Derived(ctr_schema(), architecture, embedding_size=K), seed=3)
    into = randomized(Derived(ctr_schema(), other, embedding_size=K), seed=4)
    before = into.shortcut.reduce.weight.detach().clone()
    assert set(inherit(into, source)) == {f"shortcut.{n}" for n in ("squeeze", "reduce.weight", "expand.weight")}
    assert torch.equal(into.shortcut.reduce.weight, before)


def test_without_hidden_layers_the_heads_columns_follow_what_they_read() -> None:
    plain = Architecture(interactions=(("item", "user"),))
    more = Architecture(interactions=(("city", "hour"), ("item", "user")))
    source = randomized(Derived(ctr_schema(), plain, embedding_size=K, shortcut=False), seed=3)
    into = randomized(Derived(ctr_schema(), more, embedding_size=K, shortcut=False), seed=4)
    before = into.head.weight_mlp.detach().clone()
    assert inherit(into, source) == []
    here, there = columns(into), columns(source)
    for name, place in here.items():
        given = source.head.weight_mlp[:, there[name]] if name in there else before[:, place]
        assert torch.equal(into.head.weight_mlp[:, place], given), name
    deep = randomized(Derived(ctr_schema(), replace(plain, mlp=PREDEFINED), embedding_size=K, shortcut=False), seed=5)
    kept = deep.head.weight_mlp.detach().clone()
    assert "head.weight_mlp" in inherit(deep, source), "it reads hidden units here and h0 there"
    assert torch.equal(deep.head.weight_mlp, kept)


def test_derive_keeps_mode_and_does_not_share_weights() -> None:
    supernet = block_supernet(ctr_schema()).train()
    architecture = Architecture((Block("bigru"), Block("zero"), Block("conv1")), mlp=PREDEFINED)
    child = derive(supernet, architecture)
    assert child.training
    before = supernet.embedding.weight.detach().clone()
    with torch.no_grad():
        for parameter in child.parameters():
            parameter.zero_()
    assert torch.equal(supernet.embedding.weight, before)


def test_wrong_questions_are_refused() -> None:
    schema = ctr_schema()
    batch = make_batch(schema)
    supernet = interaction_supernet(schema)
    with pytest.raises(AmeirError, match="no weights for the interaction"):
        supernet(batch, Architecture(interactions=(("city", "genres", "hour", "item", "user"),), mlp=PREDEFINED))
    with pytest.raises(AmeirError, match="all of its interactions"):
        mlp_supernet(schema)(batch, Architecture(MLP_BASE.blocks, MLP_BASE.interactions[:1], PREDEFINED))
    with pytest.raises(AmeirError, match="3 blocks, the architecture 1"):
        block_supernet(schema)(batch, Architecture((Block("conv1"),), mlp=PREDEFINED))
    flat = Ameir(schema, Capacity(interactions=(("hour", "user"), ("item", "user"))), embedding_size=K)
    with pytest.raises(AmeirError, match="first hidden layer.*mlp at least one layer"):
        flat(batch, Architecture(interactions=(("hour", "user"),)))
