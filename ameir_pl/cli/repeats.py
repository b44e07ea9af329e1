"""``ameir search runs=N``: the same search with several seeds, each in a run of its own, and a table of means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ameir_pl import ranks
from ameir_pl.atomic import telling, write_sealed
from ameir_pl.cli.config import Config
from ameir_pl.cli.setup import make_dataset, run_path
from ameir_pl.cli.trainings import Remade, run_all, run_of, without
from ameir_pl.errors import AmeirError
from ameir_pl.progress import console
from ameir_pl.reports.seeds import SUMMARY, show_summary, summarize
from ameir_pl.reports.table import METRICS, read_metrics
from ameir_pl.search.run_folder import read_sealed

OWN = ("runs", "seed", "run", "as_long_as", "launcher")
"""Keys that each run gets a value of its own for, or that are this command's."""


def search_seeds(main: Callable[[Sequence[str]], Any], config: Config, overrides: Sequence[str]) -> dict[str, Any]:
    """Run ``main`` with each of ``runs=`` seeds from ``seed=`` on; show and return what ``summary.json`` gets.

    A run that is finished is not made again; an interrupted one resumes.

    Raises:
        AmeirError: a run failed; the others are finished and summed up.
    """
    with ranks.in_turn():
        encoded = make_dataset(config).prepare()
    folder, seeds = run_path(config), range(config.seed, config.seed + config.runs)
    limits = _compared_runs(config, folder, seeds)
    rest = without(overrides, *OWN)
    jobs = [[*rest, *limits[seed], f"seed={seed}", f"run={config.run}.seed{seed}"] for seed in seeds]
    remade = Remade(folder, config.overwrite, encoded.fingerprint)
    failed = run_all(main, "search", "Search", jobs, config.launcher, remade)
    remade.end()
    names = [run_of(job).removeprefix("run=") for job in jobs if run_of(job) not in failed]
    summary: dict[str, Any] = {}
    if names:
        summary = summarize({name: read_metrics(folder.with_name(name) / METRICS) for name in names},
                            config.reference.upper() if config.reference else None)
        if ranks.writes():
            with telling(folder, "The runs are whole: make room and give the same command."):
                folder.mkdir(parents=True, exist_ok=True)
                write_sealed(folder / SUMMARY, summary)
        show_summary(summary)
        console().print(f"Wrote {folder / SUMMARY}", markup=False)
    if failed:
        raise AmeirError(f"{len(failed)} of {len(jobs)} searches failed; the others are finished. "
                         + " | ".join(f"{run}: {message}" for run, message in failed.items()))
    return summary


def _compared_runs(config: Config, folder: Path, seeds: Sequence[int]) -> dict[int, list[str]]:
    """Return the override ``as_long_as=`` of each seed: where it names several runs, that of the same seed."""
    name = config.as_long_as
    if name is None:
        return {seed: [] for seed in seeds}
    path = folder.with_name(name) / SUMMARY
    if (path.parent / METRICS).is_file() or not path.is_file():
        return {seed: [f"as_long_as={name}"] for seed in seeds}
    runs = read_sealed(path, " Delete it; the command that wrote it makes it again.")["runs"]
    missing = [str(seed) for seed in seeds if str(seed) not in runs]
    if missing:
        raise AmeirError(f"as_long_as={name} has runs with the seeds {', '.join(runs)}, none with "
                         f"{', '.join(missing)}: each run is compared with the one of its seed.")
    return {seed: [f"as_long_as={runs[str(seed)]}"] for seed in seeds}
