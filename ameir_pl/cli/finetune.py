"""``ameir finetune``: the variants and the reference baseline are trained to their early stop and measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from omegaconf import DictConfig

from ameir_pl import ranks
from ameir_pl.cli.command import command
from ameir_pl.cli.command_line import named_run
from ameir_pl.cli.config import Config
from ameir_pl.cli.derive import asked_variant, derived_variant, made_from, run_model, write_result
from ameir_pl.cli.search_keys import refuse_step_command
from ameir_pl.cli.setup import Session, open_session
from ameir_pl.errors import AmeirError
from ameir_pl.export.bundle import read_bundle, write_bundle
from ameir_pl.models.ameir import Derived
from ameir_pl.models.cost import trainable_parameters
from ameir_pl.progress import console
from ameir_pl.reports.planted import against_truth
from ameir_pl.reports.table import METRICS, read_metrics, show, update_metrics
from ameir_pl.search.assembly import VARIANTS, assembled, available
from ameir_pl.search.choosing import VALIDATION, Entrant, choose, joined
from ameir_pl.search.evaluator import predicted
from ameir_pl.search.pipeline import finetune_from, train_baseline


def wanted(session: Session, config: Config) -> list[str]:
    """Return the variants to train, plainest first: all of the dataset, or up to the one that ``variant=`` asks for;
    without the ablation only that one, or the most complete one."""
    names, last = available(session.problem), derived_variant(session, config)
    return names[:names.index(last) + 1] if config.ablation else [last]


def finished(session: Session, config: Config) -> bool:
    """Return whether every stage, the finetuned bundle and every row of metrics.json are there and belong together."""
    problem = session.problem
    if problem.journal.overwriting():  # it was interrupted: what is there may be what it replaces
        return False
    if not all(problem.folder.finished(s) for s in problem.stages):
        return False
    path = problem.folder.path / METRICS
    names = {*wanted(session, config), *([config.reference.upper()] if config.reference else [])}
    bundle = run_model(session, config, asked_variant(config))
    if bundle is None or bundle.state != "finetuned" or not path.exists():
        return False
    metrics = read_metrics(path)
    if not names <= set(metrics["models"]) or metrics.get("model", bundle.variant) != bundle.variant:
        return False
    if chooses(session, config) and metrics.get("choice", {}).get("by", VALIDATION) != VALIDATION:
        return False
    for stage in problem.stages:  # last, because it reads them whole
        problem.folder.check(stage)
    return True


def chooses(session: Session, config: Config) -> bool:
    """Return whether validation rows say which of several variants becomes the run's model."""
    return not config.variant and len(wanted(session, config)) > 1


def require_bundle(session: Session, config: Config) -> None:
    """Raise ``AmeirError``, naming the command, when a stage or the derived bundle is missing or no longer fits."""
    for name in wanted(session, config):
        made_from(session, name)
    if run_model(session, config, asked_variant(config)) is None:
        raise AmeirError(f"There is no derived {derived_variant(session, config)} of this run in "
                         f"{session.problem.folder.path / 'model'}. Make it with: ameir derive {named_run(config)}")


def finetune_variants(session: Session, config: Config) -> dict[str, Any]:
    """Finetune the variants, make the best of them the run's model, train the baseline, write metrics.json and show the
    table."""
    problem, folder = session.problem, session.problem.folder.path / "model"
    if ranks.agreed(not config.overwrite and finished(session, config)):
        console().print(f"{read_bundle(folder).variant} is finetuned: {folder} (overwrite=true does it again).")
        metrics = read_metrics(problem.folder.path / METRICS)
        write_result(session, config)
        problem.journal.drop()
        show(metrics, [folder])
        return metrics
    models: dict[str, dict[str, Any]] = {}
    if config.reference:
        _, result = train_baseline(problem, config.reference)
        models[config.reference.upper()] = result.to_dict()
    trained: dict[str, Derived] = {}
    for name in wanted(session, config):
        trained[name], result = finetune_from(problem, _starts(session, config, name), name)
        models[name] = result.to_dict()
    name, choice = chosen(session, config, trained)
    write_bundle(folder, trained[name], session.vocabulary, variant=name, state="finetuned",
                 made_from=made_from(session, name), temperature=session.problem.objective.temperature)
    write_result(session, config)
    seconds = {"prepare": session.prepare_seconds,
               **{f"stage{s}": problem.folder.summary(s)["seconds"] for s in problem.stages
                  if problem.folder.finished(s)},
               "finetune": sum(models[n]["seconds"] for n in models if n in VARIANTS)}
    metrics = update_metrics(problem, session.dataset.protocol, models, seconds,
                             planted=against_truth(session.planted, trained[name].architecture.interactions),
                             model=name, choice=choice)
    problem.journal.drop()
    show(metrics, [problem.folder.path / METRICS, problem.folder.path / "architecture.yaml", folder])
    return metrics


def chosen(session: Session, config: Config, trained: Mapping[str, Derived]) -> tuple[str, dict[str, Any]]:
    """Return the variant that becomes the run's model and, for metrics.json, how it was chosen."""
    problem, names = session.problem, list(trained)
    if chooses(session, config):
        choice = choose([Entrant(name, trainable_parameters(model)[0], joined(
            predicted(model, problem.data.val_dataloader(), problem.objective))) for name, model in trained.items()],
            problem.objective)
        return names[choice.place], choice.to_dict()
    if config.variant:
        return names[-1], {"by": "setting", "why": f"variant={names[-1]} was asked for."}
    others = [] if config.ablation else available(problem)[:-1]
    return names[-1], {"by": "only", "why": f"{names[-1]} is the only one that was trained" + (
        f"; ablation=true trains {', '.join(others)} too and keeps the best on validation rows." if others else ".")}


def _starts(session: Session, config: Config, name: str) -> dict[str, Callable[[], Derived]]:
    """Return what builds a variant with inherited and with random weights, as ``inherit=`` asks for."""
    problem = session.problem

    def inherited() -> Derived:
        # The bundle's weights are those that assembly gives; it is read so that what was derived is what is tuned.
        bundle = run_model(session, config, asked_variant(config))
        if bundle is not None and (bundle.variant, bundle.state) == (name, "derived"):
            return bundle.model
        return assembled(problem, name)

    starts = {"inherited": inherited, "scratch": lambda: assembled(problem, name, weights=False)}
    wanted = {True: ["inherited"], False: ["scratch"], "best": list(starts)}[config.inherit]
    return {start: starts[start] for start in wanted}


@command("search", trains=True, continues=True)
def main(config: Config, composed: DictConfig) -> dict[str, Any]:
    """Finetune the derived bundle, the plainer variants and the reference; write metrics.json and the table."""
    refuse_step_command(config, "finetune")
    session = open_session(config, composed)
    require_bundle(session, config)
    with session:
        return finetune_variants(session, config)
