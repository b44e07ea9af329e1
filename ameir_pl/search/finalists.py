"""Finalists: the top candidates are derived, finetuned and compared on the whole validation set (paper, Sec. 2.3)."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
from torch import Tensor

from ameir_pl.architecture_file import write_architecture
from ameir_pl.atomic import sha256, telling, write_sealed
from ameir_pl.models.ameir import Ameir, Derived
from ameir_pl.models.derive import derive
from ameir_pl.progress import console
from ameir_pl.search.choosing import Entrant, choose, joined
from ameir_pl.search.evaluator import predicted
from ameir_pl.search.problem import Fit, Problem
from ameir_pl.search.run_folder import SUPERNET, WINNER, save_weights
from ameir_pl.space.architecture import Architecture

Ranking = Sequence[tuple[Architecture, float, int]]


def best_of(problem: Problem, supernet: Ameir, ranking: Ranking, stage: int) -> tuple[Derived, list[dict[str, Any]]]:
    """Finetune the ``budget.top`` candidates from inherited weights and return the best, or a smaller one that all
    validation rows do not tell from it (:func:`~ameir_pl.search.choosing.choose`), with everyone's results.

    With no epochs (``budget.top_epochs=0``) they are compared as they inherit.
    """
    calibration = problem.data.subset("train", problem.budget.calibration_rows, problem.seed)
    children: list[Derived] = []
    entrants: list[Entrant] = []
    results: list[dict[str, Any]] = []
    for place, (architecture, score, params) in enumerate(ranking[:problem.budget.top], 1):
        phase = f"stage{stage}/finalist{place}"
        problem.seeded(phase)
        child = derive(supernet, architecture)
        child.recompute_dice(calibration)
        predictions = _predictions(problem, child)
        inherited = problem.objective.metrics([predictions])
        fit, tuned = Fit(0.0, 0, 0), inherited
        if problem.budget.top_epochs:
            fit = problem.engine.fit(child, epochs=problem.budget.top_epochs, patience=problem.budget.patience,
                                     start=inherited[problem.objective.fitness], phase=phase)
            predictions = _predictions(problem, child)
            tuned = problem.objective.metrics([predictions])
        results.append({"architecture": architecture.to_dict(), "score": score, "params": params,
                        "inherited": inherited, "finetuned": tuned, "epochs": fit.epochs,
                        "best_epoch": fit.best_epoch})
        children.append(child)
        entrants.append(Entrant(f"finalist {place}", params, predictions))
    if not children:
        raise RuntimeError(f"stage {stage} ranked no candidate")
    choice = choose(entrants, problem.objective)
    for place, (result, entrant) in enumerate(zip(results, entrants, strict=True)):
        told = choice.scores[entrant.name]
        result["chosen"] = place == choice.place
        result.update({key: told[key] for key in ("below_best", "error") if key in told})
    console().print(f"stage{stage}: {choice.why}", markup=False)
    return children[choice.place], results


def _predictions(problem: Problem, model: Derived) -> dict[str, Tensor]:
    return joined(predicted(model, problem.data.val_dataloader(), problem.objective))


def write_stage(problem: Problem, folder: Path, stage: int, *, supernet: Ameir, ranking: Ranking,
                architecture: Architecture, winner: dict[str, Tensor] | None, winner_model: Ameir | None,
                summary: dict[str, Any]) -> None:
    """Write everything a finished stage leaves (the run folder of DESIGN.md).

    Raises:
        AmeirError: the disk is full or may not be written; what the stage trained is kept.
    """
    with telling(problem.folder.stage(stage), "What was trained is kept, and earlier results are whole: make room and "
                                              "give the same command, which goes on from there."):
        _write(problem, folder, stage, supernet, ranking, architecture, winner, winner_model, summary)


def _write(problem: Problem, folder: Path, stage: int, supernet: Ameir, ranking: Ranking, architecture: Architecture,
           winner: dict[str, Tensor] | None, winner_model: Ameir | None, summary: dict[str, Any]) -> None:
    save_weights(folder / SUPERNET, supernet.state_dict(), supernet.capacity)
    if winner is not None and winner_model is not None:
        save_weights(folder / WINNER, winner, winner_model.capacity)
    candidates = pl.DataFrame(
        {"architecture": [a.to_json() for a, _, _ in ranking], "score": [s for _, s, _ in ranking],
         "params": [p for _, _, p in ranking], "rank": range(1, len(ranking) + 1)},
        schema={"architecture": pl.String, "score": pl.Float64, "params": pl.Int64, "rank": pl.Int64})
    try:
        candidates.write_parquet(folder / "candidates.parquet")
    except pl.exceptions.PolarsError as error:  # what Polars makes of a full disk
        raise OSError(errno.EIO, str(error)) from error
    write_architecture(folder / "architecture.yaml", architecture)
    earlier = {str(n): problem.folder.digest(n) for n in problem.stages if n < stage}
    files = {f.name: sha256(f) for f in sorted(folder.iterdir())}
    write_sealed(folder / "summary.json", {
        "stage": stage, "seed": problem.seed, "schema": problem.schema.fingerprint(),
        "settings": problem.folder.settings, "made_from": earlier, "files": files,
        "digest": _digest(architecture, winner if winner is not None else supernet.state_dict()),
        "seconds": round(problem.journal.spent, 3), **summary})


def _digest(architecture: Architecture, state: dict[str, Tensor]) -> str:
    """Return 16 hex digits of a stage's decision and weights."""
    import hashlib

    digest = hashlib.sha256(architecture.to_json().encode())
    for name, tensor in sorted(state.items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
