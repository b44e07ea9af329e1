"""AMEIR models learn, and every operation in them gets its gradient."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ameir_pl.models.ameir import OF_SUM, Derived
from ameir_pl.models.derive import derive
from ameir_pl.nn.operations import OPERATIONS
from ameir_pl.objectives import make_objective
from ameir_pl.space.architecture import Architecture, Block, MlpLayer

from .examples import MLP_BASE, K, block_supernet, ctr_schema, make_batch, randomized, retrieval_schema


@pytest.mark.parametrize("layer", OPERATIONS.names())
@pytest.mark.parametrize("activation", ["relu", "gelu", "swish", "identity"])
def test_gradients_reach_every_parameter(layer: str, activation: str) -> None:
    schema = ctr_schema()
    architecture = Architecture((Block(layer, activation, "layer_norm"), Block(layer, activation)),
                                MLP_BASE.interactions, (MlpLayer(12, "dice"), MlpLayer(6, "swish")))
    model = randomized(Derived(schema, architecture, embedding_size=K)).train()
    batch = make_batch(schema, (0, 1, 6, 3, 5, 2) * 4)
    make_objective(schema, "logloss").loss(model, model(batch), batch).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 1e-9, name


def test_only_the_asked_path_gets_gradients() -> None:
    supernet = block_supernet(ctr_schema())
    architecture = Architecture((Block("conv3"), Block("zero"), Block("bigru", "relu", "layer_norm")),
                                mlp=(MlpLayer(7), MlpLayer(5)))
    supernet(make_batch(ctr_schema()), architecture).sum().backward()
    touched = {n for n, p in supernet.named_parameters() if p.grad is not None}
    assert {".".join(n.split(".")[:4]) for n in touched if n.startswith("blocks.")} == {
        "blocks.0.layers.conv3", "blocks.2.layers.bigru", "blocks.2.norms.layer_norm"}


@pytest.mark.parametrize("task", ["logloss", "sampled_bce", "sampled_softmax"])
def test_a_derived_model_learns_a_batch_by_heart(task: str) -> None:
    schema = ctr_schema() if task == "logloss" else retrieval_schema()
    batch = make_batch(schema, (1, 6, 3, 2, 5, 4, 6, 2) * 2, seed=3)
    torch.manual_seed(0)
    if task == "logloss":
        architecture = replace(MLP_BASE, mlp=(MlpLayer(16, "dice"), MlpLayer(8, "relu")))
        model = Derived(schema, architecture, embedding_size=K)
    else:
        batch.positives = (torch.arange(16) + 2)[:, None]
        batch.negatives = torch.full((16, 1), 18)
        batch.shared_negatives = torch.arange(2, 20)
        # 16 histories, 16 next items: each learns its own
        batch.behaviors[:, 0, 0] = torch.arange(16) + 2
        supernet = block_supernet(schema, depth=2)
        model = derive(supernet, Architecture((Block("conv3", "swish"), Block("self_attention2"))))
    model.train()
    objective = make_objective(schema, task)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(400):
        optimizer.zero_grad()
        loss = objective.loss(model, model(batch), batch)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05


def test_an_untrained_query_is_near_to_the_history_s_items() -> None:
    """Without blocks it is the last item's embedding and a share of the sum, whatever the seed."""
    schema = retrieval_schema()
    blocks = tuple(Block("zero") for _ in range(2))
    model = Derived(schema, Architecture(blocks=blocks), embedding_size=K).eval()
    batch = make_batch(schema, (3, 1, 4))
    e = model.embedding.table("item")[batch.behaviors[..., schema.item_place]] * batch.mask.unsqueeze(-1)
    last = e[torch.arange(3), batch.mask.sum(1) - 1]
    torch.testing.assert_close(model(batch), last + OF_SUM * e.sum(1))
