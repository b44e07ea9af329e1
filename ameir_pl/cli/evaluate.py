"""``ameir evaluate``: the bundle's metrics, computed anew."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig

from ameir_pl.cli.command import command
from ameir_pl.cli.config import Config
from ameir_pl.cli.derive import run_model
from ameir_pl.cli.setup import open_session
from ameir_pl.errors import AmeirError
from ameir_pl.export.bundle import read_bundle
from ameir_pl.models.cost import trainable_parameters
from ameir_pl.reports.table import METRICS, read_metrics, show, update_metrics
from ameir_pl.search.pipeline import Result, measure


@command("search", continues=True)
def main(config: Config, composed: DictConfig) -> dict[str, Any]:
    """Measure ``model/`` on all validation and test rows and write the numbers into metrics.json."""
    session = open_session(config, composed, "evaluate")
    problem = session.problem
    folder = problem.folder.path / "model"
    bundle = read_bundle(folder)
    if bundle.model.schema != problem.schema:
        raise AmeirError(f"{folder} was made with another schema than the data have now; derive it again.")
    if bundle.temperature != problem.objective.temperature:
        how = [f"cosine over {t:g}" if t else "product" for t in (bundle.temperature, problem.objective.temperature)]
        raise AmeirError(f"{folder} was trained to compare queries with items by their {how[0]}, and the settings say "
                         f"{how[1]}. Give dataset.train.similarity and dataset.train.temperature as they were then.")
    if bundle.state != "trained" and all(problem.folder.stage(s).exists() for s in problem.stages):
        run_model(session, config, bundle.variant)  # raises for a model that the stages have left behind
    with session:
        valid, test, full = measure(problem, bundle.model)
        path = problem.folder.path / METRICS
        known = read_metrics(path)["models"].get(bundle.variant, {}) if path.exists() else {}
        network, embedding = trainable_parameters(bundle.model)
        row = Result(valid, test, network, embedding, known.get("seconds", 0.0), known.get("epochs", 0),
                     known.get("best_epoch", 0), full, train_seconds=known.get("train_seconds", 0.0),
                     schedule=known.get("schedule", ""), start=known.get("start", ""),
                     starts=known.get("starts", {})).to_dict()
        metrics = update_metrics(problem, session.dataset.protocol, {bundle.variant: row}, {})
        show({**metrics, "models": {bundle.variant: metrics["models"][bundle.variant]}}, [path])
        return metrics
