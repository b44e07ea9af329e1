"""``python search.py``: one stage, or the whole pipeline: stages, derive, finetune."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig

from ameir_pl.cli.command import command
from ameir_pl.cli.config import Config
from ameir_pl.cli.derive import chosen_variant, derive_bundle
from ameir_pl.cli.finetune import finetune_variants, finished
from ameir_pl.cli.setup import open_session
from ameir_pl.progress import console
from ameir_pl.reports.table import METRICS, show
from ameir_pl.search.pipeline import require_earlier, run_stage, stages_to_run
from ameir_pl.search.run_folder import read_json


@command("search")
def main(config: Config, composed: DictConfig) -> dict[str, Any] | None:
    """Run what ``stage=`` asks for; with ``all`` also derive, finetune and show the table."""
    stages, stage = stages_to_run(config.dataset.name, config.dataset.stages, config.stage), config.stage
    session = open_session(config, composed, "search", stages)
    problem = session.problem
    if stage == "all":
        chosen_variant(session, config)
    else:
        require_earlier(problem, stages[0])
    if stage == "all" and not config.overwrite and finished(session, config):
        metrics = read_json(problem.folder.path / METRICS)
        show(metrics, [problem.folder.path / METRICS, problem.folder.path / "model"])
        console().print("This run is finished; nothing was trained. overwrite=true makes it again, run=… another.")
        return metrics
    with session:
        for number in stages:
            run_stage(problem, number)
        if stage != "all":
            return None
        derive_bundle(session, config)
        return finetune_variants(session, config)
