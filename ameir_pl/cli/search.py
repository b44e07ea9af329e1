"""``ameir search``: one stage and its numbers, or the whole pipeline: stages, derive, finetune; by another strategy
(strategy_search.py), or with several seeds (repeats.py)."""

from __future__ import annotations

from typing import Any, cast

from omegaconf import DictConfig

from ameir_pl import ranks
from ameir_pl.cli.command import command
from ameir_pl.cli.config import Config
from ameir_pl.cli.derive import derive_bundle, derived_variant, write_result
from ameir_pl.cli.finetune import finetune_variants, finished
from ameir_pl.cli.repeats import search_seeds
from ameir_pl.cli.search_keys import AMEIR
from ameir_pl.cli.setup import Session, fill_stages, open_session
from ameir_pl.cli.strategy_search import search_with_strategy
from ameir_pl.cli.trainer_keys import Limits
from ameir_pl.data import AmeirDataModule
from ameir_pl.models.cost import trainable_parameters
from ameir_pl.progress import console
from ameir_pl.reports.chance import reference
from ameir_pl.reports.table import METRICS, read_metrics, show, with_errors
from ameir_pl.search.assembly import VARIANTS, assembled
from ameir_pl.search.journal import unfinished
from ameir_pl.search.pipeline import Result, measure, require_earlier, run_stage, stages_to_run
from ameir_pl.search.plan import plan_line, warning_of_updates


def show_stage(session: Session, stage: int) -> dict[str, Any]:
    """Show and return the numbers of the variant that ends in ``stage``, with the weights it inherits so far; with
    one row it has the form of metrics.json, which ``ameir finetune`` writes."""
    problem = session.problem
    variant = next(name for name, steps in VARIANTS.items() if steps[-1] == stage)
    model = assembled(problem, variant)
    valid, test, full = measure(problem, model)
    network, embedding = trainable_parameters(model)
    seconds = problem.folder.summary(stage)["seconds"]
    row = Result(valid, test, network, embedding, seconds, 0, 0, full).to_dict()
    metrics = {"dataset": problem.schema.dataset, "seed": problem.seed, "protocol": session.dataset.protocol,
               "rows": problem.data.rows, "seconds": {f"stage{stage}": seconds}, "warnings": problem.data.warnings,
               "models": {f"{variant}, inherited": with_errors(row, problem.data.rows, problem.data.clicks)},
               **reference(problem.data)}
    show(metrics, [problem.folder.stage(stage)])
    return metrics


def several(config: Config, composed: DictConfig, overrides: list[str]) -> dict[str, Any]:
    """Run the search with several seeds."""
    return search_seeds(main, config, overrides)


@command("search", trains=True, repeated=several)
def main(config: Config, composed: DictConfig) -> dict[str, Any]:
    """Run what ``stage=`` asks for and show the table; with ``all`` also derive and finetune."""
    if config.strategy != AMEIR:
        return search_with_strategy(config, composed)
    stages, stage = stages_to_run(config.dataset.name, fill_stages(config, composed), config.stage), config.stage
    session = open_session(config, composed, "search", stages)
    problem = session.problem
    if stage == "all":
        derived_variant(session, config)
    else:
        require_earlier(problem, stages[0])
    if ranks.agreed(stage == "all" and not config.overwrite and finished(session, config)):
        metrics = read_metrics(problem.folder.path / METRICS)
        if unfinished(problem.journal.path):  # killed when all was written
            with session:
                write_result(session, config)
                problem.journal.drop()
        show(metrics, [problem.folder.path / METRICS, problem.folder.path / "model"])
        console().print("This run is finished; nothing was trained. overwrite=true makes it again, run=… another.")
        return metrics
    with session:
        left = [number for number in stages if config.overwrite or not problem.folder.usable(number)]
        limits = Limits.taken_from(dict(config.trainer))
        batches = limits.batches("train", len(cast(AmeirDataModule, problem.data).train_dataloader()))
        console().print(plan_line(
            problem, left, config.dataset.train.batch_size, finetunes=stage == "all", most=limits.updates,
            batches=batches, accumulated=config.trainer.get("accumulate_grad_batches") or 1))
        warning = warning_of_updates(problem, left, batches, finetunes=stage == "all")
        if warning is not None:
            console().print(warning, markup=False)
        for number in stages:
            run_stage(problem, number)
            write_result(session, config)
        if stage != "all":
            return show_stage(session, stages[0])
        derive_bundle(session, config)
        return finetune_variants(session, config)
