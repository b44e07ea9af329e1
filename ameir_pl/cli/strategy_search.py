"""``ameir search strategy=random``: architectures trained alone until a limit, the best of them beside another run's
model."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from omegaconf import DictConfig

from ameir_pl import ranks
from ameir_pl.architecture_file import write_architecture
from ameir_pl.atomic import telling, write_sealed
from ameir_pl.cli.compared_run import ComparedRun, compared_run, paired_difference
from ameir_pl.cli.config import Config
from ameir_pl.cli.search_keys import LIMITS
from ameir_pl.cli.setup import Session, fill_stages, open_session
from ameir_pl.export.bundle import ARCHITECTURE, read_bundle, write_bundle
from ameir_pl.progress import console
from ameir_pl.reports.planted import against_truth
from ameir_pl.reports.table import METRICS, read_metrics, show, update_metrics
from ameir_pl.search.journal import unfinished
from ameir_pl.search.pipeline import train_baseline
from ameir_pl.search.strategies import STRATEGIES, Trial
from ameir_pl.search.trials import Best, Limit, run_trials, select_best, total_seconds, trials_report

TRIALS = "trials.json"


def search_with_strategy(config: Config, composed: DictConfig) -> dict[str, Any]:
    """Run the trials of ``strategy=`` until its limit, keep the best on validation rows as the run's model, train the
    baseline, write metrics.json and show the table."""
    session = open_session(config, composed, "search", fill_stages(config, composed))
    problem, name = session.problem, config.strategy
    strategy = STRATEGIES.get(name)(problem)  # raises where the space is too small
    other = None if config.as_long_as is None else compared_run(config, composed, session)
    limit = Limit(config.seconds if other is None else other.seconds, config.trainings)
    path, folder = problem.folder.path, problem.folder.path / "model"
    written = [path / METRICS, path / TRIALS, path / ARCHITECTURE, folder]
    if ranks.agreed(not config.overwrite and _finished(session, config)):
        metrics = read_metrics(path / METRICS)
        if unfinished(problem.journal.path):  # killed when all was written
            with session:
                problem.journal.drop()
        show(metrics, written)
        console().print("This run is finished; nothing was trained. overwrite=true makes it again, run=… another.")
        return metrics
    with session:
        console().print(f"strategy={name}: each architecture is trained alone, {problem.budget.finetune_epochs:g} "
                        f"epochs at most, {_until(limit, other)}.", markup=False)
        models = {}
        if config.reference:
            models[config.reference.upper()] = train_baseline(problem, config.reference)[1].to_dict()
        trials = run_trials(problem, name, strategy, limit)
        best = select_best(problem, name, trials)
        models[name] = best.result.to_dict()
        write_bundle(folder, best.model, session.vocabulary, variant=name, state="trained",
                     made_from=best.trial.architecture.digest(), temperature=problem.objective.temperature)
        write_architecture(path / ARCHITECTURE, best.trial.architecture)
        with telling(path / TRIALS, "What was trained is kept: make room and give the same command."):
            write_sealed(path / TRIALS, trials_report(problem, name, trials, best))
        metrics = update_metrics(
            problem, session.dataset.protocol, models,
            {"prepare": session.prepare_seconds, "search": total_seconds(trials)},
            planted=against_truth(session.planted, best.trial.architecture.interactions), model=name,
            choice=best.choice.to_dict(), search=_summary(session, config, limit, trials, best, other))
        problem.journal.drop()
        show(metrics, written)
        return metrics


def _finished(session: Session, config: Config) -> bool:
    """Return whether the model, the list of trials and every row of metrics.json are there."""
    path = session.problem.folder.path
    if session.problem.journal.overwriting():  # it was interrupted: what is there may be what it replaces
        return False
    if not all((path / name).exists() for name in ("model", METRICS, TRIALS)):
        return False
    names = {config.strategy, *([config.reference.upper()] if config.reference else [])}
    bundle, metrics = read_bundle(path / "model"), read_metrics(path / METRICS)
    return bundle.variant == config.strategy == metrics.get("model") and names <= set(metrics["models"])


def _until(limit: Limit, other: ComparedRun | None) -> str:
    if limit.seconds is None:
        return f"{limit.trainings} in all"
    spent = "" if other is None else f", as many as run={other.name} took"
    return f"until {limit.seconds:.0f} seconds are spent{spent}"


def _summary(session: Session, config: Config, limit: Limit, trials: list[Trial], best: Best, other: ComparedRun | None
             ) -> dict[str, Any]:
    """Return what metrics.json says of the search, under ``search``."""
    found = {"strategy": config.strategy, "trainings": len(trials), "failed": sum(bool(t.failed) for t in trials),
             "seconds": round(total_seconds(trials), 2),
             "limit": {key: value for key in LIMITS if (value := getattr(config, key)) is not None}}
    if other is not None:
        difference = paired_difference(session.problem, best.model, other.bundle)
        found["compared"] = {"run": other.name, "model": other.bundle.variant, "seconds": other.seconds,
                             "row": other.row, "settings": other.settings, **asdict(difference)}
    return found
