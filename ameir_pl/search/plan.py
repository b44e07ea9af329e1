"""What a search is about to do, in one line: updates and candidates, before the first of them."""

from __future__ import annotations

from collections.abc import Sequence

from ameir_pl.search.problem import Problem


def plan_line(problem: Problem, stages: Sequence[int], batch_size: int, *, finetunes: bool) -> str:
    """Return what the stages and the finetuning take at most; nothing of it is an estimate of time.

    Args:
        problem: the search.
        stages: those that will run.
        batch_size: rows of an update.
        finetunes: whether the final models are trained behind them.
    """
    budget, rows = problem.budget, problem.data.rows
    epoch = max(rows["train"] // min(batch_size, rows["train"]), 1)
    scored, finalists = min(budget.valid_rows, rows["valid"]), ""
    if budget.top_epochs:
        finalists = f", then the best {budget.top} up to {budget.top_epochs * epoch:,.0f} updates each"

    def supernet(epochs: float) -> str:
        return f"{max(round(epochs * epoch), 1):,} updates, up to {budget.samples:,} candidates{finalists}"

    about = {1: supernet(budget.stage1_epochs), 3: supernet(budget.stage3_epochs),
             2: f"{budget.cycles} cycles of {budget.cycle_epochs * epoch:,.0f} updates"}
    parts = [f"stage {stage}: {about[stage]}" for stage in stages]
    if finetunes:
        parts.append(f"finetuning: up to {budget.finetune_epochs * epoch:,} updates a model")
    cheaper = "" if budget.name != "paper" else ". This is the paper's effort: budget=demo takes minutes"
    return (f"budget={budget.name} on {rows['train']:,} train rows, scoring on {scored:,} validation rows: "
            f"{'; '.join(parts) or 'nothing is left to do'}{cheaper if parts else ''}.")
