"""LightningEngine: builds a Trainer for each fit from what the user chose."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping
from pytorch_lightning.loggers import Logger
from pytorch_lightning.plugins.environments import SLURMEnvironment
from torch import nn

from ameir_pl import ranks
from ameir_pl.callbacks import ActivationCounts, BestWeights
from ameir_pl.callbacks.best_children import BestChildren, EpochScores
from ameir_pl.callbacks.checkpoints import Checkpoints
from ameir_pl.callbacks.finite_numbers import FiniteNumbers
from ameir_pl.callbacks.touched_rows import TouchedRows
from ameir_pl.callbacks.update_limit import UpdateLimit
from ameir_pl.cli.nodes import callback_mistake
from ameir_pl.cli.profiles import make_profiler
from ameir_pl.cli.trainer_keys import Limits
from ameir_pl.errors import AmeirError, Stopped
from ameir_pl.models.ameir import Ameir
from ameir_pl.objectives.base import Objective
from ameir_pl.search.evaluator import CandidateScorer
from ameir_pl.search.journal import Journal, Phase, signature
from ameir_pl.search.problem import CONSTANT, Data, Fit, SupernetFit
from ameir_pl.search.settings import Recipe
from ameir_pl.space.sampling import Rounds
from ameir_pl.stopping import gently, requested
from ameir_pl.tasks.fit import FitTask, OptimizerFactory, SchedulerFactory
from ameir_pl.tasks.schedule import WarmupCosine
from ameir_pl.tasks.supernet import SupernetTask

WATCHED_ROWS, WATCHED_CHILDREN = 4096, 8
"""Validation rows and children of a supernet by which its best epoch is chosen: a few percent of its time."""


class LightningEngine:
    """Trains supernets and models with Lightning; what an interrupted command trained is taken from its journal.

    Args:
        data: the DataModule.
        objective: loss and metrics.
        trainer: builds a Trainer from ``max_epochs``, ``callbacks``, ``logger`` and fixed flags.
        optimizer: given the parameters.
        scheduler: given the optimizer and T_max; used for supernets.
        callbacks: make the callbacks of one fit.
        loggers: shared by all fits of this process; read when a fit begins.
        weight_decay: L2.
        fairness: scheme of supernet training.
        journal: keeps finished fits and checkpoints.
        every_steps, every_minutes: between two checkpoints.
        finetuning: the rate of inherited weights; None: constant, as from random ones.
        shared_l2: in a supernet what all paths share has all of the L2.
        detect_anomaly: name the operation whose gradient is NaN (slow).
        limits: of updates and batches.
        profiles: the folder of a profiler's files.
    """

    def __init__(self, data: pl.LightningDataModule, objective: Objective, *, trainer: Callable[..., pl.Trainer],
                 optimizer: OptimizerFactory, scheduler: SchedulerFactory, callbacks: Callable[[], list[pl.Callback]],
                 loggers: Sequence[Logger], weight_decay: float, fairness: str, journal: Journal,
                 every_steps: int = 1000, every_minutes: float = 10.0, detect_anomaly: bool = False,
                 limits: Limits | None = None, profiles: Path | None = None,
                 finetuning: WarmupCosine | None = None, shared_l2: bool = False) -> None:
        self.data, self.objective = data, objective
        self._trainer, self._optimizer, self._scheduler = trainer, optimizer, scheduler
        self.callbacks, self._loggers = callbacks, loggers
        self._weight_decay, self._fairness, self._finetuning = weight_decay, fairness, finetuning
        self._shared_l2 = shared_l2
        self._detect_anomaly, self._limits, self._profiles = detect_anomaly, limits or Limits(), profiles
        self._journal, self._every = journal, {"every_steps": every_steps, "every_minutes": every_minutes}

    def train_supernet(self, model: Ameir, rounds: Rounds, *, epochs: float, phase: str,
                       watched: Callable[[], Sequence[float]] | None = None) -> SupernetFit:
        """Train shared weights fairly and keep those of the epoch at which children validate best.

        ``watched`` is asked for scores after every epoch.
        """
        kept = self._journal.phase(phase, signature(model), epochs)
        done = kept.done()
        if done is not None and (watched is None or done[0]["scores"]):
            model.load_state_dict(done[1])
            return SupernetFit.from_dict(done[0])
        task = SupernetTask(model, rounds, self.objective, self._optimizer, self._scheduler,
                            weight_decay=self._weight_decay, fairness=self._fairness, phase=phase,
                            most_updates=self._limits.updates, shared_l2=self._shared_l2)
        best = BestChildren(partial(self._children_fitness, model, rounds), self.objective.fitness)
        looks = [] if watched is None else [EpochScores(watched)]
        callbacks = [*self.callbacks(), *looks, best]
        self._run(task, callbacks, epochs, kept, validate=False)
        audits = [c for c in callbacks if isinstance(c, ActivationCounts)]
        fit = SupernetFit(audits[0].counts() if audits else {}, best.epoch, best.seen,
                          looks[0].seen if looks else {})
        kept.finish(fit.to_dict(), model.state_dict())
        _stop_if_asked()
        return fit

    def fit(self, model: nn.Module, *, epochs: float, patience: int, start: float | None, phase: str,
            recipe: Recipe | None = None) -> Fit:
        """Train a model with early stopping on the validation fitness and restore its best weights.

        The rate is constant from random weights; inherited ones (with a ``start``) have the schedule of finetuning. A
        ``recipe`` takes the place of the dataset's rate and L2, and has its rate decay along a cosine.

        An epoch counts towards ``patience`` unless it is better than all before it and than ``start``.
        """
        own = () if recipe is None else (recipe,)
        kept = self._journal.phase(phase, signature(model), epochs, patience, start, *own)
        done = kept.done()
        if done is not None:
            model.load_state_dict(done[1])
            return Fit(**done[0])
        optimizer, weight_decay, schedule = self._optimizer, self._weight_decay, self._finetuning
        if recipe is not None:
            optimizer = partial(cast(Callable[..., torch.optim.Optimizer], optimizer), lr=recipe.learning_rate)
            weight_decay, schedule = recipe.weight_decay, WarmupCosine()
        elif start is None:
            schedule = None
        task = FitTask(model, self.objective, optimizer, weight_decay=weight_decay, phase=phase, schedule=schedule,
                       most_updates=self._limits.updates)
        best = BestWeights(start)
        stop = EarlyStopping("fitness", mode="max", patience=patience, check_finite=True)
        if start is not None:  # inherited weights are what an epoch has to beat
            stop.best_score = torch.tensor(start)
        trainer, clock = self._run(task, [*self.callbacks(), best, stop], epochs, kept, validate=True)
        fit = Fit(clock.seconds, trainer.current_epoch, best.epoch, clock.train_seconds, _schedule(trainer))
        kept.finish(asdict(fit), model.state_dict())
        _stop_if_asked()
        return fit

    def trial(self, model: nn.Module, score: Callable[[], float], *, epochs: float, phase: str, number: int
              ) -> tuple[float, float]:
        """Train a model without validation; returns what ``score`` says of it then, and the seconds of training.

        Kept are the score and the seconds, not the weights: one that an interrupted command trained is left untrained.
        """
        kept = self._journal.phase(f"{phase}/{number}", signature(model), epochs)
        done = kept.done()
        if done is None:
            task = FitTask(model, self.objective, self._optimizer, weight_decay=self._weight_decay, phase=phase)
            _, clock = self._run(task, self.callbacks(), epochs, kept, validate=False)
            seconds = clock.seconds
            done = {"score": score(), "seconds": seconds}, {}
            kept.finish(*done)
            _stop_if_asked()
        return done[0]["score"], done[0]["seconds"]

    def _children_fitness(self, model: Ameir, rounds: Rounds) -> float:
        """Return the mean fitness of a few children, always the same, on fixed validation rows; NaN where those have
        one class."""
        rows = cast(Data, self.data).subset("valid", WATCHED_ROWS, 0)
        if model.schema.task == "ctr" and len({float(label) for batch in rows for label in batch.label.unique()}) < 2:
            return math.nan
        children = list(dict.fromkeys(rounds.fair(0)))[:WATCHED_CHILDREN]
        return fmean(CandidateScorer(model, self.objective, rows).scores(children))

    def _length(self, epochs: float) -> dict[str, int]:
        """Return a Trainer's settings for that many epochs: 1.5 are two, each of the first three quarters of its own
        order of the rows."""
        whole = math.ceil(epochs)
        if whole == epochs and self._limits.train_batches is None:
            return {"max_epochs": whole}
        batches = self._limits.batches("train", len(self.data.train_dataloader()))
        return {"max_epochs": whole, "limit_train_batches": max(round(batches * epochs / whole), 1)}

    def epochs_of(self, updates: int) -> float:
        """Return how many epochs hold that many updates: a part of one, or more."""
        batches = self._limits.batches("train", len(self.data.train_dataloader()))
        return updates * self._limits.accumulated / batches

    def _several(self) -> dict[str, Any]:
        """Return a Trainer's settings for several ranks."""
        more: dict[str, Any] = {}
        if SLURMEnvironment.detect():  # our own checkpoints are gone on with, not Lightning's
            more["plugins"] = [SLURMEnvironment(auto_requeue=False)]
        if ranks.world() == 1:
            return more
        # A fair update reaches every parameter; a single path does not.
        return more | {"strategy": "ddp_find_unused_parameters_true" if self._fairness == "uniform" else "ddp"}

    def _run(self, task: pl.LightningModule, callbacks: list[pl.Callback], epochs: float, kept: Phase, *,
             validate: bool) -> tuple[pl.Trainer, Checkpoints]:
        if ranks.world() > 1:  # each rank its own dropout, on the same weights
            torch.manual_seed(torch.initial_seed() + ranks.rank())
        limit = [] if self._limits.updates is None else [UpdateLimit(self._limits.updates)]
        callbacks = [*limit, FiniteNumbers(), TouchedRows(), *callbacks]
        valid = None if validate else 0
        if validate and self._limits.valid_batches is not None:
            valid = self._limits.batches("valid", len(self.data.val_dataloader()))
        checkpoints = Checkpoints(kept, **self._every)  # type: ignore[arg-type]
        with warnings.catch_warnings(), gently():
            # Whole columns are gathered in this process faster than worker processes could hand them over.
            warnings.filterwarnings("ignore", ".*does not have many workers.*")
            warnings.filterwarnings("ignore", ".*The number of training batches.*")
            warnings.filterwarnings("ignore", ".*LeafSpec.*")
            warnings.filterwarnings("ignore", ".*Checkpoint directory.*")
            # A supernet is not validated while it trains: its children are scored afterwards.
            warnings.filterwarnings("ignore", ".*have no `validation_step`.*")
            # Every rank computes the metrics of all rows.
            warnings.filterwarnings("ignore", ".*sync_dist=True.*")
            warnings.filterwarnings("ignore", ".*PyTorch Profiler default schedule.*")
            # The DataModule keeps the position in the data, which Lightning looks for in the loader.
            warnings.filterwarnings("ignore", ".*your dataloader is not resumable.*")
            try:
                trainer = self._trainer(**self._length(epochs), **self._several(), callbacks=[*callbacks, checkpoints],
                                        logger=list(self._loggers), enable_checkpointing=True,
                                        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
                                        detect_anomaly=self._detect_anomaly, use_distributed_sampler=False,
                                        profiler=make_profiler(self._limits.profiler, self._profiles, kept.folder.name),
                                        limit_val_batches=valid)
                trainer.fit(task, datamodule=self.data, ckpt_path=kept.checkpoint(), weights_only=True)
            except (AmeirError, OSError):
                raise
            except Exception as error:
                if known := callback_mistake(error, callbacks):
                    raise known from error
                raise
        return trainer, checkpoints


def _schedule(trainer: pl.Trainer) -> str:
    """Return how the learning rate went in a fit: the name of the scheduler that ran."""
    configs = trainer.lr_scheduler_configs
    return type(configs[0].scheduler).__name__ if configs else CONSTANT


def _stop_if_asked() -> None:
    """End here when a signal came too late for the fit to look at it; the fit is kept."""
    signal = max(value for (value,) in ranks.gather_lists([requested() or 0]))
    if signal:
        raise Stopped(signal)
