"""Two ranks train, validate, score and measure as one does."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from ameir_pl import ranks
from ameir_pl.baselines import BASELINES, build_baseline
from ameir_pl.baselines.base import lacking
from ameir_pl.callbacks import ActivationCounts, UniformSampling, touched_rows
from ameir_pl.callbacks.metrics_csv import MetricsCsv
from ameir_pl.cli.engine import LightningEngine
from ameir_pl.data import DATASETS, AmeirDataModule
from ameir_pl.models.ameir import Ameir, Derived
from ameir_pl.models.capacity import Capacity
from ameir_pl.objectives import make_objective
from ameir_pl.search.evaluator import CandidateScorer, evaluate
from ameir_pl.search.journal import Journal
from ameir_pl.space.architecture import Architecture, Block, MlpLayer
from ameir_pl.space.sampling import FAIRNESS, BlockRounds, InteractionRounds, MlpRounds, Rounds
from ameir_pl.space.space import BlockSpace, InteractionSpace, MlpSpace
from tests.data.make import write_movielens, write_sequences
from tests.tasks.fitting import COSINE, trainer
from tests.two_ranks import on_two_ranks

SGD = partial(torch.optim.SGD, lr=0.5)
"""A rounding error stays one; Adam divides it by itself where a gradient is nearly zero."""
PREDEFINED = (MlpLayer(8), MlpLayer(6))
TUNED = Architecture((Block("conv3", "swish", "layer_norm"), Block("bigru", "relu")), (("movie_id", "user_id"),),
                     (MlpLayer(8, "dice"), MlpLayer(4)))
TRAINED = [name for name in BASELINES.names() if name not in ("pop", "cooccurrence")]  # which count
STEPS = ("blocks", "interactions", "mlp")


def data_module(folder: Path, dataset: str, loss: str = "sampled_bce") -> AmeirDataModule:
    source = folder / "raw" if dataset == "movielens" else folder / "sequences" / "lines.txt"
    encoded = DATASETS.get(dataset)(raw=source, encoded=folder / "encoded", max_len=6, source=str(source)).prepare()
    more = {} if dataset == "movielens" else {"loss": loss}
    return AmeirDataModule(encoded=encoded, batch_size=96, eval_batch_size=61, seed=1, **more)


def supernet(step: str, data: AmeirDataModule) -> tuple[Ameir, Rounds]:
    schema, base = data.schema, Architecture(mlp=PREDEFINED)
    if step == "blocks":
        layers = ("conv1", "dconv5", "max_pool3", "bigru", "self_attention2", "zero")
        space = BlockSpace(2, (*layers, "target_attention") if schema.has_target else layers)
        return (Ameir(schema, Capacity.of(base).with_blocks(space), embedding_size=4), BlockRounds(space, base, 3))
    if step == "interactions":
        candidates = InteractionSpace(schema.field_names).expand(())
        model = Ameir(schema, Capacity.of(base, behavior=False).with_interactions(candidates), embedding_size=4)
        return model, InteractionRounds(candidates, base, 3, 25)
    base = Architecture(TUNED.blocks, TUNED.interactions)
    model_space = MlpSpace(2, 60, ("relu", "dice", "swish"))
    return (Ameir(schema, Capacity.of(base).with_mlp(model_space), embedding_size=4), MlpRounds(model_space, base, 3))


def engine(data: AmeirDataModule, folder: Path, fairness: str, loss: str) -> LightningEngine:
    # These embeddings are small; a scheme keeps to the way that small ones go.
    touched_rows.LEAST_BYTES = 1 << 20 if fairness == "full" else 0

    def make(max_epochs: int, callbacks: list, logger: list, **flags: Any) -> Any:
        return trainer(callbacks, epochs=max_epochs, logger=logger, devices=ranks.world(), **flags)

    return LightningEngine(data, make_objective(data.schema, loss), trainer=make, optimizer=SGD, scheduler=COSINE,
                           callbacks=lambda: [UniformSampling(), ActivationCounts()],
                           loggers=[MetricsCsv(folder / "metrics.csv")], weight_decay=1e-3, fairness=fairness,
                           journal=Journal(folder / ".progress", "settings"))


def everything(folder: Path, runs: Path) -> dict[str, Any]:
    """Train each step under each scheme and models of each task; score and measure; return all weights and numbers."""
    found: dict[str, Any] = {}
    data = data_module(folder, "movielens")
    for step in STEPS:
        for fairness in FAIRNESS:
            torch.manual_seed(5)
            model, rounds = supernet(step, data)
            own = engine(data, runs / f"{step}-{fairness}", fairness, "logloss")
            own.train_supernet(model, rounds, epochs=1, phase="supernet")
            found[f"{step} {fairness}"] = model.state_dict()
        scorer = CandidateScorer(model, own.objective, data.subset("valid", 100, 1), data.subset("train", 60, 1))
        candidates = list({path: None for i in range(3) for path in rounds.fair(i)})
        ranking = scorer.rank(candidates, step)
        found[f"{step} ranking"] = {"order": [a.to_json() for a, _, _ in ranking], "scores": [s for _, s, _ in ranking]}
    models = {"derived": (data, Derived(data.schema, TUNED, embedding_size=4), "logloss")}
    for loss in ("sampled_bce", "sampled_softmax"):
        beauty = data_module(folder, "beauty", loss)
        models[loss] = (beauty, Derived(beauty.schema, Architecture(TUNED.blocks), embedding_size=4), loss)
    sequences = models["sampled_bce"][0]
    for name in TRAINED:
        module, loss = (sequences, "sampled_bce") if lacking(name, data.schema) else (data, "logloss")
        models[name] = (module, build_baseline(name, module.schema, embedding_size=4, mlp=[8], dropout=0.0), loss)
    for name, (module, model, loss) in models.items():
        torch.manual_seed(6)
        for parameter in model.parameters():
            torch.nn.init.uniform_(parameter, -0.2, 0.2)
        own = engine(module, runs / name, "split", loss)
        own.fit(model, epochs=2, patience=2, start=None, phase=name)
        found[name] = model.state_dict()
        found[f"{name} metrics"] = {"test": evaluate(model, module.test_dataloader(), own.objective, full=True)}
    return found


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("two")
    write_movielens(folder / "raw", users=30, movies=40, ratings=700)
    (folder / "sequences").mkdir()
    write_sequences(folder / "sequences", users=150, items=140)["lines"].rename(folder / "sequences" / "lines.txt")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        one = everything(folder, folder / "one")
    finally:
        torch.set_num_threads(before)
    return one, on_two_ranks(folder, everything, folder, folder / "two")


MODELS = ["derived", *TRAINED, "sampled_bce", "sampled_softmax"]
NAMES = [*(f"{step} {fairness}" for step in STEPS for fairness in FAIRNESS), *MODELS]


@pytest.mark.parametrize("name", NAMES)
def test_the_same_batches_give_the_same_weights(both: Any, name: str) -> None:
    one, two = both
    for found in two:
        for key, tensor in one[name].items():
            torch.testing.assert_close(found[name][key], tensor, atol=1e-5, rtol=1e-5, msg=f"{name} {key}")
    for key, tensor in two[0][name].items():
        if not key.endswith(("mean", "variance")):
            assert torch.equal(tensor, two[1][name][key]), f"the ranks differ in {key}"


@pytest.mark.parametrize("step", STEPS)
def test_the_ranking_is_the_same(both: Any, step: str) -> None:
    one, two = both
    for found in two:
        assert found[f"{step} ranking"]["order"] == one[f"{step} ranking"]["order"]
        assert found[f"{step} ranking"]["scores"] == pytest.approx(one[f"{step} ranking"]["scores"], abs=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_metrics_are_those_of_all_rows(both: Any, name: str) -> None:
    one, two = both
    for found in two:
        for metric, value in one[f"{name} metrics"]["test"].items():
            # FM's pairs have no bound: at this rate its log loss is large, and so are a float's steps.
            assert found[f"{name} metrics"]["test"][metric] == pytest.approx(value, rel=1e-6, abs=2e-6), metric
