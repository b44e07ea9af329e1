"""What a search is about to do, in one line: updates and candidates, before the first of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ameir_pl.search.narrowing import first_candidates, trainings_of
from ameir_pl.search.problem import Problem
from ameir_pl.search.settings import Narrowing

FEWEST = 1000
"""Updates below which a next-item model knows little: on Amazon Beauty half of them are below a model without any
block, twice as many above (docs/results.md)."""


def warning_of_updates(problem: Problem, stages: Sequence[int], batches: int, *, finetunes: bool) -> str | None:
    """Return a warning where next items are trained with too few updates to learn, None where they are not.

    Args:
        problem: the search.
        stages: those that will run.
        batches: of an epoch.
        finetunes: whether the final models are trained behind them.
    """
    if problem.schema.task != "retrieval":
        return None
    asked = {"the supernet": problem.budget.stage1_epochs if 1 in stages else None,
             "a final model": problem.budget.finetune_epochs if finetunes else None}
    few = [f"{round(epochs * batches):,} updates of {what}" for what, epochs in asked.items()
           if epochs is not None and epochs * batches < FEWEST]
    if not few:
        return None
    clips = ("recipe=best (or dataset.train.clips=auto) makes an epoch of all places of a user's sequence, not of one; "
             "or take" if problem.data.epoch_rows == problem.data.rows["train"] else "Take")
    return (f"Warning: {' and '.join(few)} are too few to learn next items, which takes {FEWEST:,} or more: {clips} a "
            "larger budget.")


def plan_line(problem: Problem, stages: Sequence[int], batch_size: int, *, finetunes: bool,
              batches: int | None = None, accumulated: int = 1, most: int | None = None) -> str:
    """Return what the stages and the finetuning take at most; nothing of it is an estimate of time.

    Args:
        problem: the search.
        stages: those that will run.
        batch_size: rows of an update.
        finetunes: whether the final models are trained behind them.
        batches: of an epoch; None: all that the rows fill.
        accumulated: batches of an update.
        most: the most updates of a training; None: no limit.
    """
    budget, rows = problem.budget, problem.data.rows
    epoch = batches or max(rows["train"] // min(batch_size, rows["train"]), 1)
    scored, finalists = min(budget.valid_rows, rows["valid"]), ""

    def updates(epochs: float) -> str:
        whole = math.ceil(epochs)  # each epoch ends with an update
        made = whole * math.ceil(max(round(epochs * epoch / whole), 1) / accumulated) if whole else 0
        return f"{made if most is None else min(made, most):,}"

    if budget.top_epochs:
        finalists = f", then the best {budget.top} up to {updates(budget.top_epochs)} updates each"

    def supernet(epochs: float) -> str:
        return f"{updates(epochs)} updates, up to {budget.samples:,} candidates{finalists}"

    about = {1: supernet(budget.stage1_epochs), 3: supernet(budget.stage3_epochs),
             2: f"{budget.cycles} cycles of {updates(budget.cycle_epochs)} updates" if problem.narrowing is None else
             narrowing_line(problem, problem.narrowing)}
    parts = [f"stage {stage}: {about[stage]}" for stage in stages]
    if finetunes:
        parts.append(f"finetuning: up to {updates(budget.finetune_epochs)} updates a model")
    cheaper = "" if budget.name != "paper" else ". This is the paper's effort: budget=demo takes minutes"
    return (f"budget={budget.name} on {rows['train']:,} train rows, scoring on {scored:,} validation rows: "
            f"{'; '.join(parts) or 'nothing is left to do'}{cheaper if parts else ''}.")


def narrowing_line(problem: Problem, settings: Narrowing) -> str:
    """Return what step 2's narrowing takes: candidates, and trainings of how many updates."""
    candidates, grown = first_candidates(problem.schema.field_names, settings)
    left = len(candidates)
    trainings = trainings_of(left, settings)
    while (left := max(left // 2, problem.model.interactions)) > problem.model.interactions:
        trainings += trainings_of(left, settings)
    least = "" if grown else "at least "
    return (f"{len(candidates):,} interactions narrowed down in {least}{trainings} trainings of up to "
            f"{settings.updates:,} updates")
