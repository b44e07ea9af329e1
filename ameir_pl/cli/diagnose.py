"""``ameir diagnose``: whether a step's supernet ranks architectures as training each of them alone does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from ameir_pl import __version__, ranks
from ameir_pl.atomic import write_sealed
from ameir_pl.cli.command import command
from ameir_pl.cli.config import DiagnoseConfig
from ameir_pl.cli.fingerprint import settings_fingerprint
from ameir_pl.cli.setup import open_session, run_path
from ameir_pl.errors import AmeirError
from ameir_pl.progress import console
from ameir_pl.reports.agreement import agreement_lines, check_plotly, write_agreement
from ameir_pl.search.diagnosis import TrainedAlone, diagnose
from ameir_pl.search.pipeline import require_earlier, stages_to_run

ALONE_KEYS = ("dataset.name", "dataset.max_len", "dataset.on_bad_row", "dataset.options", "dataset.model",
              "dataset.train", "budget.finetune_epochs", "budget.patience", "optimizer", "trainer.precision",
              "trainer.gradient_clip_val", "trainer.gradient_clip_algorithm", "trainer.accumulate_grad_batches",
              "trainer.limit_train_batches")
"""What training alone depends on; a supernet's settings are not among them."""


@command("diagnose", trains=True)
def main(config: DiagnoseConfig, composed: DictConfig) -> dict[str, Any]:
    """Train n random architectures of stage=… alone, train its supernet, and say how well its scores rank them."""
    if config.n < 4 or config.seeds < 1:
        raise AmeirError(f"n={config.n} and seeds={config.seeds}: ranks of fewer than 4 architectures say nothing, and "
                         "each is trained with at least one seed.")
    stage = stages_to_run(config.dataset.name, config.dataset.stages or [1, 2, 3], config.stage)
    if len(stage) != 1:
        raise AmeirError(f"ameir diagnose looks at one step: stage=1, 2 or 3, found stage={config.stage}.")
    if config.plot:
        check_plotly()
    session = open_session(config, composed, "search", stage)
    problem = session.problem
    require_earlier(problem, stage[0])
    identity = f"{settings_fingerprint(composed, ALONE_KEYS)} {composed.data_fingerprint} {__version__}"
    alone = TrainedAlone(run_path(config).parent / ".alone", identity)
    with session:
        found = diagnose(problem, stage[0], config.n, config.seeds, alone)
        problem.journal.drop()
        path = problem.folder.path / f"diagnosis-stage{stage[0]}.json"
        written: list[Path] = [path]
        if ranks.writes():
            write_sealed(path, found)
            if config.plot:
                written.append(path.with_suffix(".html"))
                write_agreement(written[-1], found, f"{problem.schema.dataset}, stage {stage[0]}")
        out = console(results=True)
        for line in agreement_lines(found):
            out.print(line, markup=False)
        for file in written:
            out.print(f"Wrote {file}", markup=False)
        return found
