"""``ameir finetune``: the variants and the reference baseline are trained to their early stop and measured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from omegaconf import DictConfig

from ameir_pl import ranks
from ameir_pl.cli.command import command
from ameir_pl.cli.command_line import named_run
from ameir_pl.cli.config import Config
from ameir_pl.cli.derive import bundle_state, chosen_variant, made_from
from ameir_pl.cli.setup import Session, open_session
from ameir_pl.errors import AmeirError
from ameir_pl.export.bundle import read_bundle, write_bundle
from ameir_pl.models.ameir import Derived
from ameir_pl.progress import console
from ameir_pl.reports.planted import against_truth
from ameir_pl.reports.table import METRICS, read_metrics, show, update_metrics
from ameir_pl.search.assembly import VARIANTS, assembled, available
from ameir_pl.search.pipeline import finetune_from, train_baseline


def wanted(session: Session, config: Config) -> list[str]:
    """Return the run's model and, for the ablation, the plainer variants before it, plainest first."""
    names, chosen = available(session.problem), chosen_variant(session, config)
    return names[:names.index(chosen) + 1] if config.ablation else [chosen]


def finished(session: Session, config: Config) -> bool:
    """Return whether every stage, the finetuned bundle and every row of metrics.json are there and belong together."""
    problem = session.problem
    if problem.journal.overwriting():  # it was interrupted: what is there may be what it replaces
        return False
    if not all(problem.folder.finished(s) for s in problem.stages):
        return False
    path = problem.folder.path / METRICS
    names = {*wanted(session, config), *([config.reference.upper()] if config.reference else [])}
    if not (bundle_state(session, config, chosen_variant(session, config)) == "finetuned" and path.exists()
            and names <= set(read_metrics(path)["models"])):
        return False
    for stage in problem.stages:  # last, because it reads them whole
        problem.folder.check(stage)
    return True


def require_bundle(session: Session, config: Config) -> None:
    """Raise ``AmeirError``, naming the command, when a stage or the derived bundle is missing or no longer fits."""
    for name in wanted(session, config):
        made_from(session, name)
    chosen = chosen_variant(session, config)
    if bundle_state(session, config, chosen) is None:
        raise AmeirError(f"There is no derived {chosen} of this run in {session.problem.folder.path / 'model'}. Make "
                         f"it with: ameir derive {named_run(config)}")


def finetune_variants(session: Session, config: Config) -> dict[str, Any]:
    """Finetune the bundle and the plainer variants, train the baseline, write metrics.json and show the table."""
    problem, chosen = session.problem, chosen_variant(session, config)
    folder = problem.folder.path / "model"
    if ranks.agreed(not config.overwrite and finished(session, config)):
        console().print(f"{chosen} is finetuned: {folder} (overwrite=true does it again).")
        metrics = read_metrics(problem.folder.path / METRICS)
        problem.journal.drop()
        show(metrics, [folder])
        return metrics
    models: dict[str, dict[str, Any]] = {}
    if config.reference:
        _, result = train_baseline(problem, config.reference)
        models[config.reference.upper()] = result.to_dict()
    for name in wanted(session, config):
        model, result = finetune_from(problem, _starts(session, config, name), name)
        models[name] = result.to_dict()
        if name == chosen:
            write_bundle(folder, model, session.vocabulary, variant=name, state="finetuned",
                         made_from=made_from(session, name))
    seconds = {"prepare": session.prepare_seconds,
               **{f"stage{s}": problem.folder.summary(s)["seconds"] for s in problem.stages
                  if problem.folder.finished(s)},
               "finetune": sum(models[n]["seconds"] for n in models if n in VARIANTS)}
    architecture = read_bundle(folder).model.architecture
    metrics = update_metrics(problem, session.dataset.protocol, models, seconds,
                             planted=against_truth(session.planted, architecture.interactions))
    problem.journal.drop()
    show(metrics, [problem.folder.path / METRICS, problem.folder.path / "architecture.yaml", folder])
    return metrics


def _starts(session: Session, config: Config, name: str) -> dict[str, Callable[[], Derived]]:
    """Return what builds a variant with inherited and with random weights, as ``inherit=`` asks for."""
    problem, folder = session.problem, session.problem.folder.path / "model"

    def inherited() -> Derived:
        # The bundle's weights are those that assembly gives; it is read so that what was derived is what is tuned.
        if name == chosen_variant(session, config) and bundle_state(session, config, name) == "derived":
            return read_bundle(folder).model
        return assembled(problem, name)

    starts = {"inherited": inherited, "scratch": lambda: assembled(problem, name, weights=False)}
    wanted = {True: ["inherited"], False: ["scratch"], "best": list(starts)}[config.inherit]
    return {start: starts[start] for start in wanted}


@command("search", trains=True, continues=True)
def main(config: Config, composed: DictConfig) -> dict[str, Any]:
    """Finetune the derived bundle, the plainer variants and the reference; write metrics.json and the table."""
    session = open_session(config, composed)
    require_bundle(session, config)
    with session:
        return finetune_variants(session, config)
