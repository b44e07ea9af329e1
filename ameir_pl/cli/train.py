"""``ameir train``: one model from scratch, a baseline or an architecture."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig

from ameir_pl import ranks
from ameir_pl.cli.command import command
from ameir_pl.cli.config import Config
from ameir_pl.cli.derive import named_variant
from ameir_pl.cli.setup import checked_architecture, open_session
from ameir_pl.errors import AmeirError
from ameir_pl.export.bundle import read_bundle, write_bundle
from ameir_pl.progress import console
from ameir_pl.reports.table import METRICS, read_metrics, show, update_metrics
from ameir_pl.search.assembly import restricted
from ameir_pl.search.pipeline import finetune, train_baseline


@command("train", trains=True)
def main(config: Config, composed: DictConfig) -> dict[str, Any]:
    """Train ``model=`` to its early stop and write metrics.json; an architecture also leaves a bundle."""
    if (config.model.name == "ameir") != (config.architecture is not None):
        raise AmeirError("model=ameir and architecture=NAME_OR_PATH belong together, e.g. `ameir train "
                         "dataset=alimama model=ameir architecture=paper/alimama_1`.")
    if config.variant is not None and config.architecture is None:
        raise AmeirError(f"variant={config.variant} is a part of an architecture, and model={config.model.name} has "
                         "none: leave it out, or train model=ameir architecture=NAME_OR_PATH.")
    session = open_session(config, composed, "train")
    problem = session.problem
    path, folder = problem.folder.path / METRICS, problem.folder.path / "model"
    architecture, name = None, config.model.name.upper()
    if config.architecture is not None:
        architecture = checked_architecture(problem, config.architecture)
    if architecture is not None and config.variant is not None:
        name = named_variant(config.variant)
        architecture = restricted(problem, architecture, name, f"architecture={config.architecture}")
    if (architecture is not None and folder.exists() and not config.overwrite
            and read_bundle(folder).model.architecture != architecture):
        raise AmeirError(f"{folder} was trained from another architecture than {config.architecture} has now. Choose "
                         "another run=…, or replace it with overwrite=true.")
    with session:
        if ranks.agreed(path.exists() and not config.overwrite and not problem.journal.overwriting()):
            problem.journal.drop()
            metrics = read_metrics(path)
            show(metrics, [path])
            console().print("This run is finished; nothing was trained. overwrite=true trains again.")
            return metrics
        written = [path]
        if architecture is not None:
            problem.seeded("train/ameir")
            model = problem.derived(architecture)
            result = finetune(problem, model, name, inherited=False)
            write_bundle(folder, model, session.vocabulary, variant=name, state="trained",
                         made_from=architecture.digest(), temperature=problem.objective.temperature)
            written.append(folder)
        else:
            _, result = train_baseline(problem, config.model.name)
        metrics = update_metrics(problem, session.dataset.protocol, {name: result.to_dict()},
                                 {"prepare": session.prepare_seconds, "finetune": result.seconds})
        problem.journal.drop()
        show(metrics, written)
        return metrics
