"""The pipeline: stages in their order, each skipped when it is finished; the variants finetuned and measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from torch import nn

from ameir_pl import ranks
from ameir_pl.baselines.base import CountsItems, CountsSequences, OwnLoss
from ameir_pl.errors import AmeirError
from ameir_pl.models.ameir import Derived
from ameir_pl.models.cost import trainable_parameters
from ameir_pl.progress import console
from ameir_pl.search.behavior_step import search_behavior
from ameir_pl.search.evaluator import evaluate
from ameir_pl.search.finding import found
from ameir_pl.search.interaction_step import search_interactions
from ameir_pl.search.journal import unfinished
from ameir_pl.search.mlp_step import search_mlp
from ameir_pl.search.problem import Fit, Problem

STEPS: dict[int, Callable[[Problem], None]] = {1: search_behavior, 2: search_interactions, 3: search_mlp}


@dataclass
class Result:
    """A trained model's row in ``metrics.json``.

    Args:
        valid: metrics on all validation rows.
        test: metrics on all test rows.
        params: weights besides the embedding matrix.
        embedding_params: weights of the embedding matrix.
        seconds: of training, with the validation after each epoch.
        epochs: trained.
        best_epoch: whose weights were kept; 0 means the inherited ones.
        test_full: full ranking, for retrieval.
        loss: the model's own, where it has one.
        start: ``inherited`` or ``scratch``: what the kept weights were trained from; empty for other models.
        starts: of each that was tried, its validation metrics, epochs and best epoch.
        found: the options with which a model that had to be found is built at once.
        finding_seconds: those of ``seconds`` that finding it took.
        train_seconds: those of ``seconds`` in which this model was trained, without validation.
        schedule: of the learning rate; empty where nothing was trained.
    """

    valid: dict[str, float]
    test: dict[str, float]
    params: int
    embedding_params: int
    seconds: float
    epochs: int
    best_epoch: int
    test_full: dict[str, float] = field(default_factory=dict)
    loss: str = ""
    start: str = ""
    starts: dict[str, dict[str, Any]] = field(default_factory=dict)
    found: dict[str, Any] = field(default_factory=dict)
    finding_seconds: float = 0.0
    train_seconds: float = 0.0
    schedule: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the plain values; what has a default only where it is another."""
        return {name: value for name, value in asdict(self).items()
                if value or name not in ("test_full", "loss", "start", "starts", "found", "finding_seconds",
                                         "train_seconds", "schedule")}


def stages_to_run(dataset: str, stages: Sequence[int], stage: object) -> tuple[int, ...]:
    """Return the stages that ``stage=`` means; raises ``AmeirError`` for one the dataset does not have."""
    if str(stage) == "all":
        return tuple(stages)
    if str(stage) not in ("1", "2", "3"):
        raise AmeirError(f"stage must be 1, 2, 3 or all, found '{stage}'.")
    number = int(str(stage))
    if number not in stages:
        have = f"stages are {', '.join(map(str, stages))}" if len(stages) > 1 else f"only stage is {stages[0]}"
        raise AmeirError(f"{dataset} has no stage {number}; its {have}.")
    return (number,)


def require_earlier(problem: Problem, stage: int) -> None:
    """Raise ``AmeirError``, naming the command, when a stage before ``stage`` is missing or no longer fits."""
    for earlier in problem.stages:
        if earlier < stage:
            problem.folder.require(earlier, f"Stage {stage}")


def run_stage(problem: Problem, stage: int) -> bool:
    """Run one stage unless it is finished and may not be overwritten; returns whether it ran."""
    out = console()
    require_earlier(problem, stage)
    if ranks.agreed((not problem.overwrite or problem.journal.remade(stage)) and problem.folder.finished(stage)):
        problem.folder.check(stage)  # that it is finished is said of what is whole
        if any(f.name.startswith(f"stage{stage}.") for f in unfinished(problem.journal.path)):  # killed in between
            problem.journal.stage_done(stage)
        out.print(f"Stage {stage} is finished: {problem.folder.stage(stage)} (overwrite=true makes it again).")
        return False
    for earlier in problem.stages:
        if earlier < stage:
            out.print(f"Stage {stage} uses {problem.folder.stage(earlier)}.")
    STEPS[stage](problem)
    ranks.barrier()
    problem.journal.stage_done(stage)
    out.print(f"Stage {stage} wrote {problem.folder.stage(stage)}.")
    return True


def measure(problem: Problem, model: nn.Module) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
    """Return the metrics on the validation rows, on the test rows, and of the full ranking of the test rows; nothing
    of test rows where they are not to be measured."""
    valid = evaluate(model, problem.data.val_dataloader(), problem.objective)
    if not problem.measure_test:
        return valid, {}, {}
    test = evaluate(model, problem.data.test_dataloader(), problem.objective, full=True)
    full = {name.removeprefix("full_"): value for name, value in test.items() if name.startswith("full_")}
    return valid, {name: value for name, value in test.items() if not name.startswith("full_")}, full


def finetune(problem: Problem, model: nn.Module, name: str, *, inherited: bool) -> Result:
    """Train ``model`` to its early stop, put its best weights back, measure it."""
    phase = f"finetune/{name}"
    start = None
    if inherited:
        start = evaluate(model, problem.data.val_dataloader(), problem.objective)[problem.objective.fitness]
    problem.seeded(phase)
    model.train()  # a model read from a bundle comes in eval mode, which Lightning keeps: no dropout
    if any(p.requires_grad for p in model.parameters()):
        fit = problem.engine.fit(model, epochs=problem.budget.finetune_epochs, patience=problem.budget.patience,
                                 start=start, phase=phase)
    else:  # it has counted all there is to learn
        fit = Fit(0.0, 0, 0, schedule="")
    valid, test, full = measure(problem, model)
    network, embedding = trainable_parameters(model)
    loss = model.own_loss if isinstance(model, OwnLoss) else ""
    return Result(valid, test, network, embedding, round(fit.seconds, 2), fit.epochs, fit.best_epoch, full, loss,
                  train_seconds=round(fit.train_seconds, 3), schedule=fit.schedule)


def finetune_from(problem: Problem, starts: Mapping[str, Callable[[], Derived]], name: str) -> tuple[Derived, Result]:
    """Train a variant from each of ``starts`` (``inherited``, ``scratch``) and keep what is best on validation rows;
    of equals the first."""
    best: tuple[Derived, Result] | None = None
    tried: dict[str, dict[str, Any]] = {}
    seconds = 0.0
    for start, make in starts.items():
        model = make()
        phase = name if start == "inherited" else f"{name} from {start}"
        result = finetune(problem, model, phase, inherited=start == "inherited")
        tried[start] = {"valid": result.valid, "epochs": result.epochs, "best_epoch": result.best_epoch}
        seconds += result.seconds
        fitness = problem.objective.fitness
        if best is None or result.valid[fitness] > best[1].valid[fitness]:
            best = model, replace(result, start=start)
    if best is None:
        raise RuntimeError(f"{name} was given nothing to start from")
    return best[0], replace(best[1], starts=tried, seconds=round(seconds, 2))


def train_baseline(problem: Problem, name: str) -> tuple[nn.Module, Result]:
    """Train a baseline in the same harness; one that has to be found is found first, and its seconds count."""
    if problem.baseline is None:
        raise AmeirError("This problem was set up without baselines.")
    problem.seeded(f"baseline/{name}")
    model = problem.baseline(name)
    if isinstance(model, CountsItems):
        model.set_counts(problem.data.item_counts())
    if isinstance(model, CountsSequences):
        model.set_sequences(*problem.data.train_sequences())
    if isinstance(model, OwnLoss):
        console().print(f"{name} is trained with its own loss: {model.own_loss}.", markup=False)
    model, options, seconds = found(problem, name, model)
    result = finetune(problem, model, name.upper() if name == "dnn" else name, inherited=False)
    return model, replace(result, seconds=round(result.seconds + seconds, 2), found=options,
                          finding_seconds=round(seconds, 2))


__all__ = ["Result", "finetune", "finetune_from", "measure", "require_earlier", "run_stage", "stages_to_run",
           "train_baseline"]
